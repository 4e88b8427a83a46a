// Running an op on rows. Each row's result is a function of its operands alone: rows may be
// stacked, split and spread over workers in any way without a change of a bit.
#ifndef VERNIER_OPS_EVALUATE_ROWS_H_
#define VERNIER_OPS_EVALUATE_ROWS_H_

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "base/buffer_pool.h"
#include "base/parallel.h"
#include "kernels/kernels.h"
#include "kernels/panels.h"
#include "ops/op.h"
#include "ops/rope.h"

namespace vernier {

// A node's constants, as its op needs them; the rest is unused.
struct OpShape {
  size_t width = 0;     // elements of a row of the result
  size_t in_width = 0;  // of the first operand
  double eps = 0;       // kNormalise
  // kAttention; kRope: heads of this operand. kScan: heads of width / heads channels with one rate
  // and one step each; 0: every channel has a step, and a rate for each number of its state.
  size_t heads = 0, kv_heads = 0, head_dim = 0;
  size_t offset = 0;  // kSlice: the first element
  size_t taps = 0;    // kConvolve: tokens that a row reads
  size_t states = 0;  // kScan: numbers of a channel's state
  // Equal runs of a row: kNormalise normalises each by itself; kScan: those with a B and C each.
  size_t groups = 1;
  double low = 0, high = 0;  // kClamp
};

// A weight in the form its op reads: `matrix` for kMatMul, and for doubles `wide_matrix` instead
// where there is one; `vector` (T) for kMultiply and kBias.
template <class T>
struct OpWeight {
  const PackedMatrix* matrix = nullptr;
  const Panels<double>* wide_matrix = nullptr;
  const T* vector = nullptr;
};

struct Machine {
  const Kernels* kernels;
  Workers* workers;
  BufferPool* buffers = nullptr;  // for large scratch; null: made afresh
};

// Large scratch, uninitialised. A prefill needs megabytes for each node: fresh pages would have to
// be cleared every time.
std::shared_ptr<std::byte> TakeBuffer(const Machine& machine, size_t bytes);
template <class T>
std::shared_ptr<T> TakeArray(const Machine& machine, size_t size) {
  const std::shared_ptr<std::byte> bytes = TakeBuffer(machine, size * sizeof(T));
  return {bytes, reinterpret_cast<T*>(bytes.get())};
}

// Rows of every op that reads its own token alone (kEmbed and kSlice apart, which compute nothing):
// out[r] from a[r] (and b[r] for two operands).
template <class T>
struct RowsArgs {
  OpKind op;
  OpShape shape;
  OpWeight<T> weight;
  std::span<const T*const> a, b;
  std::span<T* const> out;
  std::span<const size_t> positions;  // kRope
  const RopeTable* rope = nullptr;    // kRope
};

template <class T>
void EvaluateRows(const RowsArgs<T>& args, const Machine& machine);

}  // namespace vernier

#endif  // VERNIER_OPS_EVALUATE_ROWS_H_
