// Elementary functions for tables made once (rotary angles): near-correctly rounded doubles from
// double-double arithmetic with fma, the same bits on every machine (the C library's differ between
// versions and processors).
#ifndef VERNIER_OPS_TRIGONOMETRY_H_
#define VERNIER_OPS_TRIGONOMETRY_H_

namespace vernier {

// base^exponent for base > 0 and |exponent * ln(base)| < 700. Error below 0.5000001 ulp.
double Power(double base, double exponent);

struct SinCos {
  double sin, cos;
};
// For |angle| < 2^30. Error below 0.5001 ulp.
SinCos SineCosine(double angle);

}  // namespace vernier

#endif  // VERNIER_OPS_TRIGONOMETRY_H_
