// Products of types that are not quantised, in ggml's orders: docs/profiles.md, section 3. Included
// once per instruction set.
#ifndef VERNIER_KERNELS_GGML_DOTS_INL_H_
#define VERNIER_KERNELS_GGML_DOTS_INL_H_

#include "kernels/ggml.h"
#include "kernels/ggml_lanes-inl.h"

namespace vernier::VERNIER_TARGET {

inline float DotTurns(const float* a, const float* b, size_t whole) {
  Vec<float> t0 = Set(0.0f), t1 = t0, t2 = t0, t3 = t0;
  for (size_t i = 0; i < whole; i += 64) {
    t0 = Fma(Load<float>(a + i), Load<float>(b + i), t0);
    t1 = Fma(Load<float>(a + i + 16), Load<float>(b + i + 16), t1);
    t2 = Fma(Load<float>(a + i + 32), Load<float>(b + i + 32), t2);
    t3 = Fma(Load<float>(a + i + 48), Load<float>(b + i + 48), t3);
  }
  return SumLanes((t0 + t2) + (t1 + t3));
}

// What is left after whole 64s, added to their sum.
inline float GgmlDotRest(TensorType type, const float* a, const float* b, size_t whole, size_t n,
                         float sum) {
  if (type == TensorType::kF16) {
    double wide = static_cast<double>(sum);
    for (size_t i = whole; i < n; ++i) wide += static_cast<double>(a[i] * b[i]);
    return static_cast<float>(wide);
  }
  const size_t eights = n / 8 * 8;
  for (size_t i = whole; i < eights; i += 8) {
    float products[8];
    for (size_t j = 0; j < 8; ++j) products[j] = a[i + j] * b[i + j];
    for (size_t j = 0; j < 8; ++j) sum += products[j];
  }
  for (size_t i = eights; i < n; ++i) sum = __builtin_fmaf(a[i], b[i], sum);
  return sum;
}

inline float GgmlBatchF32(const float* a, const float* b, size_t n) {
  Vec<float> t = Set(0.0f);
  size_t i = 0;
  for (; i + 16 <= n; i += 16) t = Fma(Load<float>(a + i), Load<float>(b + i), t);
  if (i < n) t = Fma(LoadFirst(a + i, n - i, 0.0f), LoadFirst(b + i, n - i, 0.0f), t);
  return SumLanes(t);
}

// The same for all rows of X, as many at a time as fill the registers: each is a chain that waits
// for its sums. k is a multiple of 16 (GgmlBatchDiffers).
inline void GgmlBatchF32Rows(const GgmlDots& a) {
  constexpr size_t kRows = VERNIER_VECTOR_BYTES == 64 ? 8 : VERNIER_VECTOR_BYTES == 32 ? 4 : 1;
  size_t j = 0;
  for (; j + kRows <= a.n; j += kRows) {
    Vec<float> t[kRows];
    for (Vec<float>& sum : t) sum = Set(0.0f);
    for (size_t i = 0; i < a.k; i += 16) {
      const Vec<float> w = Load<float>(a.w.values + i);
#pragma GCC unroll 8
      for (size_t r = 0; r < kRows; ++r) t[r] = Fma(w, Load<float>(a.x[j + r].values + i), t[r]);
    }
    for (size_t r = 0; r < kRows; ++r) a.y[j + r] = SumLanes(t[r]);
  }
  for (; j < a.n; ++j) a.y[j] = GgmlBatchF32(a.w.values, a.x[j].values, a.k);
}

inline float GgmlDotBF16(const float* a, const float* b, size_t n) {
  float lanes[2][16] = {};
  const size_t whole = n / 64 * 64;
  for (size_t i = 0; i < whole; i += 64) {
    DotPairs(a + i, b + i, lanes[0]);
    DotPairs(a + i + 32, b + i + 32, lanes[1]);
  }
  double sum = static_cast<double>(SumLanes(Load<float>(lanes[0])));
  sum += static_cast<double>(SumLanes(Load<float>(lanes[1])));
  for (size_t i = whole; i < n; ++i) sum += static_cast<double>(a[i] * b[i]);
  return static_cast<float>(sum);
}

inline float GgmlBatchBF16(const float* a, const float* b, size_t n) {
  float lanes[16] = {};
  for (size_t i = 0; i < n; i += 32) DotPairs(a + i, b + i, lanes);
  return SumLanes(Load<float>(lanes));
}

inline float GgmlFloatDot(TensorType type, GgmlOrder order, const float* a, const float* b,
                          size_t n) {
  const bool batch = order == GgmlOrder::kBatch;
  if (type == TensorType::kBF16) return batch ? GgmlBatchBF16(a, b, n) : GgmlDotBF16(a, b, n);
  if (batch) return GgmlBatchF32(a, b, n);
  const size_t whole = n / 64 * 64;
  return GgmlDotRest(type, a, b, whole, n, DotTurns(a, b, whole));
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_GGML_DOTS_INL_H_
