#include "formats/format.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>

#include "base/names.h"

namespace vernier {
namespace {

constexpr int kMaxExponentBits = 11, kMaxFractionBits = 52;  // those of double
constexpr int kMinIntBits = 2, kMaxIntBits = 16;
constexpr int kMinPositBits = 2, kMaxPositBits = 64, kMaxPositEs = 4, kStandardEs = 2;

// A format that keeps its top exponent field for infinities and NaN (IEEE 754-2019, section 3.4).
Format Ieee(std::string name, int exponent_bits, int fraction_bits, std::string doc) {
  Format f;
  f.name = std::move(name);
  f.bits = 1 + exponent_bits + fraction_bits;
  f.precision = fraction_bits + 1;
  f.emax = (1 << (exponent_bits - 1)) - 1;
  f.emin = 1 - f.emax;
  f.max_finite = std::ldexp(2 - std::ldexp(1.0, -fraction_bits), f.emax);
  f.doc = std::move(doc);
  return f;
}

// A format whose top exponent field holds numbers, so without infinities, up to max_finite.
Format Finite(std::string name, int exponent_bits, int fraction_bits, double max_finite,
              bool has_nan, std::string doc) {
  Format f = Ieee(std::move(name), exponent_bits, fraction_bits, std::move(doc));
  f.emax += 1;
  f.max_finite = max_finite;
  f.has_infinity = false;
  f.has_nan = has_nan;
  return f;
}

// One zero and one NaN, the code that would be -0; otherwise every code is a number.
Format Fnuz(std::string name, int exponent_bits, int fraction_bits, int bias, std::string doc) {
  Format f = Ieee(std::move(name), exponent_bits, fraction_bits, std::move(doc));
  f.emin = 1 - bias;
  f.emax = (1 << exponent_bits) - 1 - bias;
  f.max_finite = std::ldexp(2 - std::ldexp(1.0, -fraction_bits), f.emax);
  f.has_infinity = f.has_negative_zero = false;
  return f;
}

Format E8m0() {
  Format f;
  f.name = "e8m0";
  f.bits = 8;
  f.precision = 1;
  f.emin = -127;
  f.emax = 127;
  f.max_finite = 0x1p127;
  f.has_infinity = f.has_subnormals = f.has_negative_zero = f.has_sign = f.has_zero = false;
  f.doc = "scales of OCP MX 1.0: powers of two, no zero, no sign, NaN 11111111";
  return f;
}

Format Posit(int bits, int es) {
  Format f;
  f.name = es == kStandardEs ? fmt::format("posit{}", bits) : fmt::format("posit{}es{}", bits, es);
  f.kind = FormatKind::kPosit;
  f.bits = bits;
  f.es = es;
  f.precision = std::max(1, bits - 2 - es);
  f.emax = (bits - 2) << es;
  f.emin = -f.emax;
  f.max_finite = std::ldexp(1.0, f.emax);
  f.has_infinity = f.has_subnormals = f.has_negative_zero = false;
  f.doc = es == kStandardEs ? fmt::format("{}-bit posit of the Posit Standard 2022", bits)
                            : fmt::format("{}-bit posit with {} exponent bits", bits, es);
  return f;
}

Format Integer(int bits) {
  Format f;
  f.name = fmt::format("int{}", bits);
  f.kind = FormatKind::kFixed;
  f.bits = bits;
  f.precision = bits - 1;
  f.emin = 0;
  f.emax = bits - 2;
  f.max_finite = (1 << (bits - 1)) - 1;
  f.has_infinity = f.has_nan = f.has_subnormals = f.has_negative_zero = false;
  f.doc = fmt::format("{}-bit integers times a scale", bits);
  return f;
}

const std::vector<Format>& Table() {
  static const std::vector<Format> table = {
      Ieee("f64", 11, 52, "binary64 of IEEE 754-2019"),
      Ieee("f32", 8, 23, "binary32 of IEEE 754-2019"),
      Ieee("tf32", 8, 10, "TensorFloat-32 of NVIDIA A100: the range of f32, the precision of f16"),
      Ieee("f16", 5, 10, "binary16 of IEEE 754-2019"),
      Ieee("bf16", 8, 7, "bfloat16: f32 with 16 fraction bits fewer"),
      Ieee("e5m2", 5, 2, "FP8 E5M2 of OCP OFP8 1.0: IEEE style"),
      Finite("e4m3", 4, 3, 448, true, "FP8 E4M3 of OCP OFP8 1.0: no infinities, NaN S.1111.111"),
      Fnuz("e5m2fnuz", 5, 2, 16, "FP8 E5M2 with one zero, one NaN, no infinities, bias 16"),
      Fnuz("e4m3fnuz", 4, 3, 8, "FP8 E4M3 with one zero, one NaN, no infinities, bias 8"),
      Fnuz("e4m3b11fnuz", 4, 3, 11, "FP8 E4M3 with one zero, one NaN, no infinities, bias 11"),
      Finite("e3m2", 3, 2, 28, false, "FP6 E3M2 of OCP MX 1.0: neither infinities nor NaN"),
      Finite("e2m3", 2, 3, 7.5, false, "FP6 E2M3 of OCP MX 1.0: neither infinities nor NaN"),
      Finite("e2m1", 2, 1, 6, false, "FP4 E2M1 of OCP MX 1.0: neither infinities nor NaN"),
      E8m0(),
      Posit(64, kStandardEs),
      Posit(32, kStandardEs),
      Posit(16, kStandardEs),
      Posit(8, kStandardEs),
      Integer(16),
      Integer(8),
      Integer(4),
  };
  return table;
}

struct Alias {
  std::string_view name, means;
};
constexpr std::array<Alias, 11> kAliases = {{{"fp64", "f64"},
                                             {"fp32", "f32"},
                                             {"fp16", "f16"},
                                             {"float64", "f64"},
                                             {"float32", "f32"},
                                             {"float16", "f16"},
                                             {"bfloat16", "bf16"},
                                             {"fp8_e4m3", "e4m3"},
                                             {"fp8_e5m2", "e5m2"},
                                             {"e4m3fn", "e4m3"},
                                             {"e8m0fnu", "e8m0"}}};

const Format* FindInTable(std::string_view name) {
  for (const Format& f : Table())
    if (f.name == name) return &f;
  return nullptr;
}

// A decimal number of one to three digits without leading zero.
std::optional<int> SmallNumber(std::string_view text) {
  int value = 0;
  if (text.empty() || text.size() > 3 || text[0] == '0') return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// X and Y of "eXmY".
std::optional<std::pair<int, int>> ExponentAndFraction(std::string_view name) {
  const size_t m = name.find('m');
  if (!name.starts_with('e') || m == std::string_view::npos) return std::nullopt;
  const auto x = SmallNumber(name.substr(1, m - 1)), y = SmallNumber(name.substr(m + 1));
  if (!x || !y) return std::nullopt;
  return std::pair(*x, *y);
}

// N and E of "positN" and "positNesE".
std::optional<std::pair<int, int>> PositSizes(std::string_view name) {
  constexpr std::string_view kPrefix = "posit";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  const size_t es = name.find("es");
  const auto bits = SmallNumber(name.substr(0, es));
  if (!bits) return std::nullopt;
  if (es == std::string_view::npos) return std::pair(*bits, kStandardEs);
  const std::string_view digits = name.substr(es + 2);
  const auto value = digits == "0" ? std::optional(0) : SmallNumber(digits);
  if (!value) return std::nullopt;
  return std::pair(*bits, *value);
}

Result<Format> UnknownFormat(std::string_view name) {
  std::vector<std::string> names;
  for (const Format& f : Table()) names.push_back(f.name);
  for (const Alias& alias : kAliases) names.emplace_back(alias.name);
  std::string hint = DidYouMean(name, names);
  if (hint.empty()) {
    hint = "; known are";
    for (const Format& f : Table()) hint += " " + f.name;
    hint += ", eXmY, positN, positNesE and intN";
  }
  return Fail("unknown format '{}'{}", name, hint);
}

}  // namespace

Result<Format> FindFormat(std::string_view name) {
  for (const Alias& alias : kAliases)
    if (alias.name == name) name = alias.means;
  if (const Format* f = FindInTable(name)) return *f;
  if (name.starts_with("int")) {
    if (const auto bits = SmallNumber(name.substr(3))) {
      if (*bits < kMinIntBits || *bits > kMaxIntBits)
        return Fail("unknown format '{}': integers go from int{} to int{}", name, kMinIntBits,
                    kMaxIntBits);
      return Integer(*bits);
    }
  }
  if (const auto xy = ExponentAndFraction(name)) {
    const auto [x, y] = *xy;
    if (x < 2 || x > kMaxExponentBits || y > kMaxFractionBits)
      return Fail("unknown format '{}': eXmY takes X from 2 to {} and Y from 1 to {}", name,
                  kMaxExponentBits, kMaxFractionBits);
    Format f = Ieee(std::string(name), x, y,
                    fmt::format("{} exponent and {} fraction bits, IEEE style", x, y));
    for (const Format& known : Table())
      if (known.has_infinity && known.precision == f.precision && known.emax == f.emax)
        return known;
    return f;
  }
  if (const auto sizes = PositSizes(name)) {
    const auto [n, es] = *sizes;
    if (n < kMinPositBits || n > kMaxPositBits || es > kMaxPositEs)
      return Fail("unknown format '{}': positNesE takes N from {} to {} and E from 0 to {}", name,
                  kMinPositBits, kMaxPositBits, kMaxPositEs);
    return Posit(n, es);
  }
  return UnknownFormat(name);
}

std::span<const Format> NamedFormats() { return Table(); }

std::optional<int> BinadeQuantum(const Format& format, int e) {
  if (e > format.emax) return std::nullopt;
  switch (format.kind) {
    case FormatKind::kFixed:
      return e < 0 ? std::nullopt : std::optional(0);
    case FormatKind::kPosit: {
      if (e < format.emin) return std::nullopt;
      if (e == format.emax) return e;  // the largest: a regime without end
      const int k = e >> format.es, x = e - k * (1 << format.es);
      const int regime = k < 0 ? 1 - k : k + 2, left = format.bits - 1 - regime;
      if (left >= format.es) return e - (left - format.es);
      // The last bits of the exponent are cut off and count as zeros.
      return x % (1 << (format.es - left)) == 0 ? std::optional(e) : std::nullopt;
    }
    case FormatKind::kFloat:
      break;
  }
  if (e < format.emin && !format.has_subnormals) return std::nullopt;
  const int quantum = std::max(e, format.emin) - format.precision + 1;
  return quantum <= e ? std::optional(quantum) : std::nullopt;
}

bool ContainsFinite(const Format& outer, const Format& inner) {
  if (inner.max_finite > outer.max_finite) return false;
  if ((inner.has_sign && !outer.has_sign) || (inner.has_zero && !outer.has_zero)) return false;
  if (inner.kind == FormatKind::kFixed && outer.kind != FormatKind::kFixed) {  // -2^(bits-1)
    const auto quantum = BinadeQuantum(outer, inner.bits - 1);
    if (!quantum || *quantum >= inner.bits || std::ldexp(1.0, inner.bits - 1) > outer.max_finite)
      return false;
  }
  const int lowest = inner.emin - (inner.has_subnormals ? inner.precision - 1 : 0);
  for (int e = lowest; e <= inner.emax; ++e) {
    const auto need = BinadeQuantum(inner, e), have = BinadeQuantum(outer, e);
    if (need && !(have && *have <= *need)) return false;
  }
  return true;
}

bool Contains(const Format& outer, const Format& inner) {
  return ContainsFinite(outer, inner) && (outer.has_infinity || !inner.has_infinity) &&
         (outer.has_negative_zero || !inner.has_negative_zero);
}

double SmallestNormal(const Format& format) {
  CHECK(format.kind == FormatKind::kFloat);
  return std::ldexp(1.0, format.emin);
}

double SmallestSubnormal(const Format& format) {
  CHECK(format.kind == FormatKind::kFloat);
  return format.has_subnormals ? std::ldexp(1.0, format.emin - format.precision + 1)
                               : SmallestNormal(format);
}

double Epsilon(const Format& format) {
  CHECK(format.kind != FormatKind::kFixed);
  return std::ldexp(1.0, 1 - format.precision);
}

}  // namespace vernier
