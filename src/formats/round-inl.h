// The nearest-even row loop, for round.cc, and the masks it is made of, for treat.cc as well. Plain
// C++ without branches, written so that GCC 12 vectorises it with nothing but SSE2: comparisons and
// selections are arithmetic on masks (with conditional expressions it finds "control flow in loop"
// and runs 4 to 5 times slower).
//
// Method. With u the bits of |x|, the host's numbers between 2^emin and the top are rounded by
// adding half a unit less one, plus the unit's own last bit, to u and cutting: a carry out of the
// fraction increments the exponent, which is just what rounding up to the next binade means. Below
// 2^emin the grid is uniform with the quantum 2^(emin-p+1); adding and subtracting
// M = 2^(emin-p+1+F), F the host's fraction bits, rounds to it, because all of [M, 2M) has that
// quantum as its unit in the last place and M / quantum is even. A format with the host's own emin
// needs no second case: host subnormals are uniform as well, and their bits are cut the same way.
#ifndef VERNIER_FORMATS_ROUND_INL_H_
#define VERNIER_FORMATS_ROUND_INL_H_

#include <algorithm>
#include <bit>
#include <cmath>
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

// Whether the loop below rounds as RoundValue does: not where the format is finer than the host
// and yet has a bottom of its own (e5m30 on floats), and not where it keeps p bits among the
// host's subnormals (e11m3 on floats).
template <class T>
bool HasFastRow(const RoundSpec& spec) {
  using H = Host<T>;
  if (spec.rounding != Rounding::kNearestEven) return false;
  if (spec.emin > H::kEmin) return spec.precision <= H::kPrecision;
  return spec.emin == H::kEmin || spec.precision >= H::kPrecision;
}

template <class T>
struct FastRow {
  using H = Host<T>;
  using Bits = typename H::Bits;
  explicit FastRow(const RoundSpec& spec)
      : shift(std::max(0, H::kPrecision - spec.precision)),
        odd(shift > 0 ? 1 : 0),
        half(shift > 0 ? (Bits{1} << (shift - 1)) - 1 : 0),
        mask(~((Bits{1} << shift) - 1)),
        normal(spec.emin > H::kEmin
                   ? std::bit_cast<Bits>(static_cast<T>(std::ldexp(1.0, spec.emin)))
                   : 0),
        magic(normal == 0
                  ? T{0}
                  : static_cast<T>(std::ldexp(1.0, spec.emin - spec.precision + 1 + H::kFraction))),
        smallest_kept(!spec.flush             ? 0
                      : spec.emin > H::kEmin  ? normal
                      : spec.emin == H::kEmin ? Bits{1} << H::kFraction
                                              : 0),
        max(std::bit_cast<Bits>(HostMax<T>(spec))),
        overflow(OverflowBits<T>(spec)),
        untouched(spec.has_infinity ? H::kInfinity - 1 : H::kInfinity) {}

  // Whether every number of the host stays.
  bool HoldsHost() const {
    return shift == 0 && normal == 0 && smallest_kept == 0 && untouched < H::kInfinity &&
           max == H::kInfinity - 1;
  }

  int shift;           // host bits below the format's last one
  Bits odd;            // selects the format's last bit after the shift
  Bits half;           // half a unit less one
  Bits mask;           // the bits that stay
  Bits normal;         // magnitudes below this have the uniform grid; 0: none
  T magic;             // M
  Bits smallest_kept;  // results below this become zero; 0: none
  Bits max, overflow;
  Bits untouched;  // magnitudes above this stay as they are: NaN, and infinities where they exist
};

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

// Rounds n <= 2^30 elements; kBelow: whether `normal` matters, kFlush: whether `smallest_kept`.
template <class T, bool kBelow, bool kFlush>
TreatmentCounts RoundBlock(const FastRow<T>& f, T* row, size_t n) {
  using H = Host<T>;
  using Bits = typename H::Bits;
  const FastRow<T> c = f;                     // a copy the compiler knows the row cannot alias
  Bits same = 0, saturated = 0, flushed = 0;  // counted downwards: a mask is -1
  for (size_t i = 0; i < n; ++i) {
    const Bits b = std::bit_cast<Bits>(row[i]);
    const Bits u = b & ~H::kSign;
    Bits r = (u + c.half + ((u >> c.shift) & c.odd)) & c.mask;
    if constexpr (kBelow) {
      const T sum = std::bit_cast<T>(u) + c.magic;
      const Bits below = std::bit_cast<Bits>(static_cast<T>(sum - c.magic));
      r = Select(MaskLess(u, c.normal), below, r);
    }
    if constexpr (kFlush) r &= ~MaskLess(r, c.smallest_kept);
    const Bits stays = MaskLess(c.untouched, u);
    r = Select(stays, u, r);
    const Bits over = MaskLess(c.max, r) & ~stays;
    r = Select(over, c.overflow, r);
    row[i] = std::bit_cast<T>(r | (b & H::kSign));
    same += MaskLess(r ^ u, Bits{1});
    saturated += over;
    flushed += MaskLess(r, Bits{1}) & ~MaskLess(u, Bits{1});
  }
  const auto count = [](Bits b) { return static_cast<uint64_t>(static_cast<Bits>(0 - b)); };
  return {n, n - count(same), count(saturated), count(flushed)};
}

template <class T>
TreatmentCounts FastRoundRow(const RoundSpec& spec, T* row, size_t n) {
  const FastRow<T> f(spec);
  if (f.HoldsHost()) return {n, 0, 0, 0};
  auto* const block =
      f.normal != 0
          ? (f.smallest_kept != 0 ? &RoundBlock<T, true, true> : &RoundBlock<T, true, false>)
          : (f.smallest_kept != 0 ? &RoundBlock<T, false, true> : &RoundBlock<T, false, false>);
  TreatmentCounts counts;
  for (size_t i = 0; i < n; i += size_t{1} << 30)
    counts += block(f, row + i, std::min(n - i, size_t{1} << 30));
  return counts;
}

}  // namespace vernier::internal

#endif  // VERNIER_FORMATS_ROUND_INL_H_
