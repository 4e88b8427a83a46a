// Ternary blocks of 256: -1, 0 or 1 times one scale.
#include "formats/decode_blocks.h"

namespace vernier {
namespace {

// Digit n of a byte that holds a number v in [0, 1) as ceil(v * 256), v written in base 3: shifting
// n digits out modulo 1 and looking at the next.
int Trit(uint8_t byte, int n) {
  static constexpr uint8_t kPowers[5] = {1, 3, 9, 27, 81};
  return static_cast<uint8_t>(byte * kPowers[n]) * 3 >> 8;
}

// `digits` runs of `count` elements from `count` bytes: run n has digit n of each byte.
float* DecodeRuns(const uint8_t* bytes, int count, int digits, float d, float* out) {
  for (int n = 0; n < digits; ++n)
    for (int j = 0; j < count; ++j) *out++ = Times(d, Trit(bytes[j], n) - 1);
  return out;
}

}  // namespace

void DecodeTQ1_0(const uint8_t* source, size_t blocks, float* out) {
  for (size_t b = 0; b < blocks; ++b, source += 54) {
    const float d = LoadHalf(source + 52);
    out = DecodeRuns(source, 32, 5, d, out);
    out = DecodeRuns(source + 32, 16, 5, d, out);
    out = DecodeRuns(source + 48, 4, 4, d, out);
  }
}

void DecodeTQ2_0(const uint8_t* source, size_t blocks, float* out) {
  for (size_t b = 0; b < blocks; ++b, source += 66) {
    const float d = LoadHalf(source + 64);
    for (int run = 0; run < 8; ++run, out += 32) {
      const uint8_t* bytes = source + run / 4 * 32;
      const int shift = 2 * (run % 4);
      // Code 3 is not written by quantisers and stands for 2.
      for (int i = 0; i < 32; ++i) out[i] = Times(d, (bytes[i] >> shift & 3) - 1);
    }
  }
}

}  // namespace vernier
