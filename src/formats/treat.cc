// Treatments applied to numbers (treatment.h has the definitions).
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "base/hash.h"
#include "formats/treatment.h"

namespace vernier {
namespace {

template <class T>
auto BitsOf(T x) {
  if constexpr (sizeof(T) == 4)
    return std::bit_cast<uint32_t>(x);
  else
    return std::bit_cast<uint64_t>(x);
}

template <class T>
bool Differs(T a, T b) {
  return BitsOf(a) != BitsOf(b);
}

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
  T low = 0, high = 0;
  for (size_t i = 0; i < n; ++i) {
    const T v = std::isfinite(x[i]) ? x[i] : T{0};
    low = v < low ? v : low;
    high = v > high ? v : high;
  }
  double a = std::max(-static_cast<double>(low), static_cast<double>(high));
  if (t.scale == ScaleRule::kPercentile) a = Percentile(x, n, t.scale_value);
  if (t.symmetric) return {-a, a};
  return {std::max<double>(low, -a), std::min<double>(high, a)};
}

// The scale a / b of treatment.h; `down` is 1, or 2^-512 for huge rows of doubles (a is scaled).
struct Scale {
  double a = 1, b = 1, down = 1;
  double To(double x) const { return x * down * b / a; }
  double From(double r) const { return r * a / b / down; }
};

Scale ScaleOf(const Treatment& t, Range range) {
  Scale s;
  if (t.scale == ScaleRule::kConstant) s.a = t.scale_value;
  if (!ScaleFromData(t)) return s;
  if (std::max(-range.low, range.high) >= 0x1p512) s.down = 0x1p-512;
  s.a = t.symmetric ? range.high * s.down : range.high * s.down - range.low * s.down;
  s.b = t.symmetric ? t.format.max_finite : std::ldexp(1.0, t.format.bits) - 1;
  return s;
}

// The integers r that a scaled integer format takes, zero point subtracted.
struct Integers {
  double low, high;
};

Integers IntegersOf(const Treatment& t, Range range, const Scale& s) {
  if (t.symmetric) return {-t.format.max_finite, t.format.max_finite};
  const double lowest = -t.format.max_finite - 1;
  const double zero = lowest + RoundToMultiple(s.To(-range.low), 0, Rounding::kNearestEven);
  return {lowest - zero, t.format.max_finite - zero};
}

// The double rounded to the host type, within its finite numbers.
template <class T>
T ToHost(double v) {
  constexpr double kMax = std::numeric_limits<T>::max();
  return static_cast<T>(std::clamp(v, -kMax, kMax));
}

// Counts one element that was treated.
template <class T>
void Count(T before, T after, bool saturated, TreatmentCounts* counts) {
  counts->changed += Differs(before, after);
  counts->saturated += saturated;
  counts->flushed += before != 0 && after == 0;
}

// The scale is zero: so are all numbers; infinities go by the format.
template <class T>
TreatmentCounts TreatWithoutRange(const Treatment& t, T* x, size_t n) {
  const bool fixed = t.format.kind == FormatKind::kFixed;
  TreatmentCounts counts{n, 0, 0, 0};
  for (size_t i = 0; i < n; ++i) {
    const T v = x[i];
    if (std::isnan(v) || (std::isinf(v) && t.format.has_infinity)) continue;
    const T zero = fixed ? T{0} : std::copysign(T{0}, v);
    x[i] = std::isinf(v) && t.overflow == Overflow::kNan
               ? std::copysign(std::numeric_limits<T>::quiet_NaN(), v)
               : zero;
    Count(v, x[i], v != 0, &counts);
  }
  return counts;
}

template <class T, bool kNearestEven>
TreatmentCounts TreatFixed(const Treatment& t, const Scale& s, Integers r, T* x, size_t n,
                           uint64_t key, uint64_t first) {
  constexpr double kMagic = 0x1.8p52;  // adding it rounds |t| < 2^51 to an integer, ties to even
  constexpr double kBeyond = 0x1p20;   // beyond every integer range, zero point and all
  const bool stochastic = t.rounding == Rounding::kStochastic;
  TreatmentCounts counts{n, 0, 0, 0};
  for (size_t i = 0; i < n; ++i) {
    const T v = x[i];
    double q = s.To(v);
    if (std::isnan(q)) continue;
    q = std::clamp(q, -kBeyond, kBeyond);
    if constexpr (kNearestEven)
      q = (q + kMagic) - kMagic;
    else
      q = RoundToMultiple(q, 0, t.rounding, stochastic ? RandomBits(key, first + i) : 0);
    const double clamped = std::clamp(q, r.low, r.high) + 0.0;  // + 0.0: integers have one zero
    x[i] = ToHost<T>(s.From(clamped));
    Count(v, x[i], clamped != q, &counts);
  }
  return counts;
}

template <class T>
TreatmentCounts TreatScaledFloat(const Treatment& t, const Scale& s, T* x, size_t n, uint64_t key,
                                 uint64_t first) {
  constexpr size_t kBlock = 256;
  constexpr double kMax = std::numeric_limits<double>::max();
  const RoundSpec spec = MakeRoundSpec(t.format, t.rounding, t.overflow, t.flush_subnormals);
  TreatmentCounts counts{n, 0, 0, 0};
  double scaled[kBlock];
  for (size_t from = 0; from < n; from += kBlock) {
    const size_t size = std::min(kBlock, n - from);
    for (size_t i = 0; i < size; ++i) {
      const T v = x[from + i];
      scaled[i] = std::isfinite(v) ? std::clamp(s.To(v), -kMax, kMax) : static_cast<double>(v);
    }
    counts.saturated += RoundRow(spec, scaled, size, key, first + from).saturated;
    for (size_t i = 0; i < size; ++i) {
      const T v = x[from + i];
      if (std::isnan(v)) continue;
      const double r = scaled[i];
      const T after = std::isfinite(r) ? ToHost<T>(s.From(r)) : static_cast<T>(r);
      x[from + i] = after;
      Count(v, after, false, &counts);
    }
  }
  return counts;
}

// Treats n elements that share the range; `first` is the index of the first in its row.
template <class T>
TreatmentCounts TreatInRange(const Treatment& t, Range range, T* x, size_t n, uint64_t key,
                             uint64_t first) {
  const Scale s = ScaleOf(t, range);
  if (s.a == 0) return TreatWithoutRange(t, x, n);
  if (t.format.kind == FormatKind::kFloat) return TreatScaledFloat(t, s, x, n, key, first);
  const Integers integers = IntegersOf(t, range, s);
  return t.rounding == Rounding::kNearestEven
             ? TreatFixed<T, true>(t, s, integers, x, n, key, first)
             : TreatFixed<T, false>(t, s, integers, x, n, key, first);
}

template <class T>
TreatmentCounts Row(const Treatment& t, T* row, size_t n, uint64_t key) {
  if (t.format.kind == FormatKind::kFloat && t.scale == ScaleRule::kNone)
    return RoundRow(MakeRoundSpec(t.format, t.rounding, t.overflow, t.flush_subnormals), row, n,
                    key);
  if (!ScaleFromData(t)) return TreatInRange(t, Range{}, row, n, key, 0);
  CHECK(t.per != Granularity::kTensor);
  CHECK(t.per != Granularity::kGroup || t.group > 0);
  const size_t step = t.per == Granularity::kGroup ? static_cast<size_t>(t.group) : n;
  TreatmentCounts counts;
  for (size_t i = 0; i < n; i += step) {
    const size_t size = std::min(step, n - i);
    counts += TreatInRange(t, FindRange(t, row + i, size), row + i, size, key, i);
  }
  return counts;
}

template <class T>
TreatmentCounts Tensor(const Treatment& t, T* data, size_t rows, size_t columns, uint64_t key) {
  const bool shared = ScaleFromData(t) && t.per == Granularity::kTensor;
  const Range range = shared ? FindRange(t, data, rows * columns) : Range{};
  TreatmentCounts counts;
  for (size_t r = 0; r < rows; ++r) {
    T* const row = data + r * columns;
    counts += shared ? TreatInRange(t, range, row, columns, RowKey(key, r), 0)
                     : Row(t, row, columns, RowKey(key, r));
  }
  return counts;
}

}  // namespace

TreatmentCounts TreatRow(const Treatment& treatment, float* row, size_t n, uint64_t key) {
  return Row(treatment, row, n, key);
}

TreatmentCounts TreatRow(const Treatment& treatment, double* row, size_t n, uint64_t key) {
  return Row(treatment, row, n, key);
}

uint64_t RowKey(uint64_t key, uint64_t r) { return Combine(Hash128{key, 0}, r).low; }

TreatmentCounts TreatTensor(const Treatment& treatment, float* data, size_t rows, size_t columns,
                            uint64_t key) {
  return Tensor(treatment, data, rows, columns, key);
}

TreatmentCounts TreatTensor(const Treatment& treatment, double* data, size_t rows, size_t columns,
                            uint64_t key) {
  return Tensor(treatment, data, rows, columns, key);
}

bool HoldsExactly(const Treatment& treatment, const float* row, size_t n) {
  // Without a scale in pieces, so that a long row that fails early costs little.
  const size_t step = treatment.scale == ScaleRule::kNone ? 4096 : std::max<size_t>(n, 1);
  std::vector<float> copy;
  for (size_t i = 0; i < n; i += step) {
    copy.assign(row + i, row + std::min(n, i + step));
    if (TreatRow(treatment, copy.data(), copy.size(), 0).changed != 0) return false;
  }
  return true;
}

}  // namespace vernier
