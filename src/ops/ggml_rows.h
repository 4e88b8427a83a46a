// Rows in ggml's arithmetic (docs/profiles.md is normative): what llama.cpp's CPU backend computes,
// bit for bit, where the orders of summing that it chooses by the batch are given for each row.
#ifndef VERNIER_OPS_GGML_ROWS_H_
#define VERNIER_OPS_GGML_ROWS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kernels/ggml.h"
#include "ops/attention.h"
#include "ops/evaluate_rows.h"
#include "ops/recurrence.h"
#include "ops/rope.h"

namespace vernier {

// How llama.cpp batches the tokens of a sequence, as far as sums depend on it.
struct GgmlBatching {
  bool repack = true;  // weights in repacked layouts where ggml has one
  enum class Rows : uint8_t {
    kMany,    // every row among others, in groups of four
    kOne,     // every row alone: decoding
    kPrompt,  // the first `prompt` tokens are one batch of which only the last one's logits are
              // wanted; those after it come one at a time
  };
  Rows rows = Rows::kMany;
  size_t prompt = 0;
};

// The batch a row is computed in.
struct GgmlRowBatch {
  size_t rows = SIZE_MAX;
  bool in_four = true;  // in one of the groups of four that the batch is cut into from its start
};
// Of the token at `position`. `selected`: the node comes after llama.cpp has dropped all rows whose
// logits nobody wants.
GgmlRowBatch RowBatch(const GgmlBatching& batching, bool selected, size_t position);

// The order in which the product of such a row is summed; orders that are the same for the type are
// one.
GgmlOrder ProductOrder(TensorType type, size_t outputs, size_t k, bool repack, GgmlRowBatch batch);

// Cosines and sines of the positions' angles: angles by repeated multiplication in float, from one
// pair to the next; then the sine and cosine of glibc 2.28 and later.
class GgmlRopeTable {
 public:
  explicit GgmlRopeTable(const RopeSpec& spec);
  void Extend(size_t positions);
  const float* Cos(size_t position) const { return cos_.data() + position * pairs_; }
  const float* Sin(size_t position) const { return sin_.data() + position * pairs_; }

 private:
  RopeSpec spec_;
  size_t pairs_;
  std::vector<float> cos_, sin_;
};

// Ops of one row besides products: kNormalise, kMultiply, kBias, kAdd, kRope, kSwiGlu, kSilu,
// kSoftplus. The arguments are those of EvaluateRows; args.rope is not read.
void EvaluateGgmlRows(const RowsArgs<float>& args, const GgmlRopeTable& rope,
                      const Machine& machine);

// y[r][o] = w[o] . x[r], weights in rows as a file stores them: the way for types, and for weights
// left in the file, that ops/integer_product.h does not take. Both give the same bits.
struct GgmlProductArgs {
  TensorType type;
  const std::byte* weights;
  size_t row_bytes, k, outputs;
  std::span<const float* const> x;
  std::span<const GgmlOrder> orders;  // of each row
  std::span<float* const> y;
};
void EvaluateGgmlProduct(const GgmlProductArgs& args, const Machine& machine);

// Attention without ggml's flash attention: the product with the keys, softmax, the product with
// the values. The arguments of `sequence` are those of EvaluateAttention.
struct GgmlAttentionArgs {
  const AttentionArgs<float>& sequence;
  std::span<const uint8_t> batch;               // of each row: it is computed among others
  bool half_keys = false, half_values = false;  // K, V are kept in binary16
};
void EvaluateGgmlAttention(const GgmlAttentionArgs& args, const Machine& machine);

// A scan as ScanSequencesArgs::scan: the exponential is glibc's of the rounded product, all else as
// in Vernier's own arithmetic. (A convolution is the same in both.)
void GgmlScan(const ScanArgs<float>& args);

}  // namespace vernier

#endif  // VERNIER_OPS_GGML_ROWS_H_
