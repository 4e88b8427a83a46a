#include "ops/recurrence.h"

#include <algorithm>

#include "base/result.h"

namespace vernier {
namespace {

// Of sixteen channels, those of a group by themselves.
size_t ScanPanels(const OpShape& shape) {
  return shape.groups * ((shape.width / shape.groups + kLanes - 1) / kLanes);
}

template <class T>
ScanArgs<T> KernelArgs(const ScanSequencesArgs<T>& args, const ScanSequence<T>& s, T* scratch) {
  ScanArgs<T> a{};
  a.panels = args.weight->data.data();
  a.width = args.shape.width;
  a.states = args.shape.states;
  a.heads = args.shape.heads;
  a.groups = args.shape.groups;
  a.chunk = args.order.chunk;
  a.position = s.position;
  a.last_panel = ScanPanels(args.shape);
  a.tokens = s.dt.size();
  a.dt = s.dt.data();
  a.x = s.x.data();
  a.b = s.b.data();
  a.c = s.c.data();
  a.start = s.start;
  a.kept = s.kept.data();
  a.y = s.y.data();
  a.scratch = scratch;
  return a;
}

// A treatment sees the whole state, so all channels take the tokens up to the next that is treated
// before they go on.
template <class T>
void TreatedSequence(const ScanSequencesArgs<T>& args, size_t index, const RowKernels<T>& kernels,
                     T* scratch) {
  const ScanSequence<T>& s = args.sequences[index];
  const size_t size = args.shape.width * args.shape.states;
  ScanArgs<T> a = KernelArgs(args, s, scratch);
  AlignedArray<T> passing(StateSize(args.shape, args.order));  // where the state is not kept
  for (size_t first = 0, end = 0; first < s.dt.size(); first = end) {
    const size_t position = s.position + first;
    end = std::min(s.dt.size(), first + args.every - position % args.every);
    const size_t last = end - 1;
    const bool treated = (s.position + end) % args.every == 0;
    std::vector<T*> y(s.y.begin() + static_cast<std::ptrdiff_t>(first),
                      s.y.begin() + static_cast<std::ptrdiff_t>(end)),
        kept(s.kept.begin() + static_cast<std::ptrdiff_t>(first),
             s.kept.begin() + static_cast<std::ptrdiff_t>(end));
    if (treated) {
      y.back() = nullptr;
      if (kept.back() == nullptr) kept.back() = passing.data();
    }
    a.tokens = end - first;
    a.position = position;
    a.y = y.data();
    a.kept = kept.data();
    (args.scan != nullptr ? args.scan : kernels.scan)(a);
    a.dt += a.tokens, a.x += a.tokens, a.b += a.tokens, a.c += a.tokens;
    if (!treated) continue;
    T* const state = kept.back();
    args.treat(index, last, state);
    if (args.order.chunk > 0) BeginChunk(state, size);
    if (s.y[last] != nullptr)
      kernels.read_state(state, s.c[last], args.shape.states, args.shape.width, args.shape.groups,
                         s.y[last], scratch);
    a.start = state;
  }
}

}  // namespace

template <class T>
void EvaluateConvolution(const ConvolutionArgs<T>& args, const Machine& machine) {
  const RowKernels<T>& kernels = RowKernelsOf<T>(*machine.kernels);
  const size_t taps = args.shape.taps;
  const size_t grain = std::max<size_t>(1, 16384 / std::max<size_t>(args.shape.width, 1));
  machine.workers->For(args.out.size(), grain, [&](size_t first, size_t last) {
    for (size_t r = first; r < last; ++r)
      kernels.convolve(args.weight->data.data(), args.x.data() + r * taps, taps, args.shape.width,
                       args.out[r]);
  });
}

template <class T>
void EvaluateScan(const ScanSequencesArgs<T>& args, const Machine& machine) {
  const RowKernels<T>& kernels = RowKernelsOf<T>(*machine.kernels);
  const size_t scratch_size = 4 * args.shape.states * kLanes;
  if (!args.treat) {
    // Channels are independent: each worker takes some through all sequences in order.
    machine.workers->For(ScanPanels(args.shape), args.shape.heads > 0 ? 4 : 2,
                         [&](size_t first, size_t last) {
                           AlignedArray<T> scratch(scratch_size);
                           for (const ScanSequence<T>& s : args.sequences) {
                             ScanArgs<T> a = KernelArgs(args, s, scratch.data());
                             a.first_panel = first;
                             a.last_panel = last;
                             (args.scan != nullptr ? args.scan : kernels.scan)(a);
                           }
                         });
    return;
  }
  std::vector<std::vector<size_t>> chains;  // sequences that begin where another of them was
  std::vector<size_t> chain_of(args.sequences.size());
  for (size_t i = 0; i < args.sequences.size(); ++i) {
    const int after = args.sequences[i].after;
    CHECK(after < static_cast<int>(i));
    if (after < 0) chains.emplace_back();
    chain_of[i] = after < 0 ? chains.size() - 1 : chain_of[static_cast<size_t>(after)];
    chains[chain_of[i]].push_back(i);
  }
  machine.workers->For(chains.size(), 1, [&](size_t first, size_t last) {
    AlignedArray<T> scratch(scratch_size);
    for (size_t c = first; c < last; ++c)
      for (const size_t i : chains[c]) TreatedSequence(args, i, kernels, scratch.data());
  });
}

template void EvaluateConvolution(const ConvolutionArgs<float>&, const Machine&);
template void EvaluateConvolution(const ConvolutionArgs<double>&, const Machine&);
template void EvaluateScan(const ScanSequencesArgs<float>&, const Machine&);
template void EvaluateScan(const ScanSequencesArgs<double>&, const Machine&);

}  // namespace vernier
