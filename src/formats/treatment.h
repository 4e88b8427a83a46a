// A treatment: what a rule does to a tensor at a site. `bf16`, `e4m3,overflow=saturate`,
// `int8,scale=percentile:99.9,per=group:32`.
//
//   treatment = FORMAT { "," option "=" value }
//   round=      nearest-even (default) | nearest-away | toward-zero | up | down | odd | stochastic
//   overflow=   saturate | inf | nan         default: inf where the format has infinities, else nan
//   where IEEE/OCP says so, else saturate subnormals= keep (default) | flush scale=      absmax
//   (default for intN) | percentile:P | NUMBER | none (default for float formats) per= tensor |
//   token | channel | group:N   which elements share a scale (rows of an activation are tokens,
//   rows of a weight
//               are output channels)
//   symmetric=  true (default) | false       false: an integer zero point, range [min, max]
#ifndef VERNIER_FORMATS_TREATMENT_H_
#define VERNIER_FORMATS_TREATMENT_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "formats/format.h"

namespace vernier {

enum class Rounding { kNearestEven, kNearestAway, kTowardZero, kUp, kDown, kOdd, kStochastic };
enum class Overflow { kSaturate, kInfinity, kNan };
enum class ScaleRule { kNone, kAbsMax, kPercentile, kConstant };
enum class Granularity {
  kTensor,
  kRow,
  kGroup
};  // kRow: a token of an activation, an output channel of a weight

struct Treatment {
  Format format;
  Rounding rounding = Rounding::kNearestEven;
  Overflow overflow = Overflow::kInfinity;
  bool flush_subnormals = false;
  ScaleRule scale = ScaleRule::kNone;
  double scale_value = 0;  // kPercentile: P in (0, 100]; kConstant: the scale itself
  Granularity per = Granularity::kRow;
  int group = 0;  // kGroup: elements a group; the last group of a row may be shorter
  bool symmetric = true;
};

// Parses the text of a treatment for an activation or a weight (their default `per` differs: token,
// channel). Unknown formats, options and values are errors that name the nearest right one.
// per=tensor with a data-dependent scale is refused for an activation: the numbers of a token would
// depend on the tokens after it.
enum class TreatedThing { kActivation, kWeight };
Result<Treatment> ParseTreatment(std::string_view text, TreatedThing thing);

// Canonical text: every option that is not at its default, in fixed order. Equal treatments have
// equal text.
std::string TreatmentText(const Treatment& treatment);

// What applying a treatment did, in elements.
struct TreatmentCounts {
  uint64_t touched = 0;  // elements seen
  uint64_t changed =
      0;  // whose bits are different afterwards (a NaN that stays a NaN is not changed)
  uint64_t saturated = 0;  // beyond the largest finite number (after rounding) or integer range:
                           // clamped, made infinite or NaN
  uint64_t flushed = 0;    // nonzero before, zero afterwards
  TreatmentCounts& operator+=(const TreatmentCounts& other);
  friend bool operator==(const TreatmentCounts&, const TreatmentCounts&) = default;
};

// Rounds one row of n elements in place. The result is a function of (treatment, row, key) alone:
// not of threads, vector width or what else is computed. `key` seeds stochastic rounding: element i
// uses the random number (key, i) and no other. per=tensor is not for this function (CHECK) unless
// the scale is constant or none.
TreatmentCounts TreatRow(const Treatment& treatment, float* row, size_t n, uint64_t key);
TreatmentCounts TreatRow(const Treatment& treatment, double* row, size_t n, uint64_t key);

// Rounds a whole tensor in place, rows of `columns` elements one after another; row r uses key
// Combine'd with r.
TreatmentCounts TreatTensor(const Treatment& treatment, float* data, size_t rows, size_t columns,
                            uint64_t key);
TreatmentCounts TreatTensor(const Treatment& treatment, double* data, size_t rows, size_t columns,
                            uint64_t key);

// Whether the treatment leaves every element of the row as it is (bit for bit), without writing.
bool HoldsExactly(const Treatment& treatment, const float* row, size_t n);

}  // namespace vernier

#endif  // VERNIER_FORMATS_TREATMENT_H_
