// What kernels/ggml-inl.h is made of: eight lanes of integers and floats, roundings, ggml's
// exponential. Included once per instruction set.
#ifndef VERNIER_KERNELS_GGML_LANES_INL_H_
#define VERNIER_KERNELS_GGML_LANES_INL_H_

#include "kernels/half.h"
#include "kernels/vec-inl.h"

namespace vernier::VERNIER_TARGET {

#if VERNIER_VECTOR_BYTES > 16

struct Eight {
  __m256 v;
};
struct EightInts {
  __m256i v;
};
VERNIER_INLINE Eight ZeroEight() { return {_mm256_setzero_ps()}; }
VERNIER_INLINE EightInts ZeroInts() { return {_mm256_setzero_si256()}; }
VERNIER_INLINE Eight FmaEight(float d, Eight x, Eight sum) {
  return {_mm256_fmadd_ps(_mm256_set1_ps(d), x.v, sum.v)};
}
VERNIER_INLINE Eight AddEight(Eight a, Eight b) { return {_mm256_add_ps(a.v, b.v)}; }
VERNIER_INLINE EightInts AddInts(EightInts a, EightInts b) { return {_mm256_add_epi32(a.v, b.v)}; }
VERNIER_INLINE Eight FloatsOf(EightInts x) { return {_mm256_cvtepi32_ps(x.v)}; }
VERNIER_INLINE EightInts LoadInts(const int32_t* x) {
  EightInts y;
  memcpy(&y, x, sizeof y);
  return y;
}
// Products of neighbours in 16 bits: |w| <= 128 and |x| <= 127, so that two of them fit.
VERNIER_INLINE __m256i PairProducts(const int8_t* w, const int8_t* x) {
  __m256i a, b;
  memcpy(&a, w, sizeof a);
  memcpy(&b, x, sizeof b);
  return _mm256_maddubs_epi16(_mm256_abs_epi8(a), _mm256_sign_epi8(b, a));
}
// Lane l: the products of columns 4l .. 4l+3 of 32.
VERNIER_INLINE EightInts LaneSums(const int8_t* w, const int8_t* x) {
  return {_mm256_madd_epi16(PairProducts(w, x), _mm256_set1_epi16(1))};
}
// The same, lanes 0 to 3 times `low`, the others times `high`.
VERNIER_INLINE EightInts ScaledLaneSums(const int8_t* w, const int8_t* x, int16_t low,
                                        int16_t high) {
  const __m256i scales = _mm256_inserti128_si256(_mm256_set1_epi16(low), _mm_set1_epi16(high), 1);
  return {_mm256_madd_epi16(PairProducts(w, x), scales)};
}
VERNIER_INLINE int SumEight(EightInts x) {
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(x.v), _mm256_extracti128_si256(x.v, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
  return _mm_cvtsi128_si32(s);
}
// l + (l+4), then + (l+2), + (l+1).
VERNIER_INLINE float JoinEight(Eight x) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(x.v), _mm256_extractf128_ps(x.v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  s = _mm_add_ss(s, _mm_movehdup_ps(s));
  return _mm_cvtss_f32(s);
}

#else

struct Eight {
  float v[8];
};
struct EightInts {
  int32_t v[8];
};
VERNIER_INLINE Eight ZeroEight() { return {}; }
VERNIER_INLINE EightInts ZeroInts() { return {}; }
VERNIER_INLINE Eight FmaEight(float d, Eight x, Eight sum) {
  for (int l = 0; l < 8; ++l) sum.v[l] = __builtin_fmaf(d, x.v[l], sum.v[l]);
  return sum;
}
VERNIER_INLINE Eight AddEight(Eight a, const Eight& b) {
  for (int l = 0; l < 8; ++l) a.v[l] += b.v[l];
  return a;
}
VERNIER_INLINE EightInts AddInts(EightInts a, const EightInts& b) {
  for (int l = 0; l < 8; ++l) a.v[l] += b.v[l];
  return a;
}
VERNIER_INLINE Eight FloatsOf(const EightInts& x) {
  Eight y;
  for (int l = 0; l < 8; ++l) y.v[l] = static_cast<float>(x.v[l]);
  return y;
}
VERNIER_INLINE EightInts LoadInts(const int32_t* x) {
  EightInts y;
  memcpy(&y, x, sizeof y);
  return y;
}
VERNIER_INLINE EightInts LaneSums(const int8_t* w, const int8_t* x) {
  EightInts y{};
  for (int i = 0; i < 32; ++i) y.v[i / 4] += w[i] * x[i];
  return y;
}
VERNIER_INLINE EightInts ScaledLaneSums(const int8_t* w, const int8_t* x, int16_t low,
                                        int16_t high) {
  EightInts y = LaneSums(w, x);
  for (int l = 0; l < 8; ++l) y.v[l] *= l < 4 ? low : high;
  return y;
}
VERNIER_INLINE int SumEight(const EightInts& x) {
  int sum = 0;
  for (int l = 0; l < 8; ++l) sum += x.v[l];
  return sum;
}
VERNIER_INLINE float JoinEight(const Eight& x) {
  float four[4];
  for (int l = 0; l < 4; ++l) four[l] = x.v[l] + x.v[l + 4];
  const float even = four[0] + four[2], odd = four[1] + four[3];
  return even + odd;
}

#endif

// The nearest integer, ties to even; |x| < 2^22.
VERNIER_INLINE int NearestInt(float x) {
  return static_cast<int>(__builtin_bit_cast(uint32_t, x + 12582912.0f) & 0x7fffffu) - 0x400000;
}

// The binary16 number nearest to x, ties to even.
VERNIER_INLINE float RoundToHalf(float x) {
#if VERNIER_VECTOR_BYTES > 16
  return _cvtsh_ss(_cvtss_sh(x, _MM_FROUND_TO_NEAREST_INT));
#else
  const uint32_t bits = __builtin_bit_cast(uint32_t, x), sign = bits & 0x80000000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return __builtin_bit_cast(float, (bits | 0x400000u) & 0xffffe000u);
  if (magnitude >= 0x477ff000u) return __builtin_bit_cast(float, sign | 0x7f800000u);
  float rounded;
  if (magnitude < 0x38800000u) {  // the grid is 2^-24
    rounded = (__builtin_bit_cast(float, magnitude) + 0.5f) - 0.5f;
  } else {
    const uint32_t odd = magnitude >> 13 & 1;
    rounded = __builtin_bit_cast(float, (magnitude + 0xfffu + odd) & 0xffffe000u);
  }
  return __builtin_bit_cast(float, sign | __builtin_bit_cast(uint32_t, rounded));
#endif
}
VERNIER_INLINE float RoundToBF16(float x) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, x);
  const uint32_t quiet = (bits | 0x400000u) & 0xffff0000u;
  const uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1)) & 0xffff0000u;
  return __builtin_bit_cast(float, (bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
}

// VDPBF16PS in operations that every machine has: docs/profiles.md, section 3.
VERNIER_INLINE float FlushToZero(float x) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, x);
  return __builtin_bit_cast(float, (bits & 0x7f800000u) == 0 ? bits & 0x80000000u : bits);
}
VERNIER_INLINE void DotPairs(const float* a, const float* b, float* lanes) {
  for (int l = 0; l < 16; ++l) {
    const float odd =
        FlushToZero(__builtin_fmaf(FlushToZero(a[2 * l + 1]), FlushToZero(b[2 * l + 1]), lanes[l]));
    lanes[l] = FlushToZero(__builtin_fmaf(FlushToZero(a[2 * l]), FlushToZero(b[2 * l]), odd));
  }
}

// ggml's exponential: docs/profiles.md, section 4.
VERNIER_INLINE Vec<float> GgmlExp(const Vec<float>& x) {
  typedef Native<float>::Type Part;
  typedef Native<float>::Bits Bits;
  const Vec<float> round = Set(0x1.8p23f), z = Fma(x, Set(0x1.715476p+0f), round), n = z - round;
  const Vec<float> rest = Fma(n, Set(-0x1.62e4p-1f), x);
  const Vec<float> b = Fma(n, Set(-0x1.7f7d1cp-20f), rest), u = b * b;
  const Vec<float> high = Fma(Set(0x1.0e4020p-7f), b, Set(0x1.573e2ep-5f));
  const Vec<float> middle = Fma(Set(0x1.555e66p-3f), b, Set(0x1.fffdb6p-2f));
  const Vec<float> low = Fma(Set(0x1.ffffecp-1f), b, Set(1.0f));
  const Vec<float> p = Fma(Fma(high, u, middle), u, low);
  return ForParts<float>([&](int q) {
    // 2^n in two factors, each a normal number for |n| <= 192: the first product is exact, the
    // second is rounded.
    const Bits exponent = (reinterpret_cast<Bits>(z.part[q]) & 0x7fffff) - 0x400000;
    const Bits first = exponent >> 1, second = exponent - first;
    const Part y = p.part[q] * reinterpret_cast<Part>((first + 127) << 23) *
                   reinterpret_cast<Part>((second + 127) << 23);
    const Part limit = SetPart(192.0f);
    const Part bounded = n.part[q] < -limit ? SetPart(0.0f) : y;
    return n.part[q] > limit ? SetPart(__builtin_inff()) : bounded;
  });
}

// Lane i: SumLanes(rows[i]), of sixteen rows at once.
#if VERNIER_VECTOR_BYTES == 64
VERNIER_INLINE Vec<float> SumLanesOfEach(const Vec<float>* rows) {
  Native<float>::Type a[8], b[4], c[2];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {  // eight lanes of row 2i, then of row 2i + 1
    const auto x = rows[2 * i].part[0], y = rows[2 * i + 1].part[0];
    a[i] =
        __builtin_shufflevector(x, y, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
        __builtin_shufflevector(x, y, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {  // four lanes of rows 4i to 4i + 3
    const auto x = a[2 * i], y = a[2 * i + 1];
    b[i] =
        __builtin_shufflevector(x, y, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
        __builtin_shufflevector(x, y, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {  // quad m: two lanes of row 8i + m, two of row 8i + 4 + m
    const auto x = b[2 * i], y = b[2 * i + 1];
    c[i] =
        __builtin_shufflevector(x, y, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29) +
        __builtin_shufflevector(x, y, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
  }
  const auto d =  // quad m: rows m, 4 + m, 8 + m, 12 + m
      __builtin_shufflevector(c[0], c[1], 0, 2, 16, 18, 4, 6, 20, 22, 8, 10, 24, 26, 12, 14, 28,
                              30) +
      __builtin_shufflevector(c[0], c[1], 1, 3, 17, 19, 5, 7, 21, 23, 9, 11, 25, 27, 13, 15, 29,
                              31);
  return {{__builtin_shufflevector(d, d, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)}};
}
#else
VERNIER_INLINE Vec<float> SumLanesOfEach(const Vec<float>* rows) {
  typedef float Four __attribute__((vector_size(16)));
  Four sums[4];
  for (int i = 0; i < 4; ++i) {
    Four four[4];
    for (int r = 0; r < 4; ++r) {
      Four part[4];
      memcpy(part, rows + 4 * i + r, sizeof part);
      four[r] = (part[0] + part[2]) + (part[1] + part[3]);
    }
    const Four a = __builtin_shufflevector(four[0], four[1], 0, 1, 4, 5) +
                   __builtin_shufflevector(four[0], four[1], 2, 3, 6, 7);
    const Four b = __builtin_shufflevector(four[2], four[3], 0, 1, 4, 5) +
                   __builtin_shufflevector(four[2], four[3], 2, 3, 6, 7);
    sums[i] = __builtin_shufflevector(a, b, 0, 2, 4, 6) + __builtin_shufflevector(a, b, 1, 3, 5, 7);
  }
  Vec<float> y;
  memcpy(&y, sums, sizeof y);
  return y;
}
#endif

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_GGML_LANES_INL_H_
