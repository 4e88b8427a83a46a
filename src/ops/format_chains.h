// Many dot products in a number format, a block of terms at a time: the loops of kernels/chain.h
// where they are right, for the rest rows of doubles (ops/wide_chains.h) or one term at a time
// (ops/format_dot.h).
#ifndef VERNIER_OPS_FORMAT_CHAINS_H_
#define VERNIER_OPS_FORMAT_CHAINS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/chain.h"
#include "kernels/kernels.h"
#include "kernels/panels.h"
#include "ops/format_dot.h"
#include "ops/format_math.h"
#include "ops/format_plan.h"
#include "ops/posit_dot.h"
#include "ops/wide_chains.h"

namespace vernier {

// A block of terms of some panels: 16 numbers a term.
template <class T>
struct PanelBlock {
  size_t panels = 0;  // at most kChainPanels
  const T* w[kChainPanels];
  OperandRange range[kChainPanels];
};
// The same terms of some rows: x[r] + column.
template <class T>
struct RowBlock {
  size_t rows;
  const T* const* x;
  size_t column;
  const OperandRange* range;  // by row
};

template <class T>
class FormatChains {
 public:
  // `math` and `kernels` must outlive this.
  FormatChains(const FormatMath& math, const Kernels& kernels);

  // Whether chains can be had in blocks of terms. Otherwise Whole does them.
  bool by_blocks() const { return by_blocks_; }
  OperandRange Range(const T* x, size_t n) const;

  // Starts the chains of `rows` rows with `panels` panels; adds the next `count` terms to each, at
  // most kBlock; ends them: panel p's of row r go to y[r] + p * 16, the last panel's `valid` first.
  void Start(size_t rows, size_t panels);
  void Add(const PanelBlock<T>& panels, const RowBlock<T>& rows, size_t count);
  void End(T* const* y, size_t valid);

  // All `terms` of one row with some panels.
  void Whole(const T* const* w, size_t panels, const T* x, size_t terms, T* y, size_t valid);

 private:
  void AddSegment(const PanelBlock<T>& panels, const RowBlock<T>& rows, size_t from, size_t count);
  void RunRest(ChainBlock<T> block);
  void AddWide(const PanelBlock<T>& panels, const RowBlock<T>& rows, size_t row, size_t from,
               size_t count);
  void EndChunk();
  void Singly(const T* const* w, size_t outputs, const T* x, size_t terms, T* y);

  const FormatMath& math_;
  FormatRules rules_;
  const ChainKernels<T>& kernels_;
  const Kernels& row_kernels_;
  ChainPlan<T> plan_;
  bool by_blocks_, wide_can_, posits_;
  WideChains wide_, piece_;  // chains in whole, and their pieces
  size_t rows_ = 0, panels_ = 0, in_chunk_ = 0;
  AlignedArray<T> sums_, totals_;  // by panel and row, 16 each
  std::vector<uint8_t> left_;
  std::vector<double> w_, a_, b_;
};

}  // namespace vernier

#endif  // VERNIER_OPS_FORMAT_CHAINS_H_
