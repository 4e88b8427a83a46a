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
  Number Chunk(size_t first, size_t last) const {
    switch (rules_.order) {
      case SumOrder::kPairwise:
        return first == last ? Number{} : Pairwise(first, last);
      case SumOrder::kKahan:
        return Kahan(first, last);
      case SumOrder::kSequential:
        break;
    }
    Number s;
    for (size_t i = first; i < last; ++i) s = Partial(Sum(Term(i), s));
    return s;
  }

 private:
  // The product, as it is added.
  WideNumber Term(size_t i) const {
    const WideNumber product = Product(NumberOf(x_[i]), NumberOf(w_[i]));
    return rules_.kind == FormatMathKind::kStep ? Wide(RoundNumber(rules_.values, product))
                                                : product;
  }
  Number Partial(const WideNumber& x) const { return RoundNumber(rules_.partial, x); }
  Number Plus(const Number& a, const Number& b) const { return Partial(Sum(Wide(a), b)); }

  Number Pairwise(size_t first, size_t last) const {
    const size_t n = last - first;
    if (n == 1) return Partial(Term(first));
    const size_t middle = first + std::bit_floor(n - 1);
    return Plus(Pairwise(first, middle), Pairwise(middle, last));
  }

  Number Kahan(size_t first, size_t last) const {
    Number s, c;
    for (size_t i = first; i < last; ++i) {
      const Number y = Partial(Sum(Term(i), Negated(c)));
      const Number t = Plus(s, y);
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
  Number sum;
  if (rules.chunk == 0) {
    sum = adder.Chunk(0, n);
  } else {
    for (size_t first = 0; first < n; first += std::min(rules.chunk, n - first)) {
      const Number chunk = adder.Chunk(first, first + std::min(rules.chunk, n - first));
      sum = RoundNumber(rules.into, Sum(Wide(sum), chunk));
    }
  }
  return DoubleOf(RoundNumber(rules.values, Wide(sum)));
}

template double FormatDotOf(const FormatRules&, size_t, Strided<float>, Strided<float>);
template double FormatDotOf(const FormatRules&, size_t, Strided<double>, Strided<double>);

}  // namespace vernier
