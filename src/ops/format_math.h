// Arithmetic in a number format: what `SITE.math=step:posit32` and `SITE.acc=f16,chunk=64` name.
// docs/arithmetic.md is normative: which operations each op does, in which order, and how each is
// rounded.
#ifndef VERNIER_OPS_FORMAT_MATH_H_
#define VERNIER_OPS_FORMAT_MATH_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "formats/format.h"
#include "formats/round.h"
#include "ops/op.h"

namespace vernier {

enum class FormatMathKind : uint8_t {
  kStep,   // every product and every addition is rounded
  kFused,  // every multiply-add is rounded once
  kQuire,  // sums of products are exact, and rounded once
};

enum class SumOrder : uint8_t {
  kSequential,  // by ascending index
  kPairwise,    // halves, quarters, ... (docs/arithmetic.md)
  kKahan,       // by ascending index, with Kahan's compensation
};

// A format and how results are rounded into it.
struct FormatRounding {
  Format format;
  Rounding rounding = Rounding::kNearestEven;  // not kStochastic
  Overflow overflow = Overflow::kInfinity;
  bool flush = false;
  friend bool operator==(const FormatRounding&, const FormatRounding&) = default;
};

// How terms are added. kStep and kFused only.
struct SumRules {
  FormatRounding partial;  // what partial sums are rounded into
  SumOrder order = SumOrder::kSequential;
  size_t chunk = 0;     // terms of a chunk; 0: all are one
  FormatRounding into;  // what the sums of chunks are added in, by ascending index
  friend bool operator==(const SumRules&, const SumRules&) = default;
};

// Operands are rounded to `values`, to nearest even; then the op runs; its results are numbers of
// `values`.
struct FormatMath {
  FormatMathKind kind = FormatMathKind::kStep;
  FormatRounding values;  // of operands, products and results
  SumRules sum;
  Arithmetic host = Arithmetic::kF32;  // the type whose numbers hold those of all three formats
  friend bool operator==(const FormatMath&, const FormatMath&) = default;
};

// step:F | fused:F | quire:F | exact, then options: round=, overflow=, subnormals= as of
// treatments. `exact` is quire:f32.
Result<FormatMath> ParseFormatMath(std::string_view text);
// F { ,chunk=N | ,into=F | ,order=sequential|pairwise|kahan }: how `math` adds.
Status ParseSumRules(std::string_view text, FormatMath* math);
// Canonical texts: equal arithmetics have equal ones.
std::string FormatMathText(const FormatMath& math);

}  // namespace vernier

#endif  // VERNIER_OPS_FORMAT_MATH_H_
