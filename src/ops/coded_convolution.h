// Convolutions of integers (`math=int`): each channel's codes at the last tokens times its codes of
// the weight, summed as integers, and one scale applied to the sum. For channel c of a token,
//   acc = sum over taps i of W[c][i] code * x[t - taps + 1 + i][c] code, exact in 32 bits; tokens
//         before the text are zeros
//   y   = float32(acc) * (sx * sw), where sx and sw are the scales rounded to float32
// in float32, each operation rounded to nearest. It is scale_w * scale_x * acc of a kernel on INT8
// codes, whatever order that sums in. sx is one for all tokens; sw one for all channels or one
// each. A NaN in a channel's window, or in its weight row, gives NaN.
#ifndef VERNIER_OPS_CODED_CONVOLUTION_H_
#define VERNIER_OPS_CODED_CONVOLUTION_H_

#include <span>
#include <vector>

#include "formats/treat_codes.h"
#include "ops/evaluate_rows.h"

namespace vernier {

// A row's codes under a treatment with one scale for all rows (not from the data), CHECK; NaN is
// kNanCode.
inline constexpr int16_t kNanCode = INT16_MIN;
std::vector<int16_t> ConvolutionCodes(const Treatment& treatment, const float* row, size_t n);
std::vector<int16_t> ConvolutionCodes(const Treatment& treatment, const double* row, size_t n);
// That one scale.
CodeScale ScaleOfAll(const Treatment& treatment);

struct CodedConvolutionArgs {
  OpShape shape;
  const IntegerCodes* weight = nullptr;  // [width][taps], no groups
  CodeScale scale_x;
  std::span<const int16_t* const> x;  // taps for each row of `out`, the newest last; null: zeros
  std::span<float* const> out;
};

void EvaluateCodedConvolution(const CodedConvolutionArgs& args, const Machine& machine);

}  // namespace vernier

#endif  // VERNIER_OPS_CODED_CONVOLUTION_H_
