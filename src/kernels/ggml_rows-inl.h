// Norms, exponentials, sums of values and rotations of kernels/ggml.h: docs/profiles.md, section 4.
// Included once per instruction set.
#ifndef VERNIER_KERNELS_GGML_ROWS_INL_H_
#define VERNIER_KERNELS_GGML_ROWS_INL_H_

#include "kernels/ggml.h"
#include "kernels/ggml_lanes-inl.h"

namespace vernier::VERNIER_TARGET {

inline float GgmlNormScale(const float* x, size_t n, float eps) {
  double sum = 0;
  for (size_t i = 0; i < n; ++i) sum += static_cast<double>(x[i] * x[i]);
  const float mean = static_cast<float>(sum / static_cast<double>(n));
  return 1.0f / __builtin_sqrtf(mean + eps);
}

inline void GgmlSoftmax(float* p, size_t n, float scale) {
  float max = -__builtin_inff();
  for (size_t i = 0; i < n; ++i) {
    p[i] *= scale;
    max = p[i] > max ? p[i] : max;
  }
  double sum = 0;
  for (size_t i0 = 0; i0 < n; i0 += 16) {
    const size_t count = n - i0 < 16 ? n - i0 : 16;
    float lanes[16] = {};
    for (size_t i = 0; i < count; ++i) lanes[i] = p[i0 + i] = GgmlExp(p[i0 + i] - max);
    sum += static_cast<double>(SumLanes(Load<float>(lanes)));
  }
  const float factor = static_cast<float>(1.0 / sum);
  for (size_t i = 0; i < n; ++i) p[i] *= factor;
}

inline void GgmlSilu(const float* x, size_t n, float* y) {
  for (size_t i = 0; i < n; ++i) y[i] = x[i] / (1.0f + GgmlExp(0.0f - x[i]));
}
inline void GgmlSwiGlu(const float* gate, const float* up, size_t n, float* y) {
  for (size_t i = 0; i < n; ++i) y[i] = gate[i] / (1.0f + GgmlExp(0.0f - gate[i])) * up[i];
}

// Lane j mod 16 (a batch) or j mod 64 of every element, then the lanes joined as in the dots.
inline void GgmlWeightedSum(const float* p, const float* const* v, size_t offset, size_t keys,
                            size_t width, bool batch, float* out, float* scratch) {
  const size_t lanes = batch ? 16 : 64;
  for (size_t i = 0; i < lanes * width; ++i) scratch[i] = 0;
  for (size_t j = 0; j < keys; ++j) {
    float* lane = scratch + j % lanes * width;
    const float *row = v[j] + offset, weight = p[j];
    for (size_t e = 0; e < width; ++e) lane[e] = __builtin_fmaf(row[e], weight, lane[e]);
  }
  for (size_t half = lanes / 2; half > 0; half /= 2)
    for (size_t i = 0; i < half * width; ++i) scratch[i] += scratch[i + half * width];
  for (size_t e = 0; e < width; ++e) out[e] = scratch[e];
}

inline void GgmlRope(const float* x, size_t heads, size_t head_dim, const float* cos,
                     const float* sin, size_t pairs, bool halves, float* y) {
  for (size_t h = 0; h < heads; ++h, x += head_dim, y += head_dim) {
    for (size_t i = 0; i < pairs; ++i) {
      const size_t a = halves ? i : 2 * i, b = halves ? i + pairs : 2 * i + 1;
      const float x0 = x[a], x1 = x[b], down = x1 * sin[i], up = x1 * cos[i];
      y[a] = __builtin_fmaf(x0, cos[i], -down);
      y[b] = __builtin_fmaf(x0, sin[i], up);
    }
    for (size_t i = 2 * pairs; i < head_dim; ++i) y[i] = x[i];
  }
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_GGML_ROWS_INL_H_
