// A treatment: what a rule does to a tensor at a site. `bf16`, `e4m3,overflow=saturate`,
// `int8,scale=percentile:99.9,per=group:32`. docs/formats.md is the manual for users.
//
//   treatment  = FORMAT { "," option "=" value }
//   round=     nearest-even (default) | nearest-away | toward-zero | up | down | odd | stochastic
//   overflow=  saturate | inf | nan; default: inf where the format has infinities, else nan where
//              it has NaN (as IEEE 754 and OCP OFP8 convert), else saturate; posits saturate, as
//              their standard says. A format must have what is asked for; integers saturate
//   subnormals= keep (default) | flush
//   scale=     absmax (default for intN) | percentile:P, 0 < P <= 100 | NUMBER, 1e-30 .. 1e30 |
//              none (default for float formats)
//   per=       tensor | token | channel | group:N: which elements share a scale. token, a row of an
//              activation, and channel, a row (output channel) of a weight, are the defaults
//   symmetric= true (default) | false: an integer zero point, range [min, max] (intN only)
#ifndef VERNIER_FORMATS_TREATMENT_H_
#define VERNIER_FORMATS_TREATMENT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "formats/format.h"
#include "formats/round.h"

namespace vernier {

enum class ScaleRule { kNone, kAbsMax, kPercentile, kConstant };
enum class Granularity {
  kTensor,
  kRow,  // a token of an activation, an output channel of a weight
  kGroup
};

struct Treatment {
  Format format;
  Rounding rounding = Rounding::kNearestEven;
  Overflow overflow = Overflow::kInfinity;
  bool flush_subnormals = false;
  ScaleRule scale = ScaleRule::kNone;
  double scale_value = 0;  // kPercentile: P in (0, 100); kConstant: the scale itself; else 0
  Granularity per = Granularity::kRow;  // kRow where the scale does not come from the data
  int group = 0;  // kGroup: elements a group; the last group of a row may be shorter
  bool symmetric = true;
  friend bool operator==(const Treatment&, const Treatment&) = default;
};

// Parses the text of a treatment for an activation or a weight. Unknown formats, options and values
// are errors that name the nearest right one; so are repeated options and combinations without
// meaning. Refused with the reason: per=tensor with a scale from the data, for an activation (the
// numbers of a token would depend on the tokens after it), per=channel for an activation (the same)
// and per=token for a weight. Texts that mean the same give equal treatments: percentile:100 is
// absmax, scale=1 is none, `per` is dropped where the scale does not come from the data.
enum class TreatedThing { kActivation, kWeight };
Result<Treatment> ParseTreatment(std::string_view text, TreatedThing thing);

// Canonical text: every option that is not at its default, in fixed order. Equal treatments have
// equal text, and the text parses back to the treatment.
std::string TreatmentText(const Treatment& treatment);

// Whether the scale is computed from the elements that share it (absmax, percentile).
bool ScaleFromData(const Treatment& treatment);

// The numbers of a scaled format. The elements that share a scale have a range: A, the largest
// finite magnitude (absmax) or the P-th percentile of the finite magnitudes (linear interpolation
// at P / 100 * (n - 1) of the n sorted ones); with symmetric=false [lo, hi], lo = max(min x, -A),
// hi = min(max x, A), both widened to contain 0. The scale is the fraction s = a / b:
//   intN, symmetric      a = A, b = 2^(N-1) - 1: integers -b .. b
//   intN, asymmetric     a = hi - lo, b = 2^N - 1, zero point z = -2^(N-1) + rne(-lo * b / a)
//   float formats        a = A, b = max_finite
//   a number c, or none  a = c or 1, b = 1
// Then, in double whatever the host, each operation rounded to nearest even:
//   t = x * b / a;  r = t rounded to an integer or into the format;  value = r * a / b,
// rounded to the host type, r in -b .. b, or with a zero point r + z in -2^(N-1) .. 2^(N-1) - 1:
// beyond it r is clamped and the element counts as saturated. On float rows with scale=absmax,
// symmetric, x * b and r * a are exact and t cannot be rounded onto a number or a tie it is not, so
// for intN and formats of p <= 27 r is the true quotient rounded once, and the element of magnitude
// A stays as it is. (From A = 2^512 on, double rows are treated at 2^-512 times their size, so that
// nothing overflows.)
// NaN stays NaN, bit for bit, also in integers: a treatment must not hide one. Infinities go to the
// ends of an integer range and count as saturated. Integers have one zero: -0 becomes +0. Where
// a = 0 (all elements zero, or a percentile of 0) every number becomes zero, +0 in integers.

// Treats one row of n elements in place. The result is a function of (treatment, row, key) alone:
// not of threads, vector width or what else is computed. Element i uses RandomBits(key, i) and no
// other. CHECK: not per=tensor with a scale from the data.
TreatmentCounts TreatRow(const Treatment& treatment, float* row, size_t n, uint64_t key);
TreatmentCounts TreatRow(const Treatment& treatment, double* row, size_t n, uint64_t key);

// The key of row r of a tensor treated with `key`.
uint64_t RowKey(uint64_t key, uint64_t r);

// Treats a whole tensor in place, rows of `columns` elements one after another, as TreatRow would
// with RowKey(key, r), and with one range for all where per=tensor.
TreatmentCounts TreatTensor(const Treatment& treatment, float* data, size_t rows, size_t columns,
                            uint64_t key);
TreatmentCounts TreatTensor(const Treatment& treatment, double* data, size_t rows, size_t columns,
                            uint64_t key);

// Whether TreatRow with key 0 leaves every element of the row as it is (bit for bit), without
// writing. For formats without scale the key does not matter: what the format holds never moves,
// and all else always does.
bool HoldsExactly(const Treatment& treatment, const float* row, size_t n);
bool HoldsExactly(const Treatment& treatment, const double* row, size_t n);

}  // namespace vernier

#endif  // VERNIER_FORMATS_TREATMENT_H_
