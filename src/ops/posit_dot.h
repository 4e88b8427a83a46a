// Dot products in posits that are finer than doubles (posit64), rounded at every operation: in 64-
// and 128-bit integers, without branches, a few side by side.
#ifndef VERNIER_OPS_POSIT_DOT_H_
#define VERNIER_OPS_POSIT_DOT_H_

#include <cstddef>
#include <span>

#include "ops/format_math.h"

namespace vernier {

inline constexpr size_t kPositDots = 4;

// Whether this file does an arithmetic: one posit format, terms by ascending index, to nearest.
bool IsPositDot(const FormatMath& math);

// y[l] = the sum over i < n of x[i] * w[i * stride + l], l < kPositDots, as math says. Where `good`
// is false afterwards there were operands that are no normal numbers, or results without a fraction
// bit, and y[l] is not the sum.
void PositDots(const FormatMath& math, const double* x, const double* w, size_t stride, size_t n,
               std::span<double, kPositDots> y, std::span<bool, kPositDots> good);

}  // namespace vernier

#endif  // VERNIER_OPS_POSIT_DOT_H_
