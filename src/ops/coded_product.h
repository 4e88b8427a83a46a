// Matrix products of integers (`math=int`): codes of activations and weights are multiplied and
// summed as integers, and scales are applied to the sums.
//
// A piece is a run of terms in which neither operand changes its scale: all terms where neither has
// groups. For each output o of row x, with the pieces in ascending order,
//   acc = sum over the piece of x code * w code, an integer, exact: 32 bits where no sum of the
//         codes' largest magnitudes can overflow them, else 64
//   t   = float32(acc) * (sx * sw), where sx and sw are the scales rounded to float32
//   y   = the first piece's t; each later t is added to it
// in float32, each operation rounded to nearest. A row or a weight row with a NaN gives NaN.
#ifndef VERNIER_OPS_CODED_PRODUCT_H_
#define VERNIER_OPS_CODED_PRODUCT_H_

#include <span>

#include "formats/treat_codes.h"
#include "ops/evaluate_rows.h"

namespace vernier {

struct CodedProductArgs {
  const IntegerCodes* weight = nullptr;  // rows: outputs
  int largest_weight = 0;                // LargestCode
  std::span<const IntegerCodes> x;       // one row each
  int largest_x = 0;
  std::span<float* const> out;
};

void EvaluateCodedProduct(const CodedProductArgs& args, const Machine& machine);

}  // namespace vernier

#endif  // VERNIER_OPS_CODED_PRODUCT_H_
