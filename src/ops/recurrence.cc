#include "ops/recurrence.h"

#include <algorithm>

#include "base/result.h"

namespace vernier {
namespace {

template <class T>
ScanArgs<T> KernelArgs(const ScanSequencesArgs<T>& args, const ScanSequence<T>& s, T* scratch) {
  ScanArgs<T> a{};
  a.panels = args.weight->data.data();
  a.width = args.shape.width;
  a.states = args.shape.states;
  a.last_panel = args.weight->Count();
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

// A treatment sees the whole state, so all channels take a step before the next.
template <class T>
void TreatedSequence(const ScanSequencesArgs<T>& args, size_t index, const RowKernels<T>& kernels,
                     T* scratch) {
  const ScanSequence<T>& s = args.sequences[index];
  ScanArgs<T> a = KernelArgs(args, s, scratch);
  AlignedArray<T> passing(a.width * a.states);  // the state where it is not kept
  T* const unread = nullptr;
  T* state = nullptr;
  a.tokens = 1;
  a.y = &unread;
  a.kept = &state;
  for (size_t t = 0; t < s.dt.size(); ++t) {
    state = s.kept[t] != nullptr ? s.kept[t] : passing.data();
    (args.scan != nullptr ? args.scan : kernels.scan)(a);
    args.treat(index, t, state);
    if (s.y[t] != nullptr) kernels.read_state(state, s.c[t], a.states, a.width, s.y[t], scratch);
    a.start = state;
    ++a.dt, ++a.x, ++a.b, ++a.c;
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
  const size_t scratch_size = args.shape.states * kLanes;
  if (!args.treat) {
    // Channels are independent: each worker takes some through all sequences in order.
    machine.workers->For(args.weight->Count(), 2, [&](size_t first, size_t last) {
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
