#include "ops/evaluate_rows.h"

#include <algorithm>

#include "base/result.h"
#include "kernels/even_rows.h"
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

// Rows that lie evenly in memory: the given ones, or copies where they do not and are enough to be
// worth it.
template <class T>
class EvenRows {
 public:
  EvenRows(std::span<const T* const> x, size_t k, const Machine& machine) : x_(x) {
    constexpr size_t kEnough = 32;
    if (x.size() < kEnough || StrideOf(x.data(), x.size(), k) > 0) return;
    const size_t stride = EvenStride<T>(k);
    storage_ = TakeArray<T>(machine, x.size() * stride);
    for (size_t r = 0; r < x.size(); ++r) copies_.push_back(storage_.get() + r * stride);
    machine.workers->For(x.size(), 8, [&](size_t first, size_t last) {
      for (size_t r = first; r < last; ++r) std::copy_n(x[r], k, storage_.get() + r * stride);
    });
    x_ = copies_;
  }
  EvenRows(const EvenRows&) = delete;
  EvenRows& operator=(const EvenRows&) = delete;
  const T* const* data() const { return x_.data(); }

 private:
  std::span<const T* const> x_;
  std::shared_ptr<T> storage_;
  std::vector<const T*> copies_;
};

// Work is split over panels first (each worker reads its own part of the weights), and over rows
// where there are many. Panels go in fours or twos, which a kernel runs side by side.
template <class T>
void MatMulRows(const RowsArgs<T>& args, const Machine& machine) {
  const size_t panels = (args.shape.width + kLanes - 1) / kLanes, rows = args.out.size();
  const size_t parts = std::max<size_t>(1, rows / 384), strip = rows <= 8 ? 4 : 2;
  const size_t strips = (panels + strip - 1) / strip, k = args.shape.in_width;
  const EvenRows<T> all(args.a, k, machine);
  const auto run = [&](size_t part, size_t first_panel, size_t last_panel) {
    const size_t r0 = rows * part / parts, r1 = rows * (part + 1) / parts;
    const T* const* x = all.data() + r0;
    T* const* y = args.out.data() + r0;
    if constexpr (sizeof(T) == sizeof(double)) {
      if (args.weight.wide_matrix != nullptr)
        return machine.kernels->matmul_f64_wide({args.weight.wide_matrix->data.data(), k,
                                                 args.shape.width, first_panel, last_panel, x,
                                                 r1 - r0, y});
    }
    CHECK(args.weight.matrix != nullptr);
    PackedPanels(*args.weight.matrix, *machine.kernels,
                 MatMulArgs<T>{TensorType::kF32, nullptr, k, args.shape.width, first_panel,
                               last_panel, x, r1 - r0, y});
  };
  machine.workers->For(strips * parts, 1, [&](size_t first, size_t last) {
    for (size_t next; first < last; first = next) {  // a part's strips in one go
      const size_t part = first / strips, at = first % strips;
      next = std::min(last, (part + 1) * strips);
      run(part, at * strip, std::min(panels, (at + next - first) * strip));
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

std::shared_ptr<std::byte> TakeBuffer(const Machine& machine, size_t bytes) {
  return machine.buffers != nullptr ? machine.buffers->Take(bytes) : BufferPool().Take(bytes);
}

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
