// Double-double arithmetic: about 104 bits, for what is evaluated seldom (elementary.h,
// format_functions.h).
#ifndef VERNIER_OPS_DOUBLE_DOUBLE_H_
#define VERNIER_OPS_DOUBLE_DOUBLE_H_

#include <cmath>

namespace vernier::internal {

// An unevaluated sum high + low with |low| <= ulp(high) / 2 (Dekker 1971; Knuth, TAOCP 2, 4.2.2).
struct Double2 {
  double high, low;
};

inline Double2 TwoSum(double a, double b) {
  const double s = a + b, t = s - a;
  return {s, (a - (s - t)) + (b - t)};
}
inline Double2 TwoProduct(double a, double b) {
  const double p = a * b;
  return {p, std::fma(a, b, -p)};
}
inline Double2 Add(Double2 a, Double2 b) {
  const Double2 s = TwoSum(a.high, b.high);
  return TwoSum(s.high, s.low + (a.low + b.low));
}
inline Double2 Multiply(Double2 a, Double2 b) {
  const Double2 p = TwoProduct(a.high, b.high);
  return TwoSum(p.high, p.low + (a.high * b.low + a.low * b.high));
}
inline Double2 Multiply(Double2 a, double b) { return Multiply(a, Double2{b, 0}); }
inline Double2 Divide(Double2 a, double b) {
  const double q = a.high / b;
  const Double2 p = TwoProduct(q, b);
  return TwoSum(q, ((a.high - p.high) - p.low + a.low) / b);
}
inline Double2 Divide(Double2 a, Double2 b) {
  const double q = a.high / b.high;
  const Double2 rest = Add(a, Multiply(b, -q));
  return TwoSum(q, (rest.high + rest.low) / b.high);
}

inline constexpr Double2 kLn2 = {0x1.62e42fefa39efp-1, 0x1.abc9e3b39803fp-56};

}  // namespace vernier::internal

#endif  // VERNIER_OPS_DOUBLE_DOUBLE_H_
