#include "ops/format_scan.h"

#include <algorithm>
#include <vector>

#include "base/result.h"
#include "ops/format_functions.h"
#include "ops/format_product.h"
#include "ops/format_row_ops.h"

namespace vernier {
namespace {

// Element (row, column) of a matrix in panels.
double At(const Panels<double>& m, size_t row, size_t column) {
  return m.data[(row / kLanes * m.k + column) * kLanes + row % kLanes];
}

// What a state is rounded into.
const FormatRounding& StateRounding(const FormatMath& math) {
  return math.kind == FormatMathKind::kQuire ? math.values : math.sum.partial;
}

// Whether a sum of few terms is one row operation a term: partial sums that are doubles, in order.
bool ByRows(const FormatMath& math) {
  constexpr int kBits = 53;
  return math.kind != FormatMathKind::kQuire && math.sum.order == SumOrder::kSequential &&
         math.sum.chunk == 0 && math.values.format.precision <= kBits &&
         math.sum.partial.format.precision <= kBits;
}

template <class T>
class Convolver {
 public:
  Convolver(const FormatConvolutionArgs<T>& args, const Kernels& kernels)
      : args_(args),
        values_(*args.math, args.math->values, kernels),
        sums_(*args.math, StateRounding(*args.math), kernels),
        weights_(args.shape.taps * args.shape.width) {
    for (size_t i = 0; i < args.shape.taps; ++i)
      for (size_t c = 0; c < args.shape.width; ++c)
        weights_[i * args.shape.width + c] = At(*args.weight, c, i);
    RoundRow(OperandSpec(args.math->values), weights_.data(), weights_.size());
  }

  void Row(size_t r) const {
    if (ByRows(*args_.math)) {
      RowByTaps(r);
    } else {
      RowByChannels(r);
    }
  }

 private:
  void RowByTaps(size_t r) const {
    const size_t width = args_.shape.width;
    std::vector<double> sum(width), x(width);
    for (size_t i = 0; i < args_.shape.taps; ++i) {
      const T* const row = args_.x[r * args_.shape.taps + i];
      const double* const w = weights_.data() + i * width;
      if (row == nullptr) {
        std::fill(x.begin(), x.end(), 0.0);
      } else {
        std::copy_n(row, width, x.data());
      }
      if (args_.math->kind == FormatMathKind::kStep) {
        values_.Product(x.data(), w, width, x.data());
        sums_.Sum(sum.data(), x.data(), width, sum.data());
      } else {
        sums_.Fused(x.data(), w, sum.data(), width, sum.data());
      }
    }
    values_.Round(sum.data(), width, sum.data());
    ToHost(sum.data(), width, args_.out[r]);
  }

  void RowByChannels(size_t r) const {
    const size_t width = args_.shape.width, taps = args_.shape.taps;
    std::vector<T> x(taps), w(taps);
    for (size_t c = 0; c < width; ++c) {
      for (size_t i = 0; i < taps; ++i) {
        const T* const row = args_.x[r * taps + i];
        x[i] = row == nullptr ? T{0} : row[c];
        w[i] = static_cast<T>(weights_[i * width + c]);
      }
      args_.out[r][c] = FormatDot(*args_.math, x.data(), 1, w.data(), 1, taps);
    }
  }

  const FormatConvolutionArgs<T>& args_;
  const FormatRowOps values_, sums_;
  std::vector<double> weights_;  // [taps][width]
};

// Some channels through the tokens of sequences.
template <class T>
class Scanner {
 public:
  Scanner(const FormatScanArgs<T>& args, const Kernels& kernels, size_t first, size_t last)
      : args_(args),
        values_(*args.math, args.math->values, kernels),
        sums_(*args.math, StateRounding(*args.math), kernels),
        operands_(OperandSpec(args.math->values)),
        states_(OperandSpec(StateRounding(*args.math))),
        first_(first),
        channels_(last - first),
        n_(args.shape.states),
        of_head_(args.shape.heads > 0 ? args.shape.width / args.shape.heads : 1),
        of_group_(args.shape.width / args.shape.groups),
        size_(channels_ * n_),
        rates_(size_),
        h_(size_),
        panel_((channels_ + kLanes - 1) / kLanes * kLanes * n_) {
    if (args.shape.heads > 0) {
      first_head_ = first / of_head_;
      rates_.resize((last - 1) / of_head_ + 1 - first_head_);
      for (size_t h = 0; h < rates_.size(); ++h) rates_[h] = At(*args.weight, first_head_ + h, 0);
    } else {
      for (size_t c = 0; c < channels_; ++c)
        for (size_t i = 0; i < n_; ++i) rates_[c * n_ + i] = At(*args.weight, first + c, i);
    }
    RoundRow(operands_, rates_.data(), rates_.size());
    for (auto* row : {&a_, &u_, &d_, &b_}) row->resize(size_);
  }

  void Run(size_t sequence) {
    const ScanSequence<T>& s = args_.sequences[sequence];
    std::vector<T> passing(args_.treat ? size_ : 0);  // the state where it is not kept
    Load(s.start == nullptr ? nullptr : s.start + first_ * n_);
    for (size_t t = 0; t < s.dt.size(); ++t) {
      Step(s.dt[t], s.x[t] + first_, s.b[t]);
      T* const kept = s.kept[t] == nullptr ? nullptr : s.kept[t] + first_ * n_;
      T* const state = kept == nullptr && args_.treat ? passing.data() : kept;
      if (state != nullptr) ToHost(h_.data(), size_, state);
      if (args_.treat) {
        args_.treat(sequence, t, state);
        Load(state);
      }
      if (s.y[t] != nullptr) ReadGroups(s.c[t], s.y[t] + first_);
    }
  }

 private:
  void Load(const T* state) {
    if (state == nullptr) {
      std::fill(h_.begin(), h_.end(), 0.0);
    } else {
      std::copy_n(state, size_, h_.data());
      RoundRow(states_, h_.data(), size_);
    }
  }

  // What each channel has for all its states.
  void Spread(const T* row, std::vector<double>* out) const {
    for (size_t c = 0; c < channels_; ++c) std::fill_n(out->data() + c * n_, n_, double{row[c]});
  }

  size_t HeadOf(size_t c) const { return (first_ + c) / of_head_ - first_head_; }
  size_t GroupOf(size_t c) const { return (first_ + c) / of_group_; }

  // a = R(exp(R(dt * A))) in a_ and the steps in d_, for every number of the state.
  void Decays(const T* dt) {
    const auto exponentials = [&](std::vector<double>* row, size_t n) {
      values_.Product(d_.data(), rates_.data(), n, row->data());
      RoundedRow(FormatFunction::kExp, values_.spec(), values_.kernels(), row->data(), n,
                 row->data());
    };
    if (args_.shape.heads == 0) {
      Spread(dt + first_, &d_);
      return exponentials(&a_, size_);
    }
    const size_t heads = rates_.size();
    std::vector<double> decays(heads);
    std::copy_n(dt + first_head_, heads, d_.data());
    exponentials(&decays, heads);
    for (size_t c = 0; c < channels_; ++c) {
      std::fill_n(a_.data() + c * n_, n_, decays[HeadOf(c)]);
      std::fill_n(d_.data() + c * n_, n_, double{dt[first_head_ + HeadOf(c)]});
    }
  }

  void Step(const T* dt, const T* x, const T* b) {
    Decays(dt);
    Spread(x, &u_);
    values_.Product(d_.data(), u_.data(), size_, u_.data());
    for (size_t c = 0; c < channels_; ++c) std::copy_n(b + GroupOf(c) * n_, n_, b_.data() + c * n_);
    if (args_.math->kind == FormatMathKind::kQuire)
      return sums_.TwoProducts(a_.data(), h_.data(), u_.data(), b_.data(), size_, h_.data());
    values_.Product(u_.data(), b_.data(), size_, d_.data());
    if (args_.math->kind == FormatMathKind::kFused)
      return sums_.Fused(a_.data(), h_.data(), d_.data(), size_, h_.data());
    values_.Product(a_.data(), h_.data(), size_, a_.data());
    sums_.Sum(a_.data(), d_.data(), size_, h_.data());
  }

  void ReadGroups(const T* c, T* y) {
    RoundRow(operands_, h_.data(), size_, a_.data());
    for (size_t first = 0, end = 0; first < channels_; first = end) {
      const size_t group = GroupOf(first);
      end = std::min(channels_, (group + 1) * of_group_ - first_);
      Read(c + group * n_, first, end, y + first);
    }
  }

  void Read(const T* c, size_t first, size_t end, T* y) {
    for (size_t i = 0; i < end - first; ++i)
      for (size_t n = 0; n < n_; ++n)
        panel_[(i / kLanes * n_ + n) * kLanes + i % kLanes] =
            static_cast<T>(a_[(first + i) * n_ + n]);
    const T* const in[] = {c};
    T* const out[] = {y};
    EvaluateFormatChains<T>({args_.math, panel_.data(), n_ * kLanes, end - first, n_, in, {}, out},
                            values_.kernels());
  }

  const FormatScanArgs<T>& args_;
  const FormatRowOps values_, sums_;
  const RoundSpec operands_, states_;
  const size_t first_, channels_, n_, of_head_, of_group_, size_;
  size_t first_head_ = 0;
  std::vector<double> rates_, h_, a_, u_, d_, b_;
  std::vector<T> panel_;
};

// Sequences that begin where another of them was, together, in order.
template <class T>
std::vector<std::vector<size_t>> ChainsOf(std::span<const ScanSequence<T>> sequences) {
  std::vector<std::vector<size_t>> chains;
  std::vector<size_t> chain_of(sequences.size());
  for (size_t i = 0; i < sequences.size(); ++i) {
    const int after = sequences[i].after;
    CHECK(after < static_cast<int>(i));
    if (after < 0) chains.emplace_back();
    chain_of[i] = after < 0 ? chains.size() - 1 : chain_of[static_cast<size_t>(after)];
    chains[chain_of[i]].push_back(i);
  }
  return chains;
}

}  // namespace

template <class T>
void EvaluateFormatConvolution(const FormatConvolutionArgs<T>& args, const Machine& machine) {
  const Convolver<T> convolver(args, *machine.kernels);
  const size_t grain = std::max<size_t>(1, 4096 / std::max<size_t>(args.shape.width, 1));
  machine.workers->For(args.out.size(), grain, [&](size_t first, size_t last) {
    for (size_t r = first; r < last; ++r) convolver.Row(r);
  });
}

template <class T>
void EvaluateFormatScan(const FormatScanArgs<T>& args, const Machine& machine) {
  if (args.treat) {  // a treatment sees the whole state
    const auto chains = ChainsOf<T>(args.sequences);
    machine.workers->For(chains.size(), 1, [&](size_t first, size_t last) {
      Scanner<T> scanner(args, *machine.kernels, 0, args.shape.width);
      for (size_t c = first; c < last; ++c)
        for (const size_t i : chains[c]) scanner.Run(i);
    });
    return;
  }
  // Channels are independent: each worker takes some through all sequences in order.
  constexpr size_t kChannels = 4 * kLanes;
  const size_t blocks = (args.shape.width + kChannels - 1) / kChannels;
  machine.workers->For(blocks, 1, [&](size_t first, size_t last) {
    for (size_t block = first; block < last; ++block) {
      Scanner<T> scanner(args, *machine.kernels, block * kChannels,
                         std::min(args.shape.width, (block + 1) * kChannels));
      for (size_t i = 0; i < args.sequences.size(); ++i) scanner.Run(i);
    }
  });
}

template void EvaluateFormatConvolution(const FormatConvolutionArgs<float>&, const Machine&);
template void EvaluateFormatConvolution(const FormatConvolutionArgs<double>&, const Machine&);
template void EvaluateFormatScan(const FormatScanArgs<float>&, const Machine&);
template void EvaluateFormatScan(const FormatScanArgs<double>&, const Machine&);

}  // namespace vernier
