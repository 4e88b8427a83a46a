#include "formats/codes.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "formats/posit.h"

namespace vernier {
namespace {

uint64_t Ones(int bits) { return bits >= 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1; }

// Of kFloat formats.
int FractionBits(const Format& f) { return f.precision - 1; }
uint64_t TopField(const Format& f) {
  return Ones(f.bits - FractionBits(f) - (f.has_sign ? 1 : 0)) << FractionBits(f);
}
uint64_t SignBit(const Format& f) { return uint64_t{1} << (f.bits - 1); }
int FirstField(const Format& f) { return f.has_zero ? 1 : 0; }  // the field of emin

// The NaN that is the code of -0.
bool NanIsNegativeZero(const Format& f) {
  return f.kind == FormatKind::kFloat && f.has_sign && !f.has_negative_zero;
}

uint64_t CanonicalNan(const Format& f, bool negative) {
  if (f.kind == FormatKind::kPosit || NanIsNegativeZero(f)) return SignBit(f);
  if (!f.has_sign) return Ones(f.bits);
  const uint64_t sign = negative ? SignBit(f) : 0;
  if (!f.has_infinity) return sign | Ones(f.bits - 1);
  return sign | TopField(f) | uint64_t{1} << (FractionBits(f) - 1);
}

bool IsNanCode(const Format& f, uint64_t code) {
  if (f.kind == FormatKind::kFixed || !f.has_nan) return false;
  if (f.kind == FormatKind::kPosit || NanIsNegativeZero(f)) return code == SignBit(f);
  if (!f.has_sign) return code == Ones(f.bits);
  const uint64_t magnitude = code & ~SignBit(f);
  return f.has_infinity ? magnitude > TopField(f) : magnitude == Ones(f.bits - 1);
}

Number Special(NumberClass kind, bool negative) { return {kind, negative, 0, 0}; }

Number DecodeFloat(const Format& f, uint64_t code) {
  const bool negative = f.has_sign && (code & SignBit(f)) != 0;
  const uint64_t magnitude = f.has_sign ? code & ~SignBit(f) : code;
  if (IsNanCode(f, code)) return Special(NumberClass::kNan, negative && f.has_negative_zero);
  if (f.has_infinity && magnitude == TopField(f)) return Special(NumberClass::kInfinity, negative);
  const int field = static_cast<int>(magnitude >> FractionBits(f));
  const uint64_t fraction = magnitude & Ones(FractionBits(f));
  const bool subnormal = field < FirstField(f);
  const int e = (subnormal ? f.emin : f.emin + field - FirstField(f)) - FractionBits(f);
  return FiniteNumber(negative, subnormal ? fraction : fraction | uint64_t{1} << FractionBits(f),
                      e);
}

uint64_t EncodeFloat(const Format& f, const Number& x) {
  const uint64_t sign = x.negative ? SignBit(f) : 0;
  if (x.kind == NumberClass::kZero) return sign;
  if (x.kind == NumberClass::kInfinity) return sign | TopField(f);
  const int quantum = std::max(x.Exponent(), f.emin) - FractionBits(f);
  const uint64_t m = x.m << (x.e - quantum);  // with the implicit bit, at FractionBits, if normal
  if (x.Exponent() < f.emin) return sign | m;
  const auto field = static_cast<uint64_t>(x.Exponent() - f.emin + FirstField(f));
  return sign | ((field << FractionBits(f)) + (m & Ones(FractionBits(f))));
}

uint64_t TwosComplement(const Format& f, uint64_t magnitude, bool negative) {
  return (negative ? 0 - magnitude : magnitude) & Ones(f.bits);
}

// The place of a code among the format's numbers in order of value; both zeros have 0.
int64_t Ordinal(const Format& f, uint64_t code) {
  if (f.kind != FormatKind::kFloat) {
    const int above = 64 - f.bits;
    return static_cast<int64_t>(code << above) >> above;
  }
  if (!f.has_sign || (code & SignBit(f)) == 0) return static_cast<int64_t>(code);
  return -static_cast<int64_t>(code & ~SignBit(f));
}

std::optional<uint64_t> Next(const Format& f, uint64_t code, int step) {
  if (IsNanCode(f, code)) return std::nullopt;
  const int64_t from = Ordinal(f, code);
  if (step > 0 ? from == std::numeric_limits<int64_t>::max()
               : from == std::numeric_limits<int64_t>::min())
    return std::nullopt;
  const int64_t to = from + step;
  uint64_t next = static_cast<uint64_t>(to) & Ones(f.bits);
  if (f.kind == FormatKind::kFloat && f.has_sign) {
    const uint64_t magnitude = static_cast<uint64_t>(to < 0 ? -to : to);
    if (magnitude >= SignBit(f)) return std::nullopt;
    const bool negative = to < 0 || (to == 0 && step > 0 && f.has_negative_zero);
    next = magnitude | (negative ? SignBit(f) : 0);
  } else if (!f.has_sign ? to < 0 || to > static_cast<int64_t>(Ones(f.bits))
                         : Ordinal(f, next) != to) {
    return std::nullopt;
  }
  if (IsNanCode(f, next)) return std::nullopt;
  return next;
}

double RoundFixed(const Format& f, Rounding rounding, double x, uint32_t random) {
  const double low = -f.max_finite - 1;
  if (std::isnan(x)) return x;
  if (std::isinf(x)) return x < 0 ? low : f.max_finite;
  return std::clamp(RoundToMultiple(x, 0, rounding, random), low, f.max_finite) + 0.0;
}

// The nearest number of a host type with this precision and emin; from 2^1024 on infinity.
double Nearest(const Number& x, int precision, int emin) {
  double r = 0;
  if (x.kind == NumberClass::kNan) r = std::numeric_limits<double>::quiet_NaN();
  if (x.kind == NumberClass::kInfinity) r = std::numeric_limits<double>::infinity();
  if (x.kind == NumberClass::kFinite) {
    const int quantum = std::max(x.Exponent(), emin) - precision + 1, shift = quantum - x.e;
    if (shift <= 0) {
      r = std::ldexp(static_cast<double>(x.m), x.e);
    } else if (shift <= 64) {
      const uint64_t kept = shift == 64 ? 0 : x.m >> shift, rest = x.m & Ones(shift);
      const uint64_t half = uint64_t{1} << (shift - 1);
      const bool up = rest > half || (rest == half && kept % 2 != 0);
      r = std::ldexp(static_cast<double>(kept + (up ? 1 : 0)), quantum);
    }
  }
  return x.negative ? -r : r;
}

// Of a result of rounding.
std::optional<uint64_t> CodeOf(const Format& f, double rounded) {
  const Number x = ExactNumber(rounded);
  const bool has = x.kind == NumberClass::kNan        ? f.has_nan
                   : x.kind == NumberClass::kInfinity ? f.has_infinity
                                                      : true;
  if (!has) return std::nullopt;
  return EncodeNumber(f, x);
}

}  // namespace

int Number::Exponent() const { return e + static_cast<int>(std::bit_width(m)) - 1; }

Number FiniteNumber(bool negative, uint64_t m, int e) {
  if (m == 0) return {NumberClass::kZero, negative, 0, 0};
  const int zeros = std::countr_zero(m);
  return {NumberClass::kFinite, negative, m >> zeros, e + zeros};
}

Number ExactNumber(double x) {
  const bool negative = std::signbit(x);
  if (std::isnan(x)) return Special(NumberClass::kNan, negative);
  if (std::isinf(x)) return Special(NumberClass::kInfinity, negative);
  const uint64_t bits = std::bit_cast<uint64_t>(x);
  const int field = static_cast<int>(bits >> 52 & 0x7ff);
  const uint64_t fraction = bits & Ones(52);
  return FiniteNumber(negative, field == 0 ? fraction : fraction | uint64_t{1} << 52,
                      std::max(field, 1) - 1075);
}

double ToDouble(const Number& x) { return Nearest(x, 53, -1022); }

bool FitsDouble(const Number& x) {
  if (x.kind != NumberClass::kFinite) return true;
  return std::bit_width(x.m) <= 53 && x.e >= -1074 && x.Exponent() <= 1023;
}

std::partial_ordering Compare(const Number& a, const Number& b) {
  if (a.kind == NumberClass::kNan || b.kind == NumberClass::kNan)
    return std::partial_ordering::unordered;
  const auto sign = [](const Number& x) {
    return x.kind == NumberClass::kZero ? 0 : x.negative ? -1 : 1;
  };
  if (sign(a) != sign(b) || sign(a) == 0) return sign(a) <=> sign(b);
  const auto magnitude = [](const Number& x, const Number& y) {
    if (x.kind != y.kind) return x.kind <=> y.kind;  // kFinite below kInfinity
    if (x.kind == NumberClass::kInfinity) return std::strong_ordering::equal;
    if (x.Exponent() != y.Exponent()) return x.Exponent() <=> y.Exponent();
    return x.m << std::countl_zero(x.m) <=> y.m << std::countl_zero(y.m);
  };
  return sign(a) > 0 ? magnitude(a, b) : magnitude(b, a);
}

std::optional<Number> Difference(const Number& a, const Number& b) {
  __extension__ using Int = __int128;
  CHECK(a.kind <= NumberClass::kFinite && b.kind <= NumberClass::kFinite);
  const bool zero = a.kind == NumberClass::kZero;
  const int unit = zero ? b.e : b.kind == NumberClass::kZero ? a.e : std::min(a.e, b.e);
  Int values[2] = {0, 0};
  for (int i = 0; i < 2; ++i) {
    const Number& x = i == 0 ? a : b;
    if (x.kind == NumberClass::kZero) continue;
    if (x.Exponent() - unit > 120) return std::nullopt;
    values[i] = (x.negative ? -Int{x.m} : Int{x.m}) * (Int{1} << (x.e - unit));
  }
  Int difference = values[0] - values[1];
  const bool negative = difference < 0;
  if (negative) difference = -difference;
  int e = unit;
  for (; difference > 0 && difference % 2 == 0; ++e) difference /= 2;
  if (difference >> 64 != 0) return std::nullopt;
  return FiniteNumber(negative, static_cast<uint64_t>(difference), e);
}

bool Holds(const Format& format, const Number& x) {
  switch (x.kind) {
    case NumberClass::kNan:
      return format.has_nan;
    case NumberClass::kInfinity:
      return format.has_infinity;
    case NumberClass::kZero:
      return format.has_zero && (!x.negative || format.has_negative_zero);
    case NumberClass::kFinite:
      break;
  }
  if (x.negative && !format.has_sign) return false;
  if (format.kind == FormatKind::kFixed && x.negative && x.m == 1 && x.e == format.bits - 1)
    return true;
  const auto quantum = BinadeQuantum(format, x.Exponent());
  if (!quantum || x.e < *quantum) return false;
  const Number largest = ExactNumber(format.max_finite);
  return Compare({NumberClass::kFinite, false, x.m, x.e}, largest) <= 0;
}

uint64_t EncodeNumber(const Format& format, const Number& x) {
  CHECK(Holds(format, x));
  if (x.kind == NumberClass::kNan) return CanonicalNan(format, x.negative);
  if (format.kind == FormatKind::kFloat) return EncodeFloat(format, x);
  if (x.kind == NumberClass::kZero) return 0;
  const uint64_t magnitude = format.kind == FormatKind::kFixed
                                 ? x.m << x.e
                                 : internal::EncodePosit(format.bits, format.es, x.m, x.e);
  return TwosComplement(format, magnitude, x.negative);
}

Number DecodeCode(const Format& format, uint64_t code) {
  CHECK((code & ~Ones(format.bits)) == 0);
  if (format.kind == FormatKind::kFloat) return DecodeFloat(format, code);
  if (IsNanCode(format, code)) return Special(NumberClass::kNan, false);
  const bool negative = (code & SignBit(format)) != 0;
  const uint64_t magnitude = TwosComplement(format, code, negative);
  if (format.kind == FormatKind::kFixed || magnitude == 0)
    return FiniteNumber(negative, magnitude, 0);
  const auto posit = internal::DecodePosit(format.bits, format.es, magnitude);
  return {NumberClass::kFinite, negative, posit.m, posit.e};
}

std::optional<uint64_t> NextAbove(const Format& format, uint64_t code) {
  return Next(format, code, 1);
}

std::optional<uint64_t> NextBelow(const Format& format, uint64_t code) {
  return Next(format, code, -1);
}

std::optional<uint64_t> EncodeRounded(const Format& format, const CodeRounding& rounding, double x,
                                      uint32_t random) {
  if (format.kind == FormatKind::kFixed)
    return CodeOf(format, RoundFixed(format, rounding.rounding, x, random));
  const RoundSpec spec =
      MakeRoundSpec(format, rounding.rounding, rounding.overflow, rounding.flush);
  return CodeOf(format, RoundValue(spec, x, random));
}

template <class T, class Code>
size_t EncodeRow(const Format& format, const CodeRounding& rounding, const T* row, size_t n,
                 Code* codes, uint64_t key, uint64_t first) {
  CHECK(format.bits <= static_cast<int>(8 * sizeof(Code)));
  const bool fixed = format.kind == FormatKind::kFixed;
  const RoundSpec spec =
      fixed ? RoundSpec{}
            : MakeRoundSpec(format, rounding.rounding, rounding.overflow, rounding.flush);
  constexpr size_t kBlock = 256;
  T block[kBlock];
  size_t without = 0;
  for (size_t from = 0; from < n; from += kBlock) {
    const size_t size = std::min(kBlock, n - from);
    std::copy_n(row + from, size, block);
    if (fixed) {
      for (size_t i = 0; i < size; ++i)
        block[i] = static_cast<T>(
            RoundFixed(format, rounding.rounding, block[i], RandomBits(key, first + from + i)));
    } else {
      RoundRow(spec, block, size, key, first + from);
    }
    for (size_t i = 0; i < size; ++i) {
      const auto code = CodeOf(format, block[i]);
      without += code ? 0 : 1;
      codes[from + i] = static_cast<Code>(code.value_or(0));
    }
  }
  return without;
}

template <class T, class Code>
void DecodeRow(const Format& format, const Code* codes, size_t n, T* row) {
  CHECK(format.bits <= static_cast<int>(8 * sizeof(Code)));
  const bool single = sizeof(T) == 4;
  for (size_t i = 0; i < n; ++i) {
    const Number x = DecodeCode(format, codes[i] & Ones(format.bits));
    row[i] = static_cast<T>(Nearest(x, single ? 24 : 53, single ? -126 : -1022));
  }
}

#define VERNIER_INSTANTIATE(T, Code)                                                              \
  template size_t EncodeRow<T, Code>(const Format&, const CodeRounding&, const T*, size_t, Code*, \
                                     uint64_t, uint64_t);                                         \
  template void DecodeRow<T, Code>(const Format&, const Code*, size_t, T*);
VERNIER_INSTANTIATE(float, uint8_t)
VERNIER_INSTANTIATE(float, uint16_t)
VERNIER_INSTANTIATE(float, uint32_t)
VERNIER_INSTANTIATE(float, uint64_t)
VERNIER_INSTANTIATE(double, uint8_t)
VERNIER_INSTANTIATE(double, uint16_t)
VERNIER_INSTANTIATE(double, uint32_t)
VERNIER_INSTANTIATE(double, uint64_t)
#undef VERNIER_INSTANTIATE

}  // namespace vernier
