// Attention over the tokens of sequences. Each row's result is a function of its operands alone:
// sequences and rows may be cut and spread over workers in any way without a change of a bit.
#ifndef VERNIER_OPS_ATTENTION_H_
#define VERNIER_OPS_ATTENTION_H_

#include <cstddef>
#include <functional>
#include <span>

#include "ops/evaluate_rows.h"

namespace vernier {

// Some tokens of one sequence, row r seeing its keys[r] first tokens; keys ascend. `inner` (may be
// empty) is called for each row with the scores ([heads][keys] without gaps) as `kq`, before
// scaling, and again after the softmax, and says whether it has changed them; calls for different
// rows may run at once.
enum class AttentionStage { kScores, kSoftmax };
template <class T>
struct AttentionArgs {
  OpShape shape;
  std::span<const T* const> q;
  std::span<const size_t> keys;
  std::span<const T*const> k, v;  // rows of all tokens of the sequence
  std::span<T* const> out;
  std::function<bool(AttentionStage, size_t row, T* values, size_t n)> inner;
};

// All sequences at once.
template <class T>
void EvaluateAttention(std::span<const AttentionArgs<T>> sequences, const Machine& machine);

}  // namespace vernier

#endif  // VERNIER_OPS_ATTENTION_H_
