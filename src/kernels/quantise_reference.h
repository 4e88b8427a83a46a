// kernels/quantise.h in plain loops, one group or element at a time: what every vector path is held
// to, bit for bit. For tests.
#ifndef VERNIER_KERNELS_QUANTISE_REFERENCE_H_
#define VERNIER_KERNELS_QUANTISE_REFERENCE_H_

#include "kernels/search_reference.h"

namespace vernier::reference {

inline uint8_t NearestE2M1(float x, float d) {
  size_t best = 0;
  const auto distance = [&](size_t code) {
    return std::abs(static_cast<float>(kTwiceE2M1[code]) * d - x);
  };
  for (size_t code = 1; code < 16; ++code)
    if (distance(code) < distance(best)) best = code;
  return static_cast<uint8_t>(best);
}

inline int Truncate(float v) {
  return static_cast<int>(v > -0x1p31f && v < 0x1p31f ? v : -0x1p31f);
}

inline constexpr QuantiseKernels kQuantise = {
    .affine =
        [](const AffineSearch& s, const float* x, const float* w, float* scales, float* minima,
           float* inverses, float* offsets) {
          for (size_t g = 0; g < kGroups; ++g)
            AffineGroup(s, x + g * s.n, w + g * s.n, scales + g, minima + g, inverses + g,
                        offsets + g);
        },
    .symmetric =
        [](size_t n, int top, const float* x, const float* w, float* scales, float* inverses) {
          for (size_t g = 0; g < kGroups; ++g)
            SymmetricGroup(n, top, x + g * n, w != nullptr ? w + g * n : nullptr, scales + g,
                           inverses + g);
        },
    .descent =
        [](const float* x, size_t groups, float* scales, uint8_t* codes) {
          uint8_t unused[16];
          for (size_t g = 0; g < groups; ++g)
            DescentGroup(x + g * 16, scales + g, codes != nullptr ? codes + g * 16 : unused);
        },
    .positive =
        [](size_t n, int top, const float* x, const float* w, float* scales, uint8_t* codes) {
          for (size_t g = 0; g < kGroups; ++g)
            PositiveGroup(n, top, x + g * n, w + g * n, scales + g, codes + g * n);
        },
    .levels =
        [](const float* x, const float* w, float* scales) {
          for (size_t g = 0; g < kGroups; ++g)
            LevelsGroup(x + g * 32, w != nullptr ? w + g * 32 : nullptr, scales + g);
        },
    .codes =
        [](const float* x, size_t n, float factor, float offset, int low, int high,
           uint8_t* codes) {
          for (size_t i = 0; i < n; ++i)
            codes[i] =
                static_cast<uint8_t>(NearestWithin(factor * (x[i] - offset), low, high) - low);
        },
    .requantise =
        [](const float* x, size_t n, float d, float m, int low, int high, uint8_t* codes) {
          for (size_t i = 0; i < n; ++i)
            codes[i] = static_cast<uint8_t>(NearestWithin((x[i] + m) / d, low, high) - low);
        },
    .nearest_levels =
        [](const float* x, size_t n, float factor, uint8_t* codes) {
          for (size_t i = 0; i < n; ++i)
            codes[i] = static_cast<uint8_t>(NearestLevel(x[i] * factor));
        },
    .nearest_e2m1 =
        [](const float* x, size_t n, float d, uint8_t* codes) {
          for (size_t i = 0; i < n; ++i) codes[i] = NearestE2M1(x[i], d);
        },
    .weigh =
        [](const float* x, const float* importance, size_t n, float variance, float* weights) {
          for (size_t i = 0; i < n; ++i)
            weights[i] = importance[i] * std::sqrt(variance + x[i] * x[i]);
        },
    .most =
        [](const float* x, size_t n) {
          float most = 0;
          for (size_t i = 0; i < n; ++i) most = std::abs(x[i]) > most ? std::abs(x[i]) : most;
          return most;
        },
    .round_away =
        [](const float* x, size_t n, float factor, int8_t* codes) {
          for (size_t i = 0; i < n; ++i)
            codes[i] = static_cast<int8_t>(Truncate(std::round(x[i] * factor)));
        },
    .cut =
        [](const float* x, size_t n, float offset, float factor, float bias, int top,
           uint8_t* codes) {
          for (size_t i = 0; i < n; ++i)
            codes[i] =
                static_cast<uint8_t>(std::min(Truncate((x[i] - offset) * factor + bias), top));
        },
    .extremes =
        [](const float* x, size_t n, float* least, float* most) {
          *least = *most = x[0];
          for (size_t i = 1; i < n; ++i) {
            *least = x[i] < *least ? x[i] : *least;
            *most = x[i] > *most ? x[i] : *most;
          }
        },
};

}  // namespace vernier::reference

#endif  // VERNIER_KERNELS_QUANTISE_REFERENCE_H_
