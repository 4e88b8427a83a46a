// Dot products in a number format, and the matrix product around them, of every FormatMath (kQuire
// goes to ops/exact_product.h). Operands are numbers of `math.values` unless a line says
// otherwise; results are. docs/arithmetic.md has the operations and their order.
//
// Each operation gives what the exact result rounded once is, in every format, mode and order, so
// which loop computes it changes no bit; nor do the rows of a call, nor the threads. A result that
// is NaN is the positive quiet one. Numbers of `values` are T where they lie in memory: a posit of
// more than 57 bits is the double next to it there, while partial sums are true posits.
#ifndef VERNIER_OPS_FORMAT_PRODUCT_H_
#define VERNIER_OPS_FORMAT_PRODUCT_H_

#include <cstddef>
#include <span>

#include "formats/round.h"
#include "kernels/panels.h"
#include "ops/evaluate_rows.h"
#include "ops/format_math.h"

namespace vernier {

// The smallest type of which two things hold: its numbers include those of every format that the
// arithmetic has, and a sum, difference or product rounded to nearest in it and then to such a
// format, to nearest too, is the one rounded once (f16, bf16, tf32, floats of fewer bits, posits of
// at most 16 bits with es = 2; and f32 itself, whose own operations are meant).
Arithmetic FormatMathHost(const FormatMath& math);

// A FormatRounding in the form that rounding wants.
RoundSpec SpecOf(const FormatRounding& rounding);

// y[r] = x[r] W^T, `outputs` numbers. Weights are rounded to math.values, to nearest even.
template <class T>
struct FormatProductArgs {
  const FormatMath* math;
  size_t k, outputs;
  const PackedMatrix* matrix = nullptr;         // this,
  const Panels<double>* wide_matrix = nullptr;  // or this
  std::span<const T* const> x;                  // rows of k
  std::span<T* const> y;
};

template <class T>
void EvaluateFormatProduct(const FormatProductArgs<T>& args, const Machine& machine);

// The sum over i < n of x[i * x_stride] w[i * w_stride].
template <class T>
T FormatDot(const FormatMath& math, const T* x, size_t x_stride, const T* w, size_t w_stride,
            size_t n);

// Many of them: y[r][o] = sum over i < terms[r] of
// panels[o / 16 * panel_stride + i * 16 + o % 16] * x[r][i], o < outputs; rows of y need not be
// aligned. Panels hold 16 numbers of `values` a term (those past `outputs` are read, and may be
// anything).
template <class T>
struct FormatChainsArgs {
  const FormatMath* math;
  const T* panels;
  size_t panel_stride, outputs;
  size_t k;  // terms of every row, where `terms` is empty
  std::span<const T* const> x;
  std::span<const size_t> terms;  // by row, at most k
  std::span<T* const> y;
};

// On the calling thread.
template <class T>
void EvaluateFormatChains(const FormatChainsArgs<T>& args, const Kernels& kernels);

}  // namespace vernier

#endif  // VERNIER_OPS_FORMAT_PRODUCT_H_
