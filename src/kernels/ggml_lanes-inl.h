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

// ggml's exponential: docs/profiles.md, section 5.
VERNIER_INLINE float GgmlExp(float x) {
  const float round = 0x1.8p23f, z = __builtin_fmaf(x, 0x1.715476p+0f, round), n = z - round;
  const float rest = __builtin_fmaf(-n, 0x1.62e4p-1f, x);
  const float b = __builtin_fmaf(-n, 0x1.7f7d1cp-20f, rest), u = b * b;
  const float high = __builtin_fmaf(0x1.0e4020p-7f, b, 0x1.573e2ep-5f);
  const float middle = __builtin_fmaf(0x1.555e66p-3f, b, 0x1.fffdb6p-2f);
  const float low = __builtin_fmaf(0x1.ffffecp-1f, b, 1.0f);
  const float p = __builtin_fmaf(__builtin_fmaf(high, u, middle), u, low);
  const float limited = n < -400.0f ? -400.0f : (n > 400.0f ? 400.0f : n);
  // 2^n in double, so that the product is rounded once.
  const int64_t exponent = static_cast<int64_t>(limited) + 1023;
  const double scale = __builtin_bit_cast(double, exponent << 52);
  const float y = static_cast<float>(static_cast<double>(p) * scale);
  const float beyond = n <= 0 ? 0.0f : __builtin_inff();
  return __builtin_fabsf(n) > 192 ? beyond : y;
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_GGML_LANES_INL_H_
