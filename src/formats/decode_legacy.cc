// Blocks of 32 with one scale and at most one offset. A nibble byte j holds element j in its low
// half and element j + 16 in its high half.
#include "formats/decode_blocks.h"

namespace vernier {
namespace {

constexpr int kHalf = 16;

// The 5-bit numbers of a block: nibbles, and bit j of `high` for element j.
void FiveBits(const uint8_t* nibbles, uint32_t high, int8_t* out) {
  for (int j = 0; j < kHalf; ++j) {
    out[j] = static_cast<int8_t>((nibbles[j] & 15) | (high >> j & 1) << 4);
    out[j + kHalf] = static_cast<int8_t>(nibbles[j] >> 4 | (high >> (j + kHalf) & 1) << 4);
  }
}

}  // namespace

void DecodeQ4_0(const uint8_t* source, size_t blocks, float* out) {
  for (size_t b = 0; b < blocks; ++b, source += 18, out += 32) {
    const float d = LoadHalf(source);
    const uint8_t* nibbles = source + 2;
    for (int j = 0; j < kHalf; ++j) {
      out[j] = Times(d, (nibbles[j] & 15) - 8);
      out[j + kHalf] = Times(d, (nibbles[j] >> 4) - 8);
    }
  }
}

void DecodeQ4_1(const uint8_t* source, size_t blocks, float* out) {
  for (size_t b = 0; b < blocks; ++b, source += 20, out += 32) {
    const float d = LoadHalf(source), m = LoadHalf(source + 2);
    const uint8_t* nibbles = source + 4;
    for (int j = 0; j < kHalf; ++j) {
      out[j] = Times(d, nibbles[j] & 15) + m;
      out[j + kHalf] = Times(d, nibbles[j] >> 4) + m;
    }
  }
}

void DecodeQ5_0(const uint8_t* source, size_t blocks, float* out) {
  for (size_t b = 0; b < blocks; ++b, source += 22, out += 32) {
    const float d = LoadHalf(source);
    int8_t q[2 * kHalf];
    FiveBits(source + 6, LoadU32(source + 2), q);
    for (int j = 0; j < 2 * kHalf; ++j) out[j] = Times(d, q[j] - 16);
  }
}

void DecodeQ5_1(const uint8_t* source, size_t blocks, float* out) {
  for (size_t b = 0; b < blocks; ++b, source += 24, out += 32) {
    const float d = LoadHalf(source), m = LoadHalf(source + 2);
    int8_t q[2 * kHalf];
    FiveBits(source + 8, LoadU32(source + 4), q);
    for (int j = 0; j < 2 * kHalf; ++j) out[j] = Times(d, q[j]) + m;
  }
}

void DecodeQ8_0(const uint8_t* source, size_t blocks, float* out) {
  for (size_t b = 0; b < blocks; ++b, source += 34, out += 32) {
    const float d = LoadHalf(source);
    for (int j = 0; j < 32; ++j) out[j] = Times(d, static_cast<int8_t>(source[2 + j]));
  }
}

void DecodeQ8_1(const uint8_t* source, size_t blocks, float* out) {
  for (size_t b = 0; b < blocks; ++b, source += 36, out += 32) {
    const float d = LoadHalf(source);
    for (int j = 0; j < 32; ++j) out[j] = Times(d, static_cast<int8_t>(source[4 + j]));
  }
}

}  // namespace vernier
