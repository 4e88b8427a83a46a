#include "ops/attention.h"

#include <algorithm>
#include <cmath>

#include "base/result.h"

namespace vernier {
namespace {

size_t RoundUp(size_t n) { return (n + kLanes - 1) / kLanes * kLanes; }

// Keys and values of a sequence as the kernels read them: by KV head and block of 256 keys. Packed
// once where several tasks read them; a task that is alone packs a block at a time (decoding, which
// is bound by memory: what it packs stays in the cache).
template <class T>
class PackedSequence {
 public:
  PackedSequence(const AttentionArgs<T>& args, bool packed, const Machine& machine)
      : args_(args), blocks_((args.keys.back() + kBlock - 1) / kBlock) {
    if (!packed) return;
    keys_ = TakeArray<T>(machine, parts() * KeySize());
    values_ = TakeArray<T>(machine, parts() * ValueSize());
  }
  bool packed() const { return keys_ != nullptr; }
  size_t parts() const { return blocks_ * args_.shape.kv_heads; }
  size_t KeySize() const { return kBlock * args_.shape.head_dim; }
  size_t ValueSize() const { return kBlock * RoundUp(args_.shape.head_dim); }

  void PackPart(const RowKernels<T>& kernels, size_t part) {
    PackKeys(kernels, part / blocks_, part % blocks_, keys_.get() + part * KeySize());
    PackValues(kernels, part / blocks_, part % blocks_, values_.get() + part * ValueSize());
  }
  const T* Keys(const RowKernels<T>& kernels, size_t head, size_t block, T* scratch) const {
    if (packed()) return keys_.get() + (head * blocks_ + block) * KeySize();
    PackKeys(kernels, head, block, scratch);
    return scratch;
  }
  const T* Values(const RowKernels<T>& kernels, size_t head, size_t block, T* scratch) const {
    if (packed()) return values_.get() + (head * blocks_ + block) * ValueSize();
    PackValues(kernels, head, block, scratch);
    return scratch;
  }

 private:
  size_t KeysOf(size_t block) const { return std::min(kBlock, args_.keys.back() - block * kBlock); }
  void PackKeys(const RowKernels<T>& kernels, size_t head, size_t block, T* out) const {
    const size_t dim = args_.shape.head_dim;
    kernels.pack_keys(args_.k.data() + block * kBlock, head * dim, KeysOf(block), dim, out);
  }
  void PackValues(const RowKernels<T>& kernels, size_t head, size_t block, T* out) const {
    const size_t dim = args_.shape.head_dim;
    kernels.pack_values(args_.v.data() + block * kBlock, head * dim, KeysOf(block), dim, out);
  }

  const AttentionArgs<T>& args_;
  size_t blocks_;
  std::shared_ptr<T> keys_, values_;
};

// Some rows of a sequence in some KV heads and the query heads that read them.
struct Task {
  size_t sequence;
  size_t first_head, last_head;
  size_t first, last;
};

// Query rows that pass over a head's keys together: their scores stay in the second-level cache,
// and there are enough to make up for reading the keys.
constexpr size_t kRowsOfTask = 48;

// What a task needs, for one task after another: fresh pages would have to be cleared every time.
template <class T>
struct TaskScratch {
  AlignedArray<T> scores, packed;
  static T* AtLeast(size_t size, AlignedArray<T>* array) {
    if (array->size() < size) *array = AlignedArray<T>(size);
    return array->data();
  }
};

template <class T>
class TaskRunner {
 public:
  TaskRunner(const AttentionArgs<T>& args, const PackedSequence<T>& packed,
             const RowKernels<T>& kernels, const Task& task, TaskScratch<T>* scratch)
      : args_(args),
        packed_(packed),
        kernels_(kernels),
        task_(task),
        group_(args.shape.heads / args.shape.kv_heads),
        most_(args.keys[task.last - 1]),
        stride_(RoundUp(most_)),
        x_(rows()),
        y_(rows()),
        terms_(rows()) {
    scores_ =
        scratch->AtLeast((task.last_head - task.first_head) * rows() * stride_, &scratch->scores);
    if (!packed.packed())
      scratch_ = scratch->AtLeast(std::max(packed.KeySize(), packed.ValueSize()), &scratch->packed);
  }

  void Run() {
    for (size_t g = task_.first_head; g < task_.last_head; ++g) Scores(g);
    if (args_.Observed()) Inner(AttentionStage::kScores);
    const T scale = static_cast<T>(1 / std::sqrt(static_cast<double>(args_.shape.head_dim)));
    for (size_t g = task_.first_head; g < task_.last_head; ++g)
      for (size_t r = 0; r < rows(); ++r) kernels_.softmax(Row(g, r), Keys(r), scale);
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
  T* Row(size_t g, size_t r) { return scores_ + ((g - task_.first_head) * rows() + r) * stride_; }

  void Scores(size_t g) {
    const size_t dim = args_.shape.head_dim;
    for (size_t r = 0; r < rows(); ++r) x_[r] = args_.q[Token(r)] + Column(g, r);
    for (size_t at = 0; at < most_; at += kBlock) {
      for (size_t r = 0; r < rows(); ++r) y_[r] = Row(g, r) + at;
      const T* keys = packed_.Keys(kernels_, g, at / kBlock, scratch_);
      kernels_.chains({keys, dim * kLanes, RoundUp(std::min(kBlock, most_ - at)), dim, x_.data(),
                       nullptr, rows(), y_.data(), false});
    }
  }

  void WeightedSums(size_t g) {
    for (size_t r = 0; r < rows(); ++r) y_[r] = args_.out[Token(r)] + Column(g, r);
    for (size_t at = 0; at < most_; at += kBlock) {
      for (size_t r = 0; r < rows(); ++r) {
        x_[r] = Row(g, r) + at;
        terms_[r] = std::min(kBlock, Keys(r) - std::min(Keys(r), at));
      }
      const T* values = packed_.Values(kernels_, g, at / kBlock, scratch_);
      kernels_.chains({values, kBlock * kLanes, args_.shape.head_dim, std::min(kBlock, most_ - at),
                       x_.data(), terms_.data(), rows(), y_.data(), at > 0});
    }
  }

  // The task has all heads.
  void Inner(AttentionStage stage) {
    for (size_t token = task_.first; token < task_.last; ++token) {
      const size_t keys = args_.keys[token];
      const auto row = [&](size_t h) {
        return Row(h / group_, (token - task_.first) * group_ + h % group_);
      };
      const T* changed = Observe(args_, stage, token, row, &observed_);
      if (changed == nullptr) continue;
      for (size_t h = 0; h < args_.shape.heads; ++h) std::copy_n(changed + h * keys, keys, row(h));
    }
  }

  const AttentionArgs<T>& args_;
  const PackedSequence<T>& packed_;
  const RowKernels<T>& kernels_;
  const Task task_;
  const size_t group_, most_, stride_;
  T *scores_, *scratch_ = nullptr;
  std::vector<const T*> x_;
  std::vector<T*> y_;
  std::vector<size_t> terms_;
  std::vector<T> observed_;
};

}  // namespace

template <class T>
void EvaluateAttention(std::span<const AttentionArgs<T>> sequences, const Machine& machine) {
  const RowKernels<T>& kernels = RowKernelsOf<T>(*machine.kernels);
  std::vector<PackedSequence<T>> packed;
  std::vector<Task> tasks;
  std::vector<std::pair<size_t, size_t>> parts;  // to pack: sequence, part
  packed.reserve(sequences.size());
  for (size_t s = 0; s < sequences.size(); ++s) {
    const AttentionArgs<T>& args = sequences[s];
    CHECK(!args.out.empty() && std::is_sorted(args.keys.begin(), args.keys.end()));
    const size_t heads = args.shape.kv_heads, tokens = args.out.size();
    const size_t a_task =
        std::max<size_t>(1, kRowsOfTask / (args.shape.heads / args.shape.kv_heads));
    packed.emplace_back(args, tokens > a_task, machine);
    if (packed[s].packed())
      for (size_t part = 0; part < packed[s].parts(); ++part) parts.push_back({s, part});
    // The last tokens, which take longest, first.
    for (size_t last = tokens; last > 0; last -= std::min(a_task, last)) {
      const size_t first = last - std::min(a_task, last);
      const size_t heads_a_task = args.Observed() ? heads : 1;
      for (size_t g = 0; g < heads; g += heads_a_task)
        tasks.push_back({s, g, g + heads_a_task, first, last});
    }
  }
  machine.workers->For(parts.size(), 1, [&](size_t first, size_t last) {
    for (size_t i = first; i < last; ++i) packed[parts[i].first].PackPart(kernels, parts[i].second);
  });
  machine.workers->For(tasks.size(), 1, [&](size_t first, size_t last) {
    TaskScratch<T> scratch;
    for (size_t i = first; i < last; ++i)
      TaskRunner<T>(sequences[tasks[i].sequence], packed[tasks[i].sequence], kernels, tasks[i],
                    &scratch)
          .Run();
  });
}

template void EvaluateAttention(std::span<const AttentionArgs<float>>, const Machine&);
template void EvaluateAttention(std::span<const AttentionArgs<double>>, const Machine&);

}  // namespace vernier
