// Dot products in a number format, one term at a time: the definition that every faster loop is
// held to.
#ifndef VERNIER_OPS_FORMAT_DOT_H_
#define VERNIER_OPS_FORMAT_DOT_H_

#include <cstddef>

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

// Numbers of `values`, T float or double: number i at `data` + i * stride.
template <class T>
struct Strided {
  const T* data;
  size_t stride;
  double operator[](size_t i) const { return static_cast<double>(data[i * stride]); }
};

// Of n terms x[i] * w[i]. CHECK: kStep or kFused.
template <class T>
double FormatDotOf(const FormatRules& rules, size_t n, Strided<T> x, Strided<T> w);

}  // namespace vernier

#endif  // VERNIER_OPS_FORMAT_DOT_H_
