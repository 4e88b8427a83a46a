// Norms, exponentials and rotations of kernels/ggml.h: docs/profiles.md, section 4.
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
  const float lowest = -__builtin_inff();
  Vec<float> most = Set(lowest);
  ForLanes(p, n, lowest, [&](size_t i, const Vec<float>& v, size_t valid) VERNIER_LAMBDA {
    const Vec<float> scaled = v * Set(scale);
    StoreLanes(scaled, p + i, valid);
    most = Greater(most, valid == kLanes ? scaled : LoadFirst(p + i, valid, lowest));
  });
  const Vec<float> max = Set(MaxLanes(most));
  double sum = 0;
  for (size_t i0 = 0; i0 < n; i0 += 256) {
    Vec<float> groups[16];
    size_t count = 0;  // (What lacks of the last group is exp(-inf), which is zero.)
    ForLanes(p + i0, n - i0 < 256 ? n - i0 : 256, lowest,
             [&](size_t i, const Vec<float>& v, size_t valid) VERNIER_LAMBDA {
               groups[count] = GgmlExp(v - max);
               StoreLanes(groups[count++], p + i0 + i, valid);
             });
    for (size_t g = count; g < 16; ++g) groups[g] = Set(0.0f);
    float sums[16];
    Store(SumLanesOfEach(groups), sums);
    for (size_t g = 0; g < count; ++g) sum += static_cast<double>(sums[g]);
  }
  const Vec<float> factor = Set(static_cast<float>(1.0 / sum));
  ForLanes(p, n, 0.0f, [&](size_t i, const Vec<float>& v, size_t valid) VERNIER_LAMBDA {
    StoreLanes(v * factor, p + i, valid);
  });
}

VERNIER_INLINE Vec<float> GgmlSiluLanes(const Vec<float>& x) {
  return x / (Set(1.0f) + GgmlExp(Set(0.0f) - x));
}
inline void GgmlSilu(const float* x, size_t n, float* y) {
  ForLanes(x, n, 0.0f, [&](size_t i, const Vec<float>& v, size_t valid) VERNIER_LAMBDA {
    StoreLanes(GgmlSiluLanes(v), y + i, valid);
  });
}
inline void GgmlSwiGlu(const float* gate, const float* up, size_t n, float* y) {
  ForLanes(gate, n, 0.0f, [&](size_t i, const Vec<float>& v, size_t valid) VERNIER_LAMBDA {
    const Vec<float> u = valid == kLanes ? Load<float>(up + i) : LoadFirst(up + i, valid, 0.0f);
    StoreLanes(GgmlSiluLanes(v) * u, y + i, valid);
  });
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
