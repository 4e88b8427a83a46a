// docs/kernels.md's layouts as scalar code: one element of a packed panel. For tests.
#ifndef VERNIER_KERNELS_PACKED_REFERENCE_H_
#define VERNIER_KERNELS_PACKED_REFERENCE_H_

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/half.h"
#include "kernels/packed.h"
#include "kernels/quantise.h"

namespace vernier::reference {

// Row `row` of a panel; `codes` and `scales` are the two streams.
struct PackedRow {
  const PackedLayout& layout;
  const uint8_t *codes, *scales;
  size_t row;

  uint32_t Dword(size_t column, size_t vector) const {
    uint32_t value;
    std::memcpy(&value, codes + column / layout.group * layout.group_bytes + vector * 64 + row * 4,
                4);
    return value;
  }
  // Vectors of one group from `first` on.
  int Byte(size_t c, size_t first) const {
    const size_t i = c % 32;
    return static_cast<int8_t>(Dword(c, first + i / 4) >> 8 * (i % 4));
  }
  int Nibble(size_t c, size_t first) const {
    const size_t i = c % 32;
    return static_cast<int>(Dword(c, first + i / 8) >> (8 * (i % 4) + i % 8 / 4 * 4) & 15);
  }
  int TwoBits(size_t c, size_t first) const {
    const size_t i = c % 32;
    return static_cast<int>(Dword(c, first + i / 16) >> (8 * (i % 4) + i % 16 / 4 * 2) & 3);
  }
  int OneBit(size_t c, size_t first) const {
    const size_t i = c % 32;
    return static_cast<int>(Dword(c, first) >> (8 * (i % 4) + i / 4) & 1);
  }
  const uint8_t* Unit(size_t c) const { return scales + c / layout.unit * layout.scale_bytes; }
  float Half(size_t c, size_t which) const {
    uint16_t bits;
    std::memcpy(&bits, Unit(c) + which * 32 + row * 2, 2);
    return HalfBitsToFloat(bits);
  }
  int ScaleByte(size_t c, size_t first, size_t columns) const {
    return Unit(c)[first + c % 256 / columns * 16 + row];
  }
  int SignedScale(size_t c, size_t first, size_t columns) const {
    return static_cast<int8_t>(ScaleByte(c, first, columns));
  }
};

// Element (row, c) of the panel at `panel`, as docs/decoding.md has it: products are exact.
inline float PackedElement(TensorType type, const uint8_t* panel, size_t columns, size_t row,
                           size_t c) {
  const PackedLayout& layout = LayoutOf(type);
  const PackedRow p{layout, panel, panel + layout.ScalesOffset(columns), row};
  const auto times = [](float a, int b) { return a * static_cast<float>(b); };
  switch (type) {
    case TensorType::kF32: {
      float value;
      std::memcpy(&value, panel + c * 64 + row * 4, 4);
      return value;
    }
    case TensorType::kF16:
    case TensorType::kBF16: {
      uint16_t bits;
      std::memcpy(&bits, panel + c * 32 + row * 2, 2);
      return type == TensorType::kF16 ? HalfBitsToFloat(bits)
                                      : std::bit_cast<float>(uint32_t{bits} << 16);
    }
    case TensorType::kQ8_0:
      return times(p.Half(c, 0), p.Byte(c, 0));
    case TensorType::kQ4_0:
      return times(p.Half(c, 0), p.Nibble(c, 0) - 8);
    case TensorType::kQ4_1:
      return times(p.Half(c, 0), p.Nibble(c, 0)) + p.Half(c, 1);
    case TensorType::kQ5_0:
      return times(p.Half(c, 0), p.Nibble(c, 1) + 16 * p.OneBit(c, 0) - 16);
    case TensorType::kQ5_1:
      return times(p.Half(c, 0), p.Nibble(c, 1) + 16 * p.OneBit(c, 0)) + p.Half(c, 1);
    case TensorType::kQ2_K: {
      const int s = p.ScaleByte(c, 64, 16);
      return times(times(p.Half(c, 0), s & 15), p.TwoBits(c, 0)) - times(p.Half(c, 1), s >> 4);
    }
    case TensorType::kQ3_K:
      return times(times(p.Half(c, 0), p.SignedScale(c, 32, 16)),
                   p.TwoBits(c, 1) + 4 * p.OneBit(c, 0) - 4);
    case TensorType::kQ4_K:
      return times(times(p.Half(c, 0), p.ScaleByte(c, 64, 32)), p.Nibble(c, 0)) -
             times(p.Half(c, 1), p.ScaleByte(c, 192, 32));
    case TensorType::kQ5_K:
      return times(times(p.Half(c, 0), p.ScaleByte(c, 64, 32)),
                   p.Nibble(c, 1) + 16 * p.OneBit(c, 0)) -
             times(p.Half(c, 1), p.ScaleByte(c, 192, 32));
    case TensorType::kQ6_K:
      return times(times(p.Half(c, 0), p.SignedScale(c, 32, 16)),
                   p.Nibble(c, 2) + 16 * p.TwoBits(c, 0) - 32);
    case TensorType::kIQ4_NL:
      return times(p.Half(c, 0), kIQ4Levels[p.Nibble(c, 0)]);
    case TensorType::kIQ4_XS:
      return times(times(p.Half(c, 0), p.SignedScale(c, 32, 32)), kIQ4Levels[p.Nibble(c, 0)]);
    case TensorType::kMXFP4: {
      const int e = p.Unit(c)[row];
      const float d =
          e == 255 ? std::numeric_limits<float>::quiet_NaN() : std::ldexp(1.0f, e - 128);
      return times(d, kTwiceE2M1[p.Nibble(c, 0)]);
    }
    default:  // no layout
      return std::numeric_limits<float>::quiet_NaN();
  }
}

}  // namespace vernier::reference

#endif  // VERNIER_KERNELS_PACKED_REFERENCE_H_
