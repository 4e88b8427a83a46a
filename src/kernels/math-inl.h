// Exponentials and what is made of them (see docs/numerics.md), evaluated in double.
#ifndef VERNIER_KERNELS_MATH_INL_H_
#define VERNIER_KERNELS_MATH_INL_H_

#include "kernels/vec-inl.h"

namespace vernier::VERNIER_TARGET {

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

// f(x, exponential) of each element evaluated in double and rounded once to T, with the exponential
// that suffices for it.
template <class F>
VERNIER_INLINE Vec<double> InDouble(const Vec<double>& x, F f) {
  return f(x, [](const Vec<double>& v) VERNIER_LAMBDA { return Exp(v); });
}
template <class F>
VERNIER_INLINE Vec<float> InDouble(const Vec<float>& x, F f) {
  return Narrow(f(Widen(x), [](const Vec<double>& v) VERNIER_LAMBDA { return ShortExp(v); }));
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_MATH_INL_H_
