// 4-bit indices into one table of 16 levels.
#include "formats/decode_blocks.h"

namespace vernier {
namespace {

void Decode32(const uint8_t* nibbles, float scale, float* out) {
  for (int j = 0; j < 16; ++j) {
    out[j] = Times(scale, kIQ4Levels[nibbles[j] & 15]);
    out[j + 16] = Times(scale, kIQ4Levels[nibbles[j] >> 4]);
  }
}

}  // namespace

void DecodeIQ4_NL(const uint8_t* source, size_t blocks, float* out) {
  for (size_t b = 0; b < blocks; ++b, source += 18, out += 32)
    Decode32(source + 2, LoadHalf(source), out);
}

void DecodeIQ4_XS(const uint8_t* source, size_t blocks, float* out) {
  for (size_t b = 0; b < blocks; ++b, source += 136, out += 256) {
    const float d = LoadHalf(source);
    const uint32_t high = LoadU16(source + 2);
    for (int group = 0; group < 8; ++group) {
      const int low = source[4 + group / 2] >> 4 * (group % 2) & 15;
      const int scale = low | static_cast<int>(high >> 2 * group & 3) << 4;
      Decode32(source + 8 + 16 * group, Times(d, scale - 32), out + 32 * group);
    }
  }
}

}  // namespace vernier
