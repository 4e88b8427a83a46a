// The searches of kernels/quantise.h by trial.
#ifndef VERNIER_KERNELS_SEARCH_INL_H_
#define VERNIER_KERNELS_SEARCH_INL_H_

#include "kernels/lanes-inl.h"

namespace vernier::VERNIER_TARGET {

template <size_t n>
VERNIER_INLINE Lanes AffineError(bool absolute, const Rows<n>& x, const Rows<n>& w,
                                 const Rows<n>& codes, const Lanes& scale, const Lanes& min) {
  Lanes error = {};
  if (absolute) {
    for (size_t i = 0; i < n; ++i) error += w[i] * Abs(scale * codes[i] + min - x[i]);
  } else {
    for (size_t i = 0; i < n; ++i) {
      const Lanes difference = scale * codes[i] + min - x[i];
      error += w[i] * (difference * difference);
    }
  }
  return error;
}

template <size_t n>
void AffineLanes(const AffineSearch& s, const float* x_in, const float* w_in, float* scales,
                 float* minima, float* inverses, float* offsets) {
  const Rows<n> x = Spread<n>(x_in), w = Spread<n>(w_in);
  Rows<n> codes;
  Lanes min = x[0], max = min, sum_w = w[0], sum_x = sum_w * min;
  for (size_t i = 1; i < n; ++i) {
    min = Lesser(x[i], min);
    max = Larger(x[i], max);
    sum_w += w[i];
    sum_x += w[i] * x[i];
  }
  const Lanes zero = {}, top = SetPart(static_cast<float>(s.top));
  min = min > zero ? zero : min;
  const Mask varies = max > min;
  Lanes inverse = top / (max - min), scale = SetPart(1.0f) / inverse;
  for (size_t i = 0; i < n; ++i) codes.Put(i, NearestWithin(inverse * (x[i] - min), 0, s.top));
  Lanes best_error = AffineError(s.absolute, x, w, codes, scale, min);
  Lanes best_inverse = inverse, best_offset = min;
  for (int t = 0; t <= s.tries; ++t) {
    const float steps = s.first + s.step * static_cast<float>(t) + static_cast<float>(s.top);
    inverse = SetPart(steps) / (max - min);
    Lanes sum_l = zero, sum_l2 = zero, sum_xl = zero;
    for (size_t i = 0; i < n; ++i) {
      const Lanes l = NearestWithin(inverse * (x[i] - min), 0, s.top), wl = w[i] * l;
      codes.Put(i, l);
      sum_l += wl;
      sum_l2 += wl * l;
      sum_xl += wl * x[i];
    }
    const Lanes determinant = sum_w * sum_l2 - sum_l * sum_l;
    Lanes this_scale = (sum_w * sum_xl - sum_x * sum_l) / determinant;
    Lanes this_min = (sum_l2 * sum_x - sum_l * sum_xl) / determinant;
    const Mask above = this_min > zero;
    this_scale = above ? sum_xl / sum_l2 : this_scale;
    this_min = above ? zero : this_min;
    const Lanes error = AffineError(s.absolute, x, w, codes, this_scale, this_min);
    const Mask better = (determinant > zero) & (error < best_error);
    best_inverse = better ? inverse : best_inverse;
    best_offset = better ? min : best_offset;
    best_error = better ? error : best_error;
    scale = better ? this_scale : scale;
    min = better ? this_min : min;
  }
  StoreLanes(varies ? scale : zero, scales);
  StoreLanes(-min, minima);
  StoreLanes(varies ? best_inverse : SetPart(__builtin_inff()), inverses);
  StoreLanes(varies ? best_offset : zero, offsets);
}

inline void Affine(const AffineSearch& s, const float* x, const float* w, float* scales,
                   float* minima, float* inverses, float* offsets) {
  auto* const lanes = s.n == 16 ? &AffineLanes<16> : &AffineLanes<32>;
  for (size_t g = 0; g < kGroups; g += kWidth)
    lanes(s, x + g * s.n, w + g * s.n, scales + g, minima + g, inverses + g, offsets + g);
}

template <size_t n>
void SymmetricLanes(int top, const float* x_in, const float* w_in, float* scales, float* inverses) {
  const Rows<n> x = Spread<n>(x_in), w = w_in != nullptr ? Spread<n>(w_in) : Squares(x);
  Rows<n> wx;
  for (size_t i = 0; i < n; ++i) wx.Put(i, w[i] * x[i]);
  Mask some;
  const Lanes most = SignedMost(x, &some), zero = {};
  const auto fit = [&](const Lanes& inverse) {
    Fit f;
    for (size_t i = 0; i < n; ++i) f.Add(wx[i], w[i], NearestWithin(inverse * x[i], -top, top - 1));
    return f;
  };
  Lanes best_inverse = SetPart(-static_cast<float>(top)) / most;
  const Fit first = fit(best_inverse);
  Lanes scale = first.qq != zero ? first.xq / first.qq : zero;
  Lanes best = scale * first.xq;
  for (int t = -9; t <= 9; ++t) {
    if (t == 0) continue;
    const float steps = static_cast<float>(top) + 0.1f * static_cast<float>(t);
    const Lanes inverse = SetPart(-steps) / most;
    const Fit f = fit(inverse);
    const Mask better = (f.qq > zero) & (f.xq * f.xq > best * f.qq);
    best_inverse = better ? inverse : best_inverse;
    scale = better ? f.xq / f.qq : scale;
    best = better ? scale * f.xq : best;
  }
  StoreLanes(some ? scale : zero, scales);
  StoreLanes(some ? best_inverse : SetPart(__builtin_inff()), inverses);
}

inline void Symmetric(size_t n, int top, const float* x, const float* w, float* scales,
                      float* inverses) {
  auto* const lanes = n == 16 ? &SymmetricLanes<16> : &SymmetricLanes<32>;
  for (size_t g = 0; g < kGroups; g += kWidth)
    lanes(top, x + g * n, w != nullptr ? w + g * n : nullptr, scales + g, inverses + g);
}

inline void LevelsLanes(const float* x_in, const float* w_in, float* scales) {
  constexpr size_t n = 32;
  const Rows<n> x = Spread<n>(x_in), w = w_in != nullptr ? Spread<n>(w_in) : Squares(x);
  Mask some;
  const Lanes most = SignedMost(x, &some), zero = {};
  const auto fit = [&](const Lanes& inverse) {
    Fit f;
    for (size_t i = 0; i < n; ++i) {
      const Lanes level = NearestLevel<false>(inverse * x[i]), wl = w[i] * level;
      f.xq += wl * x[i];
      f.qq += wl * level;
    }
    return f;
  };
  const Fit first = fit(SetPart(1.0f) / (-most / SetPart(-127.0f)));
  Lanes scale = first.qq > zero ? first.xq / first.qq : zero;
  Lanes best = scale * first.xq;
  for (int t = -7; t <= 7; ++t) {
    const Fit f = fit(SetPart(static_cast<float>(t - 127)) / most);
    const Mask better = (f.qq > zero) & (f.xq * f.xq > best * f.qq);
    scale = better ? f.xq / f.qq : scale;
    best = better ? scale * f.xq : best;
  }
  StoreLanes(some ? scale : zero, scales);
}

inline void Levels(const float* x, const float* w, float* scales) {
  for (size_t g = 0; g < kGroups; g += kWidth)
    LevelsLanes(x + g * 32, w != nullptr ? w + g * 32 : nullptr, scales + g);
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_SEARCH_INL_H_
