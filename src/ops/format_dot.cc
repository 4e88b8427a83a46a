#include "ops/format_dot.h"

#include <algorithm>
#include <bit>

#include "base/result.h"
#include "ops/format_product.h"

namespace vernier {
namespace {

template <class T>
class Adder {
 public:
  Adder(const FormatRules& rules, Strided<T> x, Strided<T> w) : rules_(rules), x_(x), w_(w) {}

  // Of the terms [first, last), a chunk.
  ExactValue Chunk(size_t first, size_t last) const {
    switch (rules_.order) {
      case SumOrder::kPairwise:
        return first == last ? ExactValue{} : Pairwise(first, last);
      case SumOrder::kKahan:
        return Kahan(first, last);
      case SumOrder::kSequential:
        break;
    }
    ExactValue s;
    for (size_t i = first; i < last; ++i) s = Partial(Sum(Term(i), s));
    return s;
  }

 private:
  // The product, as it is added.
  WideValue Term(size_t i) const {
    const WideValue product = Product(ValueOf(x_[i]), ValueOf(w_[i]));
    return rules_.kind == FormatMathKind::kStep ? Wide(RoundWide(rules_.values, product)) : product;
  }
  ExactValue Partial(const WideValue& x) const { return RoundWide(rules_.partial, x); }
  ExactValue Plus(const ExactValue& a, const ExactValue& b) const {
    return Partial(Sum(Wide(a), b));
  }

  ExactValue Pairwise(size_t first, size_t last) const {
    const size_t n = last - first;
    if (n == 1) return Partial(Term(first));
    const size_t middle = first + std::bit_floor(n - 1);
    return Plus(Pairwise(first, middle), Pairwise(middle, last));
  }

  ExactValue Kahan(size_t first, size_t last) const {
    ExactValue s, c;
    for (size_t i = first; i < last; ++i) {
      const ExactValue y = Partial(Sum(Term(i), Negated(c)));
      const ExactValue t = Plus(s, y);
      c = Plus(Plus(t, Negated(s)), Negated(y));
      s = t;
    }
    return s;
  }

  const FormatRules& rules_;
  Strided<T> x_, w_;
};

}  // namespace

FormatRules MakeFormatRules(const FormatMath& math) {
  return {math.kind,           math.sum.order,           math.sum.chunk,
          SpecOf(math.values), SpecOf(math.sum.partial), SpecOf(math.sum.into)};
}

template <class T>
double FormatDotOf(const FormatRules& rules, size_t n, Strided<T> x, Strided<T> w) {
  CHECK(rules.kind == FormatMathKind::kStep || rules.kind == FormatMathKind::kFused);
  const Adder<T> adder(rules, x, w);
  ExactValue sum;
  if (rules.chunk == 0) {
    sum = adder.Chunk(0, n);
  } else {
    for (size_t first = 0; first < n; first += std::min(rules.chunk, n - first)) {
      const ExactValue chunk = adder.Chunk(first, first + std::min(rules.chunk, n - first));
      sum = RoundWide(rules.into, Sum(Wide(sum), chunk));
    }
  }
  return DoubleOf(RoundWide(rules.values, Wide(sum)));
}

template double FormatDotOf(const FormatRules&, size_t, Strided<float>, Strided<float>);
template double FormatDotOf(const FormatRules&, size_t, Strided<double>, Strided<double>);

}  // namespace vernier
