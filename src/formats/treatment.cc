// The text of treatments. What they do to numbers is in treat.cc.
#include "formats/treatment.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "base/names.h"

namespace vernier {
namespace {

template <class E>
using Named = std::pair<const char*, E>;

constexpr std::array<Named<Overflow>, 3> kOverflows = {
    {{"saturate", Overflow::kSaturate}, {"inf", Overflow::kInfinity}, {"nan", Overflow::kNan}}};
constexpr std::array<Named<bool>, 2> kSubnormals = {{{"keep", false}, {"flush", true}}};
constexpr std::array<Named<bool>, 2> kBooleans = {{{"true", true}, {"false", false}}};

constexpr double kMinScale = 1e-30, kMaxScale = 1e30;
// Above this emax (e10mY, e11mY, f64) max_finite times an element can overflow in double, and no
// element needs a scale to be in range.
constexpr int kMaxScaledExponent = 255;

// "a, b or c"
std::string Listing(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i)
    text += (i == 0 ? "" : i + 1 == names.size() ? " or " : ", ") + names[i];
  return text;
}

tl::unexpected<Error> UnknownValue(std::string_view option, std::string_view value,
                                   const std::vector<std::string>& known) {
  const std::string hint = DidYouMean(value, known);
  return Fail("unknown value in '{}={}'{}", option, value,
              hint.empty() ? "; known are " + Listing(known) : hint);
}

template <class E, size_t N>
Result<E> ParseName(std::string_view option, std::string_view value,
                    const std::array<Named<E>, N>& table) {
  std::vector<std::string> known;
  for (const auto& [name, e] : table) {
    if (name == value) return e;
    known.emplace_back(name);
  }
  return UnknownValue(option, value, known);
}

template <class E, size_t N>
const char* NameOf(E e, const std::array<Named<E>, N>& table) {
  for (const auto& [name, value] : table)
    if (value == e) return name;
  CHECK(false);
}

template <class N>
std::optional<N> ParseNumber(std::string_view text) {
  N value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

ScaleRule DefaultScale(const Format& format) {
  return format.kind == FormatKind::kFixed ? ScaleRule::kAbsMax : ScaleRule::kNone;
}

Status ParseOverflow(std::string_view value, Treatment* t) {
  ASSIGN_OR_RETURN(t->overflow, ParseName("overflow", value, kOverflows));
  if (t->format.kind == FormatKind::kFixed && t->overflow != Overflow::kSaturate)
    return Fail("overflow={}: integers saturate, they have neither infinities nor NaN", value);
  if ((t->overflow == Overflow::kInfinity && !t->format.has_infinity) ||
      (t->overflow == Overflow::kNan && !t->format.has_nan))
    return Fail("overflow={}: {} has no {}; use {}", value, t->format.name,
                t->overflow == Overflow::kNan ? "NaN" : "infinities",
                t->format.has_nan ? "overflow=nan or overflow=saturate" : "overflow=saturate");
  return {};
}

Status ParseSubnormals(std::string_view value, Treatment* t) {
  ASSIGN_OR_RETURN(t->flush_subnormals, ParseName("subnormals", value, kSubnormals));
  if (t->flush_subnormals && !t->format.has_subnormals)
    return Fail("subnormals=flush: {} has no subnormals", t->format.name);
  return {};
}

Status ParseScale(std::string_view value, Treatment* t) {
  const std::vector<std::string> known = {"absmax", "percentile:P", "none", "a number"};
  t->scale_value = 0;
  if (value == "absmax") {
    t->scale = ScaleRule::kAbsMax;
  } else if (value == "none") {
    t->scale = ScaleRule::kNone;
  } else if (value.starts_with("percentile")) {
    const auto p =
        value.starts_with("percentile:") ? ParseNumber<double>(value.substr(11)) : std::nullopt;
    if (!p || !(*p > 0 && *p <= 100))
      return Fail("scale={}: expected percentile:P with P above 0 and up to 100", value);
    t->scale = *p == 100 ? ScaleRule::kAbsMax : ScaleRule::kPercentile;
    t->scale_value = *p == 100 ? 0 : *p;
  } else if (const auto number = ParseNumber<double>(value)) {
    if (!(*number >= kMinScale && *number <= kMaxScale))
      return Fail("scale={}: a number from {} to {} is expected", value, kMinScale, kMaxScale);
    t->scale = *number == 1 ? ScaleRule::kNone : ScaleRule::kConstant;
    t->scale_value = *number == 1 ? 0 : *number;
  } else {
    return UnknownValue("scale", value, known);
  }
  if (ScaleFromData(*t) && t->format.kind == FormatKind::kPosit)
    return Fail(
        "scale={}: would put the largest element where {} is coarsest; expected a number or none",
        value, t->format.name);
  if (ScaleFromData(*t) && !t->format.has_zero)
    return Fail("scale={}: {} has no zero and takes no scale from the data", value, t->format.name);
  if (ScaleFromData(*t) && t->format.kind == FormatKind::kFloat &&
      t->format.emax > kMaxScaledExponent)
    return Fail("scale={}: {} has the range of double and takes no scale from the data", value,
                t->format.name);
  return {};
}

Status ParsePer(std::string_view value, TreatedThing thing, Treatment* t) {
  const bool weight = thing == TreatedThing::kWeight;
  if (value == "tensor") {
    t->per = Granularity::kTensor;
  } else if (value == "token") {
    if (weight)
      return Fail("per=token: a weight has no tokens; use per=channel, group:N or tensor");
    t->per = Granularity::kRow;
  } else if (value == "channel") {
    if (!weight)
      return Fail(
          "per=channel: the scale of an activation's channel would depend on later tokens; use "
          "per=token or group:N");
    t->per = Granularity::kRow;
  } else if (value.starts_with("group")) {
    const auto n = value.starts_with("group:") ? ParseNumber<int>(value.substr(6)) : std::nullopt;
    if (!n || *n < 1) return Fail("per={}: expected group:N with N from 1 on", value);
    t->per = Granularity::kGroup;
    t->group = *n;
  } else {
    return UnknownValue("per", value, {weight ? "channel" : "token", "group:N", "tensor"});
  }
  return {};
}

Status ParseSymmetric(std::string_view value, Treatment* t) {
  ASSIGN_OR_RETURN(t->symmetric, ParseName("symmetric", value, kBooleans));
  if (!t->symmetric && t->format.kind != FormatKind::kFixed)
    return Fail("symmetric=false: {} is symmetric about 0; zero points are for intN",
                t->format.name);
  return {};
}

Status ParseOption(std::string_view name, std::string_view value, TreatedThing thing,
                   Treatment* t) {
  if (name == "round") {
    ASSIGN_OR_RETURN(t->rounding, ParseName(name, value, kRoundingNames));
    return {};
  }
  if (name == "overflow") return ParseOverflow(value, t);
  if (name == "subnormals") return ParseSubnormals(value, t);
  if (name == "scale") return ParseScale(value, t);
  if (name == "per") return ParsePer(value, thing, t);
  if (name == "symmetric") return ParseSymmetric(value, t);
  const std::vector<std::string> known = {"round", "overflow", "subnormals",
                                          "scale", "per",      "symmetric"};
  const std::string hint = DidYouMean(name, known);
  return Fail("unknown option '{}'{}", name, hint.empty() ? "; known are " + Listing(known) : hint);
}

// What no option can say alone.
Status CheckTogether(TreatedThing thing, Treatment* t) {
  if (!t->symmetric && !ScaleFromData(*t))
    return Fail("symmetric=false: needs scale=absmax or percentile:P, which give its range");
  if (!ScaleFromData(*t)) {
    t->per = Granularity::kRow;
    t->group = 0;
  } else if (t->per == Granularity::kTensor && thing == TreatedThing::kActivation) {
    return Fail(
        "per=tensor: a scale from all tokens of an activation would depend on later tokens; use "
        "per=token, group:N or a number as scale");
  }
  return {};
}

Status ParseOptions(const std::vector<std::string>& pieces, TreatedThing thing, Treatment* t) {
  std::vector<std::string_view> seen;
  for (size_t i = 1; i < pieces.size(); ++i) {
    const std::string_view piece = Trim(pieces[i]);
    const size_t equals = piece.find('=');
    if (equals == std::string_view::npos)
      return Fail("expected option=value in place of '{}'", piece);
    const std::string_view name = Trim(piece.substr(0, equals));
    if (std::find(seen.begin(), seen.end(), name) != seen.end())
      return Fail("option '{}' is given twice", name);
    seen.push_back(name);
    RETURN_IF_ERROR(ParseOption(name, Trim(piece.substr(equals + 1)), thing, t));
  }
  return CheckTogether(thing, t);
}

}  // namespace

bool ScaleFromData(const Treatment& treatment) {
  return treatment.scale == ScaleRule::kAbsMax || treatment.scale == ScaleRule::kPercentile;
}

Result<Treatment> ParseTreatment(std::string_view text, TreatedThing thing) {
  const std::vector<std::string> pieces = Split(text, ',');
  const std::string_view name = Trim(pieces[0]);
  if (name.empty()) return Fail("treatment '{}': expected a format such as 'bf16'", text);
  Treatment t;
  ASSIGN_OR_RETURN(t.format, FindFormat(name));
  t.overflow = DefaultOverflow(t.format);
  t.scale = DefaultScale(t.format);
  if (const Status status = ParseOptions(pieces, thing, &t); !status)
    return Fail("treatment '{}': {}", text, status.error().message);
  return t;
}

std::string TreatmentText(const Treatment& t) {
  std::string text = t.format.name;
  if (t.rounding != Rounding::kNearestEven)
    text += fmt::format(",round={}", NameOf(t.rounding, kRoundingNames));
  if (t.overflow != DefaultOverflow(t.format))
    text += fmt::format(",overflow={}", NameOf(t.overflow, kOverflows));
  if (t.flush_subnormals) text += ",subnormals=flush";
  if (t.scale == ScaleRule::kPercentile)
    text += fmt::format(",scale=percentile:{}", t.scale_value);
  else if (t.scale == ScaleRule::kConstant)
    text += fmt::format(",scale={}", t.scale_value);
  else if (t.scale != DefaultScale(t.format))
    text += t.scale == ScaleRule::kNone ? ",scale=none" : ",scale=absmax";
  if (t.per == Granularity::kTensor) text += ",per=tensor";
  if (t.per == Granularity::kGroup) text += fmt::format(",per=group:{}", t.group);
  if (!t.symmetric) text += ",symmetric=false";
  return text;
}

}  // namespace vernier
