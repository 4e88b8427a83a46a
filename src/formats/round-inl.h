// The layout of host types and the arithmetic on masks that round.cc, round_row.cc and treat.cc
// share. Comparisons and selections are arithmetic, so that GCC 12 vectorises loops made of them
// (with conditional expressions it finds "control flow in loop").
#ifndef VERNIER_FORMATS_ROUND_INL_H_
#define VERNIER_FORMATS_ROUND_INL_H_

#include <bit>
#include <limits>
#include <type_traits>

#include "formats/round.h"

namespace vernier::internal {

// The layout of a host type.
template <class T>
struct Host {
  using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  using Signed = std::make_signed_t<Bits>;
  static constexpr int kPrecision = std::numeric_limits<T>::digits;  // 24, 53
  static constexpr int kFraction = kPrecision - 1;
  static constexpr int kEmax = std::numeric_limits<T>::max_exponent - 1;
  static constexpr int kEmin = 1 - kEmax;
  static constexpr Bits kSign = Bits{1} << (sizeof(T) * 8 - 1);
  static constexpr Bits kInfinity = Bits{2 * kEmax + 1} << kFraction;
  static constexpr Bits kQuietNan = kInfinity | (Bits{1} << (kFraction - 1));
};

template <class T>
T HostMax(const RoundSpec& spec) {
  if constexpr (sizeof(T) == 4)
    return spec.max_float;
  else
    return spec.max_double;
}

// The magnitude, as host bits, that an overflow without direction towards zero gives.
template <class T>
typename Host<T>::Bits OverflowBits(const RoundSpec& spec) {
  using H = Host<T>;
  switch (spec.overflow) {
    case Overflow::kSaturate:
      return std::bit_cast<typename H::Bits>(HostMax<T>(spec));
    case Overflow::kInfinity:
      return H::kInfinity;
    case Overflow::kNan:
      break;
  }
  return H::kQuietNan;
}

inline bool StaysFinite(Rounding rounding, bool negative) {
  return rounding == Rounding::kTowardZero || rounding == Rounding::kOdd ||
         rounding == (negative ? Rounding::kUp : Rounding::kDown);
}

// Magnitude of the overflow of a number with this sign, as bits of the host.
template <class T>
typename Host<T>::Bits Overflowed(const RoundSpec& spec, bool infinite, bool negative) {
  if (!infinite && StaysFinite(spec.rounding, negative))
    return std::bit_cast<typename Host<T>::Bits>(HostMax<T>(spec));
  return OverflowBits<T>(spec);
}

// All ones where a < b, else 0; a and b below the sign bit, or a any where the caller drops the
// result.
inline uint32_t MaskLess(uint32_t a, uint32_t b) {
  return 0 - static_cast<uint32_t>(static_cast<int32_t>(a) < static_cast<int32_t>(b));
}
inline uint64_t MaskLess(uint64_t a, uint64_t b) { return 0 - ((a - b) >> 63); }

template <class Bits>
Bits Select(Bits mask, Bits yes, Bits no) {
  return no ^ ((yes ^ no) & mask);
}

}  // namespace vernier::internal

#endif  // VERNIER_FORMATS_ROUND_INL_H_
