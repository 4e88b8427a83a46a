#include <algorithm>
#include <cctype>
#include <charconv>

#include "base/names.h"
#include "study/claim_functions.h"
#include "study/claims.h"

namespace vernier {
namespace {

using Kind = Expression::Kind;

enum class CallKind {
  kMeasure,    // of a lane, perhaps of one text
  kSite,       // of a lane's site
  kFunction,   // of numbers
  kFormat,     // of a format
  kPredicate,  // a claim by itself
};

struct CallShape {
  const char* name;
  size_t least, most;  // arguments
  CallKind kind;
};
constexpr CallShape kCalls[] = {
    {"kld", 1, 2, CallKind::kMeasure},
    {"ppl", 1, 2, CallKind::kMeasure},
    {"nll", 1, 2, CallKind::kMeasure},
    {"delta_p", 1, 2, CallKind::kMeasure},
    {"rms_delta_p", 1, 2, CallKind::kMeasure},
    {"same_top", 1, 2, CallKind::kMeasure},
    {"mae", 1, 2, CallKind::kMeasure},
    {"truth", 1, 2, CallKind::kMeasure},
    {"max_abs", 1, 2, CallKind::kMeasure},
    {"late_mae", 1, 2, CallKind::kMeasure},
    {"mae_truth", 1, 2, CallKind::kMeasure},
    {"accuracy", 1, 2, CallKind::kMeasure},
    {"p_value", 2, 3, CallKind::kMeasure},
    {"last_word", 1, 1, CallKind::kMeasure},
    {"last_word_ppl", 1, 1, CallKind::kMeasure},
    {"last_word_p", 2, 2, CallKind::kMeasure},
    {"noise", 0, 2, CallKind::kMeasure},
    {"noise_mae", 0, 2, CallKind::kMeasure},
    {"match", 1, 1, CallKind::kMeasure},
    {"agreed", 1, 1, CallKind::kMeasure},
    {"parted", 1, 1, CallKind::kMeasure},
    {"parting_margin", 1, 1, CallKind::kMeasure},
    {"overhead", 1, 1, CallKind::kMeasure},
    {"first_token", 1, 1, CallKind::kMeasure},
    {"first_rank", 1, 1, CallKind::kMeasure},
    {"error", 2, 2, CallKind::kSite},
    {"truth_error", 2, 2, CallKind::kSite},
    {"contributed", 2, 2, CallKind::kSite},
    {"inherited", 2, 2, CallKind::kSite},
    {"rms", 2, 2, CallKind::kSite},
    {"mean", 2, 2, CallKind::kSite},
    {"std", 2, 2, CallKind::kSite},
    {"max_error", 2, 2, CallKind::kSite},
    {"beside", 2, 2, CallKind::kSite},
    {"beside_max", 2, 2, CallKind::kSite},
    {"growth", 2, 2, CallKind::kSite},
    {"drift", 2, 2, CallKind::kSite},
    {"depth_exponent", 2, 2, CallKind::kSite},
    {"fraction_bits", 2, 2, CallKind::kFormat},
    {"format_max", 1, 1, CallKind::kFormat},
    {"format_min", 1, 1, CallKind::kFormat},
    {"abs", 1, 1, CallKind::kFunction},
    {"max", 2, 100, CallKind::kFunction},
    {"min", 2, 100, CallKind::kFunction},
    {"identical", 2, 2, CallKind::kPredicate},
    {"vacuous", 1, 1, CallKind::kPredicate},
    {"increasing", 2, 3, CallKind::kPredicate},
    {"decreasing", 2, 3, CallKind::kPredicate},
    {"monotone", 2, 3, CallKind::kPredicate},
    {"largest", 3, 4, CallKind::kPredicate},
    {"anomalous", 2, 4, CallKind::kPredicate},
};

const CallShape* FindCall(const std::string& name) {
  for (const CallShape& c : kCalls)
    if (name == c.name) return &c;
  return nullptr;
}

bool IsSeries(const std::string& name) {
  return name == "increasing" || name == "decreasing" || name == "monotone" || name == "largest" ||
         name == "anomalous";
}
bool IsOfSite(const Expression& e) { return e.kind == Kind::kCall && IsSiteMeasure(e.text); }

// Measures of sites that lanes of one layer alone give.
bool NeedsLayersAlone(const std::string& name) {
  return name == "contributed" || name == "inherited";
}

class Parser {
 public:
  Parser(const std::string& text, std::span<const StudySpec> parts)
      : text_(text), spec_(parts[0]), parts_(parts) {}

  Result<Expression> Parse() {
    ASSIGN_OR_RETURN(Expression left, Sum());
    Skip();
    static constexpr std::pair<const char*, Kind> kComparisons[] = {{"<=", Kind::kLessEqual},
                                                                    {">=", Kind::kGreaterEqual},
                                                                    {"<", Kind::kLess},
                                                                    {">", Kind::kGreater}};
    for (const auto& [sign, kind] : kComparisons) {
      if (text_.compare(at_, std::string_view(sign).size(), sign) != 0) continue;
      at_ += std::string_view(sign).size();
      ASSIGN_OR_RETURN(Expression right, Sum());
      left = Expression{kind, 0, {}, {std::move(left), std::move(right)}};
      break;
    }
    Skip();
    if (at_ != text_.size()) return Expected("the end");
    const bool comparison = left.kind >= Kind::kLess;
    const CallShape* call = left.kind == Kind::kCall ? FindCall(left.text) : nullptr;
    if (!comparison && (call == nullptr || call->kind != CallKind::kPredicate))
      return Expected(
          "a comparison or one of identical, vacuous, monotone, increasing, decreasing, largest, "
          "anomalous");
    RETURN_IF_ERROR(Check(left, !comparison));
    return left;
  }

 private:
  tl::unexpected<Error> Expected(const std::string& what) const {
    return Fail("{}: claim \"{}\": expected {} at character {}", spec_.path, text_, what, at_ + 1);
  }
  void Skip() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
  }
  bool Take(char c) {
    Skip();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  Result<Expression> Sum() {
    return Chain('+', Kind::kAdd, '-', Kind::kSubtract, &Parser::Product);
  }
  Result<Expression> Product() {
    return Chain('*', Kind::kMultiply, '/', Kind::kDivide, &Parser::Factor);
  }
  Result<Expression> Chain(char a, Kind kind_a, char b, Kind kind_b,
                           Result<Expression> (Parser::*operand)()) {
    ASSIGN_OR_RETURN(Expression left, (this->*operand)());
    for (;;) {
      const bool first = Take(a);
      if (!first && !Take(b)) return left;
      if (++operations_ > 1000) return Expected("at most 1000 operations");
      ASSIGN_OR_RETURN(Expression right, (this->*operand)());
      left = Expression{first ? kind_a : kind_b, 0, {}, {std::move(left), std::move(right)}};
    }
  }

  Result<Expression> Factor() {
    if (++depth_ > 100) return Expected("fewer parentheses");
    auto factor = FactorInside();
    --depth_;
    return factor;
  }
  Result<Expression> FactorInside() {
    if (Take('-')) {
      ASSIGN_OR_RETURN(Expression inside, Factor());
      return Expression{Kind::kNegate, 0, {}, {std::move(inside)}};
    }
    if (Take('(')) {
      ASSIGN_OR_RETURN(Expression inside, Sum());
      if (!Take(')')) return Expected("')'");
      return inside;
    }
    Skip();
    if (at_ < text_.size() && (text_[at_] == '\'' || text_[at_] == '"')) return Quoted();
    if (at_ < text_.size() && (std::isalpha(static_cast<unsigned char>(text_[at_]))))
      return NameOrCall();
    double value = 0;
    const auto [end, error] =
        std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
    if (error != std::errc()) return Expected("a number, a measure or '('");
    at_ = static_cast<size_t>(end - text_.data());
    return Expression{Kind::kNumber, value, {}, {}};
  }
  Result<Expression> Quoted() {
    const char quote = text_[at_++];
    const size_t end = text_.find(quote, at_);
    if (end == std::string::npos) return Expected("a closing quote");
    Expression e{Kind::kText, 0, text_.substr(at_, end - at_), {}};
    at_ = end + 1;
    return e;
  }
  Result<Expression> NameOrCall() {
    Expression e{Kind::kName, 0, {}, {}};
    while (at_ < text_.size() &&
           (std::isalnum(static_cast<unsigned char>(text_[at_])) || text_[at_] == '_'))
      e.text += text_[at_++];
    if (!Take('(')) return e;
    e.kind = Kind::kCall;
    while (!Take(')')) {
      if (!e.parts.empty() && !Take(',')) return Expected("',' or ')'");
      ASSIGN_OR_RETURN(Expression argument, Sum());
      e.parts.push_back(std::move(argument));
    }
    return e;
  }

  // Meaning: measures, their arguments, and the variants and texts they name.
  Status Check(const Expression& e, bool predicate_allowed) const {
    if (e.kind == Kind::kText || e.kind == Kind::kName)
      return Fail("{}: claim \"{}\": '{}' stands where a number is expected", spec_.path, text_,
                  e.text);
    if (e.kind != Kind::kCall) {
      for (const Expression& part : e.parts) RETURN_IF_ERROR(Check(part, false));
      return {};
    }
    const CallShape* call = FindCall(e.text);
    if (call == nullptr) {
      std::vector<std::string> names;
      for (const CallShape& c : kCalls) names.push_back(c.name);
      return Fail("{}: claim \"{}\": unknown measure '{}'{}", spec_.path, text_, e.text,
                  DidYouMean(e.text, names));
    }
    if (call->kind == CallKind::kPredicate && !predicate_allowed)
      return Fail("{}: claim \"{}\": '{}' is no number", spec_.path, text_, e.text);
    if (call->kind == CallKind::kSite && e.parts.size() != 2)
      return Fail("{}: claim \"{}\": '{}' takes a variant and a site as its arguments", spec_.path,
                  text_, e.text);
    if (e.parts.size() < call->least || e.parts.size() > call->most)
      return Fail("{}: claim \"{}\": '{}' takes {} to {} arguments, found {}", spec_.path, text_,
                  e.text, call->least, call->most, e.parts.size());
    if (call->kind == CallKind::kFunction) {
      for (const Expression& part : e.parts) RETURN_IF_ERROR(Check(part, false));
      return {};
    }
    if (call->kind == CallKind::kFormat) return CheckFormat(e);
    return IsSeries(e.text) ? CheckSeries(e) : CheckNames(e);
  }

  Status CheckFormat(const Expression& e) const {
    const auto number = [](const Expression& x) {
      return x.kind == Kind::kNumber ||
             (x.kind == Kind::kNegate && x.parts[0].kind == Kind::kNumber);
    };
    if (e.parts[0].kind != Kind::kText || (e.parts.size() > 1 && !number(e.parts[1])))
      return Fail("{}: claim \"{}\": '{}' takes a quoted format{}", spec_.path, text_, e.text,
                  e.text == "fraction_bits" ? " and a number" : "");
    const auto fact =
        FormatFact(e.text, e.parts[0].text, e.parts.size() > 1 ? ValueOf(e.parts[1]) : 0);
    if (!fact) return Fail("{}: claim \"{}\": {}", spec_.path, text_, fact.error().message);
    return {};
  }

  Status CheckNames(const Expression& e) const {
    for (size_t i = 0; i < e.parts.size(); ++i) {
      if (e.parts[i].kind != Kind::kText)
        return Fail("{}: claim \"{}\": '{}' takes quoted names", spec_.path, text_, e.text);
      const std::string& name = e.parts[i].text;
      if (IsOfSite(e) && i == 1) continue;  // a site: checked against the model
      const size_t variants = e.text == "identical" || IsPairedTest(e.text) ? 2 : 1;
      const char* what = i < variants ? "variant" : "text";
      if (e.text.starts_with("noise")) what = Several() && i == 0 ? "model" : "text";
      const std::vector<std::string> known = NamesOf(what);
      if (std::find(known.begin(), known.end(), name) == known.end())
        return Fail("{}: claim \"{}\": no {} is named '{}'{}", spec_.path, text_, what, name,
                    DidYouMean(name, known));
    }
    const bool of_truth = e.text == "truth" || e.text == "truth_error" || e.text == "mae_truth" ||
                          e.text == "depth_exponent";
    if (of_truth && !spec_.truth)
      return Fail("{}: claim \"{}\": '{}' needs truth = true in the study", spec_.path, text_,
                  e.text);
    if (e.text.starts_with("first_") && !spec_.first_token)
      return Fail("{}: claim \"{}\": '{}' needs first_token in the study", spec_.path, text_,
                  e.text);
    if (IsFreeRunMeasure(e.text) && !spec_.generate)
      return Fail("{}: claim \"{}\": '{}' needs generate in the study", spec_.path, text_, e.text);
    if (IsFreeRunMeasure(e.text) && !Generates(e.parts[0].text))
      return Fail("{}: claim \"{}\": '{}' has generate = false", spec_.path, text_,
                  e.parts[0].text);
    if (e.text == "depth_exponent" && e.parts[1].text.find('[') != std::string::npos)
      return Fail(
          "{}: claim \"{}\": 'depth_exponent' goes over the layers of a site: its name alone",
          spec_.path, text_);
    if (e.text.starts_with("last_") && !spec_.last_words)
      return Fail("{}: claim \"{}\": '{}' needs last_words in the study", spec_.path, text_,
                  e.text);
    if (e.text.starts_with("beside")) RETURN_IF_ERROR(CheckBeside(e));
    if (NeedsLayersAlone(e.text)) RETURN_IF_ERROR(CheckLayersAlone(e));
    return e.text.starts_with("noise") ? CheckNoise(e) : Status{};
  }

  Status CheckLayersAlone(const Expression& e) const {
    for (const StudySpec& part : parts_)
      for (const StudyVariant& v : part.variants)
        if (v.of == e.parts[0].text) return {};
    return Fail("{}: claim \"{}\": '{}' needs by_layer = true in variant '{}'", spec_.path, text_,
                e.text, e.parts[0].text);
  }

  Status CheckBeside(const Expression& e) const {
    for (const StudySpec& part : parts_)
      for (const StudyVariant& v : part.variants)
        if (v.name == e.parts[0].text && !v.beside.empty()) return {};
    return Fail("{}: claim \"{}\": '{}' needs beside = \"VARIANT\" in variant '{}'", spec_.path,
                text_, e.text, e.parts[0].text);
  }

  Status CheckNoise(const Expression& e) const {
    if (Several() ? e.parts.empty() : e.parts.size() > 1)
      return Fail("{}: claim \"{}\": '{}' takes {}", spec_.path, text_, e.text,
                  Several() ? "a model, and perhaps a text" : "at most a text");
    if (spec_.noise == 0)
      return Fail("{}: claim \"{}\": '{}' needs noise = N in the study", spec_.path, text_, e.text);
    return {};
  }

  bool Generates(const std::string& variant) const {
    for (const StudySpec& part : parts_)
      for (const StudyVariant& v : part.variants)
        if (v.name == variant) return v.generate;
    return true;
  }
  bool Several() const { return parts_.size() > 1; }

  // What a claim may name.
  std::vector<std::string> NamesOf(std::string_view what) const {
    std::vector<std::string> names;
    if (what == "text")
      for (const StudyText& t : spec_.texts) names.push_back(t.name);
    if (what == "model")
      for (const StudyModel& model : spec_.models) names.push_back(model.name);
    if (what != "variant") return names;
    for (const StudySpec& part : parts_) {
      names.push_back(part.prefix + "baseline");
      for (const StudyVariant& v : part.variants) names.push_back(v.name);
    }
    return names;
  }

  // The sweeps over layers: "SITE FORMAT", after the model where there are several.
  std::vector<std::string> LayerSweeps() const {
    std::vector<std::string> sweeps;
    for (const StudySpec& part : parts_) {
      for (const StudyVariant& v : part.variants) {
        const std::string key = SweepKey(part, v);
        if (v.layer && std::find(sweeps.begin(), sweeps.end(), key) == sweeps.end())
          sweeps.push_back(key);
      }
    }
    return sweeps;
  }

  Status CheckSeries(const Expression& e) const {
    if (e.parts[1].kind != Kind::kName || e.parts[1].text != "layer")
      return Fail("{}: claim \"{}\": the second argument of '{}' is the word layer", spec_.path,
                  text_, e.text);
    RETURN_IF_ERROR(CheckSeriesEnd(e));
    if (IsOfSite(e.parts[0]) && e.parts[0].parts.size() == 2) {
      if (SweepOf(e) != nullptr)
        return Fail("{}: claim \"{}\": '{}' of a site takes no sweep", spec_.path, text_, e.text);
      return CheckNames(e.parts[0]);
    }
    const CallShape* measure = e.parts[0].kind == Kind::kName ? FindCall(e.parts[0].text) : nullptr;
    if (measure == nullptr || measure->kind != CallKind::kMeasure || measure->least != 1 ||
        measure->most != 2)
      return Fail(
          "{}: claim \"{}\": the first argument of '{}' is a measure's name, or one of a site, "
          "such "
          "as error('VARIANT', 'SITE')",
          spec_.path, text_, e.text);
    const std::vector<std::string> sweeps = LayerSweeps();
    const Expression* sweep = SweepOf(e);
    if (sweep == nullptr && sweeps.size() != 1)
      return Fail(
          "{}: claim \"{}\": {} sweeps go over layers; say which as a third argument, such as '{}'",
          spec_.path, text_, sweeps.size(), sweeps.empty() ? "ffn_norm bf16" : sweeps[0]);
    if (sweep != nullptr && std::find(sweeps.begin(), sweeps.end(), sweep->text) == sweeps.end())
      return Fail("{}: claim \"{}\": no sweep over layers is '{}'{}", spec_.path, text_,
                  sweep->text, DidYouMean(sweep->text, sweeps));
    return {};
  }

  // What stands after S and layer: the sweep, and last the layers of `largest` or the layer of
  // `anomalous`.
  Status CheckSeriesEnd(const Expression& e) const {
    const size_t most = e.parts.size() - (e.text == "largest" || NamesLayer(e) ? 1 : 0);
    for (size_t i = 2; i < e.parts.size(); ++i) {
      const bool layers = i >= most;
      if (layers && e.text == "largest" &&
          (e.parts[i].kind != Kind::kText || !LayersOfText(e.parts[i].text).has_value()))
        return Fail("{}: claim \"{}\": 'largest' ends with its layers, such as '0,-1'", spec_.path,
                    text_);
      if (!layers && e.parts[i].kind != Kind::kText)
        return Fail("{}: claim \"{}\": no sweep over layers is '{}'", spec_.path, text_,
                    e.parts[i].text);
    }
    if (most > 3) return Fail("{}: claim \"{}\": '{}' takes one sweep", spec_.path, text_, e.text);
    return {};
  }

  const std::string& text_;
  const StudySpec& spec_;  // what all parts have in common
  std::span<const StudySpec> parts_;
  size_t at_ = 0;
  int depth_ = 0, operations_ = 0;
};

}  // namespace

std::string SweepKey(const StudySpec& part, const StudyVariant& v) {
  return v.of.empty() ? part.prefix + v.site + " " + v.format : v.of;
}

bool IsSiteMeasure(const std::string& name) {
  const CallShape* call = FindCall(name);
  return call != nullptr && call->kind == CallKind::kSite;
}
bool IsPairedTest(const std::string& name) { return name == "p_value" || name == "last_word_p"; }
bool IsFreeRunMeasure(const std::string& name) {
  return name == "match" || name == "agreed" || name == "parted" || name == "parting_margin";
}
bool IsFormatFact(const std::string& name) {
  const CallShape* call = FindCall(name);
  return call != nullptr && call->kind == CallKind::kFormat;
}
double ValueOf(const Expression& number) {
  return number.kind == Kind::kNegate ? -number.parts[0].number : number.number;
}

bool NamesLayer(const Expression& e) {
  const Expression& last = e.parts.back();
  return e.text == "anomalous" &&
         (last.kind == Kind::kNumber ||
          (last.kind == Kind::kNegate && last.parts[0].kind == Kind::kNumber));
}

const Expression* SweepOf(const Expression& e) {
  const size_t end = e.parts.size() - (e.text == "largest" || NamesLayer(e) ? 1 : 0);
  return end > 2 ? &e.parts[2] : nullptr;
}

std::optional<LayerSelection> LayersOfText(const std::string& text) {
  const auto rule = ParseRule("l_out[" + text + "]=f32");
  if (!rule || text.empty() || rule->layers.ranges.empty()) return std::nullopt;
  return rule->layers;
}

Result<Expression> ParseClaim(const std::string& text, std::span<const StudySpec> parts) {
  return Parser(text, parts).Parse();
}

void CollectNeeds(const Expression& e, const StudySpec& part, RunOptions* options) {
  const auto in_part = [&](const std::string& name) {
    return name == part.prefix + "baseline" ||
           std::any_of(part.variants.begin(), part.variants.end(),
                       [&](const StudyVariant& v) { return v.name == name; });
  };
  const auto need_site = [&](const std::string& site) {
    options->error_sites.push_back(site.substr(0, site.find('[')));
    if (e.text == "growth" && options->error_sites.back() == "l_out")
      options->error_sites.push_back("embd");  // what layer 0 grows from
  };
  if (IsOfSite(e)) {
    if (!in_part(e.parts[0].text)) return;
    const std::string& site = e.parts[1].text;
    need_site(site);
    const bool all_layers = e.text == "growth" || e.text == "drift" || e.text == "depth_exponent";
    if (!all_layers || site.find('[') != std::string::npos) options->error_labels.push_back(site);
    return;
  }
  if (e.kind == Kind::kCall && IsSeries(e.text)) {  // of a site, over all layers
    const Expression& what = e.parts[0];
    if (what.kind != Kind::kCall || !in_part(what.parts[0].text)) return;
    options->error_sites.push_back(what.parts[1].text);
    if (what.text == "growth" && what.parts[1].text == "l_out")
      options->error_sites.push_back("embd");
    return;
  }
  if (e.kind == Kind::kCall && e.text == "overhead" && in_part(e.parts[0].text))
    options->timed_variants.push_back(e.parts[0].text);
  for (const Expression& child : e.parts) CollectNeeds(child, part, options);
}

}  // namespace vernier
