// Matrix products whose sums are exact and rounded once: quire arithmetic (ops/format_math.h,
// docs/arithmetic.md). formats/exact_sum.h defines the rounding.
#ifndef VERNIER_OPS_EXACT_PRODUCT_H_
#define VERNIER_OPS_EXACT_PRODUCT_H_

#include <cstddef>
#include <span>

#include "kernels/panels.h"
#include "ops/evaluate_rows.h"
#include "ops/format_math.h"

namespace vernier {

// y[r][o] = R(sum over i of x[r][i] * w[o][i]).
template <class T>
struct ExactProductArgs {
  // R, and the format of the operands. Rows of X are numbers of the format already (other values
  // are multiplied as they are); weights are rounded to it here, to nearest even, with its overflow
  // policy and flushing. Not stochastic.
  FormatRounding values;
  // The weights: one of the two.
  const PackedMatrix* packed = nullptr;
  const Panels<double>* wide = nullptr;
  std::span<const T* const> x;  // rows of k
  std::span<T* const> y;        // rows of `outputs`
};

// T float or double; float where floats hold the numbers of the format. Needs scratch for the rows
// of X (8 bytes an element, up to 256 rows at a time) and for one panel of weights a thread.
template <class T>
void EvaluateExactProduct(const ExactProductArgs<T>& args, const Machine& machine);

}  // namespace vernier

#endif  // VERNIER_OPS_EXACT_PRODUCT_H_
