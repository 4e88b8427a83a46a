// Arithmetic that is exact, on the numbers of any format, and rounding of its results: what an
// operation "as if computed exactly and rounded once" is made of. Scalar and slow (tens of
// nanoseconds); fast loops are held to it.
//
// Signs of zero results are those of IEEE 754 in its nearest modes, whatever the rounding mode that
// follows: products have the product of the signs, sums of zeros of unlike signs and x + -x are +0.
#ifndef VERNIER_FORMATS_NUMBER_H_
#define VERNIER_FORMATS_NUMBER_H_

#include <cstdint>

#include "formats/round.h"

namespace vernier {

enum class ValueKind : uint8_t { kFinite, kInfinity, kNan };

// A number of a format: every double, and posits of up to 64 bits, which may be finer.
struct ExactValue {
  ValueKind kind = ValueKind::kFinite;
  bool negative = false;
  uint64_t m = 0;  // |x| = m * 2^e; 0: zero
  int e = 0;
};

// A result that is not rounded yet. `m` may end in a bit that stands for all those below it (they
// are not all zero, and it is 1): rounding to odd. It then has at least 107 bits.
struct WideValue {
  __extension__ using Bits = unsigned __int128;
  ValueKind kind = ValueKind::kFinite;
  bool negative = false;
  Bits m = 0;
  int e = 0;
};

ExactValue ValueOf(double x);
// The nearest double, ties to even. NaN is the positive quiet one.
double DoubleOf(const ExactValue& x);

WideValue Wide(const ExactValue& x);
ExactValue Negated(ExactValue x);
// Exact.
WideValue Product(const ExactValue& a, const ExactValue& b);
// Of an exact number of up to 106 bits (the product of two doubles) and one of up to 64.
WideValue Sum(const WideValue& a, const ExactValue& b);

// x rounded as RoundValue rounds doubles. CHECK: not stochastic.
ExactValue RoundWide(const RoundSpec& spec, const WideValue& x);

// Results rounded to odd among the doubles: an exact one stays, any other becomes that of its two
// neighbours whose last bit is 1. What rounds it to a format of at most 51 bits rounds the exact
// result.
double OddSum(double a, double b);
double OddProduct(double a, double b);
double OddFused(double a, double b, double c);  // a * b + c

// Rounded to a format, for formats whose numbers all are.
double RoundedSum(const RoundSpec& spec, double a, double b);
double RoundedProduct(const RoundSpec& spec, double a, double b);
double RoundedFused(const RoundSpec& spec, double a, double b, double c);  // a * b + c

}  // namespace vernier

#endif  // VERNIER_FORMATS_NUMBER_H_
