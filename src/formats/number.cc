#include "formats/number.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "base/result.h"
#include "formats/away.h"
#include "formats/posit.h"
#include "formats/round-inl.h"

namespace vernier {
namespace {

using Bits = WideNumber::Bits;

int Width(Bits m) {
  const auto high = static_cast<uint64_t>(m >> 64);
  return high != 0 ? 64 + std::bit_width(high) : std::bit_width(static_cast<uint64_t>(m));
}

// m shifted right, the last bit 1 where a bit that is not zero was lost.
Bits ShiftToOdd(Bits m, int shift) {
  if (shift <= 0) return m;
  if (shift >= 128) return m != 0 ? 1 : 0;
  const Bits lost = m & ((Bits{1} << shift) - 1);
  return m >> shift | (lost != 0 ? 1 : 0);
}

// Rounded to odd among the doubles; beyond the largest it is that one, which is odd.
double OddDouble(const WideNumber& x) {
  using H = internal::Host<double>;
  double r = 0;
  if (x.m != 0) {
    const int width = Width(x.m), top = x.e + width - 1;
    if (top > H::kEmax) {
      r = std::numeric_limits<double>::max();
    } else {
      const int quantum = std::max(top, H::kEmin) - H::kFraction, shift = quantum - x.e;
      const Bits kept = shift < 0 ? x.m << -shift : ShiftToOdd(x.m, shift);
      r = std::ldexp(static_cast<double>(static_cast<uint64_t>(kept)), quantum);
    }
  }
  return x.negative ? -r : r;
}

// A magnitude cut to its first `bits` bits.
struct Cut {
  uint64_t m;  // |x| is m * 2^e and something less than 2^e
  int e;
  int side;  // of that against 2^e / 2
  bool exact;
};

// To a multiple of 2^quantum, the multiple below 2^64.
Cut CutAt(const WideNumber& x, int quantum) {
  const int shift = quantum - x.e;
  if (shift <= 0) return {static_cast<uint64_t>(x.m << -shift), quantum, -1, true};
  if (shift > 128) return {0, quantum, -1, false};
  const Bits half = Bits{1} << (shift - 1);
  const Bits rest = shift == 128 ? x.m : x.m & ((half << 1) - 1);
  return {shift == 128 ? 0 : static_cast<uint64_t>(x.m >> shift), quantum,
          rest < half ? -1 : static_cast<int>(rest > half), rest == 0};
}

Number Overflow(const RoundSpec& spec, bool negative) {
  Number r = NumberOf(std::bit_cast<double>(internal::Overflowed<double>(spec, false, negative)));
  r.negative = negative;
  return r;
}

// To floats of 52 or 53 bits.
Number RoundToFloat(const RoundSpec& spec, const WideNumber& x) {
  using H = internal::Host<double>;
  const int top = x.e + Width(x.m) - 1;
  const Cut cut = CutAt(x, std::max(top, spec.emin) - spec.precision + 1);
  const bool away =
      !cut.exact && internal::GoesAway(spec.rounding, cut.side, cut.m % 2 != 0, x.negative);
  Number r{NumberKind::kFinite, x.negative, cut.m + (away ? 1 : 0), cut.e};
  const int exponent = r.e + std::bit_width(r.m) - 1;
  if (r.m != 0 && (exponent > H::kEmax || std::ldexp(r.m, r.e) > spec.max_double))
    return Overflow(spec, x.negative);
  if (spec.flush && exponent < spec.emin) r.m = 0;
  if (r.m == 0) r.negative = x.negative && spec.has_negative_zero;
  return r;
}

// To posits that can be finer than doubles.
Number RoundToPosit(const RoundSpec& spec, const WideNumber& x) {
  const int n = spec.posit_bits, width = Width(x.m), top = x.e + width - 1;
  const int last = (n - 2) << spec.es;  // the largest posit is 2^last, the smallest 2^-last
  if (top > last || (top == last && x.m != Bits{1} << (width - 1)))
    return Overflow(spec, x.negative);
  const auto signed_number = [&](uint64_t m, int e) {
    return m == 0 ? Number{} : Number{NumberKind::kFinite, x.negative, m, e};
  };
  if (top < -last) {
    const bool nearest = spec.rounding == Rounding::kNearestEven ||
                         spec.rounding == Rounding::kNearestAway || spec.rounding == Rounding::kOdd;
    const bool away = nearest || internal::GoesAway(spec.rounding, -1, false, x.negative);
    return signed_number(away ? 1 : 0, -last);
  }
  // Two bits more than the code has room for, to odd, are enough to tell where x lies.
  const int k = top >> spec.es, regime = k < 0 ? 1 - k : k + 2;
  const int bits = std::max(2, n + 1 - regime - spec.es) + 1;
  const int shift = width - bits;
  const internal::PositPlace place =
      shift > 0 ? internal::LocatePosit(n, spec.es, static_cast<uint64_t>(ShiftToOdd(x.m, shift)),
                                        x.e + shift)
                : internal::LocatePosit(n, spec.es, static_cast<uint64_t>(x.m), x.e);
  const bool away = !place.exact && internal::GoesAway(spec.rounding, place.middle,
                                                       place.below % 2 != 0, x.negative);
  const internal::PositNumber p = internal::DecodePosit(n, spec.es, place.below + (away ? 1 : 0));
  return signed_number(p.m, p.e);
}

// How doubles that are rounded to odd must be finer than a format for its rounding to be right.
constexpr int kOddPrecision = internal::Host<double>::kPrecision - 2;

}  // namespace

Number NumberOf(double x) {
  using H = internal::Host<double>;
  const bool negative = std::signbit(x);
  if (std::isnan(x)) return {NumberKind::kNan, false, 0, 0};
  if (std::isinf(x)) return {NumberKind::kInfinity, negative, 0, 0};
  const uint64_t u = std::bit_cast<uint64_t>(x) & ~H::kSign;
  const int field = static_cast<int>(u >> H::kFraction);
  uint64_t m = u & ((uint64_t{1} << H::kFraction) - 1);
  if (field > 0) m |= uint64_t{1} << H::kFraction;
  return {NumberKind::kFinite, negative, m, std::max(field, 1) - H::kEmax - H::kFraction};
}

double DoubleOf(const Number& x) {
  if (x.kind == NumberKind::kNan) return std::numeric_limits<double>::quiet_NaN();
  if (x.kind == NumberKind::kInfinity) return x.negative ? -HUGE_VAL : HUGE_VAL;
  // One rounding: of the integer where it has more than 53 bits (it is then far from the doubles'
  // smallest), of nothing else where x is a number of a format.
  const double r = std::ldexp(static_cast<double>(x.m), x.e);
  return x.negative ? -r : r;
}

WideNumber Wide(const Number& x) { return {x.kind, x.negative, x.m, x.e}; }

Number Negated(Number x) {
  x.negative = !x.negative;
  return x;
}

WideNumber Product(const Number& a, const Number& b) {
  const bool negative = a.negative != b.negative;
  if (a.kind == NumberKind::kNan || b.kind == NumberKind::kNan) return {NumberKind::kNan};
  if (a.kind == NumberKind::kInfinity || b.kind == NumberKind::kInfinity) {
    const Number& other = a.kind == NumberKind::kInfinity ? b : a;
    const bool zero = other.kind == NumberKind::kFinite && other.m == 0;
    return {zero ? NumberKind::kNan : NumberKind::kInfinity, negative};
  }
  return {NumberKind::kFinite, negative, Bits{a.m} * b.m, a.e + b.e};
}

WideNumber Sum(const WideNumber& a, const Number& other) {
  const WideNumber b = Wide(other);
  if (a.kind == NumberKind::kNan || b.kind == NumberKind::kNan) return {NumberKind::kNan};
  if (a.kind == NumberKind::kInfinity)
    return b.kind == NumberKind::kInfinity && a.negative != b.negative
               ? WideNumber{NumberKind::kNan}
               : a;
  if (b.kind == NumberKind::kInfinity) return b;
  if (a.m == 0 && b.m == 0) return {NumberKind::kFinite, a.negative && b.negative};
  if (a.m == 0) return b;
  if (b.m == 0) return a;
  // The one that starts higher goes to the top of 126 bits, above at least as many zeros as there
  // are places left; bits of the other below them become one. That one starts so much lower that
  // the sum keeps 107 bits or more.
  constexpr int kTop = 126;
  const bool first = a.e + Width(a.m) >= b.e + Width(b.m);
  const WideNumber &high = first ? a : b, &low = first ? b : a;
  const int up = kTop - Width(high.m), e = high.e - up, shift = e - low.e;
  const Bits h = high.m << up, l = shift >= 0 ? ShiftToOdd(low.m, shift) : low.m << -shift;
  if (high.negative == low.negative) return {NumberKind::kFinite, high.negative, h + l, e};
  if (h == l) return {};
  return h > l ? WideNumber{NumberKind::kFinite, high.negative, h - l, e}
               : WideNumber{NumberKind::kFinite, low.negative, l - h, e};
}

Number RoundNumber(const RoundSpec& spec, const WideNumber& x) {
  CHECK(spec.rounding != Rounding::kStochastic);
  if (x.kind == NumberKind::kNan) return {NumberKind::kNan};
  if (x.kind == NumberKind::kInfinity)
    return NumberOf(RoundValue(spec, x.negative ? -HUGE_VAL : HUGE_VAL));
  if (spec.precision <= kOddPrecision || x.m == 0) return NumberOf(RoundValue(spec, OddDouble(x)));
  return spec.posit_bits != 0 ? RoundToPosit(spec, x) : RoundToFloat(spec, x);
}

namespace {

// Where the errors of operations are exact, as doubles, and nothing overflows.
bool IsMiddling(double x) { return std::abs(x) > 0x1p-900 && std::abs(x) < 0x1p1000; }

double TowardsOdd(double nearest, double error) {
  const uint64_t bits = std::bit_cast<uint64_t>(nearest);
  if (error == 0 || bits % 2 != 0) return nearest;
  const bool outwards = std::signbit(nearest) == std::signbit(error);
  return std::bit_cast<double>(outwards ? bits + 1 : bits - 1);
}

double SumToOdd(double a, double b) {
  const double h = a + b, v = h - a;
  return TowardsOdd(h, (a - (h - v)) + (b - v));
}

}  // namespace

double OddSum(double a, double b) {
  if (std::abs(a) < 0x1p1000 && std::abs(b) < 0x1p1000) return SumToOdd(a, b);
  if (!std::isfinite(a) || !std::isfinite(b)) return a + b;
  return OddDouble(Sum(Wide(NumberOf(a)), NumberOf(b)));
}

double OddProduct(double a, double b) {
  const double h = a * b;
  if (IsMiddling(h)) return TowardsOdd(h, std::fma(a, b, -h));
  if (a == 0 || b == 0 || !std::isfinite(a) || !std::isfinite(b)) return h;
  return OddDouble(Product(NumberOf(a), NumberOf(b)));
}

double OddFused(double a, double b, double c) {
  const double p = a * b;
  if (a == 0 || b == 0 || !std::isfinite(a) || !std::isfinite(b)) return p + c;
  if (!std::isfinite(c)) return c;  // p may have overflowed
  if (!IsMiddling(p) || std::abs(c) >= 0x1p1000)
    return OddDouble(Sum(Product(NumberOf(a), NumberOf(b)), NumberOf(c)));
  // Both errors together are rounded to odd at a last place far below that of the result.
  const double h = c + p, v = h - c, error = SumToOdd((c - (h - v)) + (p - v), std::fma(a, b, -p));
  return error != 0 ? SumToOdd(h, error) : h;
}

double RoundedSum(const RoundSpec& spec, double a, double b) {
  return DoubleOf(RoundNumber(spec, Sum(Wide(NumberOf(a)), NumberOf(b))));
}

double RoundedProduct(const RoundSpec& spec, double a, double b) {
  return DoubleOf(RoundNumber(spec, Product(NumberOf(a), NumberOf(b))));
}

double RoundedFused(const RoundSpec& spec, double a, double b, double c) {
  return DoubleOf(RoundNumber(spec, Sum(Product(NumberOf(a), NumberOf(b)), NumberOf(c))));
}

}  // namespace vernier
