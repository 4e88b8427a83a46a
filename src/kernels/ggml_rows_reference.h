// What docs/profiles.md has between the products, as plain scalar loops. For tests.
#ifndef VERNIER_KERNELS_GGML_ROWS_REFERENCE_H_
#define VERNIER_KERNELS_GGML_ROWS_REFERENCE_H_

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "kernels/ggml_reference.h"

namespace vernier::reference::ggml {

// 1 / sqrt(mean of squares + eps): squares rounded to float, added in double one after another.
inline float NormScale(const float* x, size_t n, float eps) {
  double sum = 0;
  for (size_t i = 0; i < n; ++i) sum += static_cast<double>(x[i] * x[i]);
  const float mean = static_cast<float>(sum / static_cast<double>(n));
  return 1.0f / std::sqrt(mean + eps);
}

// ggml's exponential (adapted there from Arm's optimized routines): n = x / ln 2 rounded, a
// polynomial of the rest, scaled by 2^n; beyond |n| = 192 zero or infinity.
inline float Exp(float x) {
  const float round = 0x1.8p23f, z = std::fma(x, 0x1.715476p+0f, round), n = z - round;
  if (std::fabs(n) > 192) return n <= 0 ? 0.0f : INFINITY;
  const float b = std::fma(-n, 0x1.7f7d1cp-20f, std::fma(-n, 0x1.62e4p-1f, x)), u = b * b;
  const float high = std::fma(0x1.0e4020p-7f, b, 0x1.573e2ep-5f);
  const float middle = std::fma(0x1.555e66p-3f, b, 0x1.fffdb6p-2f);
  const float low = std::fma(0x1.ffffecp-1f, b, 1.0f);
  const float p = std::fma(std::fma(high, u, middle), u, low);
  return static_cast<float>(std::ldexp(static_cast<double>(p), static_cast<int>(n)));
}

// p = exp(scale p - max) / sum: exponentials of each 16 joined in float, added in double.
inline void Softmax(float* p, size_t n, float scale) {
  float max = -INFINITY;
  for (size_t i = 0; i < n; ++i) {
    p[i] *= scale;
    max = std::max(max, p[i]);
  }
  double sum = 0;
  for (size_t i0 = 0; i0 < n; i0 += 16) {
    float lanes[16] = {};
    for (size_t i = i0; i < std::min(n, i0 + 16); ++i) lanes[i - i0] = p[i] = Exp(p[i] - max);
    sum += static_cast<double>(Join(lanes, 16));
  }
  const float factor = static_cast<float>(1.0 / sum);
  for (size_t i = 0; i < n; ++i) p[i] *= factor;
}

inline float Silu(float x) { return x / (1.0f + Exp(0.0f - x)); }
inline float SwiGlu(float gate, float up) { return Silu(gate) * up; }

// Lane j mod 16 or 64; joined in halves either way: of 64, first the 32 apart (accumulators 0 and
// 2, 1 and 3), then the 16 apart.
inline float WeightedSum(const float* p, const float* v, size_t n, bool batch) {
  float lanes[64] = {};
  const size_t count = batch ? 16 : 64;
  for (size_t j = 0; j < n; ++j) lanes[j % count] = std::fma(v[j], p[j], lanes[j % count]);
  return Join(lanes, count);
}

}  // namespace vernier::reference::ggml

#endif  // VERNIER_KERNELS_GGML_ROWS_REFERENCE_H_
