// Sixteen lanes of float or double, whatever the width of the machine's registers: the one vector
// type the kernels are written in, so that every instruction set computes the same operations in
// the same order. Included once per instruction set by kernels_ISA.cc, which defines VERNIER_TARGET
// (the namespace) and VERNIER_VECTOR_BYTES. Only freestanding headers here: these files are
// compiled with wider instruction sets, and a shared inline function must not escape into the rest
// of the program.
#ifndef VERNIER_KERNELS_VEC_INL_H_
#define VERNIER_KERNELS_VEC_INL_H_

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if VERNIER_VECTOR_BYTES > 16 || defined(__SSE2__)
#include <immintrin.h>
#endif

#include "kernels/kernels.h"

namespace vernier::VERNIER_TARGET {

#define VERNIER_INLINE inline __attribute__((always_inline))
#define VERNIER_LAMBDA __attribute__((always_inline))  // after a lambda's parameters

template <class T>
struct Native;
template <>
struct Native<float> {
  typedef float Type __attribute__((vector_size(VERNIER_VECTOR_BYTES)));
  typedef int32_t Bits __attribute__((vector_size(VERNIER_VECTOR_BYTES)));
};
template <>
struct Native<double> {
  typedef double Type __attribute__((vector_size(VERNIER_VECTOR_BYTES)));
  typedef int64_t Bits __attribute__((vector_size(VERNIER_VECTOR_BYTES)));
  typedef float Narrow __attribute__((vector_size(VERNIER_VECTOR_BYTES / 2)));  // as many floats
};

template <class T>
struct Vec {
  using Part = typename Native<T>::Type;
  static constexpr int kWidth = VERNIER_VECTOR_BYTES / sizeof(T);
  static constexpr int kParts = 16 / kWidth;
  Part part[kParts];
};

#if VERNIER_VECTOR_BYTES == 64
VERNIER_INLINE __m512 FmaPart(__m512 a, __m512 b, __m512 c) { return _mm512_fmadd_ps(a, b, c); }
VERNIER_INLINE __m512d FmaPart(__m512d a, __m512d b, __m512d c) { return _mm512_fmadd_pd(a, b, c); }
VERNIER_INLINE __m512 SqrtPart(__m512 a) { return _mm512_maskz_sqrt_ps(0xffff, a); }
// a > b ? a : b and a < b ? a : b
VERNIER_INLINE __m512 MaxPart(__m512 a, __m512 b) { return _mm512_maskz_max_ps(0xffff, a, b); }
VERNIER_INLINE __m512 MinPart(__m512 a, __m512 b) { return _mm512_maskz_min_ps(0xffff, a, b); }
VERNIER_INLINE __m512d MaxPart(__m512d a, __m512d b) { return _mm512_maskz_max_pd(0xff, a, b); }
VERNIER_INLINE __m512d MinPart(__m512d a, __m512d b) { return _mm512_maskz_min_pd(0xff, a, b); }
VERNIER_INLINE __m512 SetPart(float x) { return _mm512_set1_ps(x); }
VERNIER_INLINE __m512d SetPart(double x) { return _mm512_set1_pd(x); }
#elif VERNIER_VECTOR_BYTES == 32
VERNIER_INLINE __m256 FmaPart(__m256 a, __m256 b, __m256 c) { return _mm256_fmadd_ps(a, b, c); }
VERNIER_INLINE __m256d FmaPart(__m256d a, __m256d b, __m256d c) { return _mm256_fmadd_pd(a, b, c); }
VERNIER_INLINE __m256 SqrtPart(__m256 a) { return _mm256_sqrt_ps(a); }
VERNIER_INLINE __m256 MaxPart(__m256 a, __m256 b) { return _mm256_max_ps(a, b); }
VERNIER_INLINE __m256 MinPart(__m256 a, __m256 b) { return _mm256_min_ps(a, b); }
VERNIER_INLINE __m256d MaxPart(__m256d a, __m256d b) { return _mm256_max_pd(a, b); }
VERNIER_INLINE __m256d MinPart(__m256d a, __m256d b) { return _mm256_min_pd(a, b); }
VERNIER_INLINE __m256 SetPart(float x) { return _mm256_set1_ps(x); }
VERNIER_INLINE __m256d SetPart(double x) { return _mm256_set1_pd(x); }
#else
// No fused instruction to be relied on: the C library's fma is exact (IEEE 754), if slow where the
// machine has none.
VERNIER_INLINE Native<float>::Type FmaPart(Native<float>::Type a, Native<float>::Type b,
                                           Native<float>::Type c) {
  for (int i = 0; i < Vec<float>::kWidth; ++i) c[i] = __builtin_fmaf(a[i], b[i], c[i]);
  return c;
}
VERNIER_INLINE Native<double>::Type FmaPart(Native<double>::Type a, Native<double>::Type b,
                                            Native<double>::Type c) {
  for (int i = 0; i < Vec<double>::kWidth; ++i) c[i] = __builtin_fma(a[i], b[i], c[i]);
  return c;
}
VERNIER_INLINE Native<float>::Type SqrtPart(Native<float>::Type a) {
  for (int i = 0; i < Vec<float>::kWidth; ++i) a[i] = __builtin_sqrtf(a[i]);
  return a;
}
template <class V>
VERNIER_INLINE V MaxPart(const V& a, const V& b) {
  return a > b ? a : b;
}
template <class V>
VERNIER_INLINE V MinPart(const V& a, const V& b) {
  return a < b ? a : b;
}
VERNIER_INLINE Native<float>::Type SetPart(float x) { return Native<float>::Type{x, x, x, x}; }
VERNIER_INLINE Native<double>::Type SetPart(double x) { return Native<double>::Type{x, x}; }
#endif

template <class T, class F>
VERNIER_INLINE Vec<T> ForParts(F f) {
  Vec<T> y;
#pragma GCC unroll 8
  for (int q = 0; q < Vec<T>::kParts; ++q) y.part[q] = f(q);
  return y;
}

template <class T>
VERNIER_INLINE Vec<T> Set(T x) {
  return ForParts<T>([&](int) { return SetPart(x); });
}

VERNIER_INLINE Native<float>::Type LoadPart(const float* p, float) {
  Native<float>::Type v;
  memcpy(&v, p, sizeof v);
  return v;
}
VERNIER_INLINE Native<double>::Type LoadPart(const double* p, double) {
  Native<double>::Type v;
  memcpy(&v, p, sizeof v);
  return v;
}
#if VERNIER_VECTOR_BYTES == 64
// (The compiler makes four instructions of a generic conversion of eight.)
VERNIER_INLINE __m512d WidenPart(__m256 v) { return _mm512_maskz_cvtps_pd(0xff, v); }
VERNIER_INLINE __m256 NarrowPart(__m512d v) { return _mm512_maskz_cvtpd_ps(0xff, v); }
#else
VERNIER_INLINE Native<double>::Type WidenPart(Native<double>::Narrow v) {
  return __builtin_convertvector(v, Native<double>::Type);
}
VERNIER_INLINE Native<double>::Narrow NarrowPart(Native<double>::Type v) {
  return __builtin_convertvector(v, Native<double>::Narrow);
}
#endif
VERNIER_INLINE Native<double>::Type LoadPart(const float* p, double) {
  Native<double>::Narrow v;
  memcpy(&v, p, sizeof v);
  return WidenPart(v);
}

// 16 elements from p as T; W may be narrower (float to double, exact).
template <class T, class W>
VERNIER_INLINE Vec<T> Load(const W* p) {
  return ForParts<T>([&](int q) { return LoadPart(p + q * Vec<T>::kWidth, T{}); });
}
// The first n (1 to 15) elements from p, the rest `fill`.
template <class T, class W>
VERNIER_INLINE Vec<T> LoadFirst(const W* p, size_t n, T fill) {
  T buffer[16];
  for (size_t i = 0; i < 16; ++i) buffer[i] = i < n ? static_cast<T>(p[i]) : fill;
  return Load<T>(buffer);
}
template <class T>
VERNIER_INLINE void Store(const Vec<T>& v, T* p) {
  memcpy(p, &v, sizeof v);
}
template <class T>
VERNIER_INLINE void StoreFirst(const Vec<T>& v, T* p, size_t n) {
  memcpy(p, &v, n * sizeof(T));
}
template <class T>
VERNIER_INLINE Vec<T> Fma(const Vec<T>& a, const Vec<T>& b, const Vec<T>& c) {
  return ForParts<T>([&](int q) { return FmaPart(a.part[q], b.part[q], c.part[q]); });
}
VERNIER_INLINE Vec<float> Sqrt(const Vec<float>& a) {
  return ForParts<float>([&](int q) { return SqrtPart(a.part[q]); });
}
template <class T>
VERNIER_INLINE Vec<T> operator+(const Vec<T>& a, const Vec<T>& b) {
  return ForParts<T>([&](int q) { return a.part[q] + b.part[q]; });
}
template <class T>
VERNIER_INLINE Vec<T> operator-(const Vec<T>& a, const Vec<T>& b) {
  return ForParts<T>([&](int q) { return a.part[q] - b.part[q]; });
}
template <class T>
VERNIER_INLINE Vec<T> operator*(const Vec<T>& a, const Vec<T>& b) {
  return ForParts<T>([&](int q) { return a.part[q] * b.part[q]; });
}
template <class T>
VERNIER_INLINE Vec<T> operator/(const Vec<T>& a, const Vec<T>& b) {
  return ForParts<T>([&](int q) { return a.part[q] / b.part[q]; });
}
// b where b > a, else a.
template <class T>
VERNIER_INLINE Vec<T> Greater(const Vec<T>& a, const Vec<T>& b) {
  return ForParts<T>([&](int q) { return MaxPart(b.part[q], a.part[q]); });
}
// b where b < a, else a.
template <class T>
VERNIER_INLINE Vec<T> Less(const Vec<T>& a, const Vec<T>& b) {
  return ForParts<T>([&](int q) { return MinPart(b.part[q], a.part[q]); });
}

// The fixed tree over 16 lanes: l + (l+8), then + (l+4), + (l+2), + (l+1).
template <class T>
VERNIER_INLINE T SumLanes(const Vec<T>& v) {
  T t[16];
  Store(v, t);
#pragma GCC unroll 4
  for (int half = 8; half > 0; half /= 2) {
#pragma GCC unroll 8
    for (int l = 0; l < half; ++l) t[l] += t[l + half];
  }
  return t[0];
}
template <class T>
VERNIER_INLINE T MaxLanes(const Vec<T>& v) {
  T t[16];
  Store(v, t);
  for (int l = 1; l < 16; ++l) t[0] = t[l] > t[0] ? t[l] : t[0];
  return t[0];
}

// Calls f on each 16 elements of a row; the last, shorter piece is padded with `fill`.
template <class T, class F>
VERNIER_INLINE void ForLanes(const T* x, size_t n, T fill, F f) {
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) f(i, Load<T>(x + i), kLanes);
  if (i < n) f(i, LoadFirst(x + i, n - i, fill), n - i);
}

template <class T>
VERNIER_INLINE void StoreLanes(const Vec<T>& v, T* y, size_t valid) {
  if (valid == kLanes) {
    Store(v, y);
  } else {
    StoreFirst(v, y, valid);
  }
}

// The halves of a register of floats.
#if VERNIER_VECTOR_BYTES == 64
#define VERNIER_LOW 0, 1, 2, 3, 4, 5, 6, 7
#define VERNIER_HIGH 8, 9, 10, 11, 12, 13, 14, 15
#elif VERNIER_VECTOR_BYTES == 32
#define VERNIER_LOW 0, 1, 2, 3
#define VERNIER_HIGH 4, 5, 6, 7
#else
#define VERNIER_LOW 0, 1
#define VERNIER_HIGH 2, 3
#endif
VERNIER_INLINE Vec<double> Widen(const Vec<float>& x) {
  Vec<double> y;
#pragma GCC unroll 4
  for (int q = 0; q < Vec<float>::kParts; ++q) {
    const Native<float>::Type v = x.part[q];
    y.part[2 * q] = WidenPart(__builtin_shufflevector(v, v, VERNIER_LOW));
    y.part[2 * q + 1] = WidenPart(__builtin_shufflevector(v, v, VERNIER_HIGH));
  }
  return y;
}
// Rounded, ties to even.
VERNIER_INLINE Vec<float> Narrow(const Vec<double>& x) {
  return ForParts<float>([&](int q) {
    return __builtin_shufflevector(NarrowPart(x.part[2 * q]), NarrowPart(x.part[2 * q + 1]),
                                   VERNIER_LOW, VERNIER_HIGH);
  });
}
#undef VERNIER_LOW
#undef VERNIER_HIGH

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_VEC_INL_H_
