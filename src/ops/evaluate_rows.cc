#include "ops/evaluate_rows.h"

#include <algorithm>

#include "base/result.h"
#include "kernels/arranged.h"
#include "kernels/panels.h"

namespace vernier {
namespace {

void RunMatMul(const Kernels& k, const MatMulArgs<float>& args) { k.matmul_f32(args); }
void RunMatMul(const Kernels& k, const MatMulArgs<double>& args) { k.matmul_f64(args); }

// Panels that are packed at a time where the weights stay in the file.
constexpr size_t kPackedAtOnce = 4;

template <class T>
void PackedPanels(const PackedMatrix& w, const Kernels& kernels, MatMulArgs<T> args) {
  args.type = w.type;
  if (w.mapped == nullptr) {
    args.panels = w.Panel(args.first_panel);
    return RunMatMul(kernels, args);
  }
  AlignedArray<uint8_t> packed(kPackedAtOnce * w.stride);
  args.panels = packed.data();
  const size_t end = args.last_panel;
  for (; args.first_panel < end; args.first_panel = args.last_panel) {
    args.last_panel = std::min(args.first_panel + kPackedAtOnce, end);
    for (size_t p = args.first_panel; p < args.last_panel; ++p)
      PackPanelOf(w, p, w.mapped, w.row_bytes, packed.data() + (p - args.first_panel) * w.stride);
    RunMatMul(kernels, args);
  }
}

// Rows of X in `parts` as the calls for each of them read them, where they are enough to be worth
// it.
template <class T>
AlignedArray<T> Arrange(std::span<const T* const> x, size_t parts, size_t k, Workers& workers) {
  constexpr size_t kEnough = 32;
  if (x.size() < kEnough) return {};
  AlignedArray<T> out(ArrangedSize(x.size(), k));
  const size_t blocks = (k + kBlock - 1) / kBlock;
  workers.For(parts * blocks, 1, [&](size_t first, size_t last) {
    for (size_t i = first; i < last; ++i) {
      const size_t part = i / blocks, r0 = x.size() * part / parts,
                   r1 = x.size() * (part + 1) / parts;
      ArrangeBlock(x.data() + r0, r1 - r0, k, i % blocks * kBlock,
                   out.data() + ArrangedSize(r0, k));
    }
  });
  return out;
}

// Work is split over panels first (each worker reads its own part of the weights), and over rows
// where there are many. Panels go in fours, which a kernel runs side by side.
template <class T>
void MatMulRows(const RowsArgs<T>& args, const Machine& machine) {
  const size_t panels = (args.shape.width + kLanes - 1) / kLanes, rows = args.out.size();
  const size_t parts = std::max<size_t>(1, rows / 384);
  const size_t panels_a_task =
      std::max<size_t>(4, panels / (8 * static_cast<size_t>(machine.workers->threads())) / 4 * 4);
  const size_t strips = (panels + panels_a_task - 1) / panels_a_task;
  const size_t k = args.shape.in_width;
  const AlignedArray<T> arranged_rows = Arrange<T>(args.a, parts, k, *machine.workers);
  machine.workers->For(strips * parts, 1, [&](size_t first, size_t last) {
    for (size_t task = first; task < last; ++task) {
      const size_t strip = task % strips, part = task / strips;
      const size_t r0 = rows * part / parts, r1 = rows * (part + 1) / parts;
      const size_t first_panel = strip * panels_a_task,
                   last_panel = std::min(panels, first_panel + panels_a_task);
      const T* const* x = args.a.data() + r0;
      T* const* y = args.out.data() + r0;
      const T* arranged =
          arranged_rows.size() == 0 ? nullptr : arranged_rows.data() + ArrangedSize(r0, k);
      if constexpr (sizeof(T) == sizeof(double)) {
        if (args.weight.wide_matrix != nullptr) {
          machine.kernels->matmul_f64_wide({args.weight.wide_matrix->data.data(), k,
                                            args.shape.width, first_panel, last_panel, x, r1 - r0,
                                            y, arranged});
          continue;
        }
      }
      CHECK(args.weight.matrix != nullptr);
      PackedPanels(*args.weight.matrix, *machine.kernels,
                   MatMulArgs<T>{TensorType::kF32, nullptr, k, args.shape.width, first_panel,
                                 last_panel, x, r1 - r0, y, arranged});
    }
  });
}

template <class T>
void OneRow(const RowsArgs<T>& args, const RowKernels<T>& kernels, size_t r) {
  const size_t n = args.shape.width;
  const T* a = args.a[r];
  T* out = args.out[r];
  switch (args.op) {
    case OpKind::kNormalise:
      for (size_t i = 0; i < n; i += n / args.shape.groups)
        kernels.normalise(a + i, n / args.shape.groups, static_cast<T>(args.shape.eps), out + i);
      return;
    case OpKind::kMultiply:
      return kernels.multiply(a, args.weight.vector, n, out);
    case OpKind::kBias:
      return kernels.add(a, args.weight.vector, n, out);
    case OpKind::kAdd:
      return kernels.add(a, args.b[r], n, out);
    case OpKind::kSwiGlu:
      return kernels.swiglu(a, args.b[r], n, out);
    case OpKind::kSilu:
      return kernels.silu(a, n, out);
    case OpKind::kSoftplus:
      return kernels.softplus(a, n, out);
    case OpKind::kClamp: {
      const T low = static_cast<T>(args.shape.low), high = static_cast<T>(args.shape.high);
      for (size_t i = 0; i < n; ++i) out[i] = a[i] < low ? low : a[i] > high ? high : a[i];
      return;
    }
    case OpKind::kRope: {
      const RopeTable& rope = *args.rope;
      const auto rotate =
          rope.spec().layout == RopeLayout::kHalves ? kernels.rope_halves : kernels.rope_neighbours;
      return rotate(a, args.shape.heads, args.shape.head_dim, rope.Cos<T>(args.positions[r]),
                    rope.Sin<T>(args.positions[r]), rope.pairs(), out);
    }
    default:
      CHECK(false && "op without a row kernel");
  }
}

}  // namespace

template <class T>
void EvaluateRows(const RowsArgs<T>& args, const Machine& machine) {
  if (args.op == OpKind::kMatMul) return MatMulRows(args, machine);
  const RowKernels<T>& kernels = RowKernelsOf<T>(*machine.kernels);
  const size_t grain = std::max<size_t>(1, 16384 / std::max<size_t>(args.shape.width, 1));
  machine.workers->For(args.out.size(), grain, [&](size_t first, size_t last) {
    for (size_t r = first; r < last; ++r) OneRow(args, kernels, r);
  });
}

template void EvaluateRows(const RowsArgs<float>&, const Machine&);
template void EvaluateRows(const RowsArgs<double>&, const Machine&);

}  // namespace vernier
