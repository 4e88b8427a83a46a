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
VERNIER_INLINE __m512 SetPart(float x) { return _mm512_set1_ps(x); }
VERNIER_INLINE __m512d SetPart(double x) { return _mm512_set1_pd(x); }
#elif VERNIER_VECTOR_BYTES == 32
VERNIER_INLINE __m256 FmaPart(__m256 a, __m256 b, __m256 c) { return _mm256_fmadd_ps(a, b, c); }
VERNIER_INLINE __m256d FmaPart(__m256d a, __m256d b, __m256d c) { return _mm256_fmadd_pd(a, b, c); }
VERNIER_INLINE __m256 SqrtPart(__m256 a) { return _mm256_sqrt_ps(a); }
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
VERNIER_INLINE Native<double>::Type LoadPart(const float* p, double) {
  Native<double>::Narrow v;
  memcpy(&v, p, sizeof v);
  return __builtin_convertvector(v, Native<double>::Type);
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
// Rounded to float, ties to even.
VERNIER_INLINE void StoreNarrow(const Vec<double>& v, float* p) {
#pragma GCC unroll 8
  for (int q = 0; q < Vec<double>::kParts; ++q) {
    const Native<double>::Narrow narrow =
        __builtin_convertvector(v.part[q], Native<double>::Narrow);
    memcpy(p + q * Vec<double>::kWidth, &narrow, sizeof narrow);
  }
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
  return ForParts<T>([&](int q) { return b.part[q] > a.part[q] ? b.part[q] : a.part[q]; });
}
// b where b < a, else a.
template <class T>
VERNIER_INLINE Vec<T> Less(const Vec<T>& a, const Vec<T>& b) {
  return ForParts<T>([&](int q) { return b.part[q] < a.part[q] ? b.part[q] : a.part[q]; });
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

// 2^n for integral n in [-1022, 1023]: n lands in the low bits of the sum, then in the exponent
// field.
VERNIER_INLINE Vec<double> PowerOfTwo(const Vec<double>& n) {
  return ForParts<double>([&](int q) {
    const Native<double>::Type shifted = n.part[q] + SetPart(0x1.8p52 + 1023);
    const auto bits = reinterpret_cast<Native<double>::Bits>(shifted) << 52;
    return reinterpret_cast<Native<double>::Type>(bits);
  });
}

// exp(x) within 1 ulp: x = n ln2 + r with |r| <= ln2/2, the Taylor polynomial of degree 13 by
// Horner's rule (remainder below 5e-18), and the scale 2^n in two steps, so that overflow gives
// infinity and underflow one rounding. ln2 is split as in fdlibm's e_exp.c: n * kLn2High is exact.
VERNIER_INLINE Vec<double> Exp(const Vec<double>& argument) {
  constexpr double kLog2e = 0x1.71547652b82fep0, kLn2High = 0x1.62e42feep-1,
                   kLn2Low = 0x1.a39ef35793c76p-33;
  constexpr double kTaylor[] = {0x1.6124613a86d09p-33,
                                0x1.1eed8eff8d898p-29,
                                0x1.ae64567f544e4p-26,
                                0x1.27e4fb7789f5cp-22,
                                0x1.71de3a556c734p-19,
                                0x1.a01a01a01a01ap-16,
                                0x1.a01a01a01a01ap-13,
                                0x1.6c16c16c16c17p-10,
                                0x1.1111111111111p-7,
                                0x1.5555555555555p-5,
                                0x1.5555555555555p-3,
                                0.5,
                                1,
                                1};
  const Vec<double> x = Less(Greater(argument, Set(-746.0)), Set(710.0));
  const Vec<double> round = Set(0x1.8p52);
  const Vec<double> n = (x * Set(kLog2e) + round) - round;
  const Vec<double> r = Fma(n, Set(-kLn2Low), Fma(n, Set(-kLn2High), x));
  Vec<double> p = Set(kTaylor[0]);
#pragma GCC unroll 13
  for (int i = 1; i < 14; ++i) p = Fma(p, r, Set(kTaylor[i]));
  const Vec<double> half = (n * Set(0.5) + round) - round;
  return p * PowerOfTwo(half) * PowerOfTwo(n - half);
}

// exp(x) for results that are rounded to float32: the Taylor polynomial ends with degree 9
// (remainder below 2^-36 of the result: float32 results are within 0.5002 ulp), and x is clamped to
// where 2^n can be added to the exponent of p at once; what lies beyond overflows, or is nothing,
// in float32.
VERNIER_INLINE Vec<double> ShortExp(const Vec<double>& argument) {
  constexpr double kLog2e = 0x1.71547652b82fep0, kLn2High = 0x1.62e42feep-1,
                   kLn2Low = 0x1.a39ef35793c76p-33;
  constexpr double kTaylor[] = {0x1.71de3a556c734p-19,
                                0x1.a01a01a01a01ap-16,
                                0x1.a01a01a01a01ap-13,
                                0x1.6c16c16c16c17p-10,
                                0x1.1111111111111p-7,
                                0x1.5555555555555p-5,
                                0x1.5555555555555p-3,
                                0.5,
                                1,
                                1};
  const Vec<double> x = Less(Greater(argument, Set(-708.0)), Set(709.0));
  const Vec<double> round = Set(0x1.8p52);
  const Vec<double> shifted = Fma(x, Set(kLog2e), round);
  const Vec<double> n = shifted - round;
  const Vec<double> r = Fma(n, Set(-kLn2Low), Fma(n, Set(-kLn2High), x));
  Vec<double> p = Set(kTaylor[0]);
#pragma GCC unroll 9
  for (int i = 1; i < 10; ++i) p = Fma(p, r, Set(kTaylor[i]));
  return ForParts<double>([&](int q) {
    using Bits = Native<double>::Bits;
    return reinterpret_cast<Native<double>::Type>(reinterpret_cast<Bits>(p.part[q]) +
                                                  (reinterpret_cast<Bits>(shifted.part[q]) << 52));
  });
}

// ln(1 + exp(x)) within 4 ulp; x itself above 20, as PyTorch's softplus has it (where the two are
// 2e-9 apart). With t = exp(-|x|): max(x, 0) + ln(1 + t), and ln(1 + t) = 2 atanh(s) with
// s = t / (2 + t) <= 1/3, by its series up to s^33 (the remainder is below 2e-18 of the sum).
VERNIER_INLINE Vec<double> Softplus(const Vec<double>& x) {
  const Vec<double> zero = Set(0.0), t = Exp(Less(x, zero - x));
  const Vec<double> s = t / (Set(2.0) + t), square = s * s;
  Vec<double> p = Set(1.0 / 33);
#pragma GCC unroll 16
  for (int i = 31; i >= 1; i -= 2) p = Fma(p, square, Set(1.0 / i));
  const Vec<double> y = Greater(x, zero) + (s + s) * p;
  return ForParts<double>([&](int q) { return x.part[q] > SetPart(20.0) ? x.part[q] : y.part[q]; });
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

// The halves of a register of floats, and what they are the halves of.
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
    y.part[2 * q] =
        __builtin_convertvector(__builtin_shufflevector(v, v, VERNIER_LOW), Native<double>::Type);
    y.part[2 * q + 1] =
        __builtin_convertvector(__builtin_shufflevector(v, v, VERNIER_HIGH), Native<double>::Type);
  }
  return y;
}
// Rounded, ties to even.
VERNIER_INLINE Vec<float> Narrow(const Vec<double>& x) {
  Vec<float> y;
#pragma GCC unroll 4
  for (int q = 0; q < Vec<float>::kParts; ++q) {
    const auto low = __builtin_convertvector(x.part[2 * q], Native<double>::Narrow),
               high = __builtin_convertvector(x.part[2 * q + 1], Native<double>::Narrow);
    y.part[q] = __builtin_shufflevector(low, high, VERNIER_LOW, VERNIER_HIGH);
  }
  return y;
}
#undef VERNIER_LOW
#undef VERNIER_HIGH

// f(x, exponential) of each element evaluated in double and rounded once to T, with the exponential
// that suffices for it.
template <class F>
VERNIER_INLINE Vec<double> InDouble(const Vec<double>& x, F f) {
  return f(
      x, [](const Vec<double>& v) __attribute__((always_inline)) { return Exp(v); });
}
template <class F>
VERNIER_INLINE Vec<float> InDouble(const Vec<float>& x, F f) {
  return Narrow(f(
      Widen(x), [](const Vec<double>& v) __attribute__((always_inline)) { return ShortExp(v); }));
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_VEC_INL_H_
