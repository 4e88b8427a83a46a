// Element formats as data: a set of numbers and a rule to round into it. The kernels
// (formats/round.h) work on these records; a new format is one line in the table of format.cc.
//
// A floating-point format with precision p (significand bits, the implicit one counted), emin and
// emax holds 0, the normal numbers m * 2^(e - p + 1) with 2^(p-1) <= m < 2^p and emin <= e <= emax,
// and where `has_subnormals` says so the numbers m * 2^(emin - p + 1) with 0 < m < 2^(p-1) (IEEE
// 754-2019, section 3.3). Formats that use codes of the top binade for NaN (OCP OFP8 E4M3, section
// 5.1) have a smaller largest number, `max_finite`. docs/formats.md is the definition for users.
#ifndef VERNIER_FORMATS_FORMAT_H_
#define VERNIER_FORMATS_FORMAT_H_

#include <cstdint>
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
};

struct Format {
  std::string name;
  FormatKind kind = FormatKind::kFloat;
  int bits = 32;                // storage width
  int precision = 24;           // p; kFixed: bits - 1
  int emin = -126, emax = 127;  // kFixed: 0 and bits - 2, and not used
  double max_finite = 0;        // largest finite number; kFixed: largest q
  bool has_infinity = true;
  bool has_nan = true;
  bool has_subnormals = true;
  bool has_negative_zero = true;
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
//   the aliases fp64 fp32 fp16 float64 float32 float16 bfloat16 fp8_e4m3 fp8_e5m2.
// Names are lower case. Error: "unknown format 'bf17'; did you mean 'bf16'?".
Result<Format> FindFormat(std::string_view name);

// The formats of the table, in table order: f64 f32 tf32 f16 bf16 e5m2 e4m3 e3m2 e2m3 e2m1, int16,
// int8, int4. eXmY and intN in general are not among them.
std::span<const Format> NamedFormats();

// Whether every number of `inner` is a number of `outer`, infinities included (so that rounding to
// `outer` cannot change it; NaN never changes). kFixed formats count as the integers
// -max_finite .. max_finite, that is at scale 1; no float format is inside one (they have no
// negative zero).
bool Contains(const Format& outer, const Format& inner);

// Facts of a kFloat format (CHECK). The smallest positive numbers are exact in double.
double SmallestNormal(const Format& format);     // 2^emin
double SmallestSubnormal(const Format& format);  // 2^(emin - p + 1); SmallestNormal without them
double Epsilon(const Format& format);            // 2^(1 - p): from 1 to the next number

}  // namespace vernier

#endif  // VERNIER_FORMATS_FORMAT_H_
