// Element formats as data: a set of numbers and a rule to round into it. Rounding (formats/round.h)
// and codes (formats/codes.h) work on these records; a new format is one line in the table of
// format.cc.
//
// A floating-point format with precision p (significand bits, the implicit one counted), emin and
// emax holds 0, the normal numbers m * 2^(e - p + 1) with 2^(p-1) <= m < 2^p and emin <= e <= emax,
// and where `has_subnormals` says so the numbers m * 2^(emin - p + 1) with 0 < m < 2^(p-1) (IEEE
// 754-2019, section 3.3). Formats that use codes of the top binade for NaN (OCP OFP8 E4M3, section
// 5.1) have a smaller largest number, `max_finite`. docs/formats.md is the definition for users.
//
// A posit of n bits with es exponent bits (Standard for Posit Arithmetic 2022, section 3; es = 2
// there) holds 0, NaR, and for codes of its n-1 bits after the sign, regime k, exponent x and
// fraction f, the numbers 2^(k * 2^es + x) * (1 + f): formats/posit.h.
#ifndef VERNIER_FORMATS_FORMAT_H_
#define VERNIER_FORMATS_FORMAT_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace vernier {

enum class FormatKind {
  kFloat,  // floating point, as above
  kFixed,  // integers q in [-2^(bits-1), 2^(bits-1) - 1] (symmetric: from -(2^(bits-1) - 1)) times
           // a scale
  kPosit,  // posits; NaR is the NaN of this kind
};

struct Format {
  std::string name;
  FormatKind kind = FormatKind::kFloat;
  int bits = 32;                // storage width
  int es = 0;                   // kPosit: exponent bits
  int precision = 24;           // p; kFixed: bits - 1; kPosit: the most there are, those near 1
  int emin = -126, emax = 127;  // kFixed: 0 and bits - 2; kPosit: of the smallest and the largest
  double max_finite = 0;        // largest finite number; kFixed: largest q
  bool has_infinity = true;
  bool has_nan = true;
  bool has_subnormals = true;
  bool has_negative_zero = true;
  bool has_sign = true;  // otherwise no negative numbers (e8m0)
  bool has_zero = true;
  std::string doc;  // one line: what it is and where it is defined
  friend bool operator==(const Format&, const Format&) = default;
};

// Finds a format by name:
//   the table's names (NamedFormats);
//   intN, N = 2 .. 16;
//   eXmY, X = 2 .. 11 exponent and Y = 1 .. 52 fraction bits with one sign bit (so at most 64 bits,
//     and every number is a double): bias 2^(X-1) - 1, the top exponent field kept for infinities
//     and NaN as IEEE 754 does. Where the table holds the same set under a name, that record is
//     returned (e5m10 is f16, e8m7 is bf16); e4m3, e3m2, e2m3 and e2m1 are OCP's, which give the
//     top exponent field to numbers;
//   positN, N = 2 .. 64: es = 2; positNesE, E = 0 .. 4, for other es. Their numbers are normal
//     doubles in range (at most 2^992); those of more than 55 bits can have more fraction bits than
//     a double;
//   the aliases fp64 fp32 fp16 float64 float32 float16 bfloat16 fp8_e4m3 fp8_e5m2 e4m3fn e8m0fnu.
// Names are lower case. Error: "unknown format 'bf17'; did you mean 'bf16'?".
Result<Format> FindFormat(std::string_view name);

// The formats of the table, in table order: f64 f32 tf32 f16 bf16 e5m2 e4m3 e5m2fnuz e4m3fnuz
// e4m3b11fnuz e3m2 e2m3 e2m1 e8m0, posit64 posit32 posit16 posit8, int16 int8 int4. eXmY, positN
// and intN in general are not among them.
std::span<const Format> NamedFormats();

// The multiples of 2^quantum in [2^e, 2^(e+1)) up to max_finite are the positive numbers that the
// format holds there (one of them where quantum = e); nothing where it holds none. kFixed formats
// count as the integers -max_finite .. max_finite, that is at scale 1.
std::optional<int> BinadeQuantum(const Format& format, int e);

// Whether every finite number of `inner` (of intN -2^(N-1) too) is a number of `outer`; -0 and +0
// are one number.
bool ContainsFinite(const Format& outer, const Format& inner);

// The same, infinities and -0 included: so that rounding to `outer` cannot change a bit of it (NaN
// never changes). No float format with a negative zero is inside an integer or a posit format.
bool Contains(const Format& outer, const Format& inner);

// Facts of a kFloat format (CHECK). The smallest positive numbers are exact in double.
double SmallestNormal(const Format& format);     // 2^emin
double SmallestSubnormal(const Format& format);  // 2^(emin - p + 1); SmallestNormal without them
double Epsilon(const Format& format);            // 2^(1 - p): from 1 to the next; posits too

}  // namespace vernier

#endif  // VERNIER_FORMATS_FORMAT_H_
