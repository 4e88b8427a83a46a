// Attention as a whole against plain loops, bit for bit: prefill and decoding, tasks of one and of
// many rows, threads, instruction sets, and with an observer.
#include "ops/attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/reference.h"

namespace vernier {
namespace {

template <class T>
struct Text {
  OpShape shape;
  std::vector<T> q, k, v;
  size_t tokens;

  Text(size_t heads, size_t kv_heads, size_t head_dim, size_t n) : tokens(n) {
    shape.heads = heads;
    shape.kv_heads = kv_heads;
    shape.head_dim = head_dim;
    std::mt19937_64 random(heads * n);
    std::normal_distribution<double> normal;
    for (auto* rows : {&q, &k, &v}) {
      rows->resize(n * (rows == &q ? heads : kv_heads) * head_dim);
      for (T& x : *rows) x = static_cast<T>(normal(random));
    }
  }
  size_t q_width() const { return shape.heads * shape.head_dim; }
  size_t kv_width() const { return shape.kv_heads * shape.head_dim; }

  std::vector<T> Expected() const {
    std::vector<T> out(q.size());
    const T scale = static_cast<T>(1 / std::sqrt(static_cast<double>(shape.head_dim)));
    for (size_t t = 0; t < tokens; ++t) {
      for (size_t h = 0; h < shape.heads; ++h) {
        const size_t column = h / (shape.heads / shape.kv_heads) * shape.head_dim;
        const T* query = q.data() + t * q_width() + h * shape.head_dim;
        std::vector<T> p(t + 1);
        for (size_t j = 0; j <= t; ++j)
          p[j] = reference::Dot<T>([&](size_t i) { return k[j * kv_width() + column + i]; },
                                   [&](size_t i) { return query[i]; }, shape.head_dim);
        reference::Softmax(p.data(), p.size(), scale);
        for (size_t d = 0; d < shape.head_dim; ++d)
          out[t * q_width() + h * shape.head_dim + d] =
              reference::Dot<T>([&](size_t j) { return v[j * kv_width() + column + d]; },
                                [&](size_t j) { return p[j]; }, t + 1);
      }
    }
    return out;
  }

  // Tokens [first, last), those before them being there; `seen` counts what an observer is shown.
  std::vector<T> Computed(size_t first, size_t last, const Machine& machine, size_t* seen) const {
    std::vector<T> out((last - first) * q_width());
    std::vector<const T*> qs, ks, vs;
    std::vector<size_t> keys;
    std::vector<T*> outs;
    for (size_t t = 0; t < last; ++t) {
      ks.push_back(k.data() + t * kv_width());
      vs.push_back(v.data() + t * kv_width());
      if (t < first) continue;
      qs.push_back(q.data() + t * q_width());
      keys.push_back(t + 1);
      outs.push_back(out.data() + (t - first) * q_width());
    }
    std::vector<size_t> shown(last - first);
    AttentionArgs<T> args{shape, qs, keys, ks, vs, outs, {}};
    if (seen != nullptr)
      args.inner = [&](AttentionStage, size_t row, T*, size_t n) {
        shown[row] += n;
        return row % 2 == 0;  // as if it had changed them
      };
    EvaluateAttention<T>({&args, 1}, machine);
    if (seen != nullptr)
      for (const size_t n : shown) *seen += n;
    return out;
  }
};

template <class T>
void Check(const Text<T>& text, size_t first) {
  const std::vector<T> expected = text.Expected();
  const T* from = expected.data() + first * text.q_width();
  const size_t bytes = (text.tokens - first) * text.q_width() * sizeof(T);
  size_t elements = 0;  // of scores, and of probabilities
  for (size_t t = first; t < text.tokens; ++t) elements += 2 * text.shape.heads * (t + 1);
  for (const Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512}) {
    const Kernels* kernels = KernelsFor(isa);
    if (kernels == nullptr) continue;
    for (const int threads : {1, 2, 3}) {
      Workers workers(threads);
      size_t seen = 0;
      const auto plain = text.Computed(first, text.tokens, {kernels, &workers}, nullptr);
      const auto watched = text.Computed(first, text.tokens, {kernels, &workers}, &seen);
      EXPECT_EQ(std::memcmp(plain.data(), from, bytes), 0) << kernels->name << " " << threads;
      EXPECT_EQ(std::memcmp(watched.data(), from, bytes), 0) << kernels->name << " " << threads;
      EXPECT_EQ(seen, elements);
    }
  }
}

TEST(Attention, PrefillOfManyTasks) {
  Check(Text<float>(6, 2, 20, 75), 0);   // 16 tokens a task, and 11 left
  Check(Text<float>(4, 4, 16, 270), 0);  // more than a block of keys
  Check(Text<double>(4, 2, 12, 40), 0);
}

TEST(Attention, DecodingAndChunks) {
  Check(Text<float>(8, 2, 32, 300), 299);  // one token
  Check(Text<float>(7, 1, 24, 520), 500);  // in two tasks
  Check(Text<double>(2, 1, 20, 260), 255);
}

}  // namespace
}  // namespace vernier
