// Blocks of 256 whose groups of 16 or 32 have small integer scales (and minima) of their own under
// one or two float16 ones. Elements are stored in two halves of 128 (Q2_K, Q3_K, Q6_K) or four
// quarters of 64 (Q4_K, Q5_K), interleaved so that one byte serves elements 32 apart.
#include "formats/decode_blocks.h"

namespace vernier {
namespace {

// A run of elements of one group lies in consecutive bytes under one shift, which is what lets the
// compiler vectorise the inner loops (2 to 5 times faster than finding the byte of each element).
struct Run {
  const uint8_t* bytes;
  int shift;
};

// The 2-bit numbers of the 16 elements of group g in 64 bytes: element j in byte
// 32 * (j / 128) + j % 32, bits 2 * (j % 128 / 32).
Run TwoBits(const uint8_t* packed, int g) {
  return {packed + g / 8 * 32 + g % 2 * 16, 2 * (g % 8 / 2)};
}

// The nibbles of the 32 elements of group g in 128 bytes: element j in byte 32 * (j / 64) + j % 32,
// the low one for the first 32 of 64.
Run Nibbles(const uint8_t* packed, int g) { return {packed + g / 2 * 32, 4 * (g % 2)}; }

}  // namespace

void DecodeQ2_K(const uint8_t* source, size_t blocks, float* out) {
  for (size_t b = 0; b < blocks; ++b, source += 84) {
    const float d = LoadHalf(source + 80), dmin = LoadHalf(source + 82);
    for (int g = 0; g < 16; ++g, out += 16) {
      const float scale = Times(d, source[g] & 15), min = Times(dmin, source[g] >> 4);
      const Run codes = TwoBits(source + 16, g);
      for (int i = 0; i < 16; ++i) out[i] = Times(scale, codes.bytes[i] >> codes.shift & 3) - min;
    }
  }
}

void DecodeQ3_K(const uint8_t* source, size_t blocks, float* out) {
  for (size_t b = 0; b < blocks; ++b, source += 110) {
    const float d = LoadHalf(source + 108);
    for (int g = 0; g < 16; ++g, out += 16) {
      const float scale = Times(d, UnpackSixBits(source + 96, g) - 32);
      const Run codes = TwoBits(source + 32, g);
      const Run thirds = {source + g % 2 * 16, g / 2};  // a clear bit stands for -4
      for (int i = 0; i < 16; ++i) {
        const int third = thirds.bytes[i] >> thirds.shift & 1;
        out[i] = Times(scale, (codes.bytes[i] >> codes.shift & 3) + 4 * third - 4);
      }
    }
  }
}

void DecodeQ4_K(const uint8_t* source, size_t blocks, float* out) {
  for (size_t b = 0; b < blocks; ++b, source += 144) {
    const float d = LoadHalf(source), dmin = LoadHalf(source + 2);
    for (int g = 0; g < 8; ++g, out += 32) {
      const ScaleAndMin pair = UnpackPair(source + 4, g);
      const float scale = Times(d, pair.scale), min = Times(dmin, pair.min);
      const Run codes = Nibbles(source + 16, g);
      for (int i = 0; i < 32; ++i) out[i] = Times(scale, codes.bytes[i] >> codes.shift & 15) - min;
    }
  }
}

void DecodeQ5_K(const uint8_t* source, size_t blocks, float* out) {
  for (size_t b = 0; b < blocks; ++b, source += 176) {
    const float d = LoadHalf(source), dmin = LoadHalf(source + 2);
    const uint8_t* high = source + 16;
    for (int g = 0; g < 8; ++g, out += 32) {
      const ScaleAndMin pair = UnpackPair(source + 4, g);
      const float scale = Times(d, pair.scale), min = Times(dmin, pair.min);
      const Run codes = Nibbles(source + 48, g);
      for (int i = 0; i < 32; ++i) {
        const int fifth = high[i] >> g & 1;
        out[i] = Times(scale, (codes.bytes[i] >> codes.shift & 15) + 16 * fifth) - min;
      }
    }
  }
}

void DecodeQ6_K(const uint8_t* source, size_t blocks, float* out) {
  for (size_t b = 0; b < blocks; ++b, source += 210) {
    const float d = LoadHalf(source + 208);
    for (int g = 0; g < 16; ++g, out += 16) {
      const float scale = Times(d, static_cast<int8_t>(source[192 + g]));
      // In each half of 128, byte j % 64 has element j % 128 < 64 low and the one 64 further high.
      const Run low = {source + g / 8 * 64 + g % 4 * 16, 4 * (g % 8 / 4)};
      const Run high = TwoBits(source + 128, g);
      for (int i = 0; i < 16; ++i) {
        const int top = high.bytes[i] >> high.shift & 3;
        out[i] = Times(scale, ((low.bytes[i] >> low.shift & 15) | top << 4) - 32);
      }
    }
  }
}

void DecodeQ8_K(const uint8_t* source, size_t blocks, float* out) {
  for (size_t b = 0; b < blocks; ++b, source += 292, out += 256) {
    const float d = std::bit_cast<float>(LoadU32(source));
    for (int j = 0; j < 256; ++j) out[j] = Times(d, static_cast<int8_t>(source[4 + j]));
  }
}

}  // namespace vernier
