// The arithmetic of docs/profiles.md as plain scalar loops: what kernels/ggml-inl.h is held to on
// every instruction set, bit for bit. For tests.
#ifndef VERNIER_KERNELS_GGML_REFERENCE_H_
#define VERNIER_KERNELS_GGML_REFERENCE_H_

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>

#include "kernels/ggml.h"
#include "kernels/half.h"

namespace vernier::reference::ggml {

// binary16 nearest to x, as bits; ties to even.
inline uint16_t HalfBits(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x), sign = bits >> 16 & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u)
    return static_cast<uint16_t>(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu));
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);
  // Below 2^-14 the grid is 2^-24: adding 0.5 leaves the rounded number in the low bits.
  if (magnitude < 0x38800000u) {
    const float sum = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(sum) - 0x3f000000u));
  }
  const uint32_t odd = magnitude >> 13 & 1;
  return static_cast<uint16_t>(sign | ((magnitude - 0x38000000u + 0xfffu + odd) >> 13));
}
inline float RoundToHalf(float x) { return HalfBitsToFloat(HalfBits(x)); }
inline float RoundToBF16(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u)
    return std::bit_cast<float>((bits | 0x400000u) & 0xffff0000u);
  return std::bit_cast<float>((bits + 0x7fffu + (bits >> 16 & 1)) & 0xffff0000u);
}

inline void QuantiseQ8Block(bool with_sum, const float* x, size_t b, const GgmlRowBuffer& out) {
  float largest = 0;
  for (int i = 0; i < 32; ++i) largest = std::max(largest, std::fabs(x[i]));
  const float d = largest / 127.0f, inverse = largest != 0 ? 127.0f / largest : 0.0f;
  int sum = 0;
  for (int i = 0; i < 32; ++i) {
    const int code = static_cast<int>(std::nearbyint(x[i] * inverse));
    out.codes[32 * b + i] = static_cast<int8_t>(code);
    sum += code;
  }
  out.d[b] = RoundToHalf(d);
  if (with_sum) out.s[b] = RoundToHalf(d * static_cast<float>(sum));
}

inline void QuantiseQ8KBlock(const float* x, size_t b, const GgmlRowBuffer& out) {
  float largest = 0, signed_largest = 0;
  for (int i = 0; i < 256; ++i) {
    if (std::fabs(x[i]) <= largest) continue;
    largest = std::fabs(x[i]);
    signed_largest = x[i];
  }
  const float scale = largest != 0 ? -127.0f / signed_largest : 0.0f;
  for (int g = 0; g < 16; ++g) {
    int sum = 0;
    for (int i = 16 * g; i < 16 * g + 16; ++i) {
      const int code = std::min(127, static_cast<int>(std::nearbyint(scale * x[i])));
      out.codes[256 * b + i] = static_cast<int8_t>(code);
      sum += code;
    }
    out.sums[16 * b + g] = static_cast<int16_t>(sum);
  }
  out.d[b] = largest != 0 ? 1.0f / scale : 0.0f;
}

inline void Quantise(GgmlActivation activation, const float* x, size_t k,
                     const GgmlRowBuffer& out) {
  switch (activation) {
    case GgmlActivation::kF32:
      std::copy_n(x, k, out.values);
      return;
    case GgmlActivation::kF16:
      std::transform(x, x + k, out.values, RoundToHalf);
      return;
    case GgmlActivation::kBF16:
      std::transform(x, x + k, out.values, RoundToBF16);
      return;
    case GgmlActivation::kQ8_K:
      for (size_t b = 0; b < k / 256; ++b) QuantiseQ8KBlock(x + 256 * b, b, out);
      return;
    default:
      for (size_t b = 0; b < k / 32; ++b)
        QuantiseQ8Block(activation == GgmlActivation::kQ8_1, x + 32 * b, b, out);
  }
}

// Lanes joined by halves: l and l + n/2, then l and l + n/4, ... .
inline float Join(float* lanes, size_t n) {
  for (size_t half = n / 2; half > 0; half /= 2)
    for (size_t l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  return lanes[0];
}

// vec_dot of float numbers: four accumulators of 16 lanes take turns. What is left past whole turns
// is added to the joined sum one after another: groups of eight as rounded products, the last few
// fused (so GCC compiled ggml's plain loop).
inline float DotTurns(const float* a, const float* b, size_t whole) {
  float lanes[4][16] = {};
  for (size_t i = 0; i < whole; ++i)
    lanes[i / 16 % 4][i % 16] = std::fma(a[i], b[i], lanes[i / 16 % 4][i % 16]);
  for (size_t l = 0; l < 16; ++l) {
    lanes[0][l] += lanes[2][l];
    lanes[1][l] += lanes[3][l];
    lanes[0][l] += lanes[1][l];
  }
  return Join(lanes[0], 16);
}
inline float DotF32(const float* a, const float* b, size_t n) {
  const size_t whole = n / 64 * 64, eights = n / 8 * 8;
  float sum = DotTurns(a, b, whole);
  for (size_t i = whole; i < eights; ++i) {
    const float product = a[i] * b[i];
    sum += product;
  }
  for (size_t i = eights; i < n; ++i) sum = std::fma(a[i], b[i], sum);
  return sum;
}
// The same of binary16 numbers; what is left is added in double (the products are exact).
inline float DotF16(const float* a, const float* b, size_t n) {
  const size_t whole = n / 64 * 64;
  double sum = static_cast<double>(DotTurns(a, b, whole));
  for (size_t i = whole; i < n; ++i) sum += static_cast<double>(a[i] * b[i]);
  return static_cast<float>(sum);
}
// tinyBLAS of float and binary16 numbers: one accumulator of 16 lanes.
inline float BatchF32(const float* a, const float* b, size_t n) {
  float lanes[16] = {};
  for (size_t i = 0; i < n; ++i) lanes[i % 16] = std::fma(a[i], b[i], lanes[i % 16]);
  return Join(lanes, 16);
}

// VDPBF16PS: numbers below the smallest normal one count as zero, before and after; lane l takes
// the pair (2l, 2l + 1) of each 32, the odd one first.
inline float Flush(float x) { return std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x; }
inline void DotPairs(const float* a, const float* b, float* lanes) {
  for (size_t l = 0; l < 16; ++l)
    for (size_t i : {2 * l + 1, 2 * l})
      lanes[l] = Flush(std::fma(Flush(a[i]), Flush(b[i]), lanes[l]));
}
inline float DotBF16(const float* a, const float* b, size_t n) {
  float lanes[2][16] = {};
  const size_t whole = n / 64 * 64;
  for (size_t i = 0; i < whole; i += 32) DotPairs(a + i, b + i, lanes[i / 32 % 2]);
  double sum = static_cast<double>(Join(lanes[0], 16));
  sum += static_cast<double>(Join(lanes[1], 16));
  for (size_t i = whole; i < n; ++i) sum += static_cast<double>(a[i] * b[i]);
  return static_cast<float>(sum);
}
inline float BatchBF16(const float* a, const float* b, size_t n) {
  float lanes[16] = {};
  for (size_t i = 0; i < n; i += 32) DotPairs(a + i, b + i, lanes);
  return Join(lanes, 16);
}

// Codes of a group of 32 columns: lane l (of 8) has columns 4l .. 4l+3.
inline int Lane(const int8_t* w, const int8_t* x, size_t l) {
  int sum = 0;
  for (size_t i = 4 * l; i < 4 * l + 4; ++i) sum += w[i] * x[i];
  return sum;
}
inline int Sum32(const int8_t* w, const int8_t* x) {
  int sum = 0;
  for (size_t l = 0; l < 8; ++l) sum += Lane(w, x, l);
  return sum;
}

// Types with blocks of 32. vec_dot: eight lanes; repacked: one chain of whole blocks.
inline float Dot32(const GgmlDots& a, const GgmlRow& x) {
  const size_t blocks = a.k / 32;
  const bool minima = GgmlActivationOf(a.type) == GgmlActivation::kQ8_1;
  // IQ4_NL and MXFP4 take pairs of blocks, each with an accumulator of its own; a last odd block is
  // added as one number.
  const bool pairs = (a.type == TensorType::kIQ4_NL && a.order != GgmlOrder::kBatch) ||
                     a.type == TensorType::kMXFP4;
  const bool chain = a.order == GgmlOrder::kGemv || a.order == GgmlOrder::kGemm;
  float lanes[2][8] = {}, one = 0, m = 0;
  for (size_t b = 0; b < blocks; ++b) {
    const int8_t *w = a.w.codes + 32 * b, *c = x.codes + 32 * b;
    const float d = a.w.d[b] * x.d[b];
    if (minima) m = std::fma(a.w.m[b], x.s[b], m);
    if (chain || (pairs && b + 1 == blocks && b % 2 == 0)) {
      if (!chain) {
        for (size_t l = 0; l < 8; ++l) lanes[0][l] += lanes[1][l];
        return std::fma(d, static_cast<float>(Sum32(w, c)), Join(lanes[0], 8));
      }
      one = std::fma(static_cast<float>(Sum32(w, c)), d, one);
      continue;
    }
    float* into = lanes[pairs ? b % 2 : 0];
    for (size_t l = 0; l < 8; ++l)
      into[l] = std::fma(d, static_cast<float>(Lane(w, c, l)), into[l]);
  }
  if (chain) return one;
  for (size_t l = 0; pairs && l < 8; ++l) lanes[0][l] += lanes[1][l];
  const float sum = Join(lanes[0], 8);
  return minima ? sum + m : sum;
}

// A super-block's integers: lane l over all eight groups, each 16 columns times their scale.
inline int SuperLane(const GgmlDots& a, const GgmlRow& x, size_t b, size_t l) {
  int sum = 0;
  for (size_t g = 0; g < 8; ++g) {
    const size_t at = 256 * b + 32 * g;
    sum += Lane(a.w.codes + at, x.codes + at, l) * a.w.scales[16 * b + 2 * g + l / 4];
  }
  const int16_t *s = x.sums + 16 * b + 2 * l, *scales = a.w.scales + 16 * b + 2 * l;
  if (a.type == TensorType::kQ6_K) sum -= 32 * (s[0] * scales[0] + s[1] * scales[1]);
  if (a.type == TensorType::kTQ1_0 || a.type == TensorType::kTQ2_0) sum -= s[0] + s[1];
  return sum;
}
// The minimum of group g (16 columns of Q2_K, 32 of Q4_K and Q5_K) times the sum of its codes.
inline int MinTimesSum(const GgmlDots& a, const GgmlRow& x, size_t b, size_t g) {
  const int16_t* sums = x.sums + 16 * b;
  if (a.type == TensorType::kQ2_K) return a.w.mins[16 * b + g] * sums[g];
  return a.w.mins[8 * b + g] * (sums[2 * g] + sums[2 * g + 1]);
}

inline float DotSuper(const GgmlDots& a, const GgmlRow& x) {
  float lanes[8] = {}, m4[4] = {}, m1 = 0;
  for (size_t b = 0; b < a.k / 256; ++b) {
    const float d = x.d[b] * a.w.d[b], dmin = a.w.m != nullptr ? -x.d[b] * a.w.m[b] : 0.0f;
    if (a.type == TensorType::kQ2_K)
      for (size_t l = 0; l < 8; ++l)
        lanes[l] = std::fma(
            dmin, static_cast<float>(MinTimesSum(a, x, b, 2 * l) + MinTimesSum(a, x, b, 2 * l + 1)),
            lanes[l]);
    if (a.type == TensorType::kQ4_K)
      for (size_t l = 0; l < 4; ++l)
        m4[l] = std::fma(
            dmin, static_cast<float>(MinTimesSum(a, x, b, 2 * l) + MinTimesSum(a, x, b, 2 * l + 1)),
            m4[l]);
    if (a.type == TensorType::kQ5_K) {
      int sum = 0;
      for (size_t g = 0; g < 8; ++g) sum += MinTimesSum(a, x, b, g);
      m1 = std::fma(dmin, static_cast<float>(sum), m1);
    }
    for (size_t l = 0; l < 8; ++l)
      lanes[l] = std::fma(d, static_cast<float>(SuperLane(a, x, b, l)), lanes[l]);
  }
  const float sum = Join(lanes, 8);
  if (a.type == TensorType::kQ4_K) return sum + Join(m4, 4);
  return a.type == TensorType::kQ5_K ? sum + m1 : sum;
}

// Repacked Q2_K and Q4_K: one chain of the products, one of the minima. A row alone: a step for
// each super-block; a group of four: a step for each 64 columns of Q4_K, 128 of Q2_K.
inline float ChainSuper(const GgmlDots& a, const GgmlRow& x) {
  const bool q4 = a.type == TensorType::kQ4_K;
  const size_t step = a.order == GgmlOrder::kGemv ? 256 : q4 ? 64 : 128, min_width = q4 ? 32 : 16;
  float sum = 0, minima = 0;
  for (size_t i0 = 0; i0 < a.k; i0 += step) {
    int products = 0, mins = 0;
    for (size_t i = i0; i < i0 + step; i += 16) {
      int dot = 0;
      for (size_t j = i; j < i + 16; ++j) dot += a.w.codes[j] * x.codes[j];
      products += dot * a.w.scales[i / 16];
    }
    for (size_t i = i0; i < i0 + step; i += min_width)
      mins += MinTimesSum(a, x, i / 256, i % 256 / min_width);
    const size_t b = i0 / 256;
    sum = std::fma(static_cast<float>(products), a.w.d[b] * x.d[b], sum);
    minima = std::fma(static_cast<float>(mins), a.w.m[b] * x.d[b], minima);
  }
  return sum - minima;
}

// IQ4_XS in a batch: one chain of whole super-blocks.
inline float ChainIQ4(const GgmlDots& a, const GgmlRow& x) {
  float sum = 0;
  for (size_t b = 0; b < a.k / 256; ++b) {
    int total = 0;
    for (size_t l = 0; l < 8; ++l) total += SuperLane(a, x, b, l);
    sum = std::fma(static_cast<float>(total), a.w.d[b] * x.d[b], sum);
  }
  return sum;
}

inline float Dot(const GgmlDots& a, const GgmlRow& x) {
  const bool batch = a.order == GgmlOrder::kBatch;
  switch (GgmlActivationOf(a.type)) {
    case GgmlActivation::kF32:
      return batch ? BatchF32(a.w.values, x.values, a.k) : DotF32(a.w.values, x.values, a.k);
    case GgmlActivation::kF16:
      return batch ? BatchF32(a.w.values, x.values, a.k) : DotF16(a.w.values, x.values, a.k);
    case GgmlActivation::kBF16:
      return batch ? BatchBF16(a.w.values, x.values, a.k) : DotBF16(a.w.values, x.values, a.k);
    case GgmlActivation::kQ8_K:
      if (batch && a.type == TensorType::kIQ4_XS) return ChainIQ4(a, x);
      return a.order == GgmlOrder::kGemv || a.order == GgmlOrder::kGemm ? ChainSuper(a, x)
                                                                        : DotSuper(a, x);
    default:
      return Dot32(a, x);
  }
}

}  // namespace vernier::reference::ggml

#endif  // VERNIER_KERNELS_GGML_REFERENCE_H_
