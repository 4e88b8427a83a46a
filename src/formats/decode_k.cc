// Blocks of 256 whose groups of 16 or 32 have small integer scales (and minima) of their own under
// one or two float16 ones. Elements are stored in two halves of 128 (Q2_K, Q3_K, Q6_K) or four
// quarters of 64 (Q4_K, Q5_K), interleaved so that one byte serves elements 32 apart.
#include "formats/decode_blocks.h"

namespace vernier {
namespace {

struct ScaleAndMin {
  int scale, min;
};

// Entry j of the eight pairs of 6-bit numbers that Q4_K and Q5_K keep in 12 bytes: the first four
// pairs lie in the low 6 bits of bytes 0-3 and 4-7; of the last four the low 4 bits are the halves
// of bytes 8-11, the high 2 bits the top of bytes 0-3 and 4-7.
ScaleAndMin UnpackPair(const uint8_t* packed, int j) {
  if (j < 4) return {packed[j] & 63, packed[j + 4] & 63};
  return {(packed[j + 4] & 15) | packed[j - 4] >> 6 << 4, packed[j + 4] >> 4 | packed[j] >> 6 << 4};
}

// Entry j of the sixteen 6-bit numbers that Q3_K keeps in 12 bytes: low 4 bits in the halves of
// bytes 0-7, high 2 bits in bytes 8-11.
int UnpackSixBits(const uint8_t* packed, int j) {
  const int low = j < 8 ? packed[j] & 15 : packed[j - 8] >> 4;
  return low | (packed[8 + j % 4] >> 2 * (j / 4) & 3) << 4;
}

// Element j's 2 bits in 64 bytes: half j / 128, byte j % 32, bits 2 * (j % 128 / 32).
int TwoBits(const uint8_t* packed, int j) {
  return packed[j / 128 * 32 + j % 32] >> 2 * (j % 128 / 32) & 3;
}

// Element j's nibble in 128 bytes: quarter j / 64, byte j % 32, the low one for its first 32.
int Nibble(const uint8_t* packed, int j) {
  const int byte = packed[j / 64 * 32 + j % 32];
  return j % 64 < 32 ? byte & 15 : byte >> 4;
}

}  // namespace

void DecodeQ2_K(const uint8_t* source, size_t blocks, float* out) {
  for (size_t b = 0; b < blocks; ++b, source += 84, out += 256) {
    const float d = LoadHalf(source + 80), dmin = LoadHalf(source + 82);
    for (int group = 0; group < 16; ++group) {
      const float scale = Times(d, source[group] & 15), min = Times(dmin, source[group] >> 4);
      for (int j = group * 16; j < group * 16 + 16; ++j)
        out[j] = Times(scale, TwoBits(source + 16, j)) - min;
    }
  }
}

void DecodeQ3_K(const uint8_t* source, size_t blocks, float* out) {
  for (size_t b = 0; b < blocks; ++b, source += 110, out += 256) {
    const uint8_t *high = source, *low = source + 32, *scales = source + 96;
    const float d = LoadHalf(source + 108);
    for (int group = 0; group < 16; ++group) {
      const float scale = Times(d, UnpackSixBits(scales, group) - 32);
      for (int j = group * 16; j < group * 16 + 16; ++j) {
        const int third = high[j % 32] >> j / 32 & 1;  // a clear bit stands for -4
        out[j] = Times(scale, TwoBits(low, j) + 4 * third - 4);
      }
    }
  }
}

void DecodeQ4_K(const uint8_t* source, size_t blocks, float* out) {
  for (size_t b = 0; b < blocks; ++b, source += 144, out += 256) {
    const float d = LoadHalf(source), dmin = LoadHalf(source + 2);
    for (int group = 0; group < 8; ++group) {
      const ScaleAndMin pair = UnpackPair(source + 4, group);
      const float scale = Times(d, pair.scale), min = Times(dmin, pair.min);
      for (int j = group * 32; j < group * 32 + 32; ++j)
        out[j] = Times(scale, Nibble(source + 16, j)) - min;
    }
  }
}

void DecodeQ5_K(const uint8_t* source, size_t blocks, float* out) {
  for (size_t b = 0; b < blocks; ++b, source += 176, out += 256) {
    const float d = LoadHalf(source), dmin = LoadHalf(source + 2);
    const uint8_t* high = source + 16;
    for (int group = 0; group < 8; ++group) {
      const ScaleAndMin pair = UnpackPair(source + 4, group);
      const float scale = Times(d, pair.scale), min = Times(dmin, pair.min);
      for (int j = group * 32; j < group * 32 + 32; ++j) {
        const int fifth = high[j % 32] >> group & 1;
        out[j] = Times(scale, Nibble(source + 48, j) + 16 * fifth) - min;
      }
    }
  }
}

void DecodeQ6_K(const uint8_t* source, size_t blocks, float* out) {
  for (size_t b = 0; b < blocks; ++b, source += 210, out += 256) {
    const uint8_t *low = source, *high = source + 128, *scales = source + 192;
    const float d = LoadHalf(source + 208);
    for (int group = 0; group < 16; ++group) {
      const float scale = Times(d, static_cast<int8_t>(scales[group]));
      for (int j = group * 16; j < group * 16 + 16; ++j) {
        // In each half of 128, byte j % 64 has element j % 128 < 64 low and the one 64 further
        // high.
        const int byte = low[j / 128 * 64 + j % 64];
        const int four = j % 128 < 64 ? byte & 15 : byte >> 4;
        out[j] = Times(scale, (four | TwoBits(high, j) << 4) - 32);
      }
    }
  }
}

}  // namespace vernier
