#include "kernels/packed.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <vector>

#include "base/result.h"

namespace vernier {
namespace {

static_assert(std::endian::native == std::endian::little);
constexpr size_t kRows = 16;

// Four rows at a time, a dword of each: vectors of 16 bytes, which every 64-bit machine has, keep
// up with memory.
typedef uint32_t Four __attribute__((vector_size(16)));
typedef uint8_t Bytes __attribute__((vector_size(16)));
constexpr uint32_t kLowNibbles = 0x0f0f0f0f, kHighNibbles = 0xf0f0f0f0;

// A block of each of four rows, and where their unit goes.
struct Quad {
  const uint8_t* block[4];
  uint8_t *codes, *scales;
  size_t row;  // the first of the four in the panel

  void Put(size_t vector, const Four& dwords) const {
    std::memcpy(codes + vector * 64 + row * 4, &dwords, sizeof dwords);
  }
  // Bytes b of the dwords: four bytes of number `first` + b of the scales from `at` on.
  void PutBytes(size_t at, size_t first, const Four& dwords) const {
    const Bytes v = reinterpret_cast<Bytes>(dwords);
    const Bytes columns =
        __builtin_shufflevector(v, v, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    uint32_t bytes[4];
    std::memcpy(bytes, &columns, sizeof bytes);
    for (size_t b = 0; b < 4; ++b)
      std::memcpy(scales + at + 16 * (first + b) + row, &bytes[b], sizeof bytes[b]);
  }
  // The 16-bit numbers `at` the blocks, as number `which` of the unit.
  void PutHalves(size_t which, size_t at) const {
    for (size_t r = 0; r < 4; ++r)
      std::memcpy(scales + 32 * which + 2 * (row + r), block[r] + at, 2);
  }
};

// Dwords 0 to 3 and 0 to 7 of what lies `at` the blocks.
struct Dwords4 {
  Four d[4];
};
struct Dwords8 {
  Four d[8];
};
inline Dwords4 Load4(const Quad& q, size_t at) {
  Four a, b, c, d;
  std::memcpy(&a, q.block[0] + at, sizeof a);
  std::memcpy(&b, q.block[1] + at, sizeof b);
  std::memcpy(&c, q.block[2] + at, sizeof c);
  std::memcpy(&d, q.block[3] + at, sizeof d);
  const Four ab = __builtin_shufflevector(a, b, 0, 4, 1, 5),
             cd = __builtin_shufflevector(c, d, 0, 4, 1, 5),
             ab2 = __builtin_shufflevector(a, b, 2, 6, 3, 7),
             cd2 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  return {{__builtin_shufflevector(ab, cd, 0, 1, 4, 5), __builtin_shufflevector(ab, cd, 2, 3, 6, 7),
           __builtin_shufflevector(ab2, cd2, 0, 1, 4, 5),
           __builtin_shufflevector(ab2, cd2, 2, 3, 6, 7)}};
}
inline Dwords8 Load8(const Quad& q, size_t at) {
  const Dwords4 a = Load4(q, at), b = Load4(q, at + 16);
  return {{a.d[0], a.d[1], a.d[2], a.d[3], b.d[0], b.d[1], b.d[2], b.d[3]}};
}

// An octet: columns of `first` in low halves, those of `second` in high ones. From low halves and
// from high ones.
inline Four LowOctet(const Four& first, const Four& second) {
  return (first & kLowNibbles) | (second & kLowNibbles) << 4;
}
inline Four HighOctet(const Four& first, const Four& second) {
  return (first >> 4 & kLowNibbles) | (second & kHighNibbles);
}

// Of 16 bytes: byte j has column j low and column j + 16 high.
inline void NibblesOf16(const Quad& q, size_t at, size_t vector) {
  const Dwords4 v = Load4(q, at);
  for (size_t o = 0; o < 2; ++o) {
    q.Put(vector + o, LowOctet(v.d[2 * o], v.d[2 * o + 1]));
    q.Put(vector + o + 2, HighOctet(v.d[2 * o], v.d[2 * o + 1]));
  }
}
// Of 32 bytes: byte j has column j of one group low and column j of another high.
inline void NibblesOf32(const Quad& q, size_t at, size_t low, size_t high) {
  const Dwords8 v = Load8(q, at);
  for (size_t o = 0; o < 4; ++o) {
    q.Put(low + o, LowOctet(v.d[2 * o], v.d[2 * o + 1]));
    q.Put(high + o, HighOctet(v.d[2 * o], v.d[2 * o + 1]));
  }
}
// Bit `bit` of 32 bytes, byte c being column c: column 4j + b goes to bit 8b + j.
inline void BitsOf32(const Quad& q, const Dwords8& v, int bit, size_t vector) {
  Four bits{};
  for (int j = 0; j < 8; ++j) bits |= (v.d[j] >> bit & 0x01010101u) << j;
  q.Put(vector, bits);
}
// Two bits, from `shift` up, of 32 bytes: column 16i + 4j + b goes to bits 8b + 2j of vector i.
inline void TwoBitsOf32(const Quad& q, const Dwords8& v, int shift, size_t vector) {
  for (size_t i = 0; i < 2; ++i) {
    Four bits{};
    for (size_t j = 0; j < 4; ++j) bits |= (v.d[4 * i + j] >> shift & 0x03030303u) << 2 * j;
    q.Put(vector + i, bits);
  }
}

// A 32-bit number whose bit c is column c, as BitsOf32 has it: what a byte of it, two times four
// columns, contributes.
constexpr std::array<uint32_t, 256> kSpreadBits = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte)
    for (uint32_t c = 0; c < 8; ++c) table[byte] |= (byte >> c & 1) << (8 * (c % 4) + c / 4);
  return table;
}();
inline void SpreadBits(const Quad& q, size_t at, size_t vector) {
  Four bits;
  for (size_t r = 0; r < 4; ++r) {
    const uint8_t* bytes = q.block[r] + at;
    bits[r] = kSpreadBits[bytes[0]] | kSpreadBits[bytes[1]] << 2 | kSpreadBits[bytes[2]] << 4 |
              kSpreadBits[bytes[3]] << 6;
  }
  q.Put(vector, bits);
}

// Each packs a block of four rows.
void PackQ8_0(const Quad& q) {
  q.PutHalves(0, 0);
  const Dwords8 v = Load8(q, 2);
  for (size_t j = 0; j < 8; ++j) q.Put(j, v.d[j]);
}
void PackQ4_0(const Quad& q) {  // and IQ4_NL
  q.PutHalves(0, 0);
  NibblesOf16(q, 2, 0);
}
void PackQ4_1(const Quad& q) {
  q.PutHalves(0, 0);
  q.PutHalves(1, 2);
  NibblesOf16(q, 4, 0);
}
void PackQ5_0(const Quad& q) {
  q.PutHalves(0, 0);
  SpreadBits(q, 2, 0);
  NibblesOf16(q, 6, 1);
}
void PackQ5_1(const Quad& q) {
  q.PutHalves(0, 0);
  q.PutHalves(1, 2);
  SpreadBits(q, 4, 0);
  NibblesOf16(q, 8, 1);
}
void PackMXFP4(const Quad& q) {
  for (size_t r = 0; r < 4; ++r) q.scales[q.row + r] = q.block[r][0];
  NibblesOf16(q, 1, 0);
}

void PackQ2_K(const Quad& q) {
  q.PutHalves(0, 80);
  q.PutHalves(1, 82);
  const Dwords4 scales = Load4(q, 0);
  for (size_t i = 0; i < 4; ++i) q.PutBytes(64, 4 * i, scales.d[i]);
  for (size_t half = 0; half < 2; ++half) {
    const Dwords8 v = Load8(q, 16 + 32 * half);
    for (size_t g = 0; g < 4; ++g) TwoBitsOf32(q, v, static_cast<int>(2 * g), 2 * (4 * half + g));
  }
}

// Sixteen numbers of 6 bits, less 32 (UnpackSixBits).
void PackSixBits(const Quad& q, size_t at) {
  Four low[2], high;
  for (size_t r = 0; r < 4; ++r) {
    uint32_t packed[3];
    std::memcpy(packed, q.block[r] + at, sizeof packed);
    low[0][r] = packed[0];
    low[1][r] = packed[1];
    high[r] = packed[2];
  }
  for (size_t i = 0; i < 4; ++i) {
    const Four six = (low[i % 2] >> (i / 2 * 4) & kLowNibbles) | (high >> 2 * i & 0x03030303u) << 4;
    q.PutBytes(32, 4 * i, reinterpret_cast<Four>(reinterpret_cast<Bytes>(six) - uint8_t{32}));
  }
}
void PackQ3_K(const Quad& q) {
  q.PutHalves(0, 108);
  PackSixBits(q, 96);
  const Dwords8 third = Load8(q, 0);
  for (int g = 0; g < 8; ++g) BitsOf32(q, third, g, static_cast<size_t>(3 * g));
  for (size_t half = 0; half < 2; ++half) {
    const Dwords8 v = Load8(q, 32 + 32 * half);
    for (size_t g = 0; g < 4; ++g)
      TwoBitsOf32(q, v, static_cast<int>(2 * g), 3 * (4 * half + g) + 1);
  }
}

// d, dmin and the eight pairs of 6 bits behind them (UnpackPair).
void PackPairs(const Quad& q) {
  q.PutHalves(0, 0);
  q.PutHalves(1, 2);
  const Dwords4 v = Load4(q, 0);
  const Four first = v.d[1], second = v.d[2], halves = v.d[3];
  q.PutBytes(64, 0, first & 0x3f3f3f3fu);
  q.PutBytes(64, 4, (halves & kLowNibbles) | (first >> 6 & 0x03030303u) << 4);
  q.PutBytes(192, 0, second & 0x3f3f3f3fu);
  q.PutBytes(192, 4, (halves >> 4 & kLowNibbles) | (second >> 6 & 0x03030303u) << 4);
}
void PackQ4_K(const Quad& q) {
  PackPairs(q);
  for (size_t g = 0; g < 8; g += 2) NibblesOf32(q, 16 + 16 * g, 4 * g, 4 * g + 4);
}
void PackQ5_K(const Quad& q) {
  PackPairs(q);
  const Dwords8 fifth = Load8(q, 16);
  for (int g = 0; g < 8; ++g) BitsOf32(q, fifth, g, static_cast<size_t>(5 * g));
  for (size_t g = 0; g < 8; g += 2) NibblesOf32(q, 48 + 16 * g, 5 * g + 1, 5 * g + 6);
}
void PackQ6_K(const Quad& q) {
  q.PutHalves(0, 208);
  const Dwords4 scales = Load4(q, 192);
  for (size_t i = 0; i < 4; ++i) q.PutBytes(32, 4 * i, scales.d[i]);
  for (size_t half = 0; half < 2; ++half) {
    const size_t first = 24 * half;  // vectors of four groups
    const Dwords8 high = Load8(q, 128 + 32 * half);
    for (size_t g = 0; g < 4; ++g) TwoBitsOf32(q, high, static_cast<int>(2 * g), first + 6 * g);
    for (size_t g = 0; g < 2; ++g)
      NibblesOf32(q, 64 * half + 32 * g, first + 6 * g + 2, first + 6 * g + 14);
  }
}
void PackIQ4_XS(const Quad& q) {
  q.PutHalves(0, 0);
  for (size_t r = 0; r < 4; ++r) {
    const uint8_t* block = q.block[r];
    const uint32_t high = block[2] | uint32_t{block[3]} << 8;
    for (size_t g = 0; g < 8; ++g) {
      const uint32_t low = block[4 + g / 2] >> 4 * (g % 2) & 15u;
      q.scales[32 + 16 * g + q.row + r] =
          static_cast<uint8_t>((low | (high >> 2 * g & 3) << 4) - 32);
    }
  }
  for (size_t g = 0; g < 8; ++g) NibblesOf16(q, 8 + 16 * g, 4 * g);
}

// Plain types, kBytes an element: four or eight columns of as many rows, then what is left.
void PackColumns32(const uint8_t* const* rows, size_t row, size_t column, uint8_t* out) {
  const Quad q{{rows[row] + 4 * column, rows[row + 1] + 4 * column, rows[row + 2] + 4 * column,
                rows[row + 3] + 4 * column},
               out + 64 * column,
               nullptr,
               row};
  const Dwords4 v = Load4(q, 0);
  for (size_t i = 0; i < 4; ++i) q.Put(i, v.d[i]);
}
void PackColumns16(const uint8_t* const* rows, size_t row, size_t column, uint8_t* out) {
  typedef uint16_t Eight __attribute__((vector_size(16)));
  // Dwords of two columns each, of rows 0 to 3 and 4 to 7.
  const Quad upper{{rows[row] + 2 * column, rows[row + 1] + 2 * column, rows[row + 2] + 2 * column,
                    rows[row + 3] + 2 * column},
                   nullptr,
                   nullptr,
                   row};
  const Quad lower{{rows[row + 4] + 2 * column, rows[row + 5] + 2 * column,
                    rows[row + 6] + 2 * column, rows[row + 7] + 2 * column},
                   nullptr,
                   nullptr,
                   row};
  const Dwords4 a = Load4(upper, 0), b = Load4(lower, 0);
  for (size_t i = 0; i < 4; ++i) {
    const Eight x = reinterpret_cast<Eight>(a.d[i]), y = reinterpret_cast<Eight>(b.d[i]);
    const Eight even = __builtin_shufflevector(x, y, 0, 2, 4, 6, 8, 10, 12, 14),
                odd = __builtin_shufflevector(x, y, 1, 3, 5, 7, 9, 11, 13, 15);
    std::memcpy(out + 32 * (column + 2 * i) + 2 * row, &even, sizeof even);
    std::memcpy(out + 32 * (column + 2 * i + 1) + 2 * row, &odd, sizeof odd);
  }
}
template <size_t kBytes>
void PackPlain(const uint8_t* const* rows, size_t columns, uint8_t* out) {
  constexpr size_t kAtOnce = 16 / kBytes;
  size_t c = 0;
  for (; c + kAtOnce <= columns; c += kAtOnce)
    for (size_t row = 0; row < kRows; row += kAtOnce) {
      if constexpr (kBytes == 4) {
        PackColumns32(rows, row, c, out);
      } else {
        PackColumns16(rows, row, c, out);
      }
    }
  for (; c < columns; ++c)
    for (size_t row = 0; row < kRows; ++row)
      std::memcpy(out + (c * kRows + row) * kBytes, rows[row] + c * kBytes, kBytes);
}

template <class F>
void PackUnits(const PackedLayout& layout, const uint8_t* const* rows, const size_t* steps,
               size_t columns, uint8_t* out, F pack) {
  const size_t unit_codes = size_t{layout.unit} / layout.group * layout.group_bytes;
  uint8_t* scales = out + layout.ScalesOffset(columns);
  // Unit by unit, so that what is written stays in the cache until all rows have filled it.
  for (size_t u = 0; u < columns / layout.unit; ++u)
    for (size_t r = 0; r < kRows; r += 4)
      pack(Quad{{rows[r] + u * steps[r], rows[r + 1] + u * steps[r + 1],
                 rows[r + 2] + u * steps[r + 2], rows[r + 3] + u * steps[r + 3]},
                out + u * unit_codes,
                scales + u * layout.scale_bytes,
                r});
}

// What stands for the blocks of a row that lacks: all that is packed from it is zero bits. Scales
// less 32 are zero where the upper two of their six bits are 2.
constexpr std::array<uint8_t, 256> ZeroBlock(size_t first, size_t last) {
  std::array<uint8_t, 256> block{};
  for (size_t i = first; i < last; ++i) block[i] = 0xaa;
  return block;
}
constexpr std::array<uint8_t, 256> kZeroBlock = ZeroBlock(0, 0), kZeroQ3_K = ZeroBlock(104, 108),
                                   kZeroIQ4_XS = ZeroBlock(2, 4);

void PackUnitsOf(const PackedLayout& layout, const uint8_t* const* rows, const size_t* steps,
                 size_t columns, uint8_t* out) {
  const auto units = [&](auto pack) { PackUnits(layout, rows, steps, columns, out, pack); };
  switch (layout.type) {
    case TensorType::kQ8_0:
      return units([](const Quad& q) { PackQ8_0(q); });
    case TensorType::kQ4_0:
    case TensorType::kIQ4_NL:
      return units([](const Quad& q) { PackQ4_0(q); });
    case TensorType::kQ4_1:
      return units([](const Quad& q) { PackQ4_1(q); });
    case TensorType::kQ5_0:
      return units([](const Quad& q) { PackQ5_0(q); });
    case TensorType::kQ5_1:
      return units([](const Quad& q) { PackQ5_1(q); });
    case TensorType::kQ2_K:
      return units([](const Quad& q) { PackQ2_K(q); });
    case TensorType::kQ3_K:
      return units([](const Quad& q) { PackQ3_K(q); });
    case TensorType::kQ4_K:
      return units([](const Quad& q) { PackQ4_K(q); });
    case TensorType::kQ5_K:
      return units([](const Quad& q) { PackQ5_K(q); });
    case TensorType::kQ6_K:
      return units([](const Quad& q) { PackQ6_K(q); });
    case TensorType::kIQ4_XS:
      return units([](const Quad& q) { PackIQ4_XS(q); });
    case TensorType::kMXFP4:
      return units([](const Quad& q) { PackMXFP4(q); });
    default:
      CHECK(false && "a packed type without a packer");
  }
}

}  // namespace

void PackPanel(TensorType type, const uint8_t* const* rows, size_t columns, uint8_t* out) {
  const PackedLayout& layout = LayoutOf(type);
  CHECK(columns % layout.unit == 0);
  // What rounding up adds to the two streams.
  const size_t codes = columns / layout.group * layout.group_bytes,
               scales_end =
                   layout.ScalesOffset(columns) + columns / layout.unit * layout.scale_bytes;
  std::memset(out + codes, 0, layout.ScalesOffset(columns) - codes);
  std::memset(out + scales_end, 0, layout.PanelBytes(columns) - scales_end);

  const bool whole = std::find(rows, rows + kRows, nullptr) == rows + kRows;
  const bool plain = layout.unit == 1;
  const std::vector<uint8_t> zero_row(plain && !whole ? columns * layout.block_bytes : 0);
  const uint8_t* zeros = plain                         ? zero_row.data()
                         : type == TensorType::kQ3_K   ? kZeroQ3_K.data()
                         : type == TensorType::kIQ4_XS ? kZeroIQ4_XS.data()
                                                       : kZeroBlock.data();
  const uint8_t* from[kRows];
  size_t steps[kRows];
  for (size_t r = 0; r < kRows; ++r) {
    from[r] = rows[r] != nullptr ? rows[r] : zeros;
    steps[r] = rows[r] != nullptr ? layout.block_bytes : 0;
  }
  if (!plain) return PackUnitsOf(layout, from, steps, columns, out);
  return type == TensorType::kF32 ? PackPlain<4>(from, columns, out)
                                  : PackPlain<2>(from, columns, out);
}

}  // namespace vernier
