// Element by element on rows of doubles: each result is that of the exact operation, rounded once
// into a format. Zeros have the signs that IEEE 754 gives them to nearest; x - x is +0 in every
// mode.
//
// How: the double result is made odd where it is not exact (Boldo and Melquiond 2008), so that
// rounding it again is rounding once; that takes formats of up to 51 bits whose products and errors
// of products stay in the range of double. f64 to nearest is the machine's own operation. What is
// neither goes through formats/number.h, one element at a time.
#ifndef VERNIER_OPS_FORMAT_ROW_OPS_H_
#define VERNIER_OPS_FORMAT_ROW_OPS_H_

#include <cstddef>
#include <limits>

#include "formats/round.h"
#include "kernels/kernels.h"
#include "ops/format_math.h"

namespace vernier {

class FormatRowOps {
 public:
  // Operands are numbers of the three formats of `math`; results are rounded into `into`, one of
  // them. `kernels` must outlive this.
  FormatRowOps(const FormatMath& math, const FormatRounding& into, const Kernels& kernels);

  // out[i], 0 <= i < n; out may be an operand. R(a * b), R(a + b), R(a - b), R(a / b), R(a * b +
  // c), R(a * b - c), and R(a * b + c * d), which is slow.
  void Product(const double* a, const double* b, size_t n, double* out) const;
  void Product(const double* a, double b, size_t n, double* out) const;
  void Sum(const double* a, const double* b, size_t n, double* out) const;
  void Difference(const double* a, const double* b, size_t n, double* out) const;
  void Difference(const double* a, double b, size_t n, double* out) const;
  void Quotient(const double* a, double b, size_t n, double* out) const;
  void Fused(const double* a, const double* b, const double* c, size_t n, double* out) const;
  void FusedDifference(const double* a, const double* b, const double* c, size_t n,
                       double* out) const;
  void TwoProducts(const double* a, const double* b, const double* c, const double* d, size_t n,
                   double* out) const;

  double Product(double a, double b) const;
  double Sum(double a, double b) const;
  double Rounded(double x) const { return RoundValue(spec_, x); }
  // R(x) of a row of any doubles.
  void Round(const double* x, size_t n, double* out) const;

  const RoundSpec& spec() const { return spec_; }
  const Kernels& kernels() const { return kernels_; }

 private:
  enum class Way { kOdd, kOwn, kNumber };
  template <class Odd, class Own, class Exact>
  void Run(size_t n, double* out, const Odd& odd, const Own& own, const Exact& exact) const;

  RoundSpec spec_;
  const Kernels& kernels_;
  Way way_;
};

// Results as they are stored: NaN is the positive quiet one.
template <class T>
void ToHost(const double* x, size_t n, T* out) {
  for (size_t i = 0; i < n; ++i)
    out[i] = x[i] == x[i] ? static_cast<T>(x[i]) : std::numeric_limits<T>::quiet_NaN();
}

// Operands: to nearest even, with the format's overflow and flushing.
RoundSpec OperandSpec(const FormatRounding& values);

}  // namespace vernier

#endif  // VERNIER_OPS_FORMAT_ROW_OPS_H_
