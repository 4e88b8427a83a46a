// Treatments applied to numbers (treatment.h has the definitions).
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "base/hash.h"
#include "formats/round-inl.h"
#include "formats/treatment.h"

namespace vernier {
namespace {

using internal::Host;
using internal::MaskLess;

template <class T>
using BitsOf = typename Host<T>::Bits;

// Magnitude bits, and all ones where the value is finite (0 elsewhere).
template <class T>
BitsOf<T> Magnitude(T x) {
  return std::bit_cast<BitsOf<T>>(x) & ~Host<T>::kSign;
}
template <class T>
BitsOf<T> FiniteMask(BitsOf<T> magnitude) {
  return MaskLess(magnitude, Host<T>::kInfinity);
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

Scale ScaleOf(const Treatment& t, Range range) {
  Scale s;
  if (t.scale == ScaleRule::kConstant) s.a = t.scale_value;
  if (!ScaleFromData(t)) return s;
  if (std::max(-range.low, range.high) >= 0x1p512) {
    s.down = 0x1p-512;
    s.up = 0x1p512;
  }
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

double Limit(double x, double low, double high) {  // as two selections, which GCC vectorises
  x = x < low ? low : x;
  return x > high ? high : x;
}

// Within the finite numbers of the host type.
template <class T>
double LimitToHost(double v) {
  constexpr double kMax = std::numeric_limits<T>::max();
  return Limit(v, -kMax, kMax);
}

// x[i] = after[i] but where x[i] is NaN; counts changed and flushed elements. n < 2^31.
template <class T>
TreatmentCounts Store(const T* after, T* x, size_t n) {
  using Bits = BitsOf<T>;
  Bits same = 0, flushed = 0;  // counted downwards: a mask is -1
  for (size_t i = 0; i < n; ++i) {
    const Bits v = std::bit_cast<Bits>(x[i]), u = v & ~Host<T>::kSign;
    const Bits nan = MaskLess(Host<T>::kInfinity, u);
    const Bits r = internal::Select(nan, v, std::bit_cast<Bits>(after[i]));
    x[i] = std::bit_cast<T>(r);
    const Bits difference = v ^ r;  // its sign bit put below, as MaskLess wants
    same += MaskLess((difference & ~Host<T>::kSign) | (difference >> 1), Bits{1});
    flushed += MaskLess(r & ~Host<T>::kSign, Bits{1}) & ~MaskLess(u, Bits{1});
  }
  TreatmentCounts counts;
  counts.changed = n - static_cast<Bits>(0 - same);
  counts.flushed = static_cast<Bits>(0 - flushed);
  return counts;
}

// The scale is zero: so are all numbers; infinities go by the format.
template <class T>
TreatmentCounts TreatWithoutRange(const Treatment& t, T* x, size_t n) {
  TreatmentCounts counts{n, 0, 0, 0};
  for (size_t i = 0; i < n; ++i) {
    const T v = x[i];
    if (std::isinf(v) && t.format.has_infinity) continue;
    T after = t.format.has_negative_zero ? std::copysign(T{0}, v) : T{0};
    if (std::isinf(v) && t.overflow == Overflow::kNan)
      after = std::copysign(std::numeric_limits<T>::quiet_NaN(), v);
    counts.saturated += !std::isnan(v) && v != 0;
    counts += Store(&after, x + i, 1);
  }
  return counts;
}

constexpr size_t kBlock = 256;      // elements that pass through the stages of a treatment together
constexpr double kBeyond = 0x1p20;  // beyond every integer range, zero point and all

// q[i], within +-kBeyond, to integers.
void RoundToIntegers(const Treatment& t, double* q, size_t n, uint64_t key, uint64_t first) {
  constexpr double kMagic = 0x1.8p52;  // adding it rounds |q| < 2^51 to an integer, ties to even
  if (t.rounding == Rounding::kNearestEven) {
    for (size_t i = 0; i < n; ++i) q[i] = (q[i] + kMagic) - kMagic;
    return;
  }
  const bool stochastic = t.rounding == Rounding::kStochastic;
  for (size_t i = 0; i < n; ++i)
    q[i] = RoundToMultiple(q[i], 0, t.rounding, stochastic ? RandomBits(key, first + i) : 0);
}

// Loops of one stage each: GCC 12 vectorises them so, and the two divisions bound the time. NaN is
// 0 on the way and put back at the end.
template <class T>
TreatmentCounts TreatFixed(const Treatment& t, const Scale& scale, Integers r, T* x, size_t n,
                           uint64_t key, uint64_t first) {
  const Scale s = scale;
  TreatmentCounts counts{n, 0, 0, 0};
  double q[kBlock];
  T after[kBlock];
  for (size_t from = 0; from < n; from += kBlock) {
    const size_t size = std::min(kBlock, n - from);
    T* const block = x + from;
    for (size_t i = 0; i < size; ++i) {
      const BitsOf<T> bits = std::bit_cast<BitsOf<T>>(block[i]);
      const BitsOf<T> nan = MaskLess(Host<T>::kInfinity, bits & ~Host<T>::kSign);
      q[i] = Limit(s.To(std::bit_cast<T>(bits & ~nan)), -kBeyond, kBeyond);
    }
    RoundToIntegers(t, q, size, key, first + from);
    uint64_t within = 0;  // counted downwards: a mask is -1
    for (size_t i = 0; i < size; ++i) {
      const double limited = Limit(q[i], r.low, r.high);
      const uint64_t beyond = std::bit_cast<uint64_t>(limited) ^ std::bit_cast<uint64_t>(q[i]);
      within += MaskLess(beyond >> 1 | (beyond & 1), uint64_t{1});
      q[i] = LimitToHost<T>(s.From(limited + 0.0));  // + 0.0: integers have one zero
    }
    for (size_t i = 0; i < size; ++i) after[i] = static_cast<T>(q[i]);
    counts.saturated += size - (0 - within);
    counts += Store(after, block, size);
  }
  return counts;
}

template <class T>
TreatmentCounts TreatScaledFloat(const Treatment& t, const Scale& s, T* x, size_t n, uint64_t key,
                                 uint64_t first) {
  constexpr double kMax = std::numeric_limits<double>::max();
  const RoundSpec spec = MakeRoundSpec(t.format, t.rounding, t.overflow, t.flush_subnormals);
  TreatmentCounts counts{n, 0, 0, 0};
  double scaled[kBlock];
  T after[kBlock];
  for (size_t from = 0; from < n; from += kBlock) {
    const size_t size = std::min(kBlock, n - from);
    for (size_t i = 0; i < size; ++i) {
      const T v = x[from + i];
      const double y = Limit(s.To(v), -kMax, kMax);  // a NaN stays one
      scaled[i] = std::abs(v) <= std::numeric_limits<T>::max() ? y : static_cast<double>(v);
    }
    counts.saturated += RoundRow(spec, scaled, size, key, first + from).saturated;
    for (size_t i = 0; i < size; ++i) {
      const double r = scaled[i];
      scaled[i] = std::abs(r) <= kMax ? LimitToHost<T>(s.From(r)) : r;
    }
    for (size_t i = 0; i < size; ++i) after[i] = static_cast<T>(scaled[i]);
    counts += Store(after, x + from, size);
  }
  return counts;
}

// Treats n elements that share the range; `first` is the index of the first in its row.
template <class T>
TreatmentCounts TreatInRange(const Treatment& t, Range range, T* x, size_t n, uint64_t key,
                             uint64_t first) {
  const Scale s = ScaleOf(t, range);
  if (s.a == 0) return TreatWithoutRange(t, x, n);
  if (t.format.kind != FormatKind::kFixed) return TreatScaledFloat(t, s, x, n, key, first);
  const Integers integers = IntegersOf(t, range, s);
  return TreatFixed(t, s, integers, x, n, key, first);
}

template <class T>
TreatmentCounts Row(const Treatment& t, T* row, size_t n, uint64_t key) {
  if (t.format.kind != FormatKind::kFixed && t.scale == ScaleRule::kNone)
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

template <class T>
bool Holds(const Treatment& treatment, const T* row, size_t n) {
  // Without a scale in pieces, so that a long row that fails early costs little.
  const size_t step = treatment.scale == ScaleRule::kNone ? 4096 : std::max<size_t>(n, 1);
  std::vector<T> copy;
  for (size_t i = 0; i < n; i += step) {
    copy.assign(row + i, row + std::min(n, i + step));
    if (Row(treatment, copy.data(), copy.size(), 0).changed != 0) return false;
  }
  return true;
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
  return Holds(treatment, row, n);
}

bool HoldsExactly(const Treatment& treatment, const double* row, size_t n) {
  return Holds(treatment, row, n);
}

}  // namespace vernier
