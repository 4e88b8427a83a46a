// Dot products in a number format from big integers, by the definitions of formats/round.h and
// formats/format.h, sharing no code with what it checks. For tests.
#ifndef VERNIER_OPS_FORMAT_ORACLE_H_
#define VERNIER_OPS_FORMAT_ORACLE_H_

#include <gmpxx.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "ops/format_math.h"

namespace vernier::oracle {

// m * 2^e; or infinite (of the sign of m), or NaN.
struct Value {
  mpz_class m = 0;
  long e = 0;
  bool minus_zero = false, infinite = false, nan = false;
  bool IsZero() const { return !infinite && !nan && m == 0; }
  bool Negative() const { return m < 0 || (m == 0 && minus_zero); }
};

inline Value Of(double x) {
  Value v;
  if (std::isnan(x)) {
    v.nan = true;
  } else if (std::isinf(x)) {
    v.infinite = true;
    v.m = x > 0 ? 1 : -1;
  } else if (x == 0) {
    v.minus_zero = std::signbit(x);
  } else {
    int e;
    v.m = std::ldexp(std::frexp(x, &e), 53);
    v.e = e - 53;
  }
  return v;
}

// m at the exponent e, which is not above v.e.
inline mpz_class At(const Value& v, long e) { return v.m << static_cast<unsigned long>(v.e - e); }

inline int Compare(const Value& a, const Value& b) {
  const long e = std::min(a.e, b.e);
  return cmp(At(a, e), At(b, e));
}

inline Value Nan() {
  Value v;
  v.nan = true;
  return v;
}
inline Value Zero(bool minus) {
  Value v;
  v.minus_zero = minus;
  return v;
}

inline Value Minus(Value v) {
  v.m = -v.m;
  if (v.IsZero()) v.minus_zero = !v.minus_zero;
  return v;
}

inline Value Add(const Value& a, const Value& b) {
  if (a.nan || b.nan || (a.infinite && b.infinite && a.m != b.m)) return Nan();
  if (a.infinite || b.infinite) return a.infinite ? a : b;
  if (a.IsZero() && b.IsZero()) return Zero(a.minus_zero && b.minus_zero);
  Value v;
  v.e = std::min(a.e, b.e);
  v.m = At(a, v.e) + At(b, v.e);
  return v;
}

inline Value Times(const Value& a, const Value& b) {
  if (a.nan || b.nan || (a.infinite && b.IsZero()) || (b.infinite && a.IsZero())) return Nan();
  Value v;
  v.infinite = a.infinite || b.infinite;
  v.minus_zero = a.Negative() != b.Negative();
  v.m = v.infinite ? mpz_class(v.minus_zero ? -1 : 1) : mpz_class(a.m * b.m);
  v.e = v.infinite ? 0 : a.e + b.e;
  return v;
}

// Bit by bit, as section 3 of the Posit Standard has it.
inline Value DecodePosit(int bits, int es, const mpz_class& code) {
  int at = bits - 2;
  const auto bit = [&] { return at < 0 ? 0 : mpz_tstbit(code.get_mpz_t(), at); };
  const int first = bit();
  long run = 0;
  for (; at >= 0 && bit() == first; --at) ++run;
  --at;
  long e = (first != 0 ? run - 1 : -run) * (1L << es), x = 0;
  for (int i = 0; i < es; ++i, --at) x = 2 * x + bit();
  Value v;
  v.m = 1;
  for (; at >= 0; --at) {
    v.m = 2 * v.m + bit();
    --v.e;
  }
  v.e += e + x;
  return v;
}

// Whether a magnitude goes up: `middle` < 0, 0, > 0 where it is below, at, above the middle.
inline bool Up(Rounding mode, int middle, bool odd, bool negative) {
  switch (mode) {
    case Rounding::kNearestEven:
      return middle > 0 || (middle == 0 && odd);
    case Rounding::kNearestAway:
      return middle >= 0;
    case Rounding::kUp:
      return !negative;
    case Rounding::kDown:
      return negative;
    case Rounding::kOdd:
      return !odd;
    default:
      return false;
  }
}

inline Value Beyond(const FormatRounding& r, bool negative, bool infinite) {
  const bool inward =
      !infinite && (r.rounding == Rounding::kTowardZero || r.rounding == Rounding::kOdd ||
                    r.rounding == (negative ? Rounding::kUp : Rounding::kDown));
  if (inward || r.overflow == Overflow::kSaturate)
    return negative ? Minus(Of(r.format.max_finite)) : Of(r.format.max_finite);
  if (r.overflow == Overflow::kNan) return Nan();
  return Of(negative ? -HUGE_VAL : HUGE_VAL);
}

inline Value RoundToPosit(const FormatRounding& r, const Value& magnitude, bool negative) {
  const int n = r.format.bits, es = r.format.es;
  const mpz_class last = (mpz_class(1) << static_cast<unsigned long>(n - 1)) - 1;
  if (Compare(magnitude, DecodePosit(n, es, last)) > 0) return Beyond(r, negative, false);
  mpz_class below = 0, above = last + 1;  // codes: the value of `below` is not above, of `above` is
  while (above - below > 1) {
    const mpz_class middle = (below + above) / 2;
    (Compare(DecodePosit(n, es, middle), magnitude) <= 0 ? below : above) = middle;
  }
  if (below != 0 && Compare(DecodePosit(n, es, below), magnitude) == 0)
    return negative ? Minus(magnitude) : magnitude;
  bool up;
  if (below == 0) {  // never to zero in the nearest modes
    up = r.rounding == Rounding::kNearestEven || r.rounding == Rounding::kNearestAway ||
         Up(r.rounding, 1, false, negative);
  } else {
    const mpz_class half = 2 * below + 1;
    up = Up(r.rounding, Compare(magnitude, DecodePosit(n + 1, es, half)),
            mpz_odd_p(below.get_mpz_t()) != 0, negative);
  }
  if (!up && below == 0) return Zero(false);
  const Value v = DecodePosit(n, es, up ? above : below);
  return negative ? Minus(v) : v;
}

inline Value Round(const FormatRounding& r, const Value& v) {
  const Format& f = r.format;
  const bool posit = f.kind == FormatKind::kPosit, negative = v.Negative();
  if (v.nan) return v;
  if (v.infinite) return posit ? Nan() : f.has_infinity ? v : Beyond(r, negative, true);
  if (v.m == 0) return Zero(v.minus_zero && !posit && f.has_negative_zero);
  Value magnitude = v;
  magnitude.m = abs(v.m);
  if (posit) return RoundToPosit(r, magnitude, negative);
  const long top = static_cast<long>(mpz_sizeinbase(magnitude.m.get_mpz_t(), 2)) - 1 + v.e;
  const long quantum = std::max<long>(top, f.emin) - f.precision + 1;
  if (quantum > magnitude.e) {
    const mpz_class unit = mpz_class(1) << static_cast<unsigned long>(quantum - magnitude.e);
    mpz_class kept = magnitude.m / unit, rest = magnitude.m % unit;
    if (rest != 0 &&
        Up(r.rounding, cmp(2 * rest, unit), mpz_odd_p(kept.get_mpz_t()) != 0, negative))
      kept += 1;
    magnitude.m = kept;
    magnitude.e = quantum;
  }
  if (magnitude.m != 0 && Compare(magnitude, Of(f.max_finite)) > 0)
    return Beyond(r, negative, false);
  if ((r.flush || !f.has_subnormals) && Compare(magnitude, Of(std::ldexp(1.0, f.emin))) < 0)
    magnitude.m = 0;
  if (magnitude.m == 0) return Zero(negative && f.has_negative_zero);
  return negative ? Minus(magnitude) : magnitude;
}

// The nearest double.
inline double ToDouble(const Value& v) {
  if (v.nan) return std::numeric_limits<double>::quiet_NaN();
  if (v.infinite) return v.m > 0 ? HUGE_VAL : -HUGE_VAL;
  Format f64;
  f64.precision = 53;
  f64.emin = -1022;
  f64.max_finite = std::numeric_limits<double>::max();
  const Value r = Round({f64, Rounding::kNearestEven, Overflow::kInfinity, false}, v);
  if (r.m == 0) return r.minus_zero ? -0.0 : 0.0;
  return std::ldexp(r.m.get_d(), static_cast<int>(r.e));
}

struct Sums {
  const FormatMath& math;
  const std::vector<double>&x, &w;

  Value Term(size_t i) const {
    const Value p = Times(Of(x[i]), Of(w[i]));
    return math.kind == FormatMathKind::kStep ? Round(math.values, p) : p;
  }
  Value A(const Value& v) const { return Round(math.sum.partial, v); }
  Value Halves(size_t first, size_t n) const {
    if (n == 1) return A(Term(first));
    size_t left = 1;
    while (2 * left < n) left *= 2;
    return A(Add(Halves(first, left), Halves(first + left, n - left)));
  }
  Value Chunk(size_t first, size_t last) const {
    Value s, c;
    if (math.sum.order == SumOrder::kPairwise)
      return first == last ? s : Halves(first, last - first);
    for (size_t i = first; i < last; ++i) {
      if (math.sum.order == SumOrder::kSequential) {
        s = A(Add(s, Term(i)));
        continue;
      }
      const Value y = A(Add(Term(i), Minus(c))), t = A(Add(s, y));
      c = A(Add(A(Add(t, Minus(s))), Minus(y)));
      s = t;
    }
    return s;
  }
};

inline double Dot(const FormatMath& math, const std::vector<double>& x,
                  const std::vector<double>& w) {
  const Sums sums{math, x, w};
  const size_t n = x.size(), chunk = math.sum.chunk;
  Value s;
  if (chunk == 0) s = sums.Chunk(0, n);
  for (size_t i = 0; chunk != 0 && i < n; i += chunk)
    s = Round(math.sum.into, Add(s, sums.Chunk(i, std::min(n, i + chunk))));
  return ToDouble(Round(math.values, s));
}

}  // namespace vernier::oracle

#endif  // VERNIER_OPS_FORMAT_ORACLE_H_
