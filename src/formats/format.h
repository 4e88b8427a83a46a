// Element formats as data: a set of numbers and a rule to round into it. The kernels
// (formats/round.h) work on these records; a new format is one line in the table of format.cc.
//
// A floating-point format with precision p (significand bits, the implicit one counted), emin and
// emax holds 0, the normal numbers m * 2^(e - p + 1) with 2^(p-1) <= m < 2^p and emin <= e <= emax,
// and where `subnormals` says so the numbers m * 2^(emin - p + 1) with 0 < m < 2^(p-1) (IEEE
// 754-2019, section 3.3). Formats that reuse codes of the top binade for NaN (OCP OFP8 E4M3,
// section 5.1) have a smaller largest number, `max_finite`.
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
  int bits = 32;       // storage width
  int precision = 24;  // p; kFixed: bits - 1
  int emin = -126, emax = 127;
  double max_finite = 0;  // largest finite number; kFixed: largest q
  bool has_infinity = true;
  bool has_nan = true;
  bool has_subnormals = true;
  bool has_negative_zero = true;
  std::string doc;  // one line: what it is and where it is defined
};

// "bf16", "e4m3", "int8", any eXmY ("e5m10": X exponent and Y fraction bits, IEEE-style with
// infinities) and int2 .. int16. Error: "unknown format 'bf17'; did you mean 'bf16'?".
Result<Format> FindFormat(std::string_view name);

// The named formats of the table, in table order (eXmY in general is not among them).
std::span<const Format> NamedFormats();

// Whether every number of `inner` is a number of `outer` (so that rounding to `outer` cannot change
// it).
bool Contains(const Format& outer, const Format& inner);

}  // namespace vernier

#endif  // VERNIER_FORMATS_FORMAT_H_
