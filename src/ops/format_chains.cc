#include "ops/format_chains.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/result.h"
#include "ops/format_product.h"

namespace vernier {
namespace {

// The same without what WideChains does for itself: pieces of chunks.
FormatMath PieceOf(FormatMath math) {
  math.sum.chunk = 0;
  return math;
}

template <class T>
void Copy16(const T* from, double* to) {
  for (size_t l = 0; l < kLanes; ++l) to[l] = static_cast<double>(from[l]);
}

}  // namespace

template <class T>
FormatChains<T>::FormatChains(const FormatMath& math, const Kernels& kernels)
    : math_(math),
      rules_(MakeFormatRules(math)),
      kernels_(ChainKernelsOf<T>(ChainTablesOf(kernels.isa))),
      row_kernels_(kernels),
      plan_(PlanChains<T>(math, ChainTablesOf(kernels.isa))),
      by_blocks_(math.sum.order == SumOrder::kSequential && WideChains::Can(math)),
      wide_can_(WideChains::Can(math)),
      posits_(IsPositDot(math)),
      wide_(math, kernels),
      piece_(PieceOf(math), kernels) {
  CHECK(math.kind == FormatMathKind::kStep || math.kind == FormatMathKind::kFused);
}

template <class T>
OperandRange FormatChains<T>::Range(const T* x, size_t n) const {
  if (plan_.run == nullptr) return {};
  return RangeOf(plan_, math_.values.format, kernels_.extent(x, n));
}

template <class T>
void FormatChains<T>::Start(size_t rows, size_t panels) {
  const size_t n = rows * panels * kLanes;
  rows_ = rows;
  panels_ = panels;
  in_chunk_ = 0;
  if (sums_.size() < n) sums_ = AlignedArray<T>(n);
  std::fill_n(sums_.data(), n, T{0});
  if (rules_.chunk == 0) return;
  if (totals_.size() < n) totals_ = AlignedArray<T>(n);
  std::fill_n(totals_.data(), n, T{0});
}

template <class T>
void FormatChains<T>::Add(const PanelBlock<T>& panels, const RowBlock<T>& rows, size_t count) {
  for (size_t done = 0; done < count;) {
    const size_t room = rules_.chunk == 0 ? count : rules_.chunk - in_chunk_;
    const size_t n = std::min(count - done, room);
    AddSegment(panels, rows, done, n);
    done += n;
    in_chunk_ += n;
    if (in_chunk_ == rules_.chunk) EndChunk();
  }
}

template <class T>
void FormatChains<T>::AddSegment(const PanelBlock<T>& panels, const RowBlock<T>& rows, size_t from,
                                 size_t count) {
  left_.assign(panels_ * rows_, 1);
  if (plan_.run != nullptr) {
    const T* w[kChainPanels];
    T* sums[kChainPanels];
    for (size_t p = 0; p < panels_; ++p) {
      w[p] = panels.w[p] + from * kLanes;
      sums[p] = sums_.data() + p * rows_ * kLanes;
      for (size_t r = 0; r < rows_; ++r)
        left_[p * rows_ + r] = panels.range[p].low + rows.range[r].low < plan_.low ||
                               panels.range[p].high + rows.range[r].high > plan_.high;
    }
    ChainBlock<T> block{plan_.product, plan_.sum,          count,       w,    panels_,
                        rows.x,        rows.column + from, rows_,       sums, plan_.lowest,
                        plan_.highest, plan_.largest,      left_.data()};
    plan_.run(block);
    RunRest(block);
  }
  for (size_t r = 0; r < rows_; ++r) AddWide(panels, rows, r, from, count);
}

// What the fast loop left, where there is another.
template <class T>
void FormatChains<T>::RunRest(ChainBlock<T> block) {
  if (plan_.rest == nullptr) return;
  const auto is_left = [](uint8_t left) { return left != 0; };
  if (std::none_of(left_.begin(), left_.end(), is_left)) return;
  for (uint8_t& left : left_) left = left == 0 ? 1 : 0;  // those are done
  block.lowest = 0;
  block.highest = static_cast<typename ChainBlock<T>::Bits>(-1) >> 1;
  plan_.rest(block);
  std::fill(left_.begin(), left_.end(), uint8_t{0});
}

// The panels of a row that are left.
template <class T>
void FormatChains<T>::AddWide(const PanelBlock<T>& panels, const RowBlock<T>& rows, size_t row,
                              size_t from, size_t count) {
  size_t which[kChainPanels], n = 0;
  for (size_t p = 0; p < panels_; ++p)
    if (left_[p * rows_ + row] != 0) which[n++] = p;
  if (n == 0) return;
  const auto sums = [&](size_t i) { return sums_.data() + (which[i] * rows_ + row) * kLanes; };
  piece_.Start(n * kLanes);
  w_.resize(n * kLanes);
  for (size_t i = 0; i < n; ++i) Copy16(sums(i), piece_.sums() + i * kLanes);
  const T* const x = rows.x[row] + rows.column + from;
  for (size_t t = 0; t < count; ++t) {
    for (size_t i = 0; i < n; ++i)
      Copy16(panels.w[which[i]] + (from + t) * kLanes, w_.data() + i * kLanes);
    piece_.Add(static_cast<double>(x[t]), w_.data());
  }
  for (size_t i = 0; i < n; ++i)
    for (size_t l = 0; l < kLanes; ++l) sums(i)[l] = static_cast<T>(piece_.sums()[i * kLanes + l]);
}

template <class T>
void FormatChains<T>::EndChunk() {
  constexpr size_t kAtOnce = 512;
  const size_t n = rows_ * panels_ * kLanes;
  in_chunk_ = 0;
  for (size_t i = 0; i < n; i += kAtOnce) {
    const size_t size = std::min(kAtOnce, n - i);
    T *const total = totals_.data() + i, *const sum = sums_.data() + i;
    a_.assign(total, total + size);
    b_.assign(sum, sum + size);
    piece_.AddInto(a_.data(), b_.data(), size);
    for (size_t j = 0; j < size; ++j) total[j] = static_cast<T>(a_[j]);
  }
  std::fill_n(sums_.data(), n, T{0});
}

template <class T>
void FormatChains<T>::End(T* const* y, size_t valid) {
  if (rules_.chunk != 0 && in_chunk_ != 0) EndChunk();
  T* const result = rules_.chunk == 0 ? sums_.data() : totals_.data();
  const size_t n = rows_ * panels_ * kLanes;
  RoundRow(rules_.values, result, n, result, 0, 0, &row_kernels_);
  for (size_t i = 0; i < n; ++i)
    if (std::isnan(result[i])) result[i] = std::numeric_limits<T>::quiet_NaN();
  for (size_t r = 0; r < rows_; ++r)
    for (size_t p = 0; p < panels_; ++p)
      std::memcpy(y[r] + p * kLanes, result + (p * rows_ + r) * kLanes,
                  (p + 1 == panels_ ? valid : kLanes) * sizeof(T));
}

template <class T>
void FormatChains<T>::Singly(const T* const* w, size_t outputs, const T* x, size_t terms, T* y) {
  double sums[kPositDots];
  bool good[kPositDots] = {};
  for (size_t o = 0; o < outputs; ++o) {
    const T* const column = w[o / kLanes] + o % kLanes;
    // Those past `outputs` are there, and may be anything.
    if constexpr (sizeof(T) == sizeof(double))
      if (posits_ && o % kPositDots == 0) PositDots(math_, x, column, kLanes, terms, sums, good);
    y[o] = good[o % kPositDots] ? static_cast<T>(sums[o % kPositDots])
                                : static_cast<T>(FormatDotOf(rules_, terms, Strided<T>{x, 1},
                                                             Strided<T>{column, kLanes}));
  }
}

template <class T>
void FormatChains<T>::Whole(const T* const* w, size_t panels, const T* x, size_t terms, T* y,
                            size_t valid) {
  const size_t outputs = (panels - 1) * kLanes + valid;
  if (!wide_can_) return Singly(w, outputs, x, terms, y);
  wide_.Start(panels * kLanes);
  w_.resize(panels * kLanes);
  for (size_t i = 0; i < terms; ++i) {
    for (size_t p = 0; p < panels; ++p) Copy16(w[p] + i * kLanes, w_.data() + p * kLanes);
    wide_.Add(static_cast<double>(x[i]), w_.data());
  }
  const double* const result = wide_.End();
  for (size_t o = 0; o < outputs; ++o)
    y[o] = std::isnan(result[o]) ? std::numeric_limits<T>::quiet_NaN() : static_cast<T>(result[o]);
}

template class FormatChains<float>;
template class FormatChains<double>;

}  // namespace vernier
