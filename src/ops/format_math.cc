// The text of arithmetics. What they compute is in format_product.h, format_rows.h,
// format_attention.h and format_scan.h.
#include "ops/format_math.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>
#include <vector>

#include "base/names.h"
#include "formats/block_formats.h"
#include "formats/treatment.h"
#include "ops/format_product.h"

namespace vernier {
namespace {

constexpr std::array<std::pair<const char*, FormatMathKind>, 3> kKinds = {
    {{"step", FormatMathKind::kStep},
     {"fused", FormatMathKind::kFused},
     {"quire", FormatMathKind::kQuire}}};
constexpr std::array<std::pair<const char*, SumOrder>, 3> kOrders = {
    {{"sequential", SumOrder::kSequential},
     {"pairwise", SumOrder::kPairwise},
     {"kahan", SumOrder::kKahan}}};
constexpr std::array<std::pair<const char*, Overflow>, 3> kOverflows = {
    {{"saturate", Overflow::kSaturate}, {"inf", Overflow::kInfinity}, {"nan", Overflow::kNan}}};

template <class Table, class E>
const char* NameOf(const Table& table, E value) {
  for (const auto& [name, of] : table)
    if (of == value) return name;
  CHECK(false);
}

template <class Table>
std::vector<std::string> NamesOf(const Table& table) {
  std::vector<std::string> names;
  for (const auto& entry : table) names.emplace_back(entry.first);
  return names;
}

// ParseTreatment's errors begin with the treatment's text, which is not what the user wrote.
std::string Reason(const std::string& message) {
  const size_t at = message.find("': ");
  return message.starts_with("treatment '") && at != std::string::npos ? message.substr(at + 3)
                                                                       : message;
}

bool IsRoundingOption(std::string_view word) {
  return word.starts_with("round=") || word.starts_with("overflow=") ||
         word.starts_with("subnormals=");
}

// A format with options as treatments have them: "bf16,round=toward-zero".
Result<FormatRounding> ParseRounding(std::string_view format,
                                     const std::vector<std::string>& options) {
  if (FindBlockFormat(format) != nullptr)
    return Fail("{}: blocks share a scale; expected an element format such as bf16", format);
  std::string text(format);
  for (const std::string& option : options) text += "," + option;
  const auto t = ParseTreatment(text, TreatedThing::kActivation);
  if (!t) return Fail("{}", Reason(t.error().message));
  if (t->format.kind == FormatKind::kFixed)
    return Fail("{}: integers have scales; expected math=int with .in=intN and .weight=intN",
                format);
  if (!t->format.has_zero || !t->format.has_sign)
    return Fail("{}: has no {}", format, t->format.has_sign ? "zero" : "sign");
  if (t->rounding == Rounding::kStochastic)
    return Fail("round=stochastic: an arithmetic rounds in one way; sites take random rounding");
  return FormatRounding{t->format, t->rounding, t->overflow, t->flush_subnormals};
}

std::string RoundingText(const FormatRounding& f) {
  std::string text = f.format.name;
  if (f.rounding != Rounding::kNearestEven)
    text += fmt::format(",round={}", NameOf(kRoundingNames, f.rounding));
  if (f.overflow != DefaultOverflow(f.format))
    text += fmt::format(",overflow={}", NameOf(kOverflows, f.overflow));
  if (f.flush) text += ",subnormals=flush";
  return text;
}

Result<size_t> ParseChunk(std::string_view value) {
  size_t n = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), n);
  if (error != std::errc() || end != value.data() + value.size() || n == 0 || n > (1u << 30))
    return Fail("chunk={}: expected the number of terms, from 1 on", value);
  return n;
}

Result<SumOrder> ParseOrder(std::string_view value) {
  for (const auto& [name, order] : kOrders)
    if (value == name) return order;
  const std::string hint = DidYouMean(value, NamesOf(kOrders));
  return Fail("unknown value in 'order={}'{}", value,
              hint.empty() ? "; known are sequential, pairwise or kahan" : hint);
}

}  // namespace

Result<FormatMath> ParseFormatMath(std::string_view text) {
  std::vector<std::string> words = Split(text, ',');
  if (words[0] == "exact") words[0] = "quire:f32";
  const size_t colon = words[0].find(':');
  const std::string kind = words[0].substr(0, colon);
  const auto known = std::find_if(kKinds.begin(), kKinds.end(),
                                  [&](const auto& entry) { return entry.first == kind; });
  if (known == kKinds.end())
    return Fail("unknown arithmetic '{}'{}", kind, DidYouMean(kind, NamesOf(kKinds)));
  if (colon == std::string::npos || colon + 1 == words[0].size())
    return Fail("'{}': expected a format, as in {}:bf16", words[0], kind);
  const std::vector<std::string> options(words.begin() + 1, words.end());
  for (const std::string& option : options)
    if (!IsRoundingOption(option))
      return Fail("'{}': an arithmetic takes round=, overflow= and subnormals=;{}", option,
                  option.starts_with("chunk=") || option.starts_with("into=") ||
                          option.starts_with("order=")
                      ? " how sums are taken is said by a rule on .acc"
                      : " expected one of these");
  FormatMath math;
  math.kind = known->second;
  ASSIGN_OR_RETURN(math.values, ParseRounding(words[0].substr(colon + 1), options));
  math.sum = {math.values, SumOrder::kSequential, 0, math.values};
  math.host = FormatMathHost(math);
  return math;
}

Status ParseSumRules(std::string_view text, FormatMath* math) {
  if (math->kind == FormatMathKind::kQuire)
    return Fail("quire: sums are exact and have no partial sums; expected step or fused");
  const std::vector<std::string> words = Split(text, ',');
  std::vector<std::string> rounding, seen;
  SumRules sum;
  std::string into;
  for (size_t i = 1; i < words.size(); ++i) {
    const size_t equals = words[i].find('=');
    if (equals == std::string::npos)
      return Fail("expected option=value in place of '{}'", words[i]);
    const std::string name = words[i].substr(0, equals), value = words[i].substr(equals + 1);
    if (std::find(seen.begin(), seen.end(), name) != seen.end())
      return Fail("option '{}' is given twice", name);
    seen.push_back(name);
    if (name == "chunk") {
      ASSIGN_OR_RETURN(sum.chunk, ParseChunk(value));
    } else if (name == "order") {
      ASSIGN_OR_RETURN(sum.order, ParseOrder(value));
    } else if (name == "into") {
      into = value;
    } else if (IsRoundingOption(words[i])) {
      rounding.push_back(words[i]);
    } else {
      const std::string hint =
          DidYouMean(name, {"chunk", "into", "order", "round", "overflow", "subnormals"});
      return Fail(
          "unknown option '{}'{}", name,
          hint.empty() ? "; known are chunk, into, order, round, overflow and subnormals" : hint);
    }
  }
  if (!into.empty() && sum.chunk == 0)
    return Fail("into={}: the sums of chunks are added in it; expected chunk=N beside it", into);
  // A sum rounds as the node does, where it does not say otherwise.
  if (std::find(seen.begin(), seen.end(), "round") == seen.end())
    rounding.push_back(fmt::format("round={}", NameOf(kRoundingNames, math->values.rounding)));
  ASSIGN_OR_RETURN(sum.partial, ParseRounding(words[0], rounding));
  sum.into = sum.partial;
  if (!into.empty()) {
    // Of the options only the mode is of both: the formats need not have the same others.
    std::vector<std::string> mode;
    for (const std::string& word : rounding)
      if (word.starts_with("round=")) mode.push_back(word);
    ASSIGN_OR_RETURN(sum.into, ParseRounding(into, mode));
  }
  math->sum = sum;
  math->host = FormatMathHost(*math);
  return {};
}

std::string FormatMathText(const FormatMath& math) {
  std::string text = fmt::format("{}:{}", NameOf(kKinds, math.kind), RoundingText(math.values));
  if (math.kind == FormatMathKind::kQuire) return text;
  const SumRules& sum = math.sum;
  text += " acc=" + RoundingText(sum.partial);
  if (sum.chunk > 0) text += fmt::format(",chunk={} into={}", sum.chunk, RoundingText(sum.into));
  if (sum.order != SumOrder::kSequential)
    text += fmt::format(" order={}", NameOf(kOrders, sum.order));
  return text;
}

}  // namespace vernier
