// Rows of stored blocks taken apart for the products of kernels/ggml.h. docs/decoding.md has the
// layouts of the blocks.
#include <bit>
#include <cstring>
#include <limits>

#include "kernels/block_bits.h"
#include "kernels/ggml.h"
#include "kernels/half.h"
#include "kernels/quantise.h"

namespace vernier {
namespace {

uint16_t U16(const uint8_t* p) {
  uint16_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
uint32_t U32(const uint8_t* p) {
  uint32_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
float Half(const uint8_t* p) { return HalfBitsToFloat(U16(p)); }

// 2^(e - 128); 255 is NaN.
float HalfE8M0(uint32_t e) {
  if (e == 255) return std::numeric_limits<float>::quiet_NaN();
  if (e < 2) return std::bit_cast<float>(uint32_t{0x200000} << e);
  return std::bit_cast<float>((e - 1) << 23);
}

// Nibble j of a block of 32 as code table(j).
template <class F>
void Nibbles32(const uint8_t* nibbles, int8_t* out, F code) {
  for (int j = 0; j < 16; ++j) {
    out[j] = static_cast<int8_t>(code(nibbles[j] & 15, j));
    out[j + 16] = static_cast<int8_t>(code(nibbles[j] >> 4, j + 16));
  }
}

constexpr int kFP4Doubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// One block of 32 at `p`; its number is b.
void Block32(TensorType type, const uint8_t* p, size_t b, const GgmlWeightBuffer& out) {
  int8_t* codes = out.codes + 32 * b;
  const auto plain = [](int v, int) { return v; };
  switch (type) {
    case TensorType::kQ4_0:
      out.d[b] = Half(p);
      return Nibbles32(p + 2, codes, [](int v, int) { return v - 8; });
    case TensorType::kQ4_1:
      out.d[b] = Half(p);
      out.m[b] = Half(p + 2);
      return Nibbles32(p + 4, codes, plain);
    case TensorType::kQ5_0: {
      const uint32_t high = U32(p + 2);
      out.d[b] = Half(p);
      return Nibbles32(p + 6, codes, [high](int v, int j) {
        return (v | static_cast<int>(high >> j & 1) << 4) - 16;
      });
    }
    case TensorType::kQ5_1: {
      const uint32_t high = U32(p + 4);
      out.d[b] = Half(p);
      out.m[b] = Half(p + 2);
      return Nibbles32(p + 8, codes,
                       [high](int v, int j) { return v | static_cast<int>(high >> j & 1) << 4; });
    }
    case TensorType::kQ8_0:
      out.d[b] = Half(p);
      std::memcpy(codes, p + 2, 32);
      return;
    case TensorType::kIQ4_NL:
      out.d[b] = Half(p);
      return Nibbles32(p + 2, codes, [](int v, int) { return kIQ4Levels[v]; });
    default:  // kMXFP4
      out.d[b] = HalfE8M0(p[0]);
      return Nibbles32(p + 1, codes, [](int v, int) { return kFP4Doubled[v]; });
  }
}

// The 2-bit numbers of 256 elements: element j in byte 32 * (j / 128) + j % 32, bits 2 * (j % 128 /
// 32).
void TwoBits(const uint8_t* packed, int8_t* out) {
  for (int j = 0; j < 256; ++j)
    out[j] = static_cast<int8_t>(packed[j / 128 * 32 + j % 32] >> j % 128 / 32 * 2 & 3);
}

// The nibbles of 256 elements: element j in byte 32 * (j / 64) + j % 32, the low one for the first
// 32 of 64.
void Nibbles256(const uint8_t* packed, int8_t* out) {
  for (int j = 0; j < 256; ++j)
    out[j] = static_cast<int8_t>(packed[j / 64 * 32 + j % 32] >> j % 64 / 32 * 4 & 15);
}

void BlockQ2K(const uint8_t* p, size_t b, const GgmlWeightBuffer& out) {
  TwoBits(p + 16, out.codes + 256 * b);
  for (int g = 0; g < 16; ++g) {
    out.scales[16 * b + g] = p[g] & 15;
    out.mins[16 * b + g] = p[g] >> 4;
  }
  out.d[b] = Half(p + 80);
  out.m[b] = Half(p + 82);
}

void BlockQ3K(const uint8_t* p, size_t b, const GgmlWeightBuffer& out) {
  int8_t* codes = out.codes + 256 * b;
  TwoBits(p + 32, codes);
  for (int j = 0; j < 256; ++j)
    codes[j] = static_cast<int8_t>(codes[j] - ((p[j % 32] >> j / 32 & 1) != 0 ? 0 : 4));
  for (int g = 0; g < 16; ++g)
    out.scales[16 * b + g] = static_cast<int16_t>(UnpackSixBits(p + 96, g) - 32);
  out.d[b] = Half(p + 108);
}

void BlockQ45K(bool five, const uint8_t* p, size_t b, const GgmlWeightBuffer& out) {
  int8_t* codes = out.codes + 256 * b;
  Nibbles256(p + (five ? 48 : 16), codes);
  for (int j = 0; five && j < 256; ++j)
    codes[j] = static_cast<int8_t>(codes[j] | (p[16 + j % 32] >> j / 32 & 1) << 4);
  for (int g = 0; g < 8; ++g) {
    const ScaleAndMin pair = UnpackPair(p + 4, g);
    for (int half = 0; half < 2; ++half)
      out.scales[16 * b + 2 * g + half] = static_cast<int16_t>(pair.scale);
    out.mins[8 * b + g] = static_cast<int16_t>(pair.min);
  }
  out.d[b] = Half(p);
  out.m[b] = Half(p + 2);
}

void BlockQ6K(const uint8_t* p, size_t b, const GgmlWeightBuffer& out) {
  int8_t* codes = out.codes + 256 * b;
  TwoBits(p + 128, codes);
  for (int j = 0; j < 256; ++j) {
    const int low = p[j / 128 * 64 + j % 64] >> j % 128 / 64 * 4 & 15;
    codes[j] = static_cast<int8_t>(low | codes[j] << 4);
  }
  for (int g = 0; g < 16; ++g) out.scales[16 * b + g] = static_cast<int8_t>(p[192 + g]);
  out.d[b] = Half(p + 208);
}

void BlockIQ4XS(const uint8_t* p, size_t b, const GgmlWeightBuffer& out) {
  const uint32_t high = U16(p + 2);
  for (int g = 0; g < 8; ++g) {
    Nibbles32(p + 8 + 16 * g, out.codes + 256 * b + 32 * g,
              [](int v, int) { return kIQ4Levels[v]; });
    const int low = p[4 + g / 2] >> 4 * (g % 2) & 15;
    const int scale = (low | static_cast<int>(high >> 2 * g & 3) << 4) - 32;
    for (int half = 0; half < 2; ++half)
      out.scales[16 * b + 2 * g + half] = static_cast<int16_t>(scale);
  }
  out.d[b] = Half(p);
}

// Base-3 digits 0, 1, 2 (formats/decode_tq.cc says how they are packed).
void BlockTQ1(const uint8_t* p, size_t b, const GgmlWeightBuffer& out) {
  static constexpr uint8_t kPowers[5] = {1, 3, 9, 27, 81};
  int8_t* codes = out.codes + 256 * b;
  const auto runs = [&codes](const uint8_t* bytes, int count, int digits) {
    for (int n = 0; n < digits; ++n)
      for (int j = 0; j < count; ++j)
        *codes++ = static_cast<int8_t>(static_cast<uint8_t>(bytes[j] * kPowers[n]) * 3 >> 8);
  };
  runs(p, 32, 5);
  runs(p + 32, 16, 5);
  runs(p + 48, 4, 4);
  for (int g = 0; g < 16; ++g) out.scales[16 * b + g] = 1;
  out.d[b] = Half(p + 52);
}

void BlockTQ2(const uint8_t* p, size_t b, const GgmlWeightBuffer& out) {
  TwoBits(p, out.codes + 256 * b);
  for (int g = 0; g < 16; ++g) out.scales[16 * b + g] = 1;
  out.d[b] = Half(p + 64);
}

size_t BlockBytes(TensorType type) {
  switch (type) {
    case TensorType::kQ4_0:
    case TensorType::kIQ4_NL:
      return 18;
    case TensorType::kQ4_1:
      return 20;
    case TensorType::kQ5_0:
      return 22;
    case TensorType::kQ5_1:
      return 24;
    case TensorType::kQ8_0:
      return 34;
    case TensorType::kMXFP4:
      return 17;
    case TensorType::kQ2_K:
      return 84;
    case TensorType::kQ3_K:
      return 110;
    case TensorType::kQ4_K:
      return 144;
    case TensorType::kQ5_K:
      return 176;
    case TensorType::kQ6_K:
      return 210;
    case TensorType::kIQ4_XS:
      return 136;
    case TensorType::kTQ1_0:
      return 54;
    case TensorType::kTQ2_0:
      return 66;
    default:
      return 0;
  }
}

void SuperBlock(TensorType type, const uint8_t* p, size_t b, const GgmlWeightBuffer& out) {
  switch (type) {
    case TensorType::kQ2_K:
      return BlockQ2K(p, b, out);
    case TensorType::kQ3_K:
      return BlockQ3K(p, b, out);
    case TensorType::kQ4_K:
      return BlockQ45K(false, p, b, out);
    case TensorType::kQ5_K:
      return BlockQ45K(true, p, b, out);
    case TensorType::kQ6_K:
      return BlockQ6K(p, b, out);
    case TensorType::kIQ4_XS:
      return BlockIQ4XS(p, b, out);
    case TensorType::kTQ1_0:
      return BlockTQ1(p, b, out);
    default:
      return BlockTQ2(p, b, out);
  }
}

}  // namespace

bool HasGgmlProduct(TensorType type) {
  return type == TensorType::kF32 || type == TensorType::kF16 || type == TensorType::kBF16 ||
         BlockBytes(type) != 0;
}

void UnpackGgmlRow(TensorType type, const uint8_t* row, size_t k, const GgmlWeightBuffer& out) {
  switch (type) {
    case TensorType::kF32:
      std::memcpy(out.values, row, k * sizeof(float));
      return;
    case TensorType::kF16:
      for (size_t i = 0; i < k; ++i) out.values[i] = Half(row + 2 * i);
      return;
    case TensorType::kBF16:
      for (size_t i = 0; i < k; ++i)
        out.values[i] = std::bit_cast<float>(static_cast<uint32_t>(U16(row + 2 * i)) << 16);
      return;
    default:
      break;
  }
  const size_t block = GgmlBlock(type), bytes = BlockBytes(type);
  for (size_t b = 0; b < k / block; ++b, row += bytes) {
    if (block == 32) {
      Block32(type, row, b, out);
    } else {
      SuperBlock(type, row, b, out);
    }
  }
}

}  // namespace vernier
