// Rows described and compared (kernels.h, MomentKernels). Included once per instruction set. All in
// double: sixteen lanes, squares multiplied and added (not fused), the fixed tree at the end.
#ifndef VERNIER_KERNELS_MOMENTS_INL_H_
#define VERNIER_KERNELS_MOMENTS_INL_H_

#include "kernels/vec-inl.h"

namespace vernier::VERNIER_TARGET {

VERNIER_INLINE Vec<double> Magnitude(const Vec<double>& x) {
  using Bits = Native<double>::Bits;
  return ForParts<double>([&](int q) {
    const Bits bits = reinterpret_cast<Bits>(x.part[q]) & INT64_MAX;
    return reinterpret_cast<Native<double>::Type>(bits);
  });
}

inline constexpr double kLargestDouble = 0x1.fffffffffffffp1023;

// a where it is finite (a >= 0), else 0.
VERNIER_INLINE Vec<double> FiniteOrZero(const Vec<double>& a) {
  return ForParts<double>([&](int q) {
    const Native<double>::Type zero = {};
    return a.part[q] <= SetPart(kLargestDouble) ? a.part[q] : zero;
  });
}

// 16 counters, an element each.
struct Counter {
  Native<double>::Bits part[Vec<double>::kParts] = {};
  // Counts where `yes`, a comparison of part q, holds (its lanes are -1).
  VERNIER_INLINE void Add(int q, Native<double>::Bits yes) { part[q] -= yes; }
  VERNIER_INLINE uint64_t Total() const {
    uint64_t total = 0;
    for (const auto& p : part)
      for (int l = 0; l < Vec<double>::kWidth; ++l) total += static_cast<uint64_t>(p[l]);
    return total;
  }
};

template <class T>
RowExtent Extent(const T* x, size_t n) {
  Vec<double> squares = Set(0.0), largest = Set(0.0), smallest = Set(__builtin_inf());
  Counter zeros, nans, infinities;
  const auto add = [&](const Vec<double>& v) __attribute__((always_inline)) {
    const Vec<double> a = Magnitude(v), finite = FiniteOrZero(a);
    squares = squares + finite * finite;
    largest = Greater(largest, finite);
#pragma GCC unroll 8
    for (int q = 0; q < Vec<double>::kParts; ++q) {
      const auto p = a.part[q];
      const Native<double>::Type zero = {};
      const auto candidate = p > zero ? p : SetPart(__builtin_inf());  // NaN: infinity
      smallest.part[q] = candidate < smallest.part[q] ? candidate : smallest.part[q];
      zeros.Add(q, p == zero);
      nans.Add(q, p != p);
      infinities.Add(q, p == SetPart(__builtin_inf()));
    }
  };
  size_t i = 0;
  for (; i + 16 <= n; i += 16) add(Load<double>(x + i));
  if (i < n) add(LoadFirst(x + i, n - i, 0.0));
  RowExtent extent;
  extent.squares = SumLanes(squares);
  extent.largest = MaxLanes(largest);
  extent.smallest = -MaxLanes(Set(0.0) - smallest);
  extent.zeros = zeros.Total() - (16 - n % 16) % 16;
  extent.nans = nans.Total();
  extent.infinities = infinities.Total();
  return extent;
}

template <class T>
RowDistance Distance(const T* x, const T* y, size_t n) {
  Vec<double> squares = Set(0.0), largest = Set(0.0);
  const auto add = [&](const Vec<double>& a, const Vec<double>& b) __attribute__((always_inline)) {
    const Vec<double> d = FiniteOrZero(Magnitude(a - b));
    squares = squares + d * d;
    largest = Greater(largest, d);
  };
  size_t i = 0;
  for (; i + 16 <= n; i += 16) add(Load<double>(x + i), Load<double>(y + i));
  if (i < n) add(LoadFirst(x + i, n - i, 0.0), LoadFirst(y + i, n - i, 0.0));
  return {SumLanes(squares), MaxLanes(largest)};
}

template <class T>
void CountExponents(const T* x, size_t n, uint32_t* tables) {
  using Bits = typename Native<T>::Bits;
  constexpr int kShift = sizeof(T) == 4 ? 23 : 52;
  constexpr size_t kFields = kExponentFields<T>;
  const auto count = [&](const Vec<T>& v, size_t valid) __attribute__((always_inline)) {
    Bits fields[Vec<T>::kParts];
#pragma GCC unroll 8
    for (int q = 0; q < Vec<T>::kParts; ++q)
      fields[q] = (reinterpret_cast<Bits>(v.part[q]) >> kShift) & (kFields - 1);
#pragma GCC unroll 16
    for (size_t l = 0; l < kLanes; ++l)
      if (l < valid) ++tables[l % 4 * kFields + fields[l / Vec<T>::kWidth][l % Vec<T>::kWidth]];
  };
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) count(Load<T>(x + i), kLanes);
  if (i < n) count(LoadFirst(x + i, n - i, T{0}), n - i);
}

// `mask`: there are elements that are not finite, to be left out.
template <bool mask, class T>
VERNIER_INLINE RowMoments FiniteMoments(const T* x, size_t n, double finite) {
  const Vec<double> none = Set(__builtin_inf());
  // Elements that are not finite, and those past the row, become `fill`.
  const auto load = [&](size_t i, double fill) __attribute__((always_inline)) {
    const Vec<double> v = i + kLanes <= n ? Load<double>(x + i) : LoadFirst(x + i, n - i, fill);
    if constexpr (!mask) return v;
    const Vec<double> a = Magnitude(v), other = Set(fill);
    return ForParts<double>(
        [&](int q) { return a.part[q] <= SetPart(kLargestDouble) ? v.part[q] : other.part[q]; });
  };
  Vec<double> sum = Set(0.0), squares = Set(0.0), low = none, high = Set(0.0) - none;
  for (size_t i = 0; i < n; i += kLanes) {
    const Vec<double> v = load(i, 0.0);
    sum = sum + v;
    squares = squares + v * v;
    low = Less(low, mask || i + kLanes > n ? load(i, __builtin_inf()) : v);
    high = Greater(high, mask || i + kLanes > n ? load(i, -__builtin_inf()) : v);
  }
  RowMoments m{SumLanes(sum), SumLanes(squares), 0, -MaxLanes(Set(0.0) - low), MaxLanes(high)};
  const double mean = m.sum / finite;
  Vec<double> deviations = Set(0.0);
  for (size_t i = 0; i < n; i += kLanes) {
    const Vec<double> d = load(i, mean) - Set(mean);
    deviations = deviations + d * d;
  }
  m.deviations = SumLanes(deviations);
  return m;
}

template <class T>
RowMoments Moments(const T* x, size_t n, size_t finite) {
  if (finite == n) return FiniteMoments<false>(x, n, static_cast<double>(n));
  return FiniteMoments<true>(x, n, static_cast<double>(finite));
}

template <class T>
constexpr MomentKernels<T> MakeMomentKernels() {
  return {CountExponents<T>, Moments<T>, Extent<T>, Distance<T>};
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_MOMENTS_INL_H_
