// Sums and sums of products that are exact until they are rounded, once, into a format: what posits
// call the quire (Posit Standard 2022, section 3.4), here for every format and without a limit.
//
// Rounding of an exact sum (docs/arithmetic.md):
//   A sum of zero is +0, whatever the signs of the terms; a format without zero makes of it what it
//   makes of +0. Otherwise the rules of formats/round.h hold for the sum as they do for a double x:
//   rounded once, in the given mode, with the given overflow policy. The exponents of the sum have
//   no bounds.
//   NaN is what IEEE 754 makes of the terms: a NaN among the operands, infinity times zero, or
//   infinities of both signs. It is the quiet NaN with sign and payload 0. Infinities of one sign
//   are rounded as the infinity of that sign.
//   Posits of more than 55 + es bits (57 of the standard ones) have numbers that are no
//   doubles. The sum is rounded to the posit, and that to the nearest double, ties to even: two
//   roundings, where the posit has more than 52 fraction bits.
// kStochastic is refused (CHECK): it needs an index.
#ifndef VERNIER_FORMATS_EXACT_SUM_H_
#define VERNIER_FORMATS_EXACT_SUM_H_

#include <cstddef>
#include <cstdint>

#include "formats/round.h"

namespace vernier {

// The magnitude of a nonzero number, cut to 64 bits: `m` * 2^e <= |x| < (m + 1) * 2^e, the top bit
// of m set, and where the first is not an equation the lowest bit of m is set, too. That is
// rounding to odd: what is rounded from it to 62 bits or fewer is as if rounded from x (Boldo and
// Melquiond, Emulation of FMA and correctly rounded sums, IEEE TC 57(4), 2008).
struct OddMagnitude {
  uint64_t m;
  int e;
};

// +-x rounded; the result is a number that a double holds, as is said above.
double RoundExact(const RoundSpec& spec, bool negative, OddMagnitude x);

// (high * 2^52 + low) * 2^e rounded, low < 2^52.
double RoundFixed(const RoundSpec& spec, int64_t high, uint64_t low, int e);

// Whether rounding a double that was rounded to odd is as good: formats of up to 51 bits.
bool RoundsFromOddDouble(const RoundSpec& spec);

class ExactSum {
 public:
  void Add(double x);
  void AddProduct(double a, double b);
  // Adds (high * 2^52 + low) * 2^e, low < 2^52, -2176 <= e <= 1984.
  void AddFixed(int64_t high, uint64_t low, int e);
  void Clear();

  bool IsNan() const { return nan_ || (positive_infinity_ && negative_infinity_); }
  bool IsInfinite() const { return positive_infinity_ != negative_infinity_ && !nan_; }
  bool IsZero() const { return Sign() == 0 && !IsNan(); }
  // -1, 0 or 1; 0 of a NaN.
  int Sign() const;

  double Round(const RoundSpec& spec) const;
  // The same as a float; numbers of the format that are no floats go to the nearest.
  float RoundToFloat(const RoundSpec& spec) const { return static_cast<float>(Round(spec)); }

 private:
  // Digits of 32 bits, the lowest worth 2^kUnit. Between carries each holds the sum of up to 2^30
  // terms below 2^32 of either sign. Products of doubles are multiples of 2^-2148 below 2^2048; the
  // digits above are for sums of up to 2^60 of them.
  static constexpr int kUnit = -2176;
  static constexpr int kDigits = (2048 - kUnit) / 32 + 4;
  static constexpr uint32_t kMostTerms = uint32_t{1} << 29;

  void AddNonFinite(double x);
  void AddBits(bool negative, uint64_t low, uint64_t high, int e);
  void Carry();

  int64_t digits_[kDigits] = {};
  int lowest_ = kDigits, highest_ = -1;  // digits outside are zero
  uint32_t terms_ = 0;                   // since the last carry
  bool nan_ = false, positive_infinity_ = false, negative_infinity_ = false;
};

// R(sum of x[i * x_stride] * w[i * w_stride], 0 <= i < n), T float or double: exact and rounded
// once, as above.
template <class T>
T ExactDot(const RoundSpec& spec, const T* x, size_t x_stride, const T* w, size_t w_stride,
           size_t n);

}  // namespace vernier

#endif  // VERNIER_FORMATS_EXACT_SUM_H_
