// Attention in an arithmetic of a number format. Rows of q, k and v are numbers of `values`. For
// each head of a token that sees the keys 0 .. n-1, R being rounding into `values` in its mode:
//   score[j] = the dot product of q and K[j] over the head's elements, ascending (site kq)
//   score[j] = R(score[j] * c), c = 1/sqrt(head_dim) rounded to nearest even
//   m        = the largest score
//   e[j]     = R(exp(R(score[j] - m)))
//   s        = the sum of e, ascending: the dot product of e with ones
//   p[j]     = R(e[j] / s) (site kq_soft_max)
//   out[d]   = the dot product of p and V[.][d], ascending j (site kqv_out)
// Dot products are those of format_product.h, of quire exact and rounded once. What a treatment
// leaves at a site is rounded to `values`, to nearest even, before it is used. A result that is NaN
// is the positive quiet one.
#ifndef VERNIER_OPS_FORMAT_ATTENTION_H_
#define VERNIER_OPS_FORMAT_ATTENTION_H_

#include <span>

#include "ops/attention.h"
#include "ops/format_math.h"

namespace vernier {

// One sequence.
template <class T>
void EvaluateFormatAttention(const FormatMath& math, const AttentionArgs<T>& args,
                             const Machine& machine);

}  // namespace vernier

#endif  // VERNIER_OPS_FORMAT_ATTENTION_H_
