// PackPanel (kernels/packed.h) as scalar code, one row and one dword at a time. For tests.
#ifndef VERNIER_KERNELS_PACKING_REFERENCE_H_
#define VERNIER_KERNELS_PACKING_REFERENCE_H_

#include <array>
#include <bit>
#include <cstring>

#include "base/result.h"
#include "kernels/block_bits.h"
#include "kernels/packed.h"

namespace vernier::reference {

static_assert(std::endian::native == std::endian::little);
inline constexpr size_t kRows = 16;
inline constexpr uint32_t kLowNibbles = 0x0f0f0f0f;

inline uint32_t Dword(const uint8_t* bytes) {
  uint32_t value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}
inline uint32_t Word(const uint8_t* bytes) {
  uint16_t value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

// Dword r of vector i.
inline void Put(uint8_t* out, size_t i, size_t r, uint32_t value) {
  std::memcpy(out + i * 64 + r * 4, &value, sizeof value);
}
inline void PutHalf(uint8_t* out, size_t i, size_t r, const uint8_t* half) {
  std::memcpy(out + i * 32 + r * 2, half, 2);
}

// Four octets of the low or high nibbles of 32 bytes, byte j being column j.
template <int kShift>
inline void NibblesOf32(const uint8_t* bytes, uint8_t* out, size_t r) {
  for (size_t o = 0; o < 4; ++o) {
    const uint32_t first = Dword(bytes + 8 * o) >> kShift & kLowNibbles,
                   second = Dword(bytes + 8 * o + 4) >> kShift & kLowNibbles;
    Put(out, o, r, first | second << 4);
  }
}

// Of 16 bytes: byte j has column j low and column j + 16 high.
inline void NibblesOf16(const uint8_t* bytes, uint8_t* out, size_t r) {
  for (size_t o = 0; o < 2; ++o) {
    const uint32_t first = Dword(bytes + 8 * o), second = Dword(bytes + 8 * o + 4);
    Put(out, o, r, (first & kLowNibbles) | (second & kLowNibbles) << 4);
    Put(out, o + 2, r, (first >> 4 & kLowNibbles) | (second >> 4 & kLowNibbles) << 4);
  }
}

// Bit `bit` of each of 32 bytes, byte c being column c: column 4j + b goes to bit 8b + j.
inline uint32_t BitsOf32(const uint8_t* bytes, int bit) {
  uint32_t bits = 0;
  for (int j = 0; j < 8; ++j) bits |= (Dword(bytes + 4 * j) >> bit & 0x01010101u) << j;
  return bits;
}

// The same of one 32-bit number whose bit c is column c: what a byte of it, two times four columns,
// contributes.
inline constexpr std::array<uint32_t, 256> kSpreadBits = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte)
    for (uint32_t c = 0; c < 8; ++c) table[byte] |= (byte >> c & 1) << (8 * (c % 4) + c / 4);
  return table;
}();
inline uint32_t SpreadBits(const uint8_t* bytes) {
  return kSpreadBits[bytes[0]] | kSpreadBits[bytes[1]] << 2 | kSpreadBits[bytes[2]] << 4 |
         kSpreadBits[bytes[3]] << 6;
}

// Two bits, from `shift` up, of each of 32 bytes: column 16i + 4j + b goes to bits 8b + 2j of dword
// i.
inline void TwoBitsOf32(const uint8_t* bytes, int shift, uint8_t* out, size_t r) {
  for (size_t i = 0; i < 2; ++i) {
    uint32_t bits = 0;
    for (size_t j = 0; j < 4; ++j)
      bits |= (Dword(bytes + 16 * i + 4 * j) >> shift & 0x03030303u) << 2 * j;
    Put(out, i, r, bits);
  }
}

// Each packs one block of row r: its codes at `codes`, its scales at `scales`.
struct Target {
  uint8_t *codes, *scales;
  size_t r;
};

inline void PackF32(const uint8_t* block, const Target& t) {
  std::memcpy(t.codes + 4 * t.r, block, 4);
}
inline void PackHalf(const uint8_t* block, const Target& t) {
  std::memcpy(t.codes + 2 * t.r, block, 2);
}

inline void PackQ8_0(const uint8_t* block, const Target& t) {
  PutHalf(t.scales, 0, t.r, block);
  for (size_t j = 0; j < 8; ++j) Put(t.codes, j, t.r, Dword(block + 2 + 4 * j));
}
inline void PackQ4_0(const uint8_t* block, const Target& t) {  // and IQ4_NL
  PutHalf(t.scales, 0, t.r, block);
  NibblesOf16(block + 2, t.codes, t.r);
}
inline void PackQ4_1(const uint8_t* block, const Target& t) {
  PutHalf(t.scales, 0, t.r, block);
  PutHalf(t.scales, 1, t.r, block + 2);
  NibblesOf16(block + 4, t.codes, t.r);
}
inline void PackQ5_0(const uint8_t* block, const Target& t) {
  PutHalf(t.scales, 0, t.r, block);
  Put(t.codes, 0, t.r, SpreadBits(block + 2));
  NibblesOf16(block + 6, t.codes + 64, t.r);
}
inline void PackQ5_1(const uint8_t* block, const Target& t) {
  PutHalf(t.scales, 0, t.r, block);
  PutHalf(t.scales, 1, t.r, block + 2);
  Put(t.codes, 0, t.r, SpreadBits(block + 4));
  NibblesOf16(block + 8, t.codes + 64, t.r);
}
inline void PackMXFP4(const uint8_t* block, const Target& t) {
  t.scales[t.r] = block[0];
  NibblesOf16(block + 1, t.codes, t.r);
}

inline void PackQ2_K(const uint8_t* block, const Target& t) {
  PutHalf(t.scales, 0, t.r, block + 80);
  PutHalf(t.scales, 1, t.r, block + 82);
  for (size_t g = 0; g < 16; ++g) t.scales[64 + 16 * g + t.r] = block[g];
  for (int g = 0; g < 8; ++g)
    TwoBitsOf32(block + 16 + g / 4 * 32, g % 4 * 2, t.codes + g * 128, t.r);
}
inline void PackQ3_K(const uint8_t* block, const Target& t) {
  PutHalf(t.scales, 0, t.r, block + 108);
  for (int g = 0; g < 16; ++g)
    t.scales[32 + 16 * g + static_cast<int>(t.r)] =
        static_cast<uint8_t>(UnpackSixBits(block + 96, g) - 32);
  for (int g = 0; g < 8; ++g) {
    uint8_t* codes = t.codes + g * 192;
    Put(codes, 0, t.r, BitsOf32(block, g));
    TwoBitsOf32(block + 32 + g / 4 * 32, g % 4 * 2, codes + 64, t.r);
  }
}

// d, dmin and the eight pairs of 6 bits, which start at block + 4.
inline void PackPairs(const uint8_t* block, const Target& t) {
  PutHalf(t.scales, 0, t.r, block);
  PutHalf(t.scales, 1, t.r, block + 2);
  uint8_t* out = t.scales + 64 + t.r;
  for (int g = 0; g < 8; ++g) {
    const ScaleAndMin pair = UnpackPair(block + 4, g);
    out[16 * g] = static_cast<uint8_t>(pair.scale);
    out[16 * g + 128] = static_cast<uint8_t>(pair.min);
  }
}
inline void PackQ4_K(const uint8_t* block, const Target& t) {
  PackPairs(block, t);
  for (size_t g = 0; g < 8; g += 2) {
    NibblesOf32<0>(block + 16 + 16 * g, t.codes + 256 * g, t.r);
    NibblesOf32<4>(block + 16 + 16 * g, t.codes + 256 * g + 256, t.r);
  }
}
inline void PackQ5_K(const uint8_t* block, const Target& t) {
  PackPairs(block, t);
  for (int g = 0; g < 8; ++g) Put(t.codes + 320 * g, 0, t.r, BitsOf32(block + 16, g));
  for (size_t g = 0; g < 8; g += 2) {
    NibblesOf32<0>(block + 48 + 16 * g, t.codes + 320 * g + 64, t.r);
    NibblesOf32<4>(block + 48 + 16 * g, t.codes + 320 * g + 384, t.r);
  }
}
inline void PackQ6_K(const uint8_t* block, const Target& t) {
  PutHalf(t.scales, 0, t.r, block + 208);
  for (size_t g = 0; g < 16; ++g) t.scales[32 + 16 * g + t.r] = block[192 + g];
  for (int g = 0; g < 8; ++g) {
    uint8_t* codes = t.codes + 384 * g;
    const uint8_t* low = block + g / 4 * 64 + g % 2 * 32;
    TwoBitsOf32(block + 128 + g / 4 * 32, g % 4 * 2, codes, t.r);
    g % 4 < 2 ? NibblesOf32<0>(low, codes + 128, t.r) : NibblesOf32<4>(low, codes + 128, t.r);
  }
}
inline void PackIQ4_XS(const uint8_t* block, const Target& t) {
  PutHalf(t.scales, 0, t.r, block);
  const uint32_t high = Word(block + 2);
  for (int g = 0; g < 8; ++g) {
    const int low = block[4 + g / 2] >> 4 * (g % 2) & 15;
    const int scale = low | static_cast<int>(high >> 2 * g & 3) << 4;
    t.scales[32 + 16 * g + static_cast<int>(t.r)] = static_cast<uint8_t>(scale - 32);
    NibblesOf16(block + 8 + 16 * g, t.codes + 256 * g, t.r);
  }
}

template <class F>
inline void PackUnits(const PackedLayout& layout, const uint8_t* const* rows, size_t columns,
                      uint8_t* out, F pack) {
  const size_t units = columns / layout.unit;
  const size_t unit_codes = size_t{layout.unit} / layout.group * layout.group_bytes;
  uint8_t* scales = out + layout.ScalesOffset(columns);
  // Unit by unit, so that what is written stays in the cache until all rows have filled it.
  for (size_t u = 0; u < units; ++u) {
    Target target{out + u * unit_codes, scales + u * layout.scale_bytes, 0};
    for (; target.r < kRows; ++target.r)
      if (rows[target.r] != nullptr) pack(rows[target.r] + u * layout.block_bytes, target);
  }
}

inline void PackPanel(TensorType type, const uint8_t* const* rows, size_t columns, uint8_t* out) {
  const PackedLayout& layout = LayoutOf(type);
  CHECK(columns % layout.unit == 0);
  bool whole = layout.PanelBytes(columns) == columns / layout.group * layout.group_bytes +
                                                 columns / layout.unit * layout.scale_bytes;
  for (size_t r = 0; r < kRows; ++r) whole = whole && rows[r] != nullptr;
  if (!whole) std::memset(out, 0, layout.PanelBytes(columns));
  switch (type) {
    case TensorType::kF32:
      return PackUnits(layout, rows, columns, out, PackF32);
    case TensorType::kF16:
    case TensorType::kBF16:
      return PackUnits(layout, rows, columns, out, PackHalf);
    case TensorType::kQ8_0:
      return PackUnits(layout, rows, columns, out, PackQ8_0);
    case TensorType::kQ4_0:
    case TensorType::kIQ4_NL:
      return PackUnits(layout, rows, columns, out, PackQ4_0);
    case TensorType::kQ4_1:
      return PackUnits(layout, rows, columns, out, PackQ4_1);
    case TensorType::kQ5_0:
      return PackUnits(layout, rows, columns, out, PackQ5_0);
    case TensorType::kQ5_1:
      return PackUnits(layout, rows, columns, out, PackQ5_1);
    case TensorType::kQ2_K:
      return PackUnits(layout, rows, columns, out, PackQ2_K);
    case TensorType::kQ3_K:
      return PackUnits(layout, rows, columns, out, PackQ3_K);
    case TensorType::kQ4_K:
      return PackUnits(layout, rows, columns, out, PackQ4_K);
    case TensorType::kQ5_K:
      return PackUnits(layout, rows, columns, out, PackQ5_K);
    case TensorType::kQ6_K:
      return PackUnits(layout, rows, columns, out, PackQ6_K);
    case TensorType::kIQ4_XS:
      return PackUnits(layout, rows, columns, out, PackIQ4_XS);
    case TensorType::kMXFP4:
      return PackUnits(layout, rows, columns, out, PackMXFP4);
    default:
      CHECK(false && "a packed type without a packer");
  }
}

}  // namespace vernier::reference

#endif  // VERNIER_KERNELS_PACKING_REFERENCE_H_
