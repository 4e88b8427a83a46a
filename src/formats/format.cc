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
      Finite("e3m2", 3, 2, 28, false, "FP6 E3M2 of OCP MX 1.0: neither infinities nor NaN"),
      Finite("e2m3", 2, 3, 7.5, false, "FP6 E2M3 of OCP MX 1.0: neither infinities nor NaN"),
      Finite("e2m1", 2, 1, 6, false, "FP4 E2M1 of OCP MX 1.0: neither infinities nor NaN"),
      Integer(16),
      Integer(8),
      Integer(4),
  };
  return table;
}

struct Alias {
  std::string_view name, means;
};
constexpr std::array<Alias, 9> kAliases = {{{"fp64", "f64"},
                                            {"fp32", "f32"},
                                            {"fp16", "f16"},
                                            {"float64", "f64"},
                                            {"float32", "f32"},
                                            {"float16", "f16"},
                                            {"bfloat16", "bf16"},
                                            {"fp8_e4m3", "e4m3"},
                                            {"fp8_e5m2", "e5m2"}}};

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

Result<Format> UnknownFormat(std::string_view name) {
  std::vector<std::string> names;
  for (const Format& f : Table()) names.push_back(f.name);
  for (const Alias& alias : kAliases) names.emplace_back(alias.name);
  std::string hint = DidYouMean(name, names);
  if (hint.empty()) {
    hint = "; known are";
    for (const Format& f : Table()) hint += " " + f.name;
    hint += ", eXmY and intN";
  }
  return Fail("unknown format '{}'{}", name, hint);
}

// Whether the float format `outer` holds the numbers k * 2^lsb of the binade [2^e, 2^(e+1)).
bool HoldsBinade(const Format& outer, int e, int lsb) {
  if (e < outer.emin && !outer.has_subnormals) return false;
  return std::max(e, outer.emin) - outer.precision + 1 <= lsb;
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
  return UnknownFormat(name);
}

std::span<const Format> NamedFormats() { return Table(); }

bool Contains(const Format& outer, const Format& inner) {
  if (inner.max_finite > outer.max_finite) return false;
  const bool outer_fixed = outer.kind == FormatKind::kFixed;
  if (inner.kind == FormatKind::kFixed) {
    if (outer_fixed) return true;
    for (int e = 0; e <= inner.emax; ++e)
      if (!HoldsBinade(outer, e, 0)) return false;
    return true;
  }
  if (outer_fixed || (inner.has_infinity && !outer.has_infinity)) return false;
  const int smallest = inner.emin - inner.precision + 1;
  for (int e = inner.has_subnormals ? smallest : inner.emin; e <= inner.emax; ++e)
    if (!HoldsBinade(outer, e, std::max(e, inner.emin) - inner.precision + 1)) return false;
  return true;
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
  CHECK(format.kind == FormatKind::kFloat);
  return std::ldexp(1.0, 1 - format.precision);
}

}  // namespace vernier
