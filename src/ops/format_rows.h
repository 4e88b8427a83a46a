// Ops on rows in an arithmetic of a number format: norms, element by element, rotary. Matrix
// products are in format_product.h, attention in format_attention.h, what reads earlier tokens in
// format_scan.h.
//
// Operands are numbers of `values`; every operation below is computed as if exactly and rounded
// once. R is rounding into `values` in its mode; operands, weights and constants (eps, cosines,
// sines) are rounded to nearest even before anything is computed. step, fused and quire do the
// same, but where a line says otherwise.
//   mul, bias, add  R(x * w), R(x + w), R(a + b)
//   rms_norm        s = the dot product of the row with itself (format_product.h; quire: exact and
//                   rounded once); m = R(s / n), n exact; v = R(m + eps); r = R(1 / sqrt(v));
//                   y = R(x * r)
//   rope            step: a' = R(R(a c) - R(b s)), b' = R(R(b c) + R(a s))
//                   fused: a' = R(a c - R(b s)), b' = R(b c + R(a s))
//                   quire: a' = R(a c - b s), b' = R(b c + a s)
//                   Elements past the rotated ones stay.
//   silu            R(g * R(sigmoid(g)))
//   swiglu          R(R(g * R(sigmoid(g))) * u)
//   softplus        R(ln(1 + exp(x))), x itself above 20
//   clamp           x, or the bound it is beyond, rounded to nearest even
// A result that is NaN is the positive quiet one.
#ifndef VERNIER_OPS_FORMAT_ROWS_H_
#define VERNIER_OPS_FORMAT_ROWS_H_

#include <span>
#include <vector>

#include "ops/evaluate_rows.h"
#include "ops/format_math.h"

namespace vernier {

template <class T>
struct FormatRowsArgs {
  const FormatMath* math;
  OpKind op;
  OpShape shape;
  std::span<const double> vector;  // kMultiply, kBias: the weight, any numbers
  std::span<const T*const> a, b;
  std::span<T* const> out;
  std::span<const size_t> positions;  // kRope
  const RopeTable* rope = nullptr;    // kRope
};

template <class T>
void EvaluateFormatRows(const FormatRowsArgs<T>& args, const Machine& machine);

// The dot product of two rows under `math`, quire included. `panel` is scratch, kept between calls.
template <class T>
double FormatRowDot(const FormatMath& math, const Kernels& kernels, const T* x, const T* w,
                    size_t n, std::vector<T>* panel);

}  // namespace vernier

#endif  // VERNIER_OPS_FORMAT_ROWS_H_
