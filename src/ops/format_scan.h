// The causal convolution and the selective scan in an arithmetic of a number format. Rows are
// numbers of `values`; weights are rounded to it, to nearest even, here. R is rounding into
// `values`, A into the format of partial sums (quire: `values`).
//   convolve   the dot product of a channel's weights and its last values, oldest first, zeros
//              before the text (format_product.h; quire: exact and rounded once)
//   scan       of a token, for each channel with its step dt, input x and state h, and the token's
//              B and C:
//     a = R(exp(R(dt * A[n]))), u = R(dt * x)
//     step:  h[n] = A(R(a * h[n]) + R(u * B[n]))
//     fused: h[n] = A(a * h[n] + R(u * B[n]))
//     quire: h[n] = R(a * h[n] + u * B[n])
//     y = the dot product of C and h, ascending n, h rounded to `values` to nearest even
//   With heads a head's channels have one dt and one A, and those of a group read its B and C.
// The state is a sum over time: it is kept in the format of partial sums (site ssm_state), always
// by ascending token, whatever order and chunks the sums inside a token have. What a treatment
// leaves there, and a state that another arithmetic left, is rounded to that format, to nearest
// even, when it is used. A result that is NaN is the positive quiet one.
#ifndef VERNIER_OPS_FORMAT_SCAN_H_
#define VERNIER_OPS_FORMAT_SCAN_H_

#include <functional>
#include <span>

#include "ops/format_math.h"
#include "ops/recurrence.h"

namespace vernier {

// As ConvolutionArgs and ScanSequencesArgs, but for the weights' type.
template <class T>
struct FormatConvolutionArgs {
  const FormatMath* math;
  OpShape shape;
  const Panels<double>* weight = nullptr;  // [width][taps]
  std::span<const T* const> x;
  std::span<T* const> out;
};

template <class T>
void EvaluateFormatConvolution(const FormatConvolutionArgs<T>& args, const Machine& machine);

template <class T>
struct FormatScanArgs {
  const FormatMath* math;
  OpShape shape;
  const Panels<double>* weight = nullptr;  // A: [width][states]; with heads [heads][1]
  std::span<const ScanSequence<T>> sequences;
  std::function<void(size_t sequence, size_t token, T* state)> treat{};
};

template <class T>
void EvaluateFormatScan(const FormatScanArgs<T>& args, const Machine& machine);

}  // namespace vernier

#endif  // VERNIER_OPS_FORMAT_SCAN_H_
