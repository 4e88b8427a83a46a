// Elementary functions outside inner loops (rotary angles, logarithms of sums): near-correctly
// rounded doubles from double-double arithmetic with fma, about a microsecond each, and the same
// bits on every machine (the C library's differ between versions and processors).
#ifndef VERNIER_OPS_ELEMENTARY_H_
#define VERNIER_OPS_ELEMENTARY_H_

namespace vernier {

// base^exponent for base > 0 and |exponent * ln(base)| < 700. Error below 0.5000001 ulp.
double Power(double base, double exponent);

// ln x for finite x > 0; -infinity for 0, NaN for negative numbers and NaN, infinity for infinity.
// Error below 0.5000001 ulp.
double Logarithm(double x);

// e^x; 0 and infinity where the result leaves the range of double. Error below 0.5000001 ulp of a
// normal result.
double Exponential(double x);

struct SinCos {
  double sin, cos;
};
// For |angle| < 2^30. Error below 0.5001 ulp.
SinCos SineCosine(double angle);

}  // namespace vernier

#endif  // VERNIER_OPS_ELEMENTARY_H_
