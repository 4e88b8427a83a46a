#include "ops/ggml_rows.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/result.h"
#include "kernels/panels.h"
#include "ops/elementary.h"

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

GgmlOrder ProductOrder(GgmlType type, size_t outputs, size_t k, bool repack, GgmlRowBatch batch) {
  if (repack && GgmlRepacks(type, outputs)) {
    const bool super = GgmlBlock(type) == 256;  // the others have one order for both
    return super && batch.in_four ? GgmlOrder::kGemm : GgmlOrder::kGemv;
  }
  const size_t least = type == GgmlType::kIQ4_XS ? 8 : 2;
  return batch.rows >= least && GgmlBatchDiffers(type, outputs, k) ? GgmlOrder::kBatch
                                                                   : GgmlOrder::kDot;
}

// The method of Arm's optimized routines (sincosf.c), which glibc has since 2.28: the argument
// reduced in double by a multiple of pi/2, a polynomial of degree 7 or 8, one rounding to float.
// glibc's build for machines with fused multiply-adds is followed; arguments of 120 and more it
// reduces by integer arithmetic, here by pi/2 in two parts (no float up to 10^6 differs).
FloatSinCos GlibcSinCos(float x) {
  constexpr double kS1 = -0x1.555545995a603p-3, kS2 = 0x1.1107605230bc4p-7,
                   kS3 = -0x1.994eb3774cf24p-13;
  constexpr double kC1 = -0x1.ffffffd0c621cp-2, kC2 = 0x1.55553e1068f19p-5,
                   kC3 = -0x1.6c087e89a359dp-10, kC4 = 0x1.99343027bf8c3p-16;
  constexpr double kHalfPi = 0x1.921fb54442d18p0, kHalfPiLow = 0x1.1a62633145c07p-54;
  double r = static_cast<double>(x);
  int64_t quadrant = 0;
  if (std::fabs(x) >= 120.0f) {
    const double q = std::nearbyint(r * 0x1.45f306dc9c883p-1);
    quadrant = static_cast<int64_t>(q);
    r = std::fma(-q, kHalfPiLow, std::fma(-q, kHalfPi, r));
  } else if (std::fabs(x) >= 0x1.921fb6p-1f) {
    quadrant = (static_cast<int64_t>(r * 0x1.45f306dc9c883p23) + 0x800000) >> 24;
    r = std::fma(-static_cast<double>(quadrant), kHalfPi, r);
  }
  const double r2 = r * r, r3 = r * r2, r4 = r2 * r2, r6 = r4 * r2, r7 = r3 * r2;
  const double sine = std::fma(r7, std::fma(r2, kS3, kS2), std::fma(r3, kS1, r));
  const double cosine =
      std::fma(r6, std::fma(r2, kC4, kC3), std::fma(r4, kC2, std::fma(r2, kC1, 1.0)));
  const bool swap = (quadrant & 1) != 0;
  const double s = swap ? cosine : sine, c = swap ? sine : cosine;
  return {static_cast<float>((quadrant & 2) != 0 ? -s : s),
          static_cast<float>(((quadrant + 1) & 2) != 0 ? -c : c)};
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

bool HasGgmlArithmetic(OpKind op) {
  return op != OpKind::kSoftplus && op != OpKind::kConvolve && op != OpKind::kScan;
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
  WeightBuffer(GgmlType type, size_t k) {
    const size_t block = GgmlBlock(type);
    if (block == 1) {
      values = AlignedArray<float>(k);
      return;
    }
    codes = AlignedArray<int8_t>(k);
    d = AlignedArray<float>(k / block);
    const bool minima = GgmlActivationOf(type) == GgmlActivation::kQ8_1 ||
                        type == GgmlType::kQ2_K || type == GgmlType::kQ4_K ||
                        type == GgmlType::kQ5_K;
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
  machine.workers->For(args.outputs, 16, [&](size_t first, size_t last) {
    WeightBuffer weight(args.type, args.k);
    std::vector<float> results(n);
    for (size_t o = first; o < last; ++o) {
      UnpackGgmlRow(args.type, reinterpret_cast<const uint8_t*>(args.weights + o * args.row_bytes),
                    args.k, weight.buffer());
      for (const auto& [order, group] : groups) {
        machine.kernels->ggml.dots({args.type, order, args.k, weight.row(), group.x.data(),
                                    group.x.size(), results.data()});
        for (size_t r = 0; r < group.y.size(); ++r) group.y[r][o] = results[r];
      }
    }
  });
}

void EvaluateGgmlAttention(const AttentionArgs<float>& args, std::span<const uint8_t> batch,
                           const Machine& machine) {
  const OpShape& s = args.shape;
  const GgmlKernels& kernels = machine.kernels->ggml;
  const float scale = 1.0f / std::sqrt(static_cast<float>(s.head_dim));
  const size_t sharing = s.heads / s.kv_heads;  // query heads of a key head
  machine.workers->For(args.out.size(), 1, [&](size_t first, size_t last) {
    std::vector<float> scores;
    AlignedArray<float> scratch(64 * s.head_dim);
    for (size_t r = first; r < last; ++r) {
      const size_t keys = args.keys[r];
      scores.resize(s.heads * keys);
      for (size_t h = 0; h < s.heads; ++h)
        for (size_t j = 0; j < keys; ++j)
          scores[h * keys + j] = kernels.dot(args.k[j] + h / sharing * s.head_dim,
                                             args.q[r] + h * s.head_dim, s.head_dim, false);
      if (args.inner) args.inner(AttentionStage::kScores, r, scores.data(), scores.size());
      for (size_t h = 0; h < s.heads; ++h) kernels.softmax(scores.data() + h * keys, keys, scale);
      if (args.inner) args.inner(AttentionStage::kSoftmax, r, scores.data(), scores.size());
      for (size_t h = 0; h < s.heads; ++h)
        kernels.weighted_sum(scores.data() + h * keys, args.v.data(), h / sharing * s.head_dim,
                             keys, s.head_dim, batch[r] != 0, args.out[r] + h * s.head_dim,
                             scratch.data());
    }
  });
}

}  // namespace vernier
