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
constexpr std::array<Named<Outliers>, 3> kOutliers = {
    {{"clip", Outliers::kClip}, {"keep", Outliers::kKeep}, {"second", Outliers::kSecond}}};
constexpr std::array<Named<bool>, 2> kTreatedOf = {{{"value", false}, {"log", true}}};
constexpr std::array<Named<bool>, 2> kRotations = {{{"none", false}, {"hadamard", true}}};
constexpr std::array<Named<ScaleRule>, 4> kMxScales = {{{"floor", ScaleRule::kFloor},
                                                        {"ceil", ScaleRule::kCeil},
                                                        {"even", ScaleRule::kEven},
                                                        {"rceil", ScaleRule::kRceil}}};
constexpr std::array<Named<bool>, 2> kBooleans = {{{"true", true}, {"false", false}}};

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

bool IsMx(const Treatment& t) { return t.block != nullptr && t.block->family == BlockFamily::kMx; }

Overflow DefaultOverflowOf(const Treatment& t) {
  return t.block != nullptr ? Overflow::kSaturate : DefaultOverflow(t.format);
}

ScaleRule DefaultScale(const Treatment& t) {
  if (IsMx(t)) return ScaleRule::kFloor;
  if (t.IsStored()) return ScaleRule::kNone;
  return t.IsNvfp4() || t.format.kind == FormatKind::kFixed ? ScaleRule::kAbsMax : ScaleRule::kNone;
}

// Before any option is read.
void SetDefaults(TreatedThing thing, Treatment* t) {
  t->overflow = DefaultOverflowOf(*t);
  t->scale = DefaultScale(*t);
  if (IsMx(*t)) {
    t->per = Granularity::kGroup;
    t->group = t->block->block;
  }
  if (t->IsNvfp4() && thing == TreatedThing::kWeight) t->per = Granularity::kTensor;
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

// Whether the scale is a range that treatments hold up to their largest number.
bool HasRange(const Treatment& t) {
  return ScaleFromData(t) || t.scale == ScaleRule::kGivenAbsMax ||
         t.scale == ScaleRule::kGivenRange;
}

Status ParsePercentile(std::string_view value, Treatment* t) {
  const auto p =
      value.starts_with("percentile:") ? ParseNumber<double>(value.substr(11)) : std::nullopt;
  if (!p || !(*p > 0 && *p <= 100))
    return Fail("scale={}: expected percentile:P with P above 0 and up to 100", value);
  t->scale = *p == 100 ? ScaleRule::kAbsMax : ScaleRule::kPercentile;
  t->scale_value = *p == 100 ? 0 : *p;
  return {};
}

// absmax:A and range:LO:HI
Status ParseGivenRange(std::string_view value, Treatment* t) {
  const std::vector<std::string> parts = Split(value, ':');
  const bool absmax = parts[0] == "absmax";
  const auto low = parts.size() > 1 ? ParseNumber<double>(parts[1]) : std::nullopt;
  const auto high = parts.size() > 2 ? ParseNumber<double>(parts[2]) : std::nullopt;
  if (absmax && (parts.size() != 2 || !low || !(*low >= 0 && *low <= kMaxScale)))
    return Fail("scale={}: expected absmax:A with A from 0 to {}", value, kMaxScale);
  if (!absmax && (parts.size() != 3 || !low || !high || !(*low <= 0 && *low >= -kMaxScale) ||
                  !(*high >= 0 && *high <= kMaxScale)))
    return Fail("scale={}: expected range:LO:HI with LO from -{} to 0 and HI from 0 to {}", value,
                kMaxScale, kMaxScale);
  t->scale = absmax ? ScaleRule::kGivenAbsMax : ScaleRule::kGivenRange;
  t->scale_value = *low + 0.0;  // one zero
  t->scale_high = absmax ? 0 : *high + 0.0;
  return {};
}

// The scales that formats without their own rules have, and nvfp4's tensor.
Status ParseScaleValue(std::string_view value, Treatment* t) {
  const std::vector<std::string> known =
      t->IsNvfp4() ? std::vector<std::string>{"absmax", "absmax:A", "none", "static", "a number"}
                   : std::vector<std::string>{"absmax", "percentile:P", "absmax:A", "range:LO:HI",
                                              "none",   "static",       "a number"};
  if (value == "absmax") {
    t->scale = ScaleRule::kAbsMax;
  } else if (value == "none") {
    t->scale = ScaleRule::kNone;
  } else if (value == "static" || value.starts_with("static:")) {
    t->scale = ScaleRule::kStatic;
    t->static_site = value == "static" ? "" : value.substr(7);
    if (value.ends_with(':')) return Fail("scale={}: expected a site after static:", value);
  } else if (value.starts_with("percentile") && !t->IsNvfp4()) {
    return ParsePercentile(value, t);
  } else if (value.starts_with("absmax:") || (value.starts_with("range") && !t->IsNvfp4())) {
    return ParseGivenRange(value, t);
  } else if (const auto number = ParseNumber<double>(value)) {
    if (!(*number >= kMinScale && *number <= kMaxScale))
      return Fail("scale={}: a number from {} to {} is expected", value, kMinScale, kMaxScale);
    t->scale = *number == 1 ? ScaleRule::kNone : ScaleRule::kConstant;
    t->scale_value = *number == 1 ? 0 : *number;
  } else {
    return UnknownValue("scale", value, known);
  }
  return {};
}

Status ParseScale(std::string_view value, Treatment* t) {
  t->scale_value = t->scale_high = 0;
  t->static_site.clear();
  if (IsMx(*t)) {
    ASSIGN_OR_RETURN(t->scale, ParseName("scale", value, kMxScales));
    return {};
  }
  RETURN_IF_ERROR(ParseScaleValue(value, t));
  if (t->block != nullptr) return {};
  const bool ranged = HasRange(*t) || t->scale == ScaleRule::kStatic;
  if (ranged && t->format.kind == FormatKind::kPosit)
    return Fail(
        "scale={}: would put the largest element where {} is coarsest; expected a number or none",
        value, t->format.name);
  if (ranged && !t->format.has_zero)
    return Fail("scale={}: {} has no zero and takes no scale from the data", value, t->format.name);
  if (ranged && t->format.kind == FormatKind::kFloat && t->format.emax > kMaxScaledExponent)
    return Fail("scale={}: {} has the range of double and takes no scale from the data", value,
                t->format.name);
  return {};
}

Status ParsePer(std::string_view value, TreatedThing thing, Treatment* t) {
  const bool weight = thing == TreatedThing::kWeight;
  t->group = 0;
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
  } else if (value == "row") {
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

Status ParseStaticPercentile(std::string_view value, Treatment* t) {
  t->static_ema = value.starts_with("ema:");
  const auto p = ParseNumber<double>(t->static_ema ? value.substr(4) : value);
  if (!p || !(*p > 0 && *p <= 100))
    return Fail("percentile={}: expected P or ema:P with P above 0 and up to 100", value);
  t->static_percentile = *p;
  return {};
}

Status ParseSegmentsOption(std::string_view value, Treatment* t) {
  if (t->format.kind != FormatKind::kFixed)
    return Fail("segments={}: {} has a grid of its own; segments are for intN", value,
                t->format.name);
  ASSIGN_OR_RETURN(t->segments, ParseSegments(value));
  return {};
}

Status ParseOutliers(std::string_view value, Treatment* t) {
  t->second = 0;
  if (value.starts_with("second:")) {
    const std::string_view of = value.substr(7);
    const auto a = ParseNumber<double>(of);
    if (of != "static" && !(a && *a > 0 && *a <= kMaxScale))
      return Fail(
          "outliers={}: expected second, second:static or second:A with A above 0 and up to {}",
          value, kMaxScale);
    t->outliers = Outliers::kSecond;
    t->second = of == "static" ? Treatment::kSecondStatic : *a;
  } else {
    ASSIGN_OR_RETURN(t->outliers, ParseName("outliers", value, kOutliers));
  }
  if (t->outliers != Outliers::kClip && t->format.kind != FormatKind::kFixed)
    return Fail("outliers={}: for intN; {} has overflow=", value, t->format.name);
  return {};
}

Status ParseFull(std::string_view value, Treatment* t) {
  ASSIGN_OR_RETURN(t->full, ParseName("full", value, kBooleans));
  if (t->full && t->format.kind != FormatKind::kFixed)
    return Fail("full=true: {} has no codes of integers; it is for intN", t->format.name);
  return {};
}

Status ParseTreatedOf(std::string_view value, TreatedThing thing, Treatment* t) {
  ASSIGN_OR_RETURN(t->logarithm, ParseName("of", value, kTreatedOf));
  if (t->logarithm && thing == TreatedThing::kActivation)
    return Fail("of=log: of weights (A of a state-space layer, which files keep so)");
  return {};
}

Status ParseAffine(std::string_view name, std::string_view value, TreatedThing thing,
                   Treatment* t) {
  const auto number = ParseNumber<double>(value);
  if (!number || !(std::abs(*number) <= kMaxScale))
    return Fail("{}={}: expected a number from -{} to {}", name, value, kMaxScale, kMaxScale);
  if (thing == TreatedThing::kWeight)
    return Fail("{}={}: corrects activations; what a weight gives is corrected where it is read",
                name, value);
  (name == "times" ? t->times : t->plus) = *number + 0.0;  // one zero
  return {};
}

// The options a treatment takes; its format is known.
std::vector<std::string> KnownOptions(const Treatment& t) {
  if (t.IsStored()) return {"rotate", "times", "plus"};
  if (t.IsNvfp4()) return {"round", "scale", "percentile", "per", "rotate", "times", "plus"};
  if (IsMx(t))
    return {"round", "overflow", "subnormals", "scale", "per", "rotate", "times", "plus"};
  return {"round",    "overflow", "subnormals", "scale", "percentile", "per",   "symmetric",
          "segments", "outliers", "full",       "of",    "rotate",     "times", "plus"};
}

tl::unexpected<Error> UnknownOption(std::string_view name, const Treatment& t) {
  const std::vector<std::string> known = KnownOptions(t);
  const std::vector<std::string> all = KnownOptions(Treatment{});
  if (t.block != nullptr && std::find(all.begin(), all.end(), name) != all.end())
    return Fail("{}: {} takes no such option; it has {}", name, t.block->name, Listing(known));
  const std::string hint = DidYouMean(name, known);
  return Fail("unknown option '{}'{}", name, hint.empty() ? "; known are " + Listing(known) : hint);
}

Status ParseOption(std::string_view name, std::string_view value, TreatedThing thing,
                   Treatment* t) {
  const std::vector<std::string> known = KnownOptions(*t);
  if (std::find(known.begin(), known.end(), name) == known.end()) return UnknownOption(name, *t);
  if (name == "round") {
    ASSIGN_OR_RETURN(t->rounding, ParseName(name, value, kRoundingNames));
  } else if (name == "rotate") {
    ASSIGN_OR_RETURN(t->hadamard, ParseName(name, value, kRotations));
  } else if (name == "overflow") {
    return ParseOverflow(value, t);
  } else if (name == "subnormals") {
    return ParseSubnormals(value, t);
  } else if (name == "scale") {
    return ParseScale(value, t);
  } else if (name == "percentile") {
    return ParseStaticPercentile(value, t);
  } else if (name == "per") {
    return ParsePer(value, thing, t);
  } else if (name == "symmetric") {
    return ParseSymmetric(value, t);
  } else if (name == "segments") {
    return ParseSegmentsOption(value, t);
  } else if (name == "full") {
    return ParseFull(value, t);
  } else if (name == "of") {
    return ParseTreatedOf(value, thing, t);
  } else if (name == "times" || name == "plus") {
    return ParseAffine(name, value, thing, t);
  } else {
    return ParseOutliers(value, t);
  }
  return {};
}

// Integer grids: what their options need of each other.
Status CheckGrid(const Treatment& t) {
  if (!t.symmetric && !HasRange(t) && t.scale != ScaleRule::kStatic)
    return Fail(
        "symmetric=false: needs scale=absmax, percentile:P, range:LO:HI or static, which give its "
        "range");
  if (!t.symmetric && t.scale == ScaleRule::kGivenAbsMax)
    return Fail("symmetric=false: needs both ends, scale=range:LO:HI");
  if (t.symmetric && t.scale == ScaleRule::kGivenRange)
    return Fail("scale=range:LO:HI: for symmetric=false; the symmetric range is absmax:A");
  if (t.static_percentile > 0 && t.scale != ScaleRule::kStatic)
    return Fail("percentile={}: goes with scale=static; of the data it is scale=percentile:{}",
                t.static_percentile, t.static_percentile);
  if (!t.segments.empty() && !t.symmetric)
    return Fail("segments={}: are symmetric about 0", SegmentsText(t.segments));
  if (!t.segments.empty() && t.outliers == Outliers::kSecond)
    return Fail("outliers=second: goes with integers, not with segments");
  if (t.second == Treatment::kSecondStatic && t.scale != ScaleRule::kStatic)
    return Fail("outliers=second:static: goes with scale=static");
  if (t.full && (!t.symmetric || !t.segments.empty()))
    return Fail("full=true: is of symmetric integers");
  if (t.full && t.scale == ScaleRule::kAbsMax)
    return Fail("full=true: nothing is beyond scale=absmax");
  if (t.outliers != Outliers::kClip && t.symmetric && t.segments.empty() &&
      t.scale == ScaleRule::kAbsMax)
    return Fail("outliers={}: there are none beyond scale=absmax", NameOf(t.outliers, kOutliers));
  return {};
}

// What no option can say alone.
Status CheckTogether(TreatedThing thing, Treatment* t) {
  RETURN_IF_ERROR(CheckGrid(*t));
  if (t->logarithm && t->hadamard) return Fail("of=log: goes without rotate=");
  if (!ScaleFromData(*t)) {
    t->per = Granularity::kRow;
    t->group = 0;
  } else if (t->per == Granularity::kTensor && thing == TreatedThing::kActivation) {
    return Fail(
        "per=tensor: a scale from all tokens of an activation would depend on later tokens; use "
        "per=token, group:N or a number as scale");
  }
  if (t->IsNvfp4() && t->per == Granularity::kGroup)
    return Fail("per=group:{}: nvfp4 has blocks of {}; per= says what shares the scale above them",
                t->group, t->block->block);
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

// What a name that is neither an element nor a block format is nearest to.
Result<Format> FindElementFormat(std::string_view name) {
  auto format = FindFormat(name);
  if (format) return format;
  std::vector<std::string> names;
  for (const Format& f : NamedFormats()) names.push_back(f.name);
  const std::string element = NearestName(name, names);
  for (const std::string& block : BlockFormatNames()) names.push_back(block);
  const std::string nearest = NearestName(name, names);
  if (nearest.empty() && format.error().message.find("known are") != std::string::npos)
    return Fail("{}; of blocks {}", format.error().message, fmt::join(BlockFormatNames(), " "));
  if (nearest == element) return format;
  return Fail("unknown format '{}'; did you mean '{}'?", name, nearest);
}

std::string ScaleText(const Treatment& t) {
  switch (t.scale) {
    case ScaleRule::kNone:
      return "none";
    case ScaleRule::kAbsMax:
      return "absmax";
    case ScaleRule::kPercentile:
      return fmt::format("percentile:{}", t.scale_value);
    case ScaleRule::kConstant:
      return fmt::format("{}", t.scale_value);
    case ScaleRule::kGivenAbsMax:
      return fmt::format("absmax:{}", t.scale_value);
    case ScaleRule::kGivenRange:
      return fmt::format("range:{}:{}", t.scale_value, t.scale_high);
    case ScaleRule::kStatic:
      return t.static_site.empty() ? "static" : "static:" + t.static_site;
    default:
      return NameOf(t.scale, kMxScales);
  }
}

// ",per=" where it is not what the format has of itself.
std::string PerText(const Treatment& t) {
  const bool own_group = IsMx(t) && t.per == Granularity::kGroup && t.group == t.block->block;
  if (t.per == Granularity::kTensor) return ",per=tensor";
  if (t.per == Granularity::kRow && t.block != nullptr && ScaleFromData(t)) return ",per=row";
  if (t.per == Granularity::kGroup && !own_group) return fmt::format(",per=group:{}", t.group);
  return "";
}

}  // namespace

bool ScaleFromData(const Treatment& treatment) {
  switch (treatment.scale) {
    case ScaleRule::kAbsMax:
    case ScaleRule::kPercentile:
    case ScaleRule::kFloor:
    case ScaleRule::kCeil:
    case ScaleRule::kEven:
    case ScaleRule::kRceil:
      return true;
    default:
      return false;
  }
}

Status CheckWidth(const Treatment& treatment, size_t width) {
  if (!treatment.IsStored()) return {};
  const auto block = static_cast<size_t>(treatment.block->block);
  if (width % block != 0)
    return Fail("{}: a row of {} elements is not whole blocks of {}", treatment.block->name, width,
                block);
  return {};
}

Result<Treatment> ParseTreatment(std::string_view text, TreatedThing thing) {
  const std::vector<std::string> pieces = Split(text, ',');
  const std::string_view name = Trim(pieces[0]);
  if (name.empty()) return Fail("treatment '{}': expected a format such as 'bf16'", text);
  Treatment t;
  t.block = FindBlockFormat(name);
  const std::string_view element = t.block == nullptr ? name
                                   : t.IsStored()     ? "f32"
                                                      : std::string_view(t.block->element);
  ASSIGN_OR_RETURN(t.format, FindElementFormat(element));
  SetDefaults(thing, &t);
  if (const Status status = ParseOptions(pieces, thing, &t); !status)
    return Fail("treatment '{}': {}", text, status.error().message);
  return t;
}

std::string TreatmentText(const Treatment& t) {
  std::string text = t.block != nullptr ? t.block->name : t.format.name;
  if (t.rounding != Rounding::kNearestEven)
    text += fmt::format(",round={}", NameOf(t.rounding, kRoundingNames));
  if (t.overflow != DefaultOverflowOf(t))
    text += fmt::format(",overflow={}", NameOf(t.overflow, kOverflows));
  if (t.flush_subnormals) text += ",subnormals=flush";
  if (t.scale != DefaultScale(t)) text += ",scale=" + ScaleText(t);
  if (t.static_percentile > 0)
    text += fmt::format(",percentile={}{}", t.static_ema ? "ema:" : "", t.static_percentile);
  text += PerText(t);
  if (!t.symmetric) text += ",symmetric=false";
  if (!t.segments.empty()) text += ",segments=" + SegmentsText(t.segments);
  if (t.outliers != Outliers::kClip)
    text += fmt::format(",outliers={}", NameOf(t.outliers, kOutliers));
  if (t.second != 0) text += t.second > 0 ? fmt::format(":{}", t.second) : std::string(":static");
  if (t.full) text += ",full=true";
  if (t.logarithm) text += ",of=log";
  if (t.hadamard) text += ",rotate=hadamard";
  if (t.times != 1) text += fmt::format(",times={}", t.times);
  if (t.plus != 0) text += fmt::format(",plus={}", t.plus);
  return text;
}

}  // namespace vernier
