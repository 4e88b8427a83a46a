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
constexpr MomentKernels<T> MakeMomentKernels() {
  return {Extent<T>, Distance<T>};
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_MOMENTS_INL_H_
