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

// T float or double; float where floats hold the numbers of the format. Scratch: 8 bytes an element
// of X, of up to 256 rows at a time, and of one panel of weights a thread.
template <class T>
void EvaluateExactProduct(const ExactProductArgs<T>& args, const Machine& machine);

// Many dot products of numbers that are at hand: y[r][o] = R(sum over i < terms[r] of
// panels[o / 16 * panel_stride + i * 16 + o % 16] * x[r][i]), o < outputs. Lanes past `outputs` are
// read, and may be anything. For one dot product: ExactDot (formats/exact_sum.h).
template <class T>
struct ExactChainsArgs {
  FormatRounding values;
  const T* panels;  // of k steps of 16
  size_t panel_stride, outputs;
  size_t k;  // terms of every row, where `terms` is empty
  std::span<const T* const> x;
  std::span<const size_t> terms;  // by row, at most k
  std::span<T* const> y;
};

// On the calling thread.
template <class T>
void EvaluateExactChains(const ExactChainsArgs<T>& args, const Kernels& kernels);

}  // namespace vernier

#endif  // VERNIER_OPS_EXACT_PRODUCT_H_
