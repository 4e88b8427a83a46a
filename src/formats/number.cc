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

using Bits = WideValue::Bits;

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
double OddDouble(const WideValue& x) {
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
Cut CutAt(const WideValue& x, int quantum) {
  const int shift = quantum - x.e;
  if (shift <= 0) return {static_cast<uint64_t>(x.m << -shift), quantum, -1, true};
  if (shift > 128) return {0, quantum, -1, false};
  const Bits half = Bits{1} << (shift - 1);
  const Bits rest = shift == 128 ? x.m : x.m & ((half << 1) - 1);
  return {shift == 128 ? 0 : static_cast<uint64_t>(x.m >> shift), quantum,
          rest < half ? -1 : static_cast<int>(rest > half), rest == 0};
}

ExactValue Overflow(const RoundSpec& spec, bool negative) {
  ExactValue r =
      ValueOf(std::bit_cast<double>(internal::Overflowed<double>(spec, false, negative)));
  r.negative = negative;
  return r;
}

// To floats of 52 or 53 bits.
ExactValue RoundToFloat(const RoundSpec& spec, const WideValue& x) {
  using H = internal::Host<double>;
  const int top = x.e + Width(x.m) - 1;
  const Cut cut = CutAt(x, std::max(top, spec.emin) - spec.precision + 1);
  const bool away =
      !cut.exact && internal::GoesAway(spec.rounding, cut.side, cut.m % 2 != 0, x.negative);
  ExactValue r{ValueKind::kFinite, x.negative, cut.m + (away ? 1 : 0), cut.e};
  const int exponent = r.e + std::bit_width(r.m) - 1;
  if (r.m != 0 && (exponent > H::kEmax || std::ldexp(r.m, r.e) > spec.max_double))
    return Overflow(spec, x.negative);
  if (spec.flush && exponent < spec.emin) r.m = 0;
  if (r.m == 0) r.negative = x.negative && spec.has_negative_zero;
  return r;
}

// To posits that can be finer than doubles.
ExactValue RoundToPosit(const RoundSpec& spec, const WideValue& x) {
  const int n = spec.posit_bits, width = Width(x.m), top = x.e + width - 1;
  const int last = (n - 2) << spec.es;  // the largest posit is 2^last, the smallest 2^-last
  if (top > last || (top == last && x.m != Bits{1} << (width - 1)))
    return Overflow(spec, x.negative);
  const auto signed_number = [&](uint64_t m, int e) {
    return m == 0 ? ExactValue{} : ExactValue{ValueKind::kFinite, x.negative, m, e};
  };
  if (top < -last) {
    const bool nearest = spec.rounding == Rounding::kNearestEven ||
                         spec.rounding == Rounding::kNearestAway || spec.rounding == Rounding::kOdd;
    const bool away = nearest || internal::GoesAway(spec.rounding, -1, false, x.negative);
    return signed_number(away ? 1 : 0, -last);
  }
  const int k = top >> spec.es, regime = k < 0 ? 1 - k : k + 2;
  const int fraction = n - 1 - regime - spec.es;
  if (fraction >= 1) {  // the code ends in a bit of the significand
    const Cut cut = CutAt(x, top - fraction);
    const bool up =
        !cut.exact && internal::GoesAway(spec.rounding, cut.side, cut.m % 2 != 0, x.negative);
    return signed_number(cut.m + (up ? 1 : 0), cut.e);
  }
  // Two bits more than the code has room for, to odd, are enough to tell where x lies.
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

ExactValue ValueOf(double x) {
  using H = internal::Host<double>;
  const bool negative = std::signbit(x);
  if (std::isnan(x)) return {ValueKind::kNan, false, 0, 0};
  if (std::isinf(x)) return {ValueKind::kInfinity, negative, 0, 0};
  const uint64_t u = std::bit_cast<uint64_t>(x) & ~H::kSign;
  const int field = static_cast<int>(u >> H::kFraction);
  uint64_t m = u & ((uint64_t{1} << H::kFraction) - 1);
  if (field > 0) m |= uint64_t{1} << H::kFraction;
  return {ValueKind::kFinite, negative, m, std::max(field, 1) - H::kEmax - H::kFraction};
}

double DoubleOf(const ExactValue& x) {
  if (x.kind == ValueKind::kNan) return std::numeric_limits<double>::quiet_NaN();
  if (x.kind == ValueKind::kInfinity) return x.negative ? -HUGE_VAL : HUGE_VAL;
  // One rounding: of the integer where it has more than 53 bits (it is then far from the doubles'
  // smallest), of nothing else where x is a number of a format.
  const double r = std::ldexp(static_cast<double>(x.m), x.e);
  return x.negative ? -r : r;
}

WideValue Wide(const ExactValue& x) { return {x.kind, x.negative, x.m, x.e}; }

ExactValue Negated(ExactValue x) {
  x.negative = !x.negative;
  return x;
}

WideValue Product(const ExactValue& a, const ExactValue& b) {
  const bool negative = a.negative != b.negative;
  if (a.kind == ValueKind::kNan || b.kind == ValueKind::kNan) return {ValueKind::kNan};
  if (a.kind == ValueKind::kInfinity || b.kind == ValueKind::kInfinity) {
    const ExactValue& other = a.kind == ValueKind::kInfinity ? b : a;
    const bool zero = other.kind == ValueKind::kFinite && other.m == 0;
    return {zero ? ValueKind::kNan : ValueKind::kInfinity, negative};
  }
  return {ValueKind::kFinite, negative, Bits{a.m} * b.m, a.e + b.e};
}

WideValue Sum(const WideValue& a, const ExactValue& other) {
  const WideValue b = Wide(other);
  if (a.kind == ValueKind::kNan || b.kind == ValueKind::kNan) return {ValueKind::kNan};
  if (a.kind == ValueKind::kInfinity)
    return b.kind == ValueKind::kInfinity && a.negative != b.negative ? WideValue{ValueKind::kNan}
                                                                      : a;
  if (b.kind == ValueKind::kInfinity) return b;
  if (a.m == 0 && b.m == 0) return {ValueKind::kFinite, a.negative && b.negative};
  if (a.m == 0) return b;
  if (b.m == 0) return a;
  // The one that starts higher goes to the top of 126 bits, above at least as many zeros as there
  // are places left; bits of the other below them become one. That one starts so much lower that
  // the sum keeps 107 bits or more.
  constexpr int kTop = 126;
  const bool first = a.e + Width(a.m) >= b.e + Width(b.m);
  const WideValue &high = first ? a : b, &low = first ? b : a;
  const int up = kTop - Width(high.m), e = high.e - up, shift = e - low.e;
  const Bits h = high.m << up, l = shift >= 0 ? ShiftToOdd(low.m, shift) : low.m << -shift;
  if (high.negative == low.negative) return {ValueKind::kFinite, high.negative, h + l, e};
  if (h == l) return {};
  return h > l ? WideValue{ValueKind::kFinite, high.negative, h - l, e}
               : WideValue{ValueKind::kFinite, low.negative, l - h, e};
}

ExactValue RoundWide(const RoundSpec& spec, const WideValue& x) {
  CHECK(spec.rounding != Rounding::kStochastic);
  if (x.kind == ValueKind::kNan) return {ValueKind::kNan};
  if (x.kind == ValueKind::kInfinity)
    return ValueOf(RoundValue(spec, x.negative ? -HUGE_VAL : HUGE_VAL));
  if (spec.precision <= kOddPrecision || x.m == 0) return ValueOf(RoundValue(spec, OddDouble(x)));
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
  return OddDouble(Sum(Wide(ValueOf(a)), ValueOf(b)));
}

double OddProduct(double a, double b) {
  const double h = a * b;
  if (IsMiddling(h)) return TowardsOdd(h, std::fma(a, b, -h));
  if (a == 0 || b == 0 || !std::isfinite(a) || !std::isfinite(b)) return h;
  return OddDouble(Product(ValueOf(a), ValueOf(b)));
}

double OddFused(double a, double b, double c) {
  const double p = a * b;
  if (a == 0 || b == 0 || !std::isfinite(a) || !std::isfinite(b)) return p + c;
  if (!std::isfinite(c)) return c;  // p may have overflowed
  if (!IsMiddling(p) || std::abs(c) >= 0x1p1000)
    return OddDouble(Sum(Product(ValueOf(a), ValueOf(b)), ValueOf(c)));
  // Both errors together are rounded to odd at a last place far below that of the result.
  const double h = c + p, v = h - c, error = SumToOdd((c - (h - v)) + (p - v), std::fma(a, b, -p));
  return error != 0 ? SumToOdd(h, error) : h;
}

double RoundedSum(const RoundSpec& spec, double a, double b) {
  return DoubleOf(RoundWide(spec, Sum(Wide(ValueOf(a)), ValueOf(b))));
}

double RoundedProduct(const RoundSpec& spec, double a, double b) {
  return DoubleOf(RoundWide(spec, Product(ValueOf(a), ValueOf(b))));
}

double RoundedFused(const RoundSpec& spec, double a, double b, double c) {
  return DoubleOf(RoundWide(spec, Sum(Product(ValueOf(a), ValueOf(b)), ValueOf(c))));
}

}  // namespace vernier
