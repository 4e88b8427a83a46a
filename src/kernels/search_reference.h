// The searches of kernels/quantise.h for one group in plain loops. For tests.
#ifndef VERNIER_KERNELS_SEARCH_REFERENCE_H_
#define VERNIER_KERNELS_SEARCH_REFERENCE_H_

#include <algorithm>
#include <bit>
#include <cmath>

#include "kernels/quantise.h"

namespace vernier::reference {

// To the nearest integer, ties to even, where |v| <= 2^22; else what the same bits give.
inline int NearestInteger(float v) {
  return static_cast<int>(std::bit_cast<uint32_t>(v + 12582912.0f) & 0x7fffffu) - 0x400000;
}
inline int NearestWithin(float v, int low, int high) {
  return std::clamp(NearestInteger(v), low, high);
}

// The code of x nearest to (x - min) * inverse.
inline int AffineCode(float x, float min, float inverse, int top) {
  return NearestWithin(inverse * (x - min), 0, top);
}

inline float AffineError(const AffineSearch& s, const float* x, const float* w, const int* codes,
                         float scale, float min) {
  float error = 0;
  for (size_t i = 0; i < s.n; ++i) {
    float difference = scale * static_cast<float>(codes[i]) + min - x[i];
    difference = s.absolute ? std::abs(difference) : difference * difference;
    error += w[i] * difference;
  }
  return error;
}

inline void AffineGroup(const AffineSearch& s, const float* x, const float* w, float* scale_out,
                        float* min_out, float* inverse_out, float* offset_out) {
  float min = x[0], max = x[0], sum_w = w[0], sum_x = w[0] * x[0];
  for (size_t i = 1; i < s.n; ++i) {
    if (x[i] < min) min = x[i];
    if (x[i] > max) max = x[i];
    sum_w += w[i];
    sum_x += w[i] * x[i];
  }
  if (min > 0) min = 0;
  if (max <= min) {
    *scale_out = 0;
    *min_out = -min;
    *inverse_out = INFINITY;
    *offset_out = 0;
    return;
  }
  const auto top = static_cast<float>(s.top);
  float inverse = top / (max - min), scale = 1 / inverse;
  int codes[kGroupLimit];
  for (size_t i = 0; i < s.n; ++i) codes[i] = AffineCode(x[i], min, inverse, s.top);
  *inverse_out = inverse;
  *offset_out = min;
  float best_error = AffineError(s, x, w, codes, scale, min);
  for (int t = 0; t <= s.tries; ++t) {
    inverse = (s.first + s.step * static_cast<float>(t) + top) / (max - min);
    float sum_l = 0, sum_l2 = 0, sum_xl = 0;
    for (size_t i = 0; i < s.n; ++i) {
      codes[i] = AffineCode(x[i], min, inverse, s.top);
      const auto l = static_cast<float>(codes[i]);
      sum_l += w[i] * l;
      sum_l2 += w[i] * l * l;
      sum_xl += w[i] * l * x[i];
    }
    const float determinant = sum_w * sum_l2 - sum_l * sum_l;
    if (!(determinant > 0)) continue;
    float this_scale = (sum_w * sum_xl - sum_x * sum_l) / determinant;
    float this_min = (sum_l2 * sum_x - sum_l * sum_xl) / determinant;
    if (this_min > 0) {
      this_min = 0;
      this_scale = sum_xl / sum_l2;
    }
    const float error = AffineError(s, x, w, codes, this_scale, this_min);
    if (error < best_error) {
      *inverse_out = inverse;
      *offset_out = min;
      best_error = error;
      scale = this_scale;
      min = this_min;
    }
  }
  *scale_out = scale;
  *min_out = -min;
}

// The first element of largest magnitude; 0 where that is below kZeroGroup.
inline float SignedMost(const float* x, size_t n) {
  float most = 0, signed_most = 0;
  for (size_t i = 0; i < n; ++i) {
    if (std::abs(x[i]) > most) {
      most = std::abs(x[i]);
      signed_most = x[i];
    }
  }
  return most < kZeroGroup ? 0 : signed_most;
}

// Sums of w x q and w q q.
struct Fit {
  float xq = 0, qq = 0;
  void Add(float w, float x, float q) {
    xq += w * x * q;
    qq += w * q * q;
  }
};

inline void SymmetricGroup(size_t n, int top, const float* x, const float* w, float* scale_out,
                           float* inverse_out) {
  *scale_out = 0;
  *inverse_out = INFINITY;
  const float most = SignedMost(x, n);
  if (most == 0) return;
  const auto fit = [&](float inverse) {
    Fit f;
    for (size_t i = 0; i < n; ++i) {
      const int l = NearestWithin(inverse * x[i], -top, top - 1);
      f.Add(w != nullptr ? w[i] : x[i] * x[i], x[i], static_cast<float>(l));
    }
    return f;
  };
  float best_inverse = -static_cast<float>(top) / most;
  const Fit first = fit(best_inverse);
  float scale = first.qq != 0 ? first.xq / first.qq : 0;
  float best = scale * first.xq;
  for (int t = -9; t <= 9; ++t) {
    if (t == 0) continue;
    const float inverse = -(static_cast<float>(top) + 0.1f * static_cast<float>(t)) / most;
    const Fit f = fit(inverse);
    if (f.qq > 0 && f.xq * f.xq > best * f.qq) {
      best_inverse = inverse;
      scale = f.xq / f.qq;
      best = scale * f.xq;
    }
  }
  *inverse_out = best_inverse;
  *scale_out = scale;
}

inline void DescentGroup(const float* x, float* scale_out, uint8_t* codes) {
  constexpr size_t n = 16;
  *scale_out = 0;
  std::fill_n(codes, n, uint8_t{0});
  const float most = SignedMost(x, n);
  if (most == 0) return;
  const float inverse = -4 / most;
  int l[n];
  Fit f;
  for (size_t i = 0; i < n; ++i) {
    l[i] = NearestWithin(inverse * x[i], -4, 3);
    f.Add(x[i] * x[i], x[i], static_cast<float>(l[i]));
  }
  for (int round = 0; round < 5; ++round) {
    bool changed = false;
    for (size_t i = 0; i < n; ++i) {
      const float w = x[i] * x[i], old = static_cast<float>(l[i]);
      Fit g = {f.xq - w * x[i] * old, f.qq - w * old * old};
      if (!(g.xq > 0)) continue;
      const int other = NearestWithin(x[i] * g.qq / g.xq, -4, 3);
      if (other == l[i]) continue;
      g.Add(w, x[i], static_cast<float>(other));
      if (g.qq > 0 && g.xq * g.xq * f.qq > f.xq * f.xq * g.qq) {
        l[i] = other;
        f = g;
        changed = true;
      }
    }
    if (!changed) break;
  }
  for (size_t i = 0; i < n; ++i) codes[i] = static_cast<uint8_t>(l[i] + 4);
  *scale_out = f.qq > 0 ? f.xq / f.qq : 0;
}

inline void PositiveGroup(size_t n, int top, const float* x, const float* w, float* scale_out,
                          uint8_t* codes) {
  *scale_out = 0;
  std::fill_n(codes, n, uint8_t{0});
  float max = 0;
  for (size_t i = 0; i < n; ++i) max = max > x[i] ? max : x[i];
  if (max < kZeroGroup) return;
  const auto error = [&](float scale, const auto& code) {
    float sum = 0;
    for (size_t i = 0; i < n; ++i) {
      const float difference = x[i] - scale * static_cast<float>(code(i));
      sum += w[i] * difference * difference;
    }
    return sum;
  };
  float inverse = static_cast<float>(top) / max;
  float least = error(
      1 / inverse, [&](size_t i) { return static_cast<uint8_t>(NearestInteger(inverse * x[i])); });
  for (int t = -4; t <= 4; ++t) {
    if (t == 0) continue;
    const float other = (0.1f * static_cast<float>(t) + static_cast<float>(top)) / max;
    const float e =
        error(1 / other, [&](size_t i) { return std::min(top, NearestInteger(other * x[i])); });
    if (e < least) {
      least = e;
      inverse = other;
    }
  }
  Fit f;
  for (size_t i = 0; i < n; ++i) {
    const int l = std::min(top, NearestInteger(inverse * x[i]));
    codes[i] = static_cast<uint8_t>(l);
    f.Add(w[i], x[i], static_cast<float>(l));
  }
  for (int round = 0; round < 5; ++round) {
    bool changed = false;
    for (size_t i = 0; i < n; ++i) {
      const float old = codes[i];
      Fit g = {f.xq - w[i] * x[i] * old, f.qq - w[i] * old * old};
      if (!(g.xq > 0 && g.qq > 0)) continue;
      const int other = std::min(top, NearestInteger(x[i] * g.qq / g.xq));
      if (other == codes[i]) continue;
      g.Add(w[i], x[i], static_cast<float>(other));
      if (g.xq * g.xq * f.qq > f.xq * f.xq * g.qq) {
        codes[i] = static_cast<uint8_t>(other);
        f = g;
        changed = true;
      }
    }
    if (!changed) break;
  }
  *scale_out = f.qq > 0 ? f.xq / f.qq : 0;
}

// Halves between neighbouring levels are exact in float32, and so is the comparison with them.
inline size_t NearestLevel(float v) {
  size_t index = 0;
  while (index < 15 && !(v < 0.5f * static_cast<float>(kIQ4Levels[index] + kIQ4Levels[index + 1])))
    ++index;
  return index;
}

inline void LevelsGroup(const float* x, const float* w, float* scale_out) {
  *scale_out = 0;
  const float most = SignedMost(x, 32);
  if (most == 0) return;
  const auto fit = [&](float inverse) {
    Fit f;
    for (size_t i = 0; i < 32; ++i) {
      const float weight = w != nullptr ? w[i] : x[i] * x[i];
      const auto level = static_cast<float>(kIQ4Levels[NearestLevel(inverse * x[i])]);
      f.xq += weight * level * x[i];
      f.qq += weight * level * level;
    }
    return f;
  };
  const Fit first = fit(1 / (-most / -127));
  float scale = first.qq > 0 ? first.xq / first.qq : 0;
  float best = scale * first.xq;
  for (int t = -7; t <= 7; ++t) {
    const Fit f = fit(static_cast<float>(t - 127) / most);
    if (f.qq > 0 && f.xq * f.xq > best * f.qq) {
      scale = f.xq / f.qq;
      best = scale * f.xq;
    }
  }
  *scale_out = scale;
}

template <class F>
void EachGroup(size_t n, const float* x, const float* w, const F& f) {
  for (size_t g = 0; g < kGroups; ++g) f(g, x + g * n, w != nullptr ? w + g * n : nullptr);
}

}  // namespace vernier::reference

#endif  // VERNIER_KERNELS_SEARCH_REFERENCE_H_
