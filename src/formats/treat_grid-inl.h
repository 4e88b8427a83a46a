// Ranges, scales and grids of integers, as treat.cc and treat_codes.cc need them.
#ifndef VERNIER_FORMATS_TREAT_GRID_INL_H_
#define VERNIER_FORMATS_TREAT_GRID_INL_H_

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <mutex>
#include <vector>

#include "base/parallel.h"
#include "formats/rotate.h"
#include "formats/treat-inl.h"

namespace vernier::internal {

// What the elements that share a scale span; without NaN and infinities.
struct Range {
  double low = 0, high = 0;  // symmetric: -A, A
};

// The P-th percentile of the finite magnitudes, 0 when there are none.
template <class T>
double Percentile(const T* x, size_t n, double p) {
  std::vector<T> magnitudes;
  magnitudes.reserve(n);
  for (size_t i = 0; i < n; ++i)
    if (std::isfinite(x[i])) magnitudes.push_back(std::abs(x[i]));
  if (magnitudes.empty()) return 0;
  const double at = p / 100 * static_cast<double>(magnitudes.size() - 1);
  const auto k = static_cast<size_t>(at);
  const auto kth = magnitudes.begin() + static_cast<std::ptrdiff_t>(k);
  std::nth_element(magnitudes.begin(), kth, magnitudes.end());
  const double below = *kth;
  if (k + 1 == magnitudes.size()) return below;
  const double above = *std::min_element(kth + 1, magnitudes.end());
  return below + (at - static_cast<double>(k)) * (above - below);
}

template <class T>
Range FindRange(const Treatment& t, const T* x, size_t n) {
  // As integers, so that GCC vectorises it: bits of magnitudes ascend with them.
  using Signed = typename Host<T>::Signed;
  Signed low_bits = 0, high_bits = 0;
  for (size_t i = 0; i < n; ++i) {
    const BitsOf<T> u = Magnitude(x[i]), finite = u & FiniteMask<T>(u);
    const BitsOf<T> positive = MaskLess(std::bit_cast<BitsOf<T>>(x[i]) >> 1, Host<T>::kSign >> 1);
    const auto high = static_cast<Signed>(finite & positive);
    const auto low = static_cast<Signed>(finite & ~positive);
    high_bits = std::max(high_bits, high);
    low_bits = std::max(low_bits, low);
  }
  const double low = -static_cast<double>(std::bit_cast<T>(low_bits));
  const double high = std::bit_cast<T>(high_bits);
  double a = std::max(-low, high);
  if (t.scale == ScaleRule::kPercentile) a = Percentile(x, n, t.scale_value);
  if (t.symmetric) return {-a, a};
  return {std::max(low, -a), std::min(high, a)};
}

// The scale a / b of treatment.h; `down` and `up` are 1, or 2^-512 and 2^512 for huge rows of
// doubles (a is the scaled one then).
struct Scale {
  double a = 1, b = 1, down = 1, up = 1;
  double To(double x) const { return x * down * b / a; }
  double From(double r) const { return r * a / b * up; }
};

inline Scale ScaleOf(const Treatment& t, Range range) {
  Scale s;
  if (t.scale == ScaleRule::kConstant) s.a = t.scale_value;
  if (t.scale == ScaleRule::kConstant || t.scale == ScaleRule::kNone) return s;
  if (std::max(-range.low, range.high) >= 0x1p512) {
    s.down = 0x1p-512;
    s.up = 0x1p512;
  }
  s.a = t.symmetric ? range.high * s.down : range.high * s.down - range.low * s.down;
  s.b = t.symmetric ? t.format.max_finite : std::ldexp(1.0, t.format.bits) - 1;
  return s;
}

// A grid of integers or segments times a scale, zero point subtracted.
struct Grid {
  Scale s;
  double low, high;
};

inline Grid GridOf(const Treatment& t, Range range, const Scale& s) {
  if (!t.segments.empty()) return {s, -t.segments.back().end, t.segments.back().end};
  if (t.symmetric) return {s, -t.format.max_finite - (t.full ? 1 : 0), t.format.max_finite};
  const double lowest = -t.format.max_finite - 1;
  const double zero = lowest + RoundToMultiple(s.To(-range.low), 0, Rounding::kNearestEven);
  return {s, lowest - zero, t.format.max_finite - zero};
}

inline void RoundToGrid(const Treatment& t, Rounding rounding, double* q, size_t n, uint64_t key,
                        uint64_t first) {
  if (t.segments.empty()) {
    RoundToIntegers(rounding, q, n, key, first);
  } else {
    RoundToSegments(t.segments, rounding, q, n, key, first);
  }
}

// Numbers that the grid gives stay in every mode: where the nearest point of the grid is x[i]
// itself, q[i] becomes that point. (Rounding it to the host type put x to one side of the point.)
template <class T>
void KeepPoints(const Treatment& t, const Grid& grid, const T* x, double* q, size_t n) {
  double nearest[kPiece];
  std::copy_n(q, n, nearest);
  RoundToGrid(t, Rounding::kNearestEven, nearest, n, 0, 0);
  for (size_t i = 0; i < n; ++i)
    if (static_cast<T>(LimitToHost<T>(grid.s.From(nearest[i]))) == x[i]) q[i] = nearest[i];
}

// q[i] = x[i] in units of the scale, rounded; 0 for NaN. n <= kPiece.
template <class T>
void ToGrid(const Treatment& t, const Grid& grid, const T* x, double* q, size_t n, uint64_t key,
            uint64_t first) {
  const Scale s = grid.s;
  const double beyond = t.segments.empty() ? kBeyond : 0x1p300;
  for (size_t i = 0; i < n; ++i) {
    const BitsOf<T> bits = std::bit_cast<BitsOf<T>>(x[i]);
    const BitsOf<T> nan = MaskLess(Host<T>::kInfinity, bits & ~Host<T>::kSign);
    q[i] = Limit(s.To(std::bit_cast<T>(bits & ~nan)), -beyond, beyond);
  }
  if (t.rounding != Rounding::kNearestEven && t.rounding != Rounding::kNearestAway)
    KeepPoints(t, grid, x, q, n);
  RoundToGrid(t, t.rounding, q, n, key, first);
}

// The range that is not the data's.
inline Range GivenRange(const Treatment& t) {
  if (t.scale == ScaleRule::kGivenAbsMax) return {-t.scale_value, t.scale_value};
  if (t.scale == ScaleRule::kGivenRange) return {t.scale_value, t.scale_high};
  return {};
}

inline bool SharedByTensor(const Treatment& t) {
  return ScaleFromData(t) && t.per == Granularity::kTensor;
}

// body(first, last) over rows, shared by the workers if there are any.
template <class Body>
void ForRows(Workers* workers, size_t rows, size_t columns, const Body& body) {
  if (workers == nullptr || rows < 2) {
    body(size_t{0}, rows);
  } else {
    workers->For(rows, std::max<size_t>(1, 16384 / std::max<size_t>(columns, 1)), body);
  }
}

// Of a whole tensor. Largest and smallest do not depend on the order.
template <class T>
Range FindTensorRange(const Treatment& t, const T* data, size_t rows, size_t columns,
                      Workers* workers) {
  if (t.scale == ScaleRule::kPercentile) return FindRange(t, data, rows * columns);
  Range all;
  std::mutex mutex;
  ForRows(workers, rows, columns, [&](size_t first, size_t last) {
    const Range range = FindRange(t, data + first * columns, (last - first) * columns);
    const std::lock_guard lock(mutex);
    all.low = std::min(all.low, range.low);
    all.high = std::max(all.high, range.high);
  });
  return all;
}

inline bool AllFinite(const double* x, size_t n) {
  return std::all_of(x, x + n, [](double v) { return std::isfinite(v); });
}

// Rotates a row into `rotated`. A block with a NaN or infinity becomes NaN; returns how many of its
// other elements are lost so.
template <class T>
uint64_t RotateIn(const T* row, double* rotated, size_t n) {
  const size_t block = HadamardBlock(n);
  uint64_t lost = 0;
  std::copy_n(row, n, rotated);
  Hadamard(rotated, n, block);
  for (size_t i = 0; i < n; i += block) {
    if (AllFinite(rotated + i, block)) continue;
    std::fill_n(rotated + i, block, std::numeric_limits<double>::quiet_NaN());
    for (size_t j = i; j < i + block; ++j) lost += !std::isnan(row[j]);
  }
  return lost;
}

inline Treatment WithoutRotation(const Treatment& t) {
  Treatment plain = t;
  plain.hadamard = false;
  return plain;
}

}  // namespace vernier::internal

#endif  // VERNIER_FORMATS_TREAT_GRID_INL_H_
