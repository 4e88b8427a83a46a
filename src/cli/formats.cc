// vernier formats: what number formats can hold, what they make of numbers, which one is finer
// where.
#include <cctype>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <optional>

#include "base/names.h"
#include "cli/options.h"
#include "formats/block_formats.h"
#include "formats/facts.h"
#include "report/table.h"

namespace vernier {
namespace {

constexpr size_t kUncut = 1000;  // values have all their digits in a file

struct FormatsOptions {
  std::vector<std::string> names;
  std::string at, compare;
  OutputOptions output;
};

struct Point {
  std::string text;  // as it was given
  double x;
};

// Decimal, hexadecimal (0x1.8p3), inf, nan, or a power of two (2^-24); the nearest double.
Result<Point> ParsePoint(std::string_view piece) {
  const std::string text(Trim(piece));
  const bool power = text.starts_with("2^");
  const char* const begin = text.c_str() + (power ? 2 : 0);
  char* end = nullptr;
  errno = 0;
  double x = std::strtod(begin, &end);
  const bool whole =
      end != begin && *end == '\0' && !std::isspace(static_cast<unsigned char>(*begin));
  if (!whole || (power && !(x == std::floor(x) && std::abs(x) <= 2000)))
    return Fail("--at: expected a number such as 0.1, 0x1.8p3, 2^-24 or inf in place of '{}'",
                text);
  if (power) x = std::ldexp(1.0, static_cast<int>(x));
  // Not what was asked for: a number that no double is near.
  const bool infinity = text.find_first_of("iI") != std::string::npos;
  if ((std::isinf(x) && !infinity) || (x == 0 && (power || errno == ERANGE)))
    return Fail("--at: '{}' is beyond the doubles, which go from 2^-1074 to 2^1024", text);
  return Point{text, x};
}

Result<std::vector<Format>> ParseNames(const std::vector<std::string>& names) {
  std::vector<Format> formats;
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(Format format, ReadElementFormat(name));
    formats.push_back(std::move(format));
  }
  return formats;
}

const char* OverflowName(const Format& format) {
  switch (DefaultOverflow(format)) {
    case Overflow::kSaturate:
      return "saturate";
    case Overflow::kInfinity:
      return "inf";
    case Overflow::kNan:
      break;
  }
  return "nan";
}

const char* KindName(const Format& format) {
  switch (format.kind) {
    case FormatKind::kFixed:
      return "integer";
    case FormatKind::kPosit:
      return "posit";
    case FormatKind::kFloat:
      break;
  }
  return "float";
}

// "2^120 = 1.329227995784916e+36"
std::string NumberShown(const Number& x) {
  const std::string decimal = DecimalText(x);
  if (!FitsDouble(x)) return decimal + ", exactly " + HexText(x);
  if (x.kind != NumberClass::kFinite || x.m != 1 || std::abs(x.e) < 4) return decimal;
  return fmt::format("{}2^{} = {}", x.negative ? "-" : "", x.e, decimal);
}

std::string CodeShown(const Format& format, std::optional<uint64_t> code) {
  return code ? CodeText(format, *code) : "none";
}

std::string CodedShown(const Format& format, std::optional<uint64_t> code) {
  if (!code) return "none";
  return fmt::format("{}  (code {})", NumberShown(DecodeCode(format, *code)),
                     CodeText(format, *code));
}

// Fraction bits at 1, for all that has them there.
std::string PrecisionShown(const Format& format) {
  const auto bits = FractionBitsAt(format, 0);
  return bits ? fmt::format("{}", *bits) : "none";
}

std::vector<std::string> NamesWhere(const auto& wanted) {
  std::vector<std::string> names;
  for (const Format& f : NamedFormats())
    if (wanted(f)) names.push_back(f.name);
  return names;
}

std::vector<std::string> HeldBy(const Format& format) {
  return NamesWhere(
      [&](const Format& f) { return f.name != format.name && ContainsFinite(format, f); });
}

std::vector<std::string> Holders(const Format& format) {
  return NamesWhere(
      [&](const Format& f) { return f.name != format.name && ContainsFinite(f, format); });
}

std::string Joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : " ") + name;
  return text.empty() ? "none of the named" : text;
}

OrderedJson NumberJson(const Number& x) {
  if (x.kind == NumberClass::kNan) return nullptr;
  return {{"value", ToDouble(x)}, {"hex", HexText(x)}};
}

OrderedJson CodeJson(const Format& format, std::optional<uint64_t> code) {
  return code ? OrderedJson(CodeText(format, *code)) : OrderedJson();
}

OrderedJson CodedJson(const Format& format, std::optional<uint64_t> code) {
  if (!code) return nullptr;
  const Number x = DecodeCode(format, *code);
  return {{"value", ToDouble(x)}, {"hex", HexText(x)}, {"code", CodeText(format, *code)}};
}

OrderedJson TieJson(const Format& format, const std::optional<Tie>& tie) {
  if (!tie) return nullptr;
  OrderedJson json = NumberJson(tie->at);
  json["goes_to"] = CodeText(format, tie->goes_to);
  return json;
}

OrderedJson AtJson(const Format& format, const Point& point) {
  const ValueFacts facts = FactsAt(format, point.x);
  return {{"text", point.text},
          {"x", point.x},
          {"x_hex", HexText(ExactNumber(point.x))},
          {"becomes", ToDouble(facts.rounded)},
          {"becomes_hex", HexText(facts.rounded)},
          {"code", CodeJson(format, facts.code)},
          {"exact", facts.exact},
          {"error", facts.error ? NumberJson(*facts.error) : OrderedJson()},
          {"below", CodedJson(format, facts.below)},
          {"above", CodedJson(format, facts.above)},
          {"gap", facts.gap ? NumberJson(*facts.gap) : OrderedJson()},
          {"tie_below", TieJson(format, facts.tie_below)},
          {"tie_above", TieJson(format, facts.tie_above)}};
}

OrderedJson FormatJson(const Format& format) {
  const FormatFacts facts = ComputeFacts(format);
  const auto optional = [](const std::optional<Number>& x) {
    return x ? NumberJson(*x) : OrderedJson();
  };
  const auto bits = FractionBitsAt(format, 0);
  return {
      {"name", format.name},
      {"doc", format.doc},
      {"kind", KindName(format)},
      {"bits", format.bits},
      {"finite_numbers", facts.finite},
      {"nan_codes", facts.nan_codes},
      {"largest", CodedJson(format, facts.largest_code)},
      {"lowest", CodedJson(format, facts.lowest_code)},
      {"smallest", CodedJson(format, facts.smallest_code)},
      {"smallest_normal", optional(facts.smallest_normal)},
      {"above_one", optional(facts.above_one)},
      {"fraction_bits_at_one", bits ? OrderedJson(*bits) : OrderedJson()},
      {"whole_numbers_to", ToDouble(facts.whole)},
      {"zero", CodeJson(format, facts.zero_code)},
      {"negative_zero", CodeJson(format, facts.negative_zero_code)},
      {"infinity", CodeJson(format, facts.infinity_code)},
      {"nan", CodeJson(format, facts.nan_code)},
      {"overflow", OverflowName(format)},
      {"overflow_beyond", optional(facts.overflow_beyond)},
      {"tie_overflows", facts.overflow_beyond ? OrderedJson(facts.tie_overflows) : OrderedJson()},
      {"holds", HeldBy(format)},
      {"held_by", Holders(format)}};
}

const char* FinerName(Finer finer) {
  switch (finer) {
    case Finer::kFirst:
      return "a";
    case Finer::kSecond:
      return "b";
    case Finer::kEqual:
      return "equal";
    case Finer::kOnlyFirst:
      return "only a";
    case Finer::kOnlySecond:
      break;
  }
  return "only b";
}

OrderedJson CompareJson(const Format& a, const Format& b) {
  const auto bits = [](std::optional<int> least, std::optional<int> most) {
    return least && most ? OrderedJson({*least, *most}) : OrderedJson();
  };
  OrderedJson spans = OrderedJson::array();
  for (const Span& span : CompareFormats(a, b))
    spans.push_back({{"from", span.first},
                     {"to", span.last + 1},
                     {"finer", FinerName(span.finer)},
                     {"a_bits", bits(span.a_least, span.a_most)},
                     {"b_bits", bits(span.b_least, span.b_most)}});
  return {{"a", a.name},
          {"b", b.name},
          {"a_holds_b", ContainsFinite(a, b)},
          {"b_holds_a", ContainsFinite(b, a)},
          {"spans", spans}};
}

std::string TableOfFormats(const std::vector<Format>& formats, const Screen& screen) {
  Table table{{{"format", Align::kLeft},
               {"bits", Align::kRight, 1},
               {"numbers", Align::kRight, 4},
               {"largest"},
               {"smallest"},
               {"bits at 1", Align::kRight, 2},
               {"whole to", Align::kRight, 3},
               {"", Align::kLeft, 0, true}},
              {}};
  for (const Format& f : formats) {
    const FormatFacts facts = ComputeFacts(f);
    table.rows.push_back({f.name, fmt::format("{}", f.bits),
                          NumberText(static_cast<double>(facts.finite)),
                          NumberText(ToDouble(facts.largest)), NumberText(ToDouble(facts.smallest)),
                          PrecisionShown(f), NumberText(ToDouble(facts.whole)), f.doc});
  }
  return FormatTable(table, screen) +
         "\nnumbers: different finite ones; bits at 1: fraction bits from 1 to 2; whole to: holds "
         "all "
         "whole numbers up to it\n";
}

std::string TableOfBlocks(const Screen& screen) {
  Table table{{{"block format", Align::kLeft},
               {"elements", Align::kLeft, 1},
               {"block", Align::kRight, 2},
               {"bits a weight"},
               {"", Align::kLeft, 0, true}},
              {}};
  for (const BlockFormat& f : BlockFormats())
    table.rows.push_back({f.name, f.element.empty() ? "-" : f.element, fmt::format("{}", f.block),
                          NumberText(f.bits_per_weight), f.doc});
  return FormatTable(table, screen);
}

OrderedJson BlocksJson() {
  OrderedJson json = OrderedJson::array();
  for (const BlockFormat& f : BlockFormats())
    json.push_back({{"name", f.name},
                    {"doc", f.doc},
                    {"elements", f.element.empty() ? OrderedJson() : OrderedJson(f.element)},
                    {"block", f.block},
                    {"bits_per_weight", f.bits_per_weight}});
  return json;
}

std::string OverflowShown(const Format& format, const FormatFacts& facts) {
  std::string text = OverflowName(format);
  if (facts.overflow_beyond)
    text += fmt::format(", {} {} (nearest-even)", facts.tie_overflows ? "from" : "beyond",
                        NumberShown(*facts.overflow_beyond));
  return text;
}

std::string FactsText(const Format& format, const Screen& screen) {
  const FormatFacts facts = ComputeFacts(format);
  Table table{{{format.name, Align::kLeft}, {format.doc, Align::kLeft, 0, true}}, {}};
  const auto row = [&](const char* name, const std::string& value) {
    table.rows.push_back({name, value});
  };
  row("bits", fmt::format("{}", format.bits));
  row("finite numbers", CountText(facts.finite));
  row("largest", CodedShown(format, facts.largest_code));
  row("lowest", CodedShown(format, facts.lowest_code));
  row("smallest above 0", CodedShown(format, facts.smallest_code));
  if (facts.smallest_normal) row("smallest normal", NumberShown(*facts.smallest_normal));
  if (facts.above_one)
    row("next after 1", DecimalText(*facts.above_one) + " = " + HexText(*facts.above_one));
  if (const auto bits = FractionBitsAt(format, 0))
    row("fraction bits at 1",
        fmt::format("{}, {:.1f} decimal digits", *bits, (*bits + 1) * std::log10(2.0)));
  row("whole numbers up to", NumberShown(facts.whole));
  row("zero", CodeShown(format, facts.zero_code));
  row("negative zero", CodeShown(format, facts.negative_zero_code));
  row("infinity", CodeShown(format, facts.infinity_code));
  row("NaN", facts.nan_codes == 0
                 ? "none"
                 : fmt::format("{} ({})", CodeShown(format, facts.nan_code),
                               facts.nan_codes == 1 ? "the only code"
                                                    : CountText(facts.nan_codes) + " codes are"));
  row("overflow becomes", OverflowShown(format, facts));
  row("holds all of", Joined(HeldBy(format)));
  row("held by", Joined(Holders(format)));
  return FormatTable(table, screen.fit ? screen : Screen(kUncut, false, screen.colour));
}

std::string TieShown(const Format& format, const std::optional<Tie>& tie) {
  if (!tie) return "none";
  return fmt::format("{}, which goes to {}", NumberShown(tie->at),
                     NumberShown(DecodeCode(format, tie->goes_to)));
}

std::string AtText(const Format& format, const Point& point, const Screen& screen) {
  const ValueFacts facts = FactsAt(format, point.x);
  const Number x = ExactNumber(point.x);
  Table table{{{format.name, Align::kLeft},
               {fmt::format("{} = {}", NumberShown(x), HexText(x)), Align::kLeft, 0, true}},
              {}};
  const auto row = [&](const char* name, const std::string& value) {
    table.rows.push_back({name, value});
  };
  row("becomes", facts.code ? CodedShown(format, facts.code) : "has no code for it");
  row("that is", HexText(facts.rounded));
  row("error", facts.error ? NumberShown(*facts.error) : "not a number");
  row("next below", CodedShown(format, facts.below));
  row("next above", CodedShown(format, facts.above));
  if (facts.gap) {
    const double gap = ToDouble(*facts.gap), magnitude = std::abs(point.x);
    std::string relative;
    if (magnitude > 0 && std::isfinite(magnitude))
      relative = fmt::format(", 1 in {} ({:.1f} decimal digits)", NumberText(magnitude / gap),
                             std::log10(magnitude / gap));
    row("gap", NumberShown(*facts.gap) + relative);
  }
  row("tie below", TieShown(format, facts.tie_below));
  row("tie above", TieShown(format, facts.tie_above));
  return FormatTable(table, screen.fit ? screen : Screen(kUncut, false, screen.colour));
}

// One number in many formats.
std::string AtTable(const std::vector<Format>& formats, const Point& point, const Screen& screen) {
  const Number x = ExactNumber(point.x);
  Table table{{{"format", Align::kLeft}, {"becomes"}, {"code"}, {"error"}, {"below"}, {"above"}},
              {}};
  for (const Format& f : formats) {
    const ValueFacts facts = FactsAt(f, point.x);
    const auto value = [&](std::optional<uint64_t> code) {
      if (!code) return std::string("none");
      const Number number = DecodeCode(f, *code);
      return FitsDouble(number) ? DecimalText(number) : HexText(number);
    };
    table.rows.push_back({f.name, value(facts.code), CodeShown(f, facts.code),
                          facts.error ? NumberText(ToDouble(*facts.error)) : "-",
                          value(facts.below), value(facts.above)});
  }
  return fmt::format("{} = {}\n", NumberShown(x), HexText(x)) + FormatTable(table, screen);
}

std::string CompareText(const Format& a, const Format& b, const Screen& screen) {
  Table table{{{"from"}, {"to"}, {"finer", Align::kLeft}, {a.name + " bits"}, {b.name + " bits"}},
              {}};
  const auto bits = [](std::optional<int> least, std::optional<int> most) {
    if (!least || !most) return std::string("-");
    return *least == *most ? fmt::format("{}", *least) : fmt::format("{} to {}", *least, *most);
  };
  for (const Span& span : CompareFormats(a, b)) {
    const bool only = span.finer == Finer::kOnlyFirst || span.finer == Finer::kOnlySecond;
    const bool first = span.finer == Finer::kFirst || span.finer == Finer::kOnlyFirst;
    table.rows.push_back({fmt::format("2^{}", span.first), fmt::format("2^{}", span.last + 1),
                          span.finer == Finer::kEqual
                              ? "equal"
                              : fmt::format("{}{}", only ? "only " : "", first ? a.name : b.name),
                          bits(span.a_least, span.a_most), bits(span.b_least, span.b_most)});
  }
  const auto holds = [](const Format& outer, const Format& inner) {
    return fmt::format("every finite number of {} is one of {}: {}\n", inner.name, outer.name,
                       ContainsFinite(outer, inner) ? "yes" : "no");
  };
  return fmt::format("{} against {}: magnitudes, and the fraction bits there\n", a.name, b.name) +
         FormatTable(table, screen) + holds(a, b) + holds(b, a);
}

struct Request {
  std::vector<Format> formats;  // named, or else all
  bool named = false;
  std::vector<Point> points;
  std::vector<Format> pair;  // empty or two
};

Result<Request> ReadRequest(const FormatsOptions& o) {
  Request request;
  ASSIGN_OR_RETURN(request.formats, ParseNames(o.names));
  request.named = !request.formats.empty();
  if (!o.at.empty())
    for (const std::string& piece : Split(o.at, ',')) {
      ASSIGN_OR_RETURN(Point point, ParsePoint(piece));
      request.points.push_back(std::move(point));
    }
  if (!o.compare.empty()) {
    std::vector<std::string> names;
    for (const std::string& piece : Split(o.compare, ',')) names.emplace_back(Trim(piece));
    if (names.size() != 2)
      return Fail("--compare: expected two formats as A,B in place of '{}'", o.compare);
    auto pair = ParseNames(names);
    if (!pair) return Fail("--compare: {}", pair.error().message);
    request.pair = std::move(*pair);
  }
  if (!request.named) {
    const auto all = NamedFormats();
    request.formats = request.pair.empty() || !request.points.empty()
                          ? std::vector<Format>(all.begin(), all.end())
                          : request.pair;
  }
  return request;
}

OrderedJson ToJson(const Request& request) {
  OrderedJson formats = OrderedJson::array();
  for (const Format& format : request.formats) {
    OrderedJson json = FormatJson(format);
    json["at"] = OrderedJson::array();
    for (const Point& point : request.points) json["at"].push_back(AtJson(format, point));
    formats.push_back(std::move(json));
  }
  const bool all = !request.named && request.points.empty() && request.pair.empty();
  return {{"formats", formats},
          {"block_formats", all ? BlocksJson() : OrderedJson::array()},
          {"compare",
           request.pair.empty() ? OrderedJson() : CompareJson(request.pair[0], request.pair[1])}};
}

std::string ToText(const Request& request, const Screen& screen) {
  std::vector<std::string> parts;
  if (request.points.empty() && request.pair.empty()) {
    if (!request.named)
      return TableOfFormats(request.formats, screen) + "\n" + TableOfBlocks(screen);
    for (const Format& format : request.formats) parts.push_back(FactsText(format, screen));
  }
  for (const Point& point : request.points) {
    if (!request.named) {
      parts.push_back(AtTable(request.formats, point, screen));
      continue;
    }
    for (const Format& format : request.formats) parts.push_back(AtText(format, point, screen));
  }
  if (!request.pair.empty()) parts.push_back(CompareText(request.pair[0], request.pair[1], screen));
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : "\n") + part;
  return text;
}

}  // namespace

Result<int> RunFormats(const Arguments& arguments) {
  ArgumentParser parser("What number formats can hold", "vernier formats");
  FormatsOptions o;
  parser.Positionals("NAME", &o.names,
                     "Formats: bf16, e4m3, e5m7, posit32, int8 ... (all with a name)");
  parser.Text("--at", &o.at, "X,...",
              "What they make of these numbers: 0.1, 0x1.8p3, 2^-24, inf (nearest-even)");
  parser.Text("--compare", &o.compare, "A,B", "Where one format is finer than the other");
  parser.Takes("NAME", WordsOf(FormatNames()));
  parser.Takes("--compare", ListOf(FormatNames()));
  AddOutputOptions(&parser, &o.output);
  ASSIGN_OR_RETURN(const bool go, parser.Parse(arguments));
  if (!go) return kDone;
  ASSIGN_OR_RETURN(const Request request, ReadRequest(o));
  if (o.output.json) {
    RETURN_IF_ERROR(EmitJson(o.output, ToJson(request)));
  } else {
    RETURN_IF_ERROR(EmitText(o.output, ToText(request, ScreenOf(o.output))));
  }
  return kDone;
}

}  // namespace vernier
