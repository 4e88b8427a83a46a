// Attention over the tokens of sequences. Each row's result is a function of its operands alone:
// sequences and rows may be cut and spread over workers in any way without a change of a bit.
#ifndef VERNIER_OPS_ATTENTION_H_
#define VERNIER_OPS_ATTENTION_H_

#include <algorithm>
#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "ops/evaluate_rows.h"

namespace vernier {

// Some tokens of one sequence, row r seeing its keys[r] first tokens; keys ascend. `inner` (may be
// empty) is called for each row with the scores ([heads][keys] without gaps) as `kq`, before
// scaling, and again after the softmax, and says whether it has changed them. Where `keep` (may be
// empty) says, they are left as they are then. Calls for different rows may run at once.
enum class AttentionStage { kScores, kSoftmax };
template <class T>
struct AttentionArgs {
  OpShape shape;
  std::span<const T* const> q;
  std::span<const size_t> keys;
  std::span<const T*const> k, v;  // rows of all tokens of the sequence
  std::span<T* const> out;
  std::function<bool(AttentionStage, size_t row, T* values, size_t n)> inner;
  std::function<T*(AttentionStage, size_t row, size_t n)> keep = {};
  bool Observed() const { return inner || keep; }
};

// Calls `keep` and `inner` for a row whose values of head h lie at row_of(h); null, or the values
// where `inner` has changed them.
template <class T, class RowOf>
const T* Observe(const AttentionArgs<T>& args, AttentionStage stage, size_t row,
                 const RowOf& row_of, std::vector<T>* scratch) {
  const size_t heads = args.shape.heads, keys = args.keys[row];
  T* values = nullptr;
  if (args.keep) {
    values = args.keep(stage, row, heads * keys);
  } else {
    scratch->resize(heads * keys);
    values = scratch->data();
  }
  for (size_t h = 0; h < heads; ++h) std::copy_n(row_of(h), keys, values + h * keys);
  return args.inner && args.inner(stage, row, values, heads * keys) ? values : nullptr;
}

// All sequences at once.
template <class T>
void EvaluateAttention(std::span<const AttentionArgs<T>> sequences, const Machine& machine);

}  // namespace vernier

#endif  // VERNIER_OPS_ATTENTION_H_
