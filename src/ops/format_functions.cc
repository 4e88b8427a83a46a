#include "ops/format_functions.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "base/result.h"
#include "formats/exact_sum.h"
#include "ops/double_double.h"
#include "ops/elementary.h"

namespace vernier {
namespace {

using internal::Add;
using internal::Divide;
using internal::Double2;
using internal::kLn2;
using internal::Multiply;
__extension__ using uint128 = unsigned __int128;
__extension__ using int128 = __int128;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// |x| = m * 2^e, 2^52 <= m < 2^53, of a finite number that is not zero.
struct Parts {
  uint64_t m;
  int e;
};
Parts Decompose(double x) {
  int e = 0;
  const double fraction = std::frexp(std::abs(x), &e);
  return {static_cast<uint64_t>(std::ldexp(fraction, 53)), e - 53};
}

// m * 2^e, m > 0, and a bit more where `rest`.
OddMagnitude OddOf(uint128 m, int e, bool rest) {
  while (m >> 127 == 0) m <<= 1, --e;  // at most 127 times, and seldom called
  const uint64_t high = static_cast<uint64_t>(m >> 64), low = static_cast<uint64_t>(m);
  return {high | static_cast<uint64_t>(low != 0 || rest), e + 64};
}

// A number above zero as v * 2^n: its range is that of integers.
struct Wide {
  Double2 v;
  int n = 0;
};

// v.high is not subnormal.
OddMagnitude OddOf(const Wide& x) {
  const Parts p = Decompose(x.v.high);
  const double scaled = std::ldexp(x.v.low, 64 - p.e), whole = std::floor(scaled);
  const uint128 m =
      static_cast<uint128>(static_cast<int128>(uint128{p.m} << 64) + static_cast<int128>(whole));
  return OddOf(m, p.e - 64 + x.n, whole != scaled);
}

// x, known to within 2^-88 of itself, rounded.
double RoundWide(const RoundSpec& spec, const Wide& x) {
  const double margin = x.v.high * 0x1p-88;
  const double low = RoundExact(spec, false, OddOf(Wide{Add(x.v, {-margin, 0}), x.n})),
               high = RoundExact(spec, false, OddOf(Wide{Add(x.v, {margin, 0}), x.n}));
  return low == high ? low : RoundExact(spec, false, OddOf(x));
}

// Above zero and far below every format, and far above.
double RoundTiny(const RoundSpec& spec) {
  return RoundExact(spec, false, {(uint64_t{1} << 63) | 1, -1800});
}
double RoundHuge(const RoundSpec& spec) {
  return RoundExact(spec, false, {(uint64_t{1} << 63) | 1, 1800});
}

// 1 / i! for i up to 14.
constexpr int kTaylor = 14;
const std::array<Double2, kTaylor + 1>& InverseFactorials() {
  static const auto table = [] {
    std::array<Double2, kTaylor + 1> t = {{{1, 0}}};
    for (size_t i = 1; i < t.size(); ++i) t[i] = Divide(t[i - 1], static_cast<double>(i));
    return t;
  }();
  return table;
}

// e^x, |x| < 1000: x = n ln2 + 16 r, Taylor to r^14, |r| < 0.022, and four squarings. Within 2^-94.
Wide ExpOf(double x) {
  const double n = std::nearbyint(x / kLn2.high);
  Double2 r = Add({x, 0}, Multiply(kLn2, -n));
  r = {r.high * 0x1p-4, r.low * 0x1p-4};
  const auto& terms = InverseFactorials();
  Double2 sum = terms[kTaylor];
  for (size_t i = kTaylor; i-- > 0;) sum = Add(Multiply(sum, r), terms[i]);
  for (int i = 0; i < 4; ++i) sum = Multiply(sum, sum);
  return {sum, static_cast<int>(n)};
}

// ln(1 + u), 0 < u <= 1: 2 artanh(u / (2 + u)).
Double2 LogOnePlus(Double2 u) {
  const Double2 s = Divide(u, Add({2, 0}, u)), q = Multiply(s, s);
  Double2 sum = s, power = s;
  for (int i = 3; i <= 69 && std::abs(power.high) > s.high * 0x1p-110; i += 2) {
    power = Multiply(power, q);
    sum = Add(sum, Divide(power, i));
  }
  return {sum.high * 2, sum.low * 2};
}

// ln x for x >= 2: Newton's step on the exponential from a start within 2^-53.
Double2 LogOf(Double2 x) {
  const double y = Logarithm(x.high);
  const Wide e = ExpOf(-y);
  const Double2 inverse = {std::ldexp(e.v.high, e.n), std::ldexp(e.v.low, e.n)};
  return Add({y, 0}, Add(Multiply(x, inverse), {-1, 0}));
}

}  // namespace

double RoundedQuotient(const RoundSpec& spec, double x, double y) {
  if (!std::isfinite(x) || !std::isfinite(y) || x == 0 || y == 0) {
    const double q = x / y;
    return std::isnan(q) ? kNan : RoundValue(spec, q);
  }
  const Parts a = Decompose(x), b = Decompose(y);
  const uint128 numerator = uint128{a.m} << 64;
  return RoundExact(spec, std::signbit(x) != std::signbit(y),
                    OddOf(numerator / b.m, a.e - 64 - b.e, numerator % b.m != 0));
}

double RoundedReciprocalRoot(const RoundSpec& spec, double x) {
  if (std::isnan(x) || x < 0) return kNan;
  if (x == 0) return RoundValue(spec, kInfinity);
  if (std::isinf(x)) return RoundValue(spec, 0.0);
  // x = m * 2^e with e even and 2^52 <= m < 2^54; q = floor(2^90 / sqrt(m)).
  Parts p = Decompose(x);
  if (p.e % 2 != 0) p = {p.m * 2, p.e - 1};
  if (p.m == uint64_t{1} << 52)  // a power of four
    return RoundExact(spec, false, {uint64_t{1} << 63, 1 - p.e / 2 - 90});
  // q^2 m <= 2^180?
  const auto fits = [&](uint64_t q) {
    const uint128 square = uint128{q} * q;
    const uint128 low = uint128{static_cast<uint64_t>(square)} * p.m;
    const uint128 high = uint128{static_cast<uint64_t>(square >> 64)} * p.m + (low >> 64);
    return high < uint128{1} << 116;  // never equal: m is no power of four
  };
  // Bits are settled from the top: q is in [2^63, 2^64).
  uint64_t q = uint64_t{1} << 63;
  for (int bit = 62; bit >= 0; --bit)
    if (fits(q | uint64_t{1} << bit)) q |= uint64_t{1} << bit;
  return RoundExact(spec, false, {q | 1, -p.e / 2 - 90});
}

double RoundedExp(const RoundSpec& spec, double x) {
  if (std::isnan(x)) return kNan;
  if (std::isinf(x)) return RoundValue(spec, x > 0 ? kInfinity : 0.0);
  if (x > 1000) return RoundHuge(spec);
  if (x < -1000) return RoundTiny(spec);
  if (std::abs(x) < 0x1p-30) {
    ExactSum sum;  // 1 + x + x^2/2 + ...; what follows is below the smallest double where x^3 is
    sum.Add(1);
    sum.Add(x);
    sum.AddProduct(x, x * 0.5);
    sum.Add(x * x * x / 6);
    return sum.Round(spec);
  }
  return RoundWide(spec, ExpOf(x));
}

double RoundedSigmoid(const RoundSpec& spec, double x) {
  if (std::isnan(x)) return kNan;
  if (std::isinf(x)) return RoundValue(spec, x > 0 ? 1.0 : 0.0);
  if (x < -1000) return RoundTiny(spec);
  if (x > 46) return RoundExact(spec, false, {~uint64_t{0}, -64});  // 1 less at most 2^-66
  if (std::abs(x) < 0x1p-20) {
    ExactSum sum;
    sum.Add(0.5);
    sum.AddProduct(x, 0.25);
    sum.Add(-(x * x * x) / 48 * (1 - x * x / 10));
    return sum.Round(spec);
  }
  if (x > 0) {
    const Wide e = ExpOf(-x);
    const Double2 u = {std::ldexp(e.v.high, e.n), std::ldexp(e.v.low, e.n)};
    return RoundWide(spec, {Divide({1, 0}, Add({1, 0}, u)), 0});
  }
  const Wide e = ExpOf(x);  // e / (1 + e)
  if (e.n < -110) return RoundWide(spec, e);
  const Double2 u = {std::ldexp(e.v.high, e.n), std::ldexp(e.v.low, e.n)};
  return RoundWide(spec, {Divide(e.v, Add({1, 0}, u)), e.n});
}

double RoundedSoftplus(const RoundSpec& spec, double x) {
  if (std::isnan(x)) return kNan;
  if (x > 20) return RoundValue(spec, x);
  if (std::isinf(x)) return RoundValue(spec, 0.0);
  if (x < -1000) return RoundTiny(spec);
  const Wide e = ExpOf(x);
  if (e.n < -110) return RoundWide(spec, e);
  const Double2 u = {std::ldexp(e.v.high, e.n), std::ldexp(e.v.low, e.n)};
  return RoundWide(spec, {u.high < 1 ? LogOnePlus(u) : LogOf(Add({1, 0}, u)), 0});
}

namespace {

constexpr size_t kPiece = 256;
// Of what the kernels and the few operations here make of x: exp within 2^-52, softplus within 4
// units in the last place.
constexpr double kMargin = 0x1p-49;
// Results of which that is known: the kernels' own range, with room.
constexpr double kLeast = 0x1p-900, kMost = 0x1p900;

double Exactly(FormatFunction function, const RoundSpec& spec, double x) {
  switch (function) {
    case FormatFunction::kExp:
      return RoundedExp(spec, x);
    case FormatFunction::kSigmoid:
      return RoundedSigmoid(spec, x);
    case FormatFunction::kSoftplus:
      break;
  }
  return RoundedSoftplus(spec, x);
}

void Nearly(FormatFunction function, const Kernels& kernels, const double* x, size_t n, double* y) {
  if (function == FormatFunction::kSoftplus) return kernels.f64.softplus(x, n, y);
  if (function == FormatFunction::kExp) return kernels.exp_f64(x, n, y);
  double negative[kPiece];
  for (size_t i = 0; i < n; ++i) negative[i] = 0.0 - std::abs(x[i]);
  kernels.exp_f64(negative, n, y);
  for (size_t i = 0; i < n; ++i) y[i] = (x[i] < 0 ? y[i] : 1.0) / (1.0 + y[i]);
}

}  // namespace

void RoundedRow(FormatFunction function, const RoundSpec& spec, const Kernels& kernels,
                const double* x, size_t n, double* y) {
  double near[kPiece], low[kPiece], high[kPiece];
  const bool fine = spec.precision > 46;  // the interval would always be too wide
  for (size_t from = 0; from < n; from += kPiece) {
    const size_t size = std::min(kPiece, n - from);
    if (fine) {
      for (size_t i = 0; i < size; ++i) y[from + i] = Exactly(function, spec, x[from + i]);
      continue;
    }
    Nearly(function, kernels, x + from, size, near);
    for (size_t i = 0; i < size; ++i) low[i] = near[i] * (1 - kMargin);
    for (size_t i = 0; i < size; ++i) high[i] = near[i] * (1 + kMargin);
    RoundRow(spec, low, size, low, 0, 0, &kernels);
    RoundRow(spec, high, size, high, 0, 0, &kernels);
    for (size_t i = 0; i < size; ++i) {
      const bool settled = low[i] == high[i] && near[i] > kLeast && near[i] < kMost;
      y[from + i] = settled ? low[i] : Exactly(function, spec, x[from + i]);
    }
  }
}

}  // namespace vernier
