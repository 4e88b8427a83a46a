#include "formats/facts.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

#include "formats/posit.h"

namespace vernier {
namespace {

bool IsFinite(const Number& x) { return x.kind <= NumberClass::kFinite; }

Number Negated(Number x) {
  x.negative = !x.negative;
  return x;
}

Number Halved(Number x) {
  if (x.kind == NumberClass::kFinite) --x.e;
  return x;
}

// The last code of a finite number, counting up from the codes of positive numbers.
uint64_t LastFinite(const Format& format) {
  const int width = format.bits - (format.has_sign ? 1 : 0);
  uint64_t low = format.has_zero ? 0 : 1, high = ~uint64_t{0} >> (64 - width);
  while (low < high) {
    const uint64_t middle = low + (high - low + 1) / 2;
    if (IsFinite(DecodeCode(format, middle))) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

Number WholeNumbers(const Format& format, const Number& largest) {
  int e = 0;  // binades 0 .. e-1 hold all their whole numbers
  while (e < 63) {
    const auto quantum = BinadeQuantum(format, e);
    if (!quantum || *quantum > 0) break;
    ++e;
  }
  const Number power = FiniteNumber(false, 1, e);
  if (Compare(power, largest) <= 0 && Holds(format, power)) return power;
  if (Compare(power, largest) <= 0) return FiniteNumber(false, (uint64_t{1} << e) - 1, 0);
  return largest.e >= 0 ? largest : FiniteNumber(false, largest.m >> -largest.e, 0);
}

int LowestExponent(const Format& f) {
  if (f.kind == FormatKind::kFixed) return 0;
  return f.emin - (f.has_subnormals ? f.precision - 1 : 0);
}

Finer Relation(std::optional<int> a, std::optional<int> b) {
  if (!b) return Finer::kOnlyFirst;
  if (!a) return Finer::kOnlySecond;
  return *a == *b ? Finer::kEqual : *a > *b ? Finer::kFirst : Finer::kSecond;
}

// At most 17 significant decimal digits?
bool IsShort(const Number& x) {
  constexpr uint64_t kLimit = 100000000000000000;  // 10^17
  if (x.e >= 0) return x.Exponent() < 57 && x.m << x.e < kLimit;
  uint64_t digits = x.m;
  for (int i = 0; i > x.e; --i) {
    if (digits >= kLimit / 5) return false;
    digits *= 5;
  }
  return true;
}

}  // namespace

FormatFacts ComputeFacts(const Format& format) {
  FormatFacts facts;
  const Number one = FiniteNumber(false, 1, 0);
  facts.largest_code = LastFinite(format);
  facts.smallest_code = format.has_zero ? 1 : 0;
  facts.largest = DecodeCode(format, facts.largest_code);
  facts.smallest = DecodeCode(format, facts.smallest_code);
  const uint64_t positive = facts.largest_code - facts.smallest_code + 1;
  facts.finite = positive * (format.has_sign ? 2 : 1) + (format.has_zero ? 1 : 0);
  if (format.kind == FormatKind::kFixed) ++facts.finite;  // -2^(bits-1)
  facts.lowest = !format.has_sign                    ? facts.smallest
                 : format.kind == FormatKind::kFixed ? FiniteNumber(true, 1, format.bits - 1)
                                                     : Negated(facts.largest);
  facts.lowest_code = EncodeNumber(format, facts.lowest);
  facts.nan_codes = (format.bits == 64 ? 0 : uint64_t{1} << format.bits) - facts.finite -
                    (format.has_negative_zero ? 1 : 0) - (format.has_infinity ? 2 : 0);
  if (format.kind == FormatKind::kFloat && format.has_subnormals)
    facts.smallest_normal = FiniteNumber(false, 1, format.emin);
  for (const auto& [number, where] :
       {std::pair(Number{NumberClass::kZero, false, 0, 0}, &facts.zero_code),
        std::pair(Number{NumberClass::kZero, true, 0, 0}, &facts.negative_zero_code),
        std::pair(Number{NumberClass::kInfinity, false, 0, 0}, &facts.infinity_code),
        std::pair(Number{NumberClass::kNan, false, 0, 0}, &facts.nan_code)})
    if (Holds(format, number)) *where = EncodeNumber(format, number);
  if (Holds(format, one))
    if (const auto next = NextAbove(format, EncodeNumber(format, one)))
      if (const Number above = DecodeCode(format, *next); IsFinite(above)) facts.above_one = above;
  facts.whole = WholeNumbers(format, facts.largest);
  if (format.kind == FormatKind::kFloat) {
    // The grid goes on: half of its step beyond the largest number.
    const int quantum = *BinadeQuantum(format, facts.largest.Exponent());
    const uint64_t m = facts.largest.m << (facts.largest.e - quantum);
    facts.overflow_beyond = FiniteNumber(false, 2 * m + 1, quantum - 1);
    facts.tie_overflows = format.precision == 1 || m % 2 != 0;
  }
  return facts;
}

std::optional<Tie> TieAbove(const Format& format, uint64_t code) {
  const auto next = NextAbove(format, code);
  if (!next) return std::nullopt;
  const Number x = DecodeCode(format, code), y = DecodeCode(format, *next);
  if (!IsFinite(x) || !IsFinite(y)) return std::nullopt;
  const bool down = x.negative;  // towards zero is up there
  Tie tie;
  tie.goes_to = code % 2 == 0 ? code : *next;
  if (format.kind != FormatKind::kPosit) {
    if (format.precision == 1 && format.kind == FormatKind::kFloat)
      tie.goes_to = down ? code : *next;  // one digit is always odd
    tie.at = Halved(Difference(y, Negated(x)).value());
    const Number zero = {NumberClass::kZero, tie.at.negative, 0, 0};
    if (Compare(DecodeCode(format, tie.goes_to), zero) == 0 && Holds(format, zero))
      tie.goes_to = EncodeNumber(format, zero);
    return tie;
  }
  const Number& inner = down ? y : x;
  if (inner.kind == NumberClass::kZero) return std::nullopt;
  const uint64_t u = internal::EncodePosit(format.bits, format.es, inner.m, inner.e);
  const auto v = internal::DecodePosit(format.bits + 1, format.es, 2 * u + 1);
  tie.at = FiniteNumber(down, v.m, v.e);
  return tie;
}

ValueFacts FactsAt(const Format& format, double value) {
  ValueFacts facts;
  const Number x = ExactNumber(value);
  facts.code = EncodeRounded(format, {Rounding::kNearestEven, DefaultOverflow(format)}, value);
  facts.rounded =
      facts.code ? DecodeCode(format, *facts.code) : Number{NumberClass::kNan, x.negative, 0, 0};
  if (x.kind == NumberClass::kNan) return facts;
  uint64_t near = 0;  // the neighbour towards zero, or the last number
  if (x.kind == NumberClass::kInfinity && Holds(format, x)) {
    near = EncodeNumber(format, x);
  } else {
    near = EncodeRounded(format, {Rounding::kTowardZero, Overflow::kSaturate},
                         std::clamp(value, std::numeric_limits<double>::lowest(),
                                    std::numeric_limits<double>::max()))
               .value();
  }
  const auto order = Compare(DecodeCode(format, near), x);
  facts.exact = order == 0;
  facts.below = order < 0 ? std::optional(near) : NextBelow(format, near);
  facts.above = order > 0 ? std::optional(near) : NextAbove(format, near);
  const auto finite = [&](std::optional<uint64_t> code) {
    return code && IsFinite(DecodeCode(format, *code));
  };
  const auto from = facts.exact && !x.negative ? std::optional(near) : facts.below;
  const auto to = facts.exact && x.negative ? std::optional(near) : facts.above;
  if (finite(from) && finite(to))
    facts.gap = Difference(DecodeCode(format, *to), DecodeCode(format, *from));
  if (IsFinite(x) && IsFinite(facts.rounded)) facts.error = Difference(facts.rounded, x);
  if (!facts.code || !IsFinite(facts.rounded)) return facts;
  facts.tie_above = TieAbove(format, *facts.code);
  if (const auto lower = NextBelow(format, *facts.code)) facts.tie_below = TieAbove(format, *lower);
  return facts;
}

std::optional<int> FractionBitsAt(const Format& format, int e) {
  if (format.kind == FormatKind::kPosit) {
    if (e < format.emin || e >= format.emax) return std::nullopt;
    const int k = e >> format.es, regime = k < 0 ? 1 - k : k + 2;
    return format.bits - 1 - regime - format.es;
  }
  const auto quantum = BinadeQuantum(format, e);
  if (!quantum) return std::nullopt;
  return e - *quantum;
}

std::vector<Span> CompareFormats(const Format& a, const Format& b) {
  std::vector<Span> spans;
  for (int e = std::min(LowestExponent(a), LowestExponent(b)); e <= std::max(a.emax, b.emax); ++e) {
    const auto in_a = FractionBitsAt(a, e), in_b = FractionBitsAt(b, e);
    if (!in_a && !in_b) continue;
    const Finer finer = Relation(in_a, in_b);
    if (spans.empty() || spans.back().finer != finer || spans.back().last != e - 1)
      spans.push_back({e, e, finer, in_a, in_a, in_b, in_b});
    Span& span = spans.back();
    span.last = e;
    span.a_least = std::min(span.a_least, in_a);
    span.a_most = std::max(span.a_most, in_a);
    span.b_least = std::min(span.b_least, in_b);
    span.b_most = std::max(span.b_most, in_b);
  }
  return spans;
}

std::string HexText(const Number& x) {
  const std::string sign = x.negative ? "-" : "";
  if (x.kind == NumberClass::kNan) return "nan";
  if (x.kind == NumberClass::kInfinity) return sign + "inf";
  if (x.kind == NumberClass::kZero) return sign + "0";
  const int fraction_bits = static_cast<int>(std::bit_width(x.m)) - 1;
  const int digits = (fraction_bits + 3) / 4;
  const uint64_t fraction = (x.m ^ (uint64_t{1} << fraction_bits)) << (4 * digits - fraction_bits);
  const std::string point = digits == 0 ? "" : fmt::format(".{:0{}x}", fraction, digits);
  return fmt::format("{}0x1{}p{:+d}", sign, point, x.Exponent());
}

std::string DecimalText(const Number& x) {
  if (x.kind == NumberClass::kNan) return "nan";
  const double value = ToDouble(x);
  if (x.kind != NumberClass::kFinite) return fmt::format("{}", value);
  if (IsShort(x)) return fmt::format("{:.17g}", value);
  return fmt::format("{}{}", FitsDouble(x) ? "" : "~", value);
}

std::string CodeText(const Format& format, uint64_t code) {
  return fmt::format("0x{:0{}x}", code, (format.bits + 3) / 4);
}

}  // namespace vernier
