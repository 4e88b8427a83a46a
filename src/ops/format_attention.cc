#include "ops/format_attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/result.h"
#include "ops/format_functions.h"
#include "ops/format_product.h"
#include "ops/format_row_ops.h"
#include "ops/format_rows.h"

namespace vernier {
namespace {

size_t RoundUp(size_t n) { return (n + kLanes - 1) / kLanes * kLanes; }

// Keys and values of a sequence in panels of 16: keys by KV head [panel of keys][element], values
// by KV head [panel of elements][key].
template <class T>
class FormatKeys {
 public:
  FormatKeys(const AttentionArgs<T>& args, Workers& workers)
      : args_(args),
        keys_(args.keys.back()),
        dim_(args.shape.head_dim),
        k_(args.shape.kv_heads * RoundUp(keys_) * dim_),
        v_(args.shape.kv_heads * RoundUp(dim_) * keys_) {
    workers.For(args.shape.kv_heads, 1, [&](size_t first, size_t last) {
      for (size_t h = first; h < last; ++h) Pack(h);
    });
  }
  const T* Keys(size_t h) const { return k_.data() + h * RoundUp(keys_) * dim_; }
  const T* Values(size_t h) const { return v_.data() + h * RoundUp(dim_) * keys_; }
  size_t KeyStride() const { return dim_ * kLanes; }
  size_t ValueStride() const { return keys_ * kLanes; }

 private:
  void Pack(size_t h) {
    T* const k = k_.data() + h * RoundUp(keys_) * dim_;
    T* const v = v_.data() + h * RoundUp(dim_) * keys_;
    std::fill_n(k, RoundUp(keys_) * dim_, T{0});
    std::fill_n(v, RoundUp(dim_) * keys_, T{0});
    for (size_t j = 0; j < keys_; ++j)
      for (size_t i = 0; i < dim_; ++i) {
        k[(j / kLanes * dim_ + i) * kLanes + j % kLanes] = args_.k[j][h * dim_ + i];
        v[(i / kLanes * keys_ + j) * kLanes + i % kLanes] = args_.v[j][h * dim_ + i];
      }
  }

  const AttentionArgs<T>& args_;
  const size_t keys_, dim_;
  AlignedArray<T> k_, v_;
};

// Some tokens in some KV heads and the query heads that read them.
struct Task {
  size_t first_head, last_head;
  size_t first, last;
};
constexpr size_t kRowsOfTask = 48;

template <class T>
class TaskRunner {
 public:
  TaskRunner(const FormatMath& math, const AttentionArgs<T>& args, const FormatKeys<T>& keys,
             const Kernels& kernels, const Task& task)
      : math_(math),
        args_(args),
        keys_(keys),
        ops_(math, math.values, kernels),
        operands_(OperandSpec(math.values)),
        task_(task),
        group_(args.shape.heads / args.shape.kv_heads),
        most_(args.keys[task.last - 1]),
        stride_(RoundUp(most_)),
        scale_(RoundValue(operands_, 1 / std::sqrt(static_cast<double>(args.shape.head_dim)))),
        ones_(most_ * kLanes, T{1}),
        row_(most_) {
    scores_ = AlignedArray<T>((task.last_head - task.first_head) * rows() * stride_);
  }

  void Run() {
    for (size_t g = task_.first_head; g < task_.last_head; ++g) Scores(g);
    if (args_.Observed()) Inner(AttentionStage::kScores);
    for (size_t g = task_.first_head; g < task_.last_head; ++g)
      for (size_t r = 0; r < rows(); ++r) Softmax(Row(g, r), Keys(r));
    if (args_.Observed()) Inner(AttentionStage::kSoftmax);
    for (size_t g = task_.first_head; g < task_.last_head; ++g) WeightedSums(g);
  }

 private:
  // Rows of one KV head: by token, then query head of its group.
  size_t rows() const { return (task_.last - task_.first) * group_; }
  size_t Token(size_t r) const { return task_.first + r / group_; }
  size_t Keys(size_t r) const { return args_.keys[Token(r)]; }
  size_t Column(size_t g, size_t r) const {
    return (g * group_ + r % group_) * args_.shape.head_dim;
  }
  T* Row(size_t g, size_t r) {
    return scores_.data() + ((g - task_.first_head) * rows() + r) * stride_;
  }

  void Scores(size_t g) {
    const size_t dim = args_.shape.head_dim;
    std::vector<const T*> x;
    std::vector<T*> y;
    for (size_t r = 0; r < rows(); ++r) {
      x.push_back(args_.q[Token(r)] + Column(g, r));
      y.push_back(Row(g, r));
    }
    EvaluateFormatChains<T>({&math_, keys_.Keys(g), keys_.KeyStride(), most_, dim, x, {}, y},
                            ops_.kernels());
  }

  // The dot product of e with ones.
  double SumOf(const T* e, size_t n) {
    T sum = 0;
    T* const out[] = {&sum};
    const T* const in[] = {e};
    EvaluateFormatChains<T>({&math_, ones_.data(), 0, 1, n, in, {}, out}, ops_.kernels());
    return sum;
  }

  void Softmax(T* p, size_t n) {
    double* const e = row_.data();
    std::copy_n(p, n, e);
    ops_.Product(e, scale_, n, e);
    double most = -std::numeric_limits<double>::infinity();
    for (size_t j = 0; j < n; ++j) most = e[j] > most ? e[j] : most;
    ops_.Difference(e, most, n, e);
    RoundedRow(FormatFunction::kExp, ops_.spec(), ops_.kernels(), e, n, e);
    for (size_t j = 0; j < n; ++j) p[j] = static_cast<T>(e[j]);
    ops_.Quotient(e, SumOf(p, n), n, e);
    ToHost(e, n, p);
  }

  void WeightedSums(size_t g) {
    const size_t dim = args_.shape.head_dim;
    std::vector<const T*> x;
    std::vector<T*> y;
    std::vector<size_t> terms;
    for (size_t r = 0; r < rows(); ++r) {
      x.push_back(Row(g, r));
      y.push_back(args_.out[Token(r)] + Column(g, r));
      terms.push_back(Keys(r));
    }
    EvaluateFormatChains<T>({&math_, keys_.Values(g), keys_.ValueStride(), dim, most_, x, terms, y},
                            ops_.kernels());
  }

  // The task has all heads.
  void Inner(AttentionStage stage) {
    std::vector<T> observed;
    for (size_t token = task_.first; token < task_.last; ++token) {
      const size_t keys = args_.keys[token];
      const auto row = [&](size_t h) {
        return Row(h / group_, (token - task_.first) * group_ + h % group_);
      };
      const T* changed = Observe(args_, stage, token, row, &observed);
      if (changed == nullptr) continue;
      for (size_t h = 0; h < args_.shape.heads; ++h) {
        std::copy_n(changed + h * keys, keys, row(h));
        RoundRow(operands_, row(h), keys);
      }
    }
  }

  const FormatMath& math_;
  const AttentionArgs<T>& args_;
  const FormatKeys<T>& keys_;
  const FormatRowOps ops_;
  const RoundSpec operands_;
  const Task task_;
  const size_t group_, most_, stride_;
  const double scale_;
  std::vector<T> ones_;
  std::vector<double> row_;
  AlignedArray<T> scores_;
};

}  // namespace

template <class T>
void EvaluateFormatAttention(const FormatMath& math, const AttentionArgs<T>& args,
                             const Machine& machine) {
  CHECK(!args.out.empty() && std::is_sorted(args.keys.begin(), args.keys.end()));
  const FormatKeys<T> keys(args, *machine.workers);
  const size_t heads = args.shape.kv_heads;
  const size_t a_task = std::max<size_t>(1, kRowsOfTask / (args.shape.heads / heads));
  std::vector<Task> tasks;
  // The last tokens, which take longest, first.
  for (size_t last = args.out.size(); last > 0; last -= std::min(a_task, last)) {
    const size_t heads_a_task = args.Observed() ? heads : 1;
    for (size_t g = 0; g < heads; g += heads_a_task)
      tasks.push_back({g, g + heads_a_task, last - std::min(a_task, last), last});
  }
  machine.workers->For(tasks.size(), 1, [&](size_t first, size_t last) {
    for (size_t i = first; i < last; ++i)
      TaskRunner<T>(math, args, keys, *machine.kernels, tasks[i]).Run();
  });
}

template void EvaluateFormatAttention(const FormatMath&, const AttentionArgs<float>&,
                                      const Machine&);
template void EvaluateFormatAttention(const FormatMath&, const AttentionArgs<double>&,
                                      const Machine&);

}  // namespace vernier
