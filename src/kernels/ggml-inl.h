// The arithmetic of docs/profiles.md, section by section (kernels/ggml.h). Included once per
// instruction set; kernels/ggml_reference.h says the same in plain loops.
#ifndef VERNIER_KERNELS_GGML_INL_H_
#define VERNIER_KERNELS_GGML_INL_H_

#include "kernels/ggml.h"
#include "kernels/ggml_attention-inl.h"
#include "kernels/ggml_dots-inl.h"
#include "kernels/ggml_lanes-inl.h"
#include "kernels/ggml_rows-inl.h"

namespace vernier::VERNIER_TARGET {

// ---- Activations.

inline float LargestOf32(const float* x) {
  float largest = 0;
  for (int i = 0; i < 32; ++i) {
    const float magnitude = __builtin_fabsf(x[i]);
    largest = magnitude > largest ? magnitude : largest;
  }
  return largest;
}

inline void QuantiseQ8(const float* x, size_t k, const GgmlRowBuffer& out) {
  for (size_t b = 0; b < k / 32; ++b, x += 32) {
    const float largest = LargestOf32(x), d = largest / 127.0f;
    const float inverse = largest != 0 ? 127.0f / largest : 0.0f;
    int sum = 0;
    for (int i = 0; i < 32; ++i) {
      const int code = NearestInt(x[i] * inverse);
      out.codes[32 * b + i] = static_cast<int8_t>(code);
      sum += code;
    }
    out.d[b] = RoundToHalf(d);
    if (out.s != nullptr) out.s[b] = RoundToHalf(d * static_cast<float>(sum));
  }
}

inline void QuantiseQ8K(const float* x, size_t k, const GgmlRowBuffer& out) {
  for (size_t b = 0; b < k / 256; ++b, x += 256) {
    float largest = 0;
    for (int i = 0; i < 256; i += 32) {
      const float one = LargestOf32(x + i);
      largest = one > largest ? one : largest;
    }
    float first = 0;  // the first element of that magnitude
    for (int i = 255; i >= 0; --i) first = __builtin_fabsf(x[i]) == largest ? x[i] : first;
    const float scale = largest != 0 ? -127.0f / first : 0.0f;
    for (int g = 0; g < 16; ++g) {
      int sum = 0;
      for (int i = 16 * g; i < 16 * g + 16; ++i) {
        const int code = NearestInt(scale * x[i]), kept = code < 127 ? code : 127;
        out.codes[256 * b + static_cast<size_t>(i)] = static_cast<int8_t>(kept);
        sum += kept;
      }
      out.sums[16 * b + static_cast<size_t>(g)] = static_cast<int16_t>(sum);
    }
    out.d[b] = largest != 0 ? 1.0f / scale : 0.0f;
  }
}

inline void GgmlQuantise(GgmlActivation activation, const float* x, size_t k,
                         const GgmlRowBuffer& out) {
  switch (activation) {
    case GgmlActivation::kF32:
      for (size_t i = 0; i < k; ++i) out.values[i] = x[i];
      return;
    case GgmlActivation::kF16:
      for (size_t i = 0; i < k; ++i) out.values[i] = RoundToHalf(x[i]);
      return;
    case GgmlActivation::kBF16:
      for (size_t i = 0; i < k; ++i) out.values[i] = RoundToBF16(x[i]);
      return;
    case GgmlActivation::kQ8_K:
      return QuantiseQ8K(x, k, out);
    default:
      return QuantiseQ8(x, k, out);
  }
}

// ---- Blocks of 32.

inline Eight DotOfBlock(const GgmlDots& a, const GgmlRow& x, size_t b, Eight sum) {
  return FmaEight(a.w.d[b] * x.d[b], FloatsOf(LaneSums(a.w.codes + 32 * b, x.codes + 32 * b)), sum);
}
inline float Integer(const GgmlDots& a, const GgmlRow& x, size_t b) {
  return static_cast<float>(SumEight(LaneSums(a.w.codes + 32 * b, x.codes + 32 * b)));
}

inline float DotBlocks(const GgmlDots& a, const GgmlRow& x) {
  Eight sum = ZeroEight();
  for (size_t b = 0; b < a.k / 32; ++b) sum = DotOfBlock(a, x, b, sum);
  return JoinEight(sum);
}
inline float DotBlocksWithMinima(const GgmlDots& a, const GgmlRow& x) {
  Eight sum = ZeroEight();
  float minima = 0;
  for (size_t b = 0; b < a.k / 32; ++b) {
    minima = __builtin_fmaf(a.w.m[b], x.s[b], minima);
    sum = DotOfBlock(a, x, b, sum);
  }
  return JoinEight(sum) + minima;
}
inline float DotBlockPairs(const GgmlDots& a, const GgmlRow& x) {
  Eight even = ZeroEight(), odd = even;
  const size_t blocks = a.k / 32, pairs = blocks / 2;
  for (size_t p = 0; p < pairs; ++p) {
    even = DotOfBlock(a, x, 2 * p, even);
    odd = DotOfBlock(a, x, 2 * p + 1, odd);
  }
  const float sum = JoinEight(AddEight(even, odd));
  if (blocks % 2 == 0) return sum;
  return __builtin_fmaf(a.w.d[blocks - 1] * x.d[blocks - 1], Integer(a, x, blocks - 1), sum);
}
inline float ChainBlocks(const GgmlDots& a, const GgmlRow& x) {
  float sum = 0;
  for (size_t b = 0; b < a.k / 32; ++b)
    sum = __builtin_fmaf(Integer(a, x, b), a.w.d[b] * x.d[b], sum);
  return sum;
}

inline float BlockDot(const GgmlDots& a, const GgmlRow& x) {
  if (a.order == GgmlOrder::kGemv || a.order == GgmlOrder::kGemm) return ChainBlocks(a, x);
  if (GgmlActivationOf(a.type) == GgmlActivation::kQ8_1) return DotBlocksWithMinima(a, x);
  if (a.type == TensorType::kMXFP4 ||
      (a.type == TensorType::kIQ4_NL && a.order != GgmlOrder::kBatch))
    return DotBlockPairs(a, x);
  return DotBlocks(a, x);
}

// ---- Super-blocks of 256.

// Lanes of columns [32 * first, 32 * last), each 16 columns times their scale.
inline EightInts SuperLanes(const GgmlDots& a, const GgmlRow& x, size_t first, size_t last) {
  EightInts sum = ZeroInts();
  for (size_t g = first; g < last; ++g)
    sum = AddInts(sum, ScaledLaneSums(a.w.codes + 32 * g, x.codes + 32 * g, a.w.scales[2 * g],
                                      a.w.scales[2 * g + 1]));
  return sum;
}

// Times the sums of codes, the minima of columns [first, last): of each 16 (Q2_K) or 32.
inline int MinimaSum(const GgmlDots& a, const GgmlRow& x, size_t first, size_t last) {
  int sum = 0;
  if (a.type == TensorType::kQ2_K) {
    for (size_t g = first / 16; g < last / 16; ++g) sum += a.w.mins[g] * x.sums[g];
  } else {
    for (size_t g = first / 32; g < last / 32; ++g)
      sum += a.w.mins[g] * (x.sums[2 * g] + x.sums[2 * g + 1]);
  }
  return sum;
}

inline float SuperDot(const GgmlDots& a, const GgmlRow& x) {
  Eight sum = ZeroEight();
  float m4[4] = {}, m1 = 0;
  for (size_t b = 0; b < a.k / 256; ++b) {
    const float d = x.d[b] * a.w.d[b];
    EightInts lanes = SuperLanes(a, x, 8 * b, 8 * b + 8);
    int32_t minima[8] = {};
    if (a.w.m != nullptr)
      for (size_t l = 0; l < 8; ++l)
        minima[l] = MinimaSum(a, x, 256 * b + 32 * l, 256 * b + 32 * l + 32);
    const float dmin = a.w.m != nullptr ? -x.d[b] * a.w.m[b] : 0.0f;
    if (a.type == TensorType::kQ2_K) sum = FmaEight(dmin, FloatsOf(LoadInts(minima)), sum);
    if (a.type == TensorType::kQ4_K)
      for (size_t l = 0; l < 4; ++l)
        m4[l] = __builtin_fmaf(dmin, static_cast<float>(minima[2 * l] + minima[2 * l + 1]), m4[l]);
    if (a.type == TensorType::kQ5_K)
      m1 = __builtin_fmaf(dmin, static_cast<float>(SumEight(LoadInts(minima))), m1);
    if (a.type == TensorType::kQ6_K || a.type == TensorType::kTQ1_0 ||
        a.type == TensorType::kTQ2_0) {
      const int factor = a.type == TensorType::kQ6_K ? 32 : 1;
      for (size_t l = 0; l < 8; ++l) {
        const size_t g = 16 * b + 2 * l;
        minima[l] = -factor * (x.sums[g] * a.w.scales[g] + x.sums[g + 1] * a.w.scales[g + 1]);
      }
      lanes = AddInts(lanes, LoadInts(minima));
    }
    sum = FmaEight(d, FloatsOf(lanes), sum);
  }
  const float joined = JoinEight(sum);
  if (a.type == TensorType::kQ4_K) {
    const float even = m4[0] + m4[2], odd = m4[1] + m4[3];
    return joined + (even + odd);
  }
  return a.type == TensorType::kQ5_K ? joined + m1 : joined;
}

inline float ChainSuper(const GgmlDots& a, const GgmlRow& x, size_t step) {
  float sum = 0, minima = 0;
  for (size_t i = 0; i < a.k; i += step) {
    const size_t b = i / 256;
    const int products = SumEight(SuperLanes(a, x, i / 32, (i + step) / 32));
    sum = __builtin_fmaf(static_cast<float>(products), a.w.d[b] * x.d[b], sum);
    if (a.w.m != nullptr)
      minima = __builtin_fmaf(static_cast<float>(MinimaSum(a, x, i, i + step)), a.w.m[b] * x.d[b],
                              minima);
  }
  return a.w.m != nullptr ? sum - minima : sum;
}

inline float BlockOf256Dot(const GgmlDots& a, const GgmlRow& x) {
  if (a.order == GgmlOrder::kGemv ||
      (a.order == GgmlOrder::kBatch && a.type == TensorType::kIQ4_XS))
    return ChainSuper(a, x, 256);
  if (a.order == GgmlOrder::kGemm) return ChainSuper(a, x, a.type == TensorType::kQ4_K ? 64 : 128);
  return SuperDot(a, x);
}

inline void GgmlDotRows(const GgmlDots& a) {
  const size_t block = GgmlBlock(a.type);
  if (block == 1 && a.type != TensorType::kBF16 && a.order == GgmlOrder::kBatch)
    return GgmlBatchF32Rows(a);
  for (size_t j = 0; j < a.n; ++j) {
    a.y[j] = block == 1    ? GgmlFloatDot(a.type, a.order, a.w.values, a.x[j].values, a.k)
             : block == 32 ? BlockDot(a, a.x[j])
                           : BlockOf256Dot(a, a.x[j]);
  }
}

constexpr GgmlKernels kGgml = {GgmlQuantise,  GgmlDotRows,   GgmlScoreRows,
                               GgmlValueRows, GgmlNormScale, GgmlSoftmax,
                               GgmlSwiGlu,    GgmlSilu,      GgmlRope};

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_GGML_INL_H_
