// Ops that read the tokens before: the causal convolution and the selective scan of state-space
// layers (Mamba: Gu and Dao 2023, arXiv 2312.00752). Rows and states are functions of their
// operands alone: a sequence may be cut anywhere, the last rows and the state being carried on.
#ifndef VERNIER_OPS_RECURRENCE_H_
#define VERNIER_OPS_RECURRENCE_H_

#include <algorithm>
#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "ops/evaluate_rows.h"
#include "ops/scan_order.h"

namespace vernier {

// out[r][c] = sum over i of W[c][i] x[r * taps + i][c], the newest row last; null rows (before the
// text) are zeros.
template <class T>
struct ConvolutionArgs {
  OpShape shape;
  const Panels<T>* weight = nullptr;  // [width][taps]
  std::span<const T* const> x;
  std::span<T* const> out;
};

template <class T>
void EvaluateConvolution(const ConvolutionArgs<T>& args, const Machine& machine);

// Consecutive tokens of one text through a scan, from a given state.
template <class T>
struct ScanSequence {
  size_t position = 0;       // of the first token in its text
  const T* start = nullptr;  // [width][states] before the first token; null: zeros
  int after = -1;  // the sequence, earlier in the list, that makes `start`; -1: it is there already
  std::vector<const T*> dt, x, b, c;  // by token; c null where y is
  std::vector<T*> y;                  // by token; null: not wanted
  std::vector<T*> kept;               // by token: where its state goes; null: nowhere
};

// Each sequence's states and results (see the kernels' ScanArgs). `treat` (may be empty) is called
// with the new state of each token that `every` says, may change it, and what it leaves is read and
// carried on; it is called for one token of a sequence after another, for different sequences
// perhaps at once. In chunks a state in memory is four blocks (StateSize); `treat` sees the first,
// and where it was called the chunk begins anew from what it left.
template <class T>
struct ScanSequencesArgs {
  OpShape shape;
  const Panels<T>* weight = nullptr;  // A: [width][states]; with heads [heads][1]
  std::span<const ScanSequence<T>> sequences;
  std::function<void(size_t sequence, size_t token, T* state)> treat;
  ScanOrder order{};
  size_t every = 1;  // `treat` is called after the tokens at positions every - 1, 2 every - 1, ...
  void (*scan)(const ScanArgs<T>&) = nullptr;  // null: the machine's kernel
};

// Elements of a state in memory.
inline size_t StateSize(const OpShape& shape, const ScanOrder& order) {
  return shape.width * shape.states * (order.chunk > 0 ? 4 : 1);
}

// The state in chunks that goes on from the state h, four blocks of n elements of which h is the
// first: base = h, p = 1, l = 0.
template <class T>
void BeginChunk(T* state, size_t n) {
  std::copy_n(state, n, state + n);
  std::fill_n(state + 2 * n, n, T{1});
  std::fill_n(state + 3 * n, n, T{0});
}

template <class T>
void EvaluateScan(const ScanSequencesArgs<T>& args, const Machine& machine);

}  // namespace vernier

#endif  // VERNIER_OPS_RECURRENCE_H_
