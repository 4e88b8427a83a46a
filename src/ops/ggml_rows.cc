#include "ops/ggml_rows.h"

#include <algorithm>
#include <map>
#include <mutex>

#include "base/result.h"
#include "kernels/panels.h"
#include "ops/elementary.h"
#include "ops/glibc_math.h"

namespace vernier {

GgmlRowBatch RowBatch(const GgmlBatching& batching, bool selected, size_t position) {
  switch (batching.rows) {
    case GgmlBatching::Rows::kMany:
      return {};
    case GgmlBatching::Rows::kOne:
      return {1, false};
    case GgmlBatching::Rows::kPrompt:
      break;
  }
  if (selected || position >= batching.prompt) return {1, false};
  return {batching.prompt, position < batching.prompt / 4 * 4};
}

GgmlOrder ProductOrder(TensorType type, size_t outputs, size_t k, bool repack, GgmlRowBatch batch) {
  if (repack && GgmlRepacks(type, outputs)) {
    const bool super = GgmlBlock(type) == 256;  // the others have one order for both
    return super && batch.in_four ? GgmlOrder::kGemm : GgmlOrder::kGemv;
  }
  const size_t least = type == TensorType::kIQ4_XS ? 8 : 2;
  return batch.rows >= least && GgmlBatchDiffers(type, outputs, k) ? GgmlOrder::kBatch
                                                                   : GgmlOrder::kDot;
}

GgmlRopeTable::GgmlRopeTable(const RopeSpec& spec) : spec_(spec), pairs_(spec.rotated / 2) {}

void GgmlRopeTable::Extend(size_t positions) {
  if (pairs_ == 0) return;
  const size_t have = cos_.size() / pairs_;
  if (positions <= have) return;
  cos_.resize(positions * pairs_);
  sin_.resize(positions * pairs_);
  const float exponent = -2.0f / static_cast<float>(spec_.rotated);
  const float step = static_cast<float>(
      Power(static_cast<double>(static_cast<float>(spec_.theta)), static_cast<double>(exponent)));
  const float scale = static_cast<float>(1.0 / spec_.scale);
  for (size_t p = have; p < positions; ++p) {
    float angle = static_cast<float>(p);
    for (size_t i = 0; i < pairs_; ++i) {
      const float factor = spec_.factors.empty() ? 1.0f : static_cast<float>(spec_.factors[i]);
      const FloatSinCos value = GlibcSinCos(scale * (angle / factor));
      cos_[p * pairs_ + i] = value.cos;
      sin_[p * pairs_ + i] = value.sin;
      angle *= step;
    }
  }
}

namespace {

void OneRow(const RowsArgs<float>& args, const GgmlRopeTable& rope, const Kernels& kernels,
            size_t r) {
  const size_t n = args.shape.width;
  const float* a = args.a[r];
  float* out = args.out[r];
  switch (args.op) {
    case OpKind::kNormalise: {
      const float scale = kernels.ggml.norm_scale(a, n, static_cast<float>(args.shape.eps));
      for (size_t i = 0; i < n; ++i) out[i] = a[i] * scale;
      return;
    }
    case OpKind::kMultiply:
      return kernels.f32.multiply(a, args.weight.vector, n, out);
    case OpKind::kBias:
      return kernels.f32.add(a, args.weight.vector, n, out);
    case OpKind::kAdd:
      return kernels.f32.add(a, args.b[r], n, out);
    case OpKind::kSwiGlu:
      return kernels.ggml.swiglu(a, args.b[r], n, out);
    case OpKind::kSilu:
      return kernels.ggml.silu(a, n, out);
    case OpKind::kSoftplus:
      for (size_t i = 0; i < n; ++i) out[i] = a[i] > 20.0f ? a[i] : GlibcLog(1.0f + GlibcExp(a[i]));
      return;
    case OpKind::kRope: {
      const size_t p = args.positions[r];
      return kernels.ggml.rope(a, args.shape.heads, args.shape.head_dim, rope.Cos(p), rope.Sin(p),
                               args.rope->pairs(), args.rope->spec().layout == RopeLayout::kHalves,
                               out);
    }
    default:
      CHECK(false && "op without a row in ggml's arithmetic");
  }
}

// Rows quantised for a product, in one piece of memory by kind.
class Quantised {
 public:
  Quantised(GgmlActivation activation, size_t block, size_t n, size_t k)
      : activation_(activation), k_(k), blocks_(k / block), rows_(n) {
    const bool plain = block == 1;
    if (plain) values_ = AlignedArray<float>(n * k);
    if (!plain) codes_ = AlignedArray<int8_t>(n * k);
    if (!plain) d_ = AlignedArray<float>(n * blocks_);
    if (activation == GgmlActivation::kQ8_1) s_ = AlignedArray<float>(n * blocks_);
    if (activation == GgmlActivation::kQ8_K) sums_ = AlignedArray<int16_t>(n * k / 16);
  }
  void Fill(const Kernels& kernels, const float* x, size_t r) {
    const auto at = [r](auto& array, size_t stride) {
      return array.size() == 0 ? nullptr : array.data() + r * stride;
    };
    const GgmlRowBuffer row{at(values_, k_), at(codes_, k_), at(d_, blocks_), at(s_, blocks_),
                            at(sums_, k_ / 16)};
    kernels.ggml.quantise(activation_, x, k_, row);
    rows_[r] = {row.values, row.codes, row.d, row.s, row.sums};
  }
  const GgmlRow& row(size_t r) const { return rows_[r]; }

 private:
  GgmlActivation activation_;
  size_t k_, blocks_;
  AlignedArray<float> values_, d_, s_;
  AlignedArray<int8_t> codes_;
  AlignedArray<int16_t> sums_;
  std::vector<GgmlRow> rows_;
};

// A weight row unpacked.
struct WeightBuffer {
  WeightBuffer(TensorType type, size_t k) {
    const size_t block = GgmlBlock(type);
    if (block == 1) {
      values = AlignedArray<float>(k);
      return;
    }
    codes = AlignedArray<int8_t>(k);
    d = AlignedArray<float>(k / block);
    const bool minima = GgmlActivationOf(type) == GgmlActivation::kQ8_1 ||
                        type == TensorType::kQ2_K || type == TensorType::kQ4_K ||
                        type == TensorType::kQ5_K;
    if (minima) m = AlignedArray<float>(k / block);
    if (block == 32) return;
    scales = AlignedArray<int16_t>(k / 16);
    if (minima) mins = AlignedArray<int16_t>(k / 16);
  }
  GgmlWeightBuffer buffer() {
    return {values.data(), codes.data(), d.data(), m.data(), scales.data(), mins.data()};
  }
  GgmlWeightRow row() const {
    return {values.data(), codes.data(), d.data(), m.data(), scales.data(), mins.data()};
  }
  AlignedArray<float> values, d, m;
  AlignedArray<int8_t> codes;
  AlignedArray<int16_t> scales, mins;
};

// Buffers of weights that no thread uses at the moment.
class SpareBuffers {
 public:
  std::vector<WeightBuffer> Take() {
    const std::lock_guard lock(mutex_);
    if (spare_.empty()) return {};
    std::vector<WeightBuffer> taken = std::move(spare_.back());
    spare_.pop_back();
    return taken;
  }
  void Return(std::vector<WeightBuffer> buffers) {
    const std::lock_guard lock(mutex_);
    spare_.push_back(std::move(buffers));
  }

 private:
  std::mutex mutex_;
  std::vector<std::vector<WeightBuffer>> spare_;
};

// Row `o` of the weights as a product reads it: where it lies, or unpacked into `buffer`.
GgmlWeightRow WeightRow(const GgmlProductArgs& args, size_t o, const Kernels& kernels,
                        WeightBuffer* buffer) {
  const auto* row = reinterpret_cast<const uint8_t*>(args.weights + o * args.row_bytes);
  if (args.type == TensorType::kF32 && reinterpret_cast<uintptr_t>(row) % alignof(float) == 0)
    return {reinterpret_cast<const float*>(row), nullptr, nullptr, nullptr, nullptr, nullptr};
  if (args.type == TensorType::kF16) {
    kernels.floats_of_halves(row, args.k, buffer->values.data());
  } else {
    UnpackGgmlRow(args.type, row, args.k, buffer->buffer());
  }
  return buffer->row();
}

// Rows with the same order of summing.
struct OrderGroup {
  std::vector<GgmlRow> x;
  std::vector<float*> y;
};

}  // namespace

void EvaluateGgmlRows(const RowsArgs<float>& args, const GgmlRopeTable& rope,
                      const Machine& machine) {
  const size_t grain = std::max<size_t>(1, 16384 / std::max<size_t>(args.shape.width, 1));
  machine.workers->For(args.out.size(), grain, [&](size_t first, size_t last) {
    for (size_t r = first; r < last; ++r) OneRow(args, rope, *machine.kernels, r);
  });
}

void EvaluateGgmlProduct(const GgmlProductArgs& args, const Machine& machine) {
  const size_t n = args.x.size();
  Quantised quantised(GgmlActivationOf(args.type), GgmlBlock(args.type), n, args.k);
  machine.workers->For(n, 8, [&](size_t first, size_t last) {
    for (size_t r = first; r < last; ++r) quantised.Fill(*machine.kernels, args.x[r], r);
  });
  std::map<GgmlOrder, OrderGroup> groups;
  for (size_t r = 0; r < n; ++r) {
    OrderGroup& group = groups[args.orders[r]];
    group.x.push_back(quantised.row(r));
    group.y.push_back(args.y[r]);
  }
  // Eight rows of X or more, as many as the L1 cache holds, pass over weights in the L2 cache.
  constexpr size_t kOutputs = 16, kElements = size_t{1} << 13;
  const size_t rows = std::max<size_t>(8, kElements / args.k / 8 * 8);
  SpareBuffers spare;
  machine.workers->For((args.outputs + kOutputs - 1) / kOutputs, 1, [&](size_t begin, size_t end) {
    std::vector<WeightBuffer> buffers = spare.Take();
    while (buffers.size() < kOutputs) buffers.emplace_back(args.type, args.k);
    std::vector<float> results(rows);
    for (size_t first = begin * kOutputs; first < std::min(args.outputs, end * kOutputs);
         first += kOutputs) {
      const size_t count = std::min(kOutputs, args.outputs - first);
      GgmlWeightRow weights[kOutputs];
      for (size_t i = 0; i < count; ++i)
        weights[i] = WeightRow(args, first + i, *machine.kernels, &buffers[i]);
      for (const auto& [order, group] : groups)
        for (size_t at = 0; at < group.x.size(); at += rows)
          for (size_t i = 0; i < count; ++i) {
            const size_t some = std::min(rows, group.x.size() - at);
            machine.kernels->ggml.dots(
                {args.type, order, args.k, weights[i], group.x.data() + at, some, results.data()});
            for (size_t r = 0; r < some; ++r) group.y[at + r][first + i] = results[r];
          }
    }
    spare.Return(std::move(buffers));
  });
}

}  // namespace vernier
