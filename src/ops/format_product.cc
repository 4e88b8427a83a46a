#include "ops/format_product.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/result.h"
#include "formats/exact_sum.h"
#include "ops/exact_product.h"
#include "ops/format_chains.h"
#include "ops/format_dot.h"
#include "ops/format_weights.h"

namespace vernier {
namespace {

// Formats that float32 does for: twice their precision and two bits more is what it has, so that
// rounding twice to nearest is rounding once (Figueroa 1995), and their numbers are its normal ones
// or where it has all that they have. Of posits the sum is what takes an argument
// (docs/arithmetic.md).
bool HostedByFloat(const Format& format) {
  constexpr int kMost = 11, kEmin = -126, kEmax = 127;
  if (format.kind == FormatKind::kPosit) return format.bits <= 16 && format.es == 2;
  return format.precision <= kMost && format.emin >= kEmin && format.emax <= kEmax;
}

}  // namespace

Arithmetic FormatMathHost(const FormatMath& math) {
  const Format& values = math.values.format;
  // What partial sums are is of no matter to exact sums.
  const bool sums = math.kind != FormatMathKind::kQuire;
  const Format& partial = sums ? math.sum.partial.format : values;
  const Format& into = sums && math.sum.chunk != 0 ? math.sum.into.format : partial;
  const Format float32 = FindFormat("f32").value();
  const auto is_float = [&](const Format& f) { return f == float32; };
  const bool f32 = (HostedByFloat(values) || is_float(values)) &&
                   (is_float(partial) || (HostedByFloat(partial) && !is_float(values))) &&
                   (is_float(into) || (HostedByFloat(into) && !is_float(partial)));
  return f32 ? Arithmetic::kF32 : Arithmetic::kF64;
}

RoundSpec SpecOf(const FormatRounding& r) {
  return MakeRoundSpec(r.format, r.rounding, r.overflow, r.flush);
}

template <class T>
T FormatDot(const FormatMath& math, const T* x, size_t x_stride, const T* w, size_t w_stride,
            size_t n) {
  if (math.kind == FormatMathKind::kQuire)
    return ExactDot(SpecOf(math.values), x, x_stride, w, w_stride, n);
  const FormatRules rules = MakeFormatRules(math);
  return static_cast<T>(FormatDotOf(rules, n, Strided<T>{x, x_stride}, Strided<T>{w, w_stride}));
}

namespace {

// Panels in memory, numbers of the format already, with some rows that have equally many terms.
template <class T>
class MemoryChains {
 public:
  MemoryChains(const FormatChainsArgs<T>& args, const Kernels& kernels)
      : args_(args), chains_(*args.math, kernels) {
    if (!chains_.by_blocks()) return;
    const size_t most =
        args.terms.empty() ? args.k : *std::max_element(args.terms.begin(), args.terms.end());
    blocks_ = (most + kBlock - 1) / kBlock;
    const size_t panels = (args.outputs + kLanes - 1) / kLanes;
    ranges_.resize(panels * blocks_);
    for (size_t p = 0; p < panels; ++p)
      for (size_t b = 0; b < blocks_; ++b)
        ranges_[p * blocks_ + b] =
            chains_.Range(Weights(p, b * kBlock), std::min(kBlock, most - b * kBlock) * kLanes);
  }

  void Run(size_t first_row, size_t last_row, size_t terms) {
    const size_t panels = (args_.outputs + kLanes - 1) / kLanes;
    for (size_t p = 0; p < panels; p += kChainPanels) {
      const size_t count = std::min(kChainPanels, panels - p);
      const size_t valid = std::min(kLanes, args_.outputs - (p + count - 1) * kLanes);
      if (chains_.by_blocks()) {
        Blocks(p, count, first_row, last_row, terms, valid);
      } else {
        Whole(p, count, first_row, last_row, terms, valid);
      }
    }
  }

 private:
  const T* Weights(size_t panel, size_t i) const {
    return args_.panels + panel * args_.panel_stride + i * kLanes;
  }
  void Blocks(size_t panel, size_t panels, size_t first_row, size_t last_row, size_t terms,
              size_t valid) {
    const size_t rows = last_row - first_row;
    chains_.Start(rows, panels);
    x_ranges_.resize(rows);
    for (size_t b = 0; b * kBlock < terms; ++b) {
      const size_t k0 = b * kBlock, count = std::min(kBlock, terms - k0);
      PanelBlock<T> block{panels, {}, {}};
      for (size_t p = 0; p < panels; ++p) {
        block.w[p] = Weights(panel + p, k0);
        block.range[p] = ranges_[(panel + p) * blocks_ + b];
      }
      for (size_t r = 0; r < rows; ++r)
        x_ranges_[r] = chains_.Range(args_.x[first_row + r] + k0, count);
      chains_.Add(block, {rows, args_.x.data() + first_row, k0, x_ranges_.data()}, count);
    }
    y_.clear();
    for (size_t r = first_row; r < last_row; ++r) y_.push_back(args_.y[r] + panel * kLanes);
    chains_.End(y_.data(), valid);
  }
  void Whole(size_t panel, size_t panels, size_t first_row, size_t last_row, size_t terms,
             size_t valid) {
    const T* w[kChainPanels];
    for (size_t p = 0; p < panels; ++p) w[p] = Weights(panel + p, 0);
    for (size_t r = first_row; r < last_row; ++r)
      chains_.Whole(w, panels, args_.x[r], terms, args_.y[r] + panel * kLanes, valid);
  }

  const FormatChainsArgs<T>& args_;
  FormatChains<T> chains_;
  size_t blocks_ = 0;
  std::vector<OperandRange> ranges_, x_ranges_;  // by panel and block; by row
  std::vector<T*> y_;
};

// The rows that one worker runs a group of panels with: their sums (128 KB of doubles) and a block
// of the panels stay in the L2 cache.
constexpr size_t kRowsAtOnce = 256;

// What the workers share.
template <class T>
struct SharedProduct {
  const FormatProductArgs<T>& args;
  const Kernels& kernels;
  size_t blocks;
  std::vector<OperandRange> ranges;  // of x, by block and row
};

// The panels [first, last), at most kChainPanels, in blocks of columns.
template <class T>
void BlocksOfPanels(const SharedProduct<T>& product, FormatChains<T>& chains,
                    FormatWeights<T>& weights, T* scratch, size_t first, size_t last) {
  const FormatProductArgs<T>& args = product.args;
  const size_t rows = args.x.size(), panels = last - first;
  std::vector<T*> y(rows);
  for (size_t r = 0; r < rows; ++r) y[r] = args.y[r] + first * kLanes;
  chains.Start(rows, panels);
  for (size_t b = 0; b < product.blocks; ++b) {
    const size_t k0 = b * kBlock, count = std::min(kBlock, args.k - k0);
    PanelBlock<T> block{panels, {}, {}};
    for (size_t p = 0; p < panels; ++p) {
      T* const w = scratch + p * kBlock * kLanes;
      weights.Load(first + p, k0, count, w);
      block.w[p] = w;
      block.range[p] = chains.Range(w, count * kLanes);
    }
    chains.Add(block, {rows, args.x.data(), k0, product.ranges.data() + b * rows}, count);
  }
  chains.End(y.data(), std::min(kLanes, args.outputs - (last - 1) * kLanes));
}

template <class T>
void WholePanels(const SharedProduct<T>& product, FormatChains<T>& chains,
                 FormatWeights<T>& weights, T* scratch, size_t first, size_t last) {
  const FormatProductArgs<T>& args = product.args;
  const T* w[kChainPanels];
  for (size_t p = first; p < last; ++p) {
    T* const to = scratch + (p - first) * args.k * kLanes;
    weights.Load(p, 0, args.k, to);
    w[p - first] = to;
  }
  for (size_t r = 0; r < args.x.size(); ++r)
    chains.Whole(w, last - first, args.x[r], args.k, args.y[r] + first * kLanes,
                 std::min(kLanes, args.outputs - (last - 1) * kLanes));
}

template <class T>
void ProductOfRows(const FormatProductArgs<T>& args, const Machine& machine) {
  const size_t rows = args.x.size(), panels = (args.outputs + kLanes - 1) / kLanes;
  SharedProduct<T> product{args, *machine.kernels, (args.k + kBlock - 1) / kBlock, {}};
  const FormatChains<T> look(*args.math, *machine.kernels);
  const bool by_blocks = look.by_blocks();
  if (by_blocks) {
    product.ranges.resize(product.blocks * rows);
    machine.workers->For(product.blocks, 4, [&](size_t first, size_t last) {
      for (size_t b = first; b < last; ++b)
        for (size_t r = 0; r < rows; ++r)
          product.ranges[b * rows + r] =
              look.Range(args.x[r] + b * kBlock, std::min(kBlock, args.k - b * kBlock));
    });
  }
  const size_t groups = (panels + kChainPanels - 1) / kChainPanels;
  machine.workers->For(groups, 1, [&](size_t first, size_t last) {
    FormatChains<T> chains(*args.math, *machine.kernels);
    FormatWeights<T> weights(args.matrix, args.wide_matrix, args.math->values, *machine.kernels);
    AlignedArray<T> scratch(kChainPanels * kLanes * (by_blocks ? kBlock : args.k));
    for (size_t g = first; g < last; ++g) {
      const auto run = by_blocks ? BlocksOfPanels<T> : WholePanels<T>;
      run(product, chains, weights, scratch.data(), g * kChainPanels,
          std::min(panels, (g + 1) * kChainPanels));
    }
  });
}

}  // namespace

template <class T>
void EvaluateFormatChains(const FormatChainsArgs<T>& args, const Kernels& kernels) {
  if (args.y.empty() || args.outputs == 0) return;
  if (args.math->kind == FormatMathKind::kQuire)
    return EvaluateExactChains<T>({args.math->values, args.panels, args.panel_stride, args.outputs,
                                   args.k, args.x, args.terms, args.y},
                                  kernels);
  MemoryChains<T> chains(args, kernels);
  if (args.terms.empty()) return chains.Run(0, args.y.size(), args.k);
  for (size_t r = 0, end; r < args.y.size(); r = end) {
    for (end = r + 1; end < args.y.size() && args.terms[end] == args.terms[r];) ++end;
    chains.Run(r, end, args.terms[r]);
  }
}

template <class T>
void EvaluateFormatProduct(const FormatProductArgs<T>& args, const Machine& machine) {
  if (args.math->kind == FormatMathKind::kQuire)
    return EvaluateExactProduct<T>(
        {args.math->values, args.matrix, args.wide_matrix, args.x, args.y}, machine);
  for (size_t r = 0; r < args.x.size(); r += kRowsAtOnce) {
    FormatProductArgs<T> part = args;
    const size_t rows = std::min(kRowsAtOnce, args.x.size() - r);
    part.x = args.x.subspan(r, rows);
    part.y = args.y.subspan(r, rows);
    ProductOfRows(part, machine);
  }
}

template float FormatDot(const FormatMath&, const float*, size_t, const float*, size_t, size_t);
template double FormatDot(const FormatMath&, const double*, size_t, const double*, size_t, size_t);
template void EvaluateFormatChains(const FormatChainsArgs<float>&, const Kernels&);
template void EvaluateFormatChains(const FormatChainsArgs<double>&, const Kernels&);
template void EvaluateFormatProduct(const FormatProductArgs<float>&, const Machine&);
template void EvaluateFormatProduct(const FormatProductArgs<double>&, const Machine&);

}  // namespace vernier
