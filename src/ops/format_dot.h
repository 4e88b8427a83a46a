// Dot products in a number format, one term at a time: the definition that every faster loop is
// held to.
#ifndef VERNIER_OPS_FORMAT_DOT_H_
#define VERNIER_OPS_FORMAT_DOT_H_

#include <cstddef>
#include <functional>

#include "formats/number.h"
#include "ops/format_math.h"

namespace vernier {

// A FormatMath with how its formats round.
struct FormatRules {
  FormatMathKind kind;
  SumOrder order;
  size_t chunk;  // 0: none
  RoundSpec values, partial, into;
};
FormatRules MakeFormatRules(const FormatMath& math);

// Operands of term i: doubles that are numbers of `values`.
struct FormatTerm {
  double x, w;
};
using FormatTerms = std::function<FormatTerm(size_t)>;

// Of terms 0 to n-1. CHECK: kStep or kFused.
double FormatDotOf(const FormatRules& rules, size_t n, const FormatTerms& term);

}  // namespace vernier

#endif  // VERNIER_OPS_FORMAT_DOT_H_
