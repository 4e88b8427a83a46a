#include "ops/format_row_ops.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "formats/exact_sum.h"
#include "formats/number.h"
#include "ops/format_functions.h"
#include "ops/format_product.h"

namespace vernier {
namespace {

// Exponents of numbers, and bits, that leave products and their errors in the range of double.
constexpr int kMostBits = 51, kRange = 480;

bool InRange(const Format& f) {
  const int lowest = f.kind == FormatKind::kPosit ? f.emin : f.emin - f.precision + 1;
  return f.emax <= kRange && lowest >= -kRange && f.precision <= 53;
}

// s, or where it is inexact the neighbour of odd significand: the exact value is s + error, closer
// to s than to its neighbours. An error that is NaN says that s is not finite.
inline double ToOdd(double s, double error) {
  const int64_t bits = std::bit_cast<int64_t>(s);
  const bool inexact = (error > 0) | (error < 0), even = (bits & 1) == 0;
  const int64_t step = (error > 0) == (s > 0) ? 1 : -1;
  return std::bit_cast<double>(bits + (inexact & even ? step : 0));
}

inline double SumError(double a, double b, double s) {
  const double t = s - a;
  return (a - (s - t)) + (b - t);
}

inline double SumToOdd(double a, double b) {
  const double s = a + b;
  return ToOdd(s, SumError(a, b, s));
}

inline double ProductToOdd(double a, double b) {
  const double p = a * b;
  return ToOdd(p, std::fma(a, b, -p));
}

inline double QuotientToOdd(double a, double b) {
  const double q = a / b, rest = std::fma(-q, b, a);  // rest / b is the error
  return ToOdd(q, b > 0 ? rest : -rest);
}

// a * b + c: the product as p + e, c added to e, then to p; what is lost on the way is put together
// to odd and added to odd (as Boldo and Melquiond do for the nearest number).
inline double FusedToOdd(double a, double b, double c) {
  const double p = a * b, e = std::fma(a, b, -p);
  const double u = c + e, v = SumError(c, e, u);
  const double s = p + u, t = SumError(p, u, s);
  if (!(s - s == 0)) return p + c;  // not finite
  const double sum = SumToOdd(s, SumToOdd(t, v));
  return sum == 0 ? p + c : sum;  // zero with its sign
}

// a * b + c * d: the larger parts as s + t, the errors of the products as u + v. Where t is not
// zero s has not cancelled, so t + u is far below it, and what that leaves is below t + u; where it
// is, s + u is exact as a pair.
inline double TwoProductsToOdd(double a, double b, double c, double d) {
  const double p = a * b, q = c * d;
  const double s = p + q, t = SumError(p, q, s);
  if (!(s - s == 0)) return s;  // not finite
  const double e = std::fma(a, b, -p), f = std::fma(c, d, -q);
  const double u = e + f, v = SumError(e, f, u);
  const double x = t + u, y = SumError(t, u, x);
  const double z = s + x, r = SumError(s, x, z);
  const double sum = SumToOdd(z, SumToOdd(r, SumToOdd(y, v)));
  return sum == 0 ? 0.0 : sum;
}

}  // namespace

RoundSpec OperandSpec(const FormatRounding& values) {
  return MakeRoundSpec(values.format, Rounding::kNearestEven, values.overflow, values.flush);
}

FormatRowOps::FormatRowOps(const FormatMath& math, const FormatRounding& into,
                           const Kernels& kernels)
    : spec_(SpecOf(into)), kernels_(kernels), way_(Way::kOdd) {
  const Format& f = into.format;
  bool in_range = f.precision <= kMostBits;
  for (const FormatRounding* of : {&math.values, &math.sum.partial, &math.sum.into})
    in_range = in_range && InRange(of->format);
  const bool own = f.kind == FormatKind::kFloat && f.precision == 53 && f.emin == -1022 &&
                   into.rounding == Rounding::kNearestEven && !into.flush &&
                   into.overflow == Overflow::kInfinity;
  way_ = own ? Way::kOwn : in_range ? Way::kOdd : Way::kNumber;
}

template <class Odd, class Own, class Exact>
void FormatRowOps::Run(size_t n, double* out, const Odd& odd, const Own& own,
                       const Exact& exact) const {
  switch (way_) {
    case Way::kOdd:
      for (size_t i = 0; i < n; ++i) out[i] = odd(i);
      RoundRow(spec_, out, n, out, 0, 0, &kernels_);
      return;
    case Way::kOwn:
      for (size_t i = 0; i < n; ++i) out[i] = own(i);
      return;
    case Way::kNumber:
      for (size_t i = 0; i < n; ++i) out[i] = exact(i);
  }
}

void FormatRowOps::Product(const double* a, const double* b, size_t n, double* out) const {
  Run(
      n, out, [=](size_t i) { return ProductToOdd(a[i], b[i]); },
      [=](size_t i) { return a[i] * b[i]; },
      [=, this](size_t i) { return RoundedProduct(spec_, a[i], b[i]); });
}

void FormatRowOps::Product(const double* a, double b, size_t n, double* out) const {
  Run(
      n, out, [=](size_t i) { return ProductToOdd(a[i], b); }, [=](size_t i) { return a[i] * b; },
      [=, this](size_t i) { return RoundedProduct(spec_, a[i], b); });
}

void FormatRowOps::Sum(const double* a, const double* b, size_t n, double* out) const {
  Run(
      n, out, [=](size_t i) { return SumToOdd(a[i], b[i]); }, [=](size_t i) { return a[i] + b[i]; },
      [=, this](size_t i) { return RoundedSum(spec_, a[i], b[i]); });
}

void FormatRowOps::Difference(const double* a, const double* b, size_t n, double* out) const {
  Run(
      n, out, [=](size_t i) { return SumToOdd(a[i], -b[i]); },
      [=](size_t i) { return a[i] - b[i]; },
      [=, this](size_t i) { return RoundedSum(spec_, a[i], -b[i]); });
}

void FormatRowOps::Difference(const double* a, double b, size_t n, double* out) const {
  Run(
      n, out, [=](size_t i) { return SumToOdd(a[i], -b); }, [=](size_t i) { return a[i] - b; },
      [=, this](size_t i) { return RoundedSum(spec_, a[i], -b); });
}

void FormatRowOps::Quotient(const double* a, double b, size_t n, double* out) const {
  Run(
      n, out, [=](size_t i) { return QuotientToOdd(a[i], b); }, [=](size_t i) { return a[i] / b; },
      [=, this](size_t i) { return RoundedQuotient(spec_, a[i], b); });
}

void FormatRowOps::Fused(const double* a, const double* b, const double* c, size_t n,
                         double* out) const {
  Run(
      n, out, [=](size_t i) { return FusedToOdd(a[i], b[i], c[i]); },
      [=](size_t i) { return std::fma(a[i], b[i], c[i]); },
      [=, this](size_t i) { return RoundedFused(spec_, a[i], b[i], c[i]); });
}

void FormatRowOps::FusedDifference(const double* a, const double* b, const double* c, size_t n,
                                   double* out) const {
  Run(
      n, out, [=](size_t i) { return FusedToOdd(a[i], b[i], -c[i]); },
      [=](size_t i) { return std::fma(a[i], b[i], -c[i]); },
      [=, this](size_t i) { return RoundedFused(spec_, a[i], b[i], -c[i]); });
}

void FormatRowOps::TwoProducts(const double* a, const double* b, const double* c, const double* d,
                               size_t n, double* out) const {
  if (way_ == Way::kOdd) {
    for (size_t i = 0; i < n; ++i) out[i] = TwoProductsToOdd(a[i], b[i], c[i], d[i]);
    RoundRow(spec_, out, n, out, 0, 0, &kernels_);
    return;
  }
  ExactSum sum;
  for (size_t i = 0; i < n; ++i) {
    sum.Clear();
    sum.AddProduct(a[i], b[i]);
    sum.AddProduct(c[i], d[i]);
    out[i] = sum.Round(spec_);
  }
}

double FormatRowOps::Product(double a, double b) const {
  double out = 0;
  Product(&a, &b, 1, &out);
  return out;
}

double FormatRowOps::Sum(double a, double b) const {
  double out = 0;
  Sum(&a, &b, 1, &out);
  return out;
}

void FormatRowOps::Round(const double* x, size_t n, double* out) const {
  RoundRow(spec_, x, n, out, 0, 0, &kernels_);
}

}  // namespace vernier
