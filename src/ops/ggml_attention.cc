// Attention in ggml's arithmetic, cut into pieces of some rows and the heads that share keys.
#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "ops/ggml_rows.h"

namespace vernier {
namespace {

// Rows in which one is like the other: computed alone, or among others.
struct RowRange {
  size_t first, last;
};

constexpr size_t kQueries = 8;  // of a piece: keys and values are read once for so many

std::vector<RowRange> CutRows(std::span<const uint8_t> batch, size_t most) {
  std::vector<RowRange> ranges;
  for (size_t r = 0; r < batch.size(); ++r) {
    const bool fits =
        !ranges.empty() && r - ranges.back().first < most && batch[r] == batch[ranges.back().first];
    if (fits) {
      ranges.back().last = r + 1;
    } else {
      ranges.push_back({r, r + 1});
    }
  }
  return ranges;
}

// What a piece needs, for one piece after another.
struct Scratch {
  std::vector<float> p;     // [row][head of the piece][key]
  std::vector<float> half;  // q in binary16
  std::vector<float*> of_row;
  // Of the queries of one key head.
  std::vector<const float*> q;
  std::vector<const float*> weights;
  std::vector<float*> scores, out;
  std::vector<size_t> keys;
};

class Piece {
 public:
  Piece(const GgmlAttentionArgs& args, const GgmlKernels& kernels, RowRange rows, size_t first_head,
        size_t last_head, Scratch* scratch)
      : args_(args),
        a_(args.sequence),
        kernels_(kernels),
        rows_(rows),
        first_(first_head),
        last_(last_head),
        sharing_(a_.shape.heads / a_.shape.kv_heads),
        scratch_(*scratch) {}

  void Compute() {
    const float scale = 1.0f / std::sqrt(static_cast<float>(a_.shape.head_dim));
    PlaceScores();
    for (size_t g = first_; g < last_; ++g) Scores(g);
    CallInner(AttentionStage::kScores);
    const size_t heads = (last_ - first_) * sharing_;
    for (size_t r = rows_.first; r < rows_.last; ++r)
      for (size_t h = 0; h < heads; ++h)
        kernels_.softmax(Row(r) + h * a_.keys[r], a_.keys[r], scale);
    CallInner(AttentionStage::kSoftmax);
    if (args_.half_values) RoundToHalf(scratch_.p.data(), scratch_.p.size(), scratch_.p.data());
    for (size_t g = first_; g < last_; ++g) ValueSums(g);
  }

 private:
  float* Row(size_t r) { return scratch_.of_row[r - rows_.first]; }

  void PlaceScores() {
    const size_t heads = (last_ - first_) * sharing_;
    size_t total = 0;
    for (size_t r = rows_.first; r < rows_.last; ++r) total += heads * a_.keys[r];
    scratch_.p.resize(total);
    scratch_.of_row.clear();
    float* at = scratch_.p.data();
    for (size_t r = rows_.first; r < rows_.last; at += heads * a_.keys[r], ++r)
      scratch_.of_row.push_back(at);
  }

  void RoundToHalf(const float* x, size_t n, float* y) {
    kernels_.quantise(GgmlActivation::kF16, x, n, {y, nullptr, nullptr, nullptr, nullptr});
  }

  // The queries of key head g.
  void Gather(size_t g) {
    Scratch& s = scratch_;
    s.q.clear(), s.weights.clear(), s.scores.clear(), s.out.clear(), s.keys.clear();
    const size_t n = a_.shape.head_dim;
    for (size_t r = rows_.first; r < rows_.last; ++r) {
      for (size_t i = 0; i < sharing_; ++i) {
        const size_t h = g * sharing_ + i;
        s.q.push_back(a_.q[r] + h * n);
        s.out.push_back(a_.out[r] + h * n);
        s.scores.push_back(Row(r) + (h - first_ * sharing_) * a_.keys[r]);
        s.weights.push_back(s.scores.back());
        s.keys.push_back(a_.keys[r]);
      }
    }
  }

  void Scores(size_t g) {
    Gather(g);
    Scratch& s = scratch_;
    const size_t n = a_.shape.head_dim;
    TensorType type = TensorType::kF32;
    GgmlOrder order = GgmlOrder::kDot;
    if (args_.half_keys) {
      type = TensorType::kF16;
      s.half.resize(s.q.size() * n);
      for (size_t i = 0; i < s.q.size(); ++i) {
        RoundToHalf(s.q[i], n, &s.half[i * n]);
        s.q[i] = &s.half[i * n];
      }
      if (args_.batch[rows_.first] != 0 && GgmlBatchDiffers(type, 4, n)) order = GgmlOrder::kBatch;
    }
    kernels_.scores({type, order, a_.k.data(), g * n, n, s.q.data(), s.keys.data(), s.q.size(),
                     s.scores.data()});
  }

  void ValueSums(size_t g) {
    if (last_ - first_ > 1) Gather(g);
    const Scratch& s = scratch_;
    const size_t n = a_.shape.head_dim;
    kernels_.value_sums({args_.batch[rows_.first] != 0, a_.v.data(), g * n, n, s.weights.data(),
                         s.keys.data(), s.out.size(), s.out.data()});
  }

  // The piece is a row with all its heads.
  void CallInner(AttentionStage stage) {
    const size_t r = rows_.first, n = scratch_.p.size();
    if (a_.inner) a_.inner(stage, r, Row(r), n);
    if (a_.keep) std::copy_n(Row(r), n, a_.keep(stage, r, n));
  }

  const GgmlAttentionArgs& args_;
  const AttentionArgs<float>& a_;
  const GgmlKernels& kernels_;
  RowRange rows_;
  size_t first_, last_;  // key heads
  size_t sharing_;       // query heads of a key head
  Scratch& scratch_;
};

}  // namespace

void EvaluateGgmlAttention(const GgmlAttentionArgs& args, const Machine& machine) {
  const OpShape& s = args.sequence.shape;
  const bool whole = args.sequence.Observed();
  const size_t most = std::max<size_t>(1, kQueries * s.kv_heads / s.heads);
  const std::vector<RowRange> ranges = CutRows(args.batch, whole ? 1 : most);
  const size_t columns = whole ? 1 : s.kv_heads, heads = s.kv_heads / columns;
  // Head by head, so that its keys and values stay in the cache; long rows first, so that the
  // workers end together.
  machine.workers->For(ranges.size() * columns, 1, [&](size_t first, size_t last) {
    Scratch scratch;
    for (size_t i = first; i < last; ++i) {
      const size_t column = i / ranges.size();
      const RowRange& rows = ranges[ranges.size() - 1 - i % ranges.size()];
      Piece(args, machine.kernels->ggml, rows, column * heads, (column + 1) * heads, &scratch)
          .Compute();
    }
  });
}

}  // namespace vernier
