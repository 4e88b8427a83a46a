// A treatment: what a rule does to a tensor at a site. `bf16`, `e4m3,overflow=saturate`,
// `int8,scale=percentile:99.9,per=group:32`, `mxfp4`, `q4_0`. docs/formats.md is the manual for
// users and the definition of what happens to the numbers.
//
//   treatment  = FORMAT { "," option "=" value }
//   FORMAT     of formats/format.h (element formats) or formats/block_formats.h
//   round=     nearest-even (default) | nearest-away | toward-zero | up | down | odd | stochastic
//   overflow=  saturate | inf | nan; default: inf where the format has infinities, else nan where
//              it has NaN (as IEEE 754 and OCP OFP8 convert), else saturate; MX and posits (as
//              their standards say): saturate. A format must have what is asked for; integers
//              saturate
//   subnormals= keep (default) | flush
//   scale=     absmax (default for intN) | percentile:P, 0 < P <= 100 | NUMBER, 1e-30 .. 1e30 |
//              none (default for float formats) | absmax:A | range:LO:HI (symmetric=false) |
//              static[:SITE], from a file of scales (formats/static_scales.h)
//              MX:    floor (default) | ceil | even | rceil
//              nvfp4: the scale of the tensor: absmax (default) | absmax:A | NUMBER | none |
//                     static[:SITE]
//   percentile=P | ema:P  with scale=static: that percentile of the file instead of its absmax, of
//              all elements or smoothed over chunks
//   per=       tensor | token | channel | group:N: which elements share a scale. token, a row of an
//              activation, and channel, a row (output channel) of a weight, are the defaults
//              (either is also `row`);
//              MX: group:32; nvfp4: which elements share the tensor scale, tensor for weights
//   symmetric= true (default) | false: an integer zero point, range [min, max] (intN only)
//   segments=  a piecewise grid in place of the integers (formats/segments.h; intN only)
//   outliers=  clip (default) | keep | second | second:A | second:static: integers beyond the range
//              (intN only)
//   full=      false (default) | true: the code -2^(N-1), too (symmetric intN)
//   of=        value (default) | log: the logarithm of the magnitude is treated; weights only
//   rotate=    none (default) | hadamard: around all of it (formats/rotate.h)
//   times= plus=  numbers (1 and 0): x becomes x * times + plus, one fused operation in double
//              rounded to the row's type, before all else; activations only
// Storage types (q4_0, q4_k) take rotate=, times= and plus= only.
#ifndef VERNIER_FORMATS_TREATMENT_H_
#define VERNIER_FORMATS_TREATMENT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/parallel.h"
#include "base/result.h"
#include "formats/block_formats.h"
#include "formats/format.h"
#include "formats/round.h"
#include "formats/segments.h"

namespace vernier {

enum class ScaleRule {
  kNone,
  kAbsMax,
  kPercentile,
  kConstant,
  kGivenAbsMax,  // as kAbsMax, with A given
  kGivenRange,   // asymmetric, with the range given
  kStatic,       // to be resolved (ResolveStatic) before anything is treated
  kFloor,
  kCeil,
  kEven,
  kRceil  // MX: powers of two from the largest element of a block
};
enum class Granularity {
  kTensor,
  kRow,  // a token of an activation, an output channel of a weight
  kGroup
};
enum class Outliers { kClip, kKeep, kSecond };

inline constexpr double kMinScale = 1e-30, kMaxScale = 1e30;  // of numbers given as scales

struct Treatment {
  Format format;                       // of the elements; kStored: f32
  const BlockFormat* block = nullptr;  // null: an element format
  Rounding rounding = Rounding::kNearestEven;
  Overflow overflow = Overflow::kInfinity;
  bool flush_subnormals = false;
  ScaleRule scale = ScaleRule::kNone;
  // kPercentile: P in (0, 100); kConstant: the scale itself; kGivenAbsMax: A; kGivenRange: LO and
  // in scale_high HI; else 0
  double scale_value = 0, scale_high = 0;
  std::string static_site;              // kStatic: of scale=static:SITE
  double static_percentile = 0;         // kStatic: of percentile=P; 0: absmax
  bool static_ema = false;              // kStatic: of percentile=ema:P
  Granularity per = Granularity::kRow;  // kRow where the scale does not come from the data
  int group = 0;  // kGroup: elements a group; the last group of a row may be shorter
  bool symmetric = true;
  SegmentedGrid segments;  // empty: integers
  Outliers outliers = Outliers::kClip;
  // kSecond: the largest magnitude of the second grid, 0: that of the outliers; kSecondStatic: to
  // be resolved as the scale is
  static constexpr double kSecondStatic = -1;
  double second = 0;
  bool full = false;       // intN: down to -2^(N-1)
  bool logarithm = false;  // of weights: ops/treat_weight.h applies it
  bool hadamard = false;
  double times = 1, plus = 0;
  bool IsAffine() const { return times != 1 || plus != 0; }
  bool IsStored() const { return block != nullptr && block->family == BlockFamily::kStored; }
  bool IsNvfp4() const { return block != nullptr && block->family == BlockFamily::kNvfp4; }
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

// Canonical text: every option that is not at its default, in fixed order. Equal treatments of one
// kind of thing have equal text, and the text parses back to the treatment.
std::string TreatmentText(const Treatment& treatment);

// Whether elements that share a scale set it (absmax, percentile, the rules of MX).
bool ScaleFromData(const Treatment& treatment);

// Whether rows of `width` elements can be treated: storage types need whole blocks. The error is a
// reason without subject: "q4_0: a row of 100 elements is not whole blocks of 32".
Status CheckWidth(const Treatment& treatment, size_t width);

// Treats one row of n elements in place. The result is a function of (treatment, row, key) alone:
// not of threads, vector width or what else is computed. Element i uses RandomBits(key, i) and no
// other. NaN stays NaN, bit for bit, in every format: a treatment must not hide one.
// CHECK: not per=tensor with a scale from the data, not scale=static, not of=log, a width that
// CheckWidth accepts.
TreatmentCounts TreatRow(const Treatment& treatment, float* row, size_t n, uint64_t key);
TreatmentCounts TreatRow(const Treatment& treatment, double* row, size_t n, uint64_t key);

// The key of row r of a tensor treated with `key`.
uint64_t RowKey(uint64_t key, uint64_t r);

// Treats a whole tensor in place, rows of `columns` elements one after another, as TreatRow would
// with RowKey(key, r), and with one range for all where per=tensor. `workers` (may be null) share
// the rows, which changes no bit. With rotate=hadamard and per=tensor it takes 8 bytes an element.
TreatmentCounts TreatTensor(const Treatment& treatment, float* data, size_t rows, size_t columns,
                            uint64_t key, Workers* workers = nullptr);
TreatmentCounts TreatTensor(const Treatment& treatment, double* data, size_t rows, size_t columns,
                            uint64_t key, Workers* workers = nullptr);

// Whether TreatRow with key 0 leaves every element of the row as it is (bit for bit), without
// writing. For formats without scale the key does not matter: what the format holds never moves,
// and all else always does.
bool HoldsExactly(const Treatment& treatment, const float* row, size_t n);
bool HoldsExactly(const Treatment& treatment, const double* row, size_t n);
// The same of a tensor, by TreatTensor; also per=tensor.
bool TensorHoldsExactly(const Treatment& treatment, const float* data, size_t rows, size_t columns,
                        Workers* workers = nullptr);
bool TensorHoldsExactly(const Treatment& treatment, const double* data, size_t rows, size_t columns,
                        Workers* workers = nullptr);

}  // namespace vernier

#endif  // VERNIER_FORMATS_TREATMENT_H_
