#include "ops/elementary.h"

#include <cmath>

#include "base/result.h"
#include "ops/double_double.h"

namespace vernier {
namespace {

using namespace internal;  // double-double arithmetic

// pi/2 in three parts, each the rounded rest of the one before.
constexpr double kHalfPi[3] = {0x1.921fb54442d18p+0, 0x1.1a62633145c07p-54,
                               -0x1.f1976b7ed8fbcp-110};

// e^x: x = n ln2 + 2^9 r, Taylor to r^9, nine squarings.
Double2 Exp(Double2 x) {
  const double n = std::nearbyint(x.high / kLn2.high);
  Double2 r = Add(x, Multiply(kLn2, -n));
  r = {r.high * 0x1p-9, r.low * 0x1p-9};
  Double2 sum = {1, 0}, term = {1, 0};
  for (int i = 1; i <= 9; ++i) {
    term = Divide(Multiply(term, r), i);
    sum = Add(sum, term);
  }
  for (int i = 0; i < 9; ++i) sum = Multiply(sum, sum);
  return {std::ldexp(sum.high, static_cast<int>(n)), std::ldexp(sum.low, static_cast<int>(n))};
}

// ln x by Newton's step on Exp: y + x e^-y - 1, whose error is the square of the start's.
Double2 Log(double x) {
  int exponent = 0;
  const double m = std::frexp(x, &exponent);
  // A start good to 1e-6: atanh series in s = (m - 1) / (m + 1), |s| <= 1/3.
  const double s = (m - 1) / (m + 1);
  double series = 0;
  for (int i = 27; i >= 1; i -= 2) series = series * s * s + 1.0 / i;
  Double2 y = {2 * s * series, 0};
  for (int i = 0; i < 2; ++i) {
    const Double2 ratio = Multiply(Exp({-y.high, -y.low}), m);
    y = Add(y, Add(ratio, {-1, 0}));
  }
  return Add(y, Multiply(kLn2, exponent));
}

// Taylor series of sine (odd) or cosine (even) for |x| <= pi/4: terms x^n/n! with alternating sign,
// to below 2^-110.
Double2 Series(Double2 x, bool odd) {
  const Double2 square = Multiply(x, x);
  Double2 term = odd ? x : Double2{1, 0}, sum = term;
  for (int n = odd ? 3 : 2; n < 30; n += 2) {
    term = Divide(Multiply(term, square), -static_cast<double>((n - 1) * n));
    sum = Add(sum, term);
  }
  return sum;
}

}  // namespace

double Power(double base, double exponent) {
  CHECK(base > 0);
  const Double2 e = Exp(Multiply(Log(base), exponent));
  return e.high + e.low;
}

double Logarithm(double x) {
  if (std::isnan(x) || x < 0) return std::nan("");
  if (x == 0) return -INFINITY;
  if (std::isinf(x)) return x;
  const Double2 y = Log(x);
  return y.high + y.low;
}

double Exponential(double x) {
  if (std::isnan(x)) return x;
  if (x > 710) return INFINITY;
  if (x < -746) return 0;
  // The power of two is put back at the very end, so that nothing before leaves the range.
  const double n = std::nearbyint(x / kLn2.high);
  const Double2 e = Exp(Add({x, 0}, Multiply(kLn2, -n)));
  return std::ldexp(e.high + e.low, static_cast<int>(n));
}

SinCos SineCosine(double angle) {
  CHECK(std::abs(angle) < 0x1p30);
  const double n = std::nearbyint(angle / kHalfPi[0]);
  // n * kHalfPi[i] is exact as a pair; the three parts leave an error of n * 2^-163.
  Double2 r = {angle, 0};
  for (const double part : kHalfPi) {
    const Double2 p = TwoProduct(-n, part);
    r = Add(r, p);
  }
  const Double2 sin = Series(r, true), cos = Series(r, false);
  const double s = sin.high + sin.low, c = cos.high + cos.low;
  switch (static_cast<long long>(n) & 3) {
    case 0:
      return {s, c};
    case 1:
      return {c, -s};
    case 2:
      return {-s, -c};
    default:
      return {-c, s};
  }
}

}  // namespace vernier
