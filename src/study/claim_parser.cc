#include <algorithm>
#include <cctype>
#include <charconv>

#include "base/names.h"
#include "study/claims.h"

namespace vernier {
namespace {

using Kind = Expression::Kind;

struct CallShape {
  const char* name;
  size_t least, most;  // arguments
  bool predicate;
};
constexpr CallShape kCalls[] = {
    {"kld", 1, 2, false},     {"ppl", 1, 2, false},         {"nll", 1, 2, false},
    {"delta_p", 1, 2, false}, {"rms_delta_p", 1, 2, false}, {"same_top", 1, 2, false},
    {"mae", 1, 2, false},     {"truth", 1, 2, false},       {"error", 1, 2, false},
    {"noise", 0, 2, false},   {"overhead", 1, 1, false},    {"identical", 2, 2, true},
    {"vacuous", 1, 1, true},  {"increasing", 2, 3, true},   {"decreasing", 2, 3, true},
    {"monotone", 2, 3, true},
};

const CallShape* FindCall(const std::string& name) {
  for (const CallShape& c : kCalls)
    if (name == c.name) return &c;
  return nullptr;
}

bool IsSeries(const std::string& name) {
  return name == "increasing" || name == "decreasing" || name == "monotone";
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
    if (!comparison && (call == nullptr || !call->predicate))
      return Expected(
          "a comparison or one of identical, vacuous, monotone, increasing, decreasing");
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
    if (call->predicate && !predicate_allowed)
      return Fail("{}: claim \"{}\": '{}' is no number", spec_.path, text_, e.text);
    if (e.parts.size() < call->least || e.parts.size() > call->most)
      return Fail("{}: claim \"{}\": '{}' takes {} to {} arguments, found {}", spec_.path, text_,
                  e.text, call->least, call->most, e.parts.size());
    return IsSeries(e.text) ? CheckSeries(e) : CheckNames(e);
  }

  Status CheckNames(const Expression& e) const {
    for (size_t i = 0; i < e.parts.size(); ++i) {
      if (e.parts[i].kind != Kind::kText)
        return Fail("{}: claim \"{}\": '{}' takes quoted names", spec_.path, text_, e.text);
      const std::string& name = e.parts[i].text;
      if (e.text == "error" && i == 1) continue;  // a site: checked against the model
      const char* what = i == 1 && e.text != "identical" ? "text" : "variant";
      if (e.text == "noise") what = Several() && i == 0 ? "model" : "text";
      const std::vector<std::string> known = NamesOf(what);
      if (std::find(known.begin(), known.end(), name) == known.end())
        return Fail("{}: claim \"{}\": no {} is named '{}'{}", spec_.path, text_, what, name,
                    DidYouMean(name, known));
    }
    if (e.text == "noise" && (Several() ? e.parts.empty() : e.parts.size() > 1))
      return Fail("{}: claim \"{}\": 'noise' takes {}", spec_.path, text_,
                  Several() ? "a model, and perhaps a text" : "at most a text");
    if (e.text == "error" && e.parts.size() == 1)
      return Fail("{}: claim \"{}\": 'error' takes a variant and a site", spec_.path, text_);
    if (e.text == "truth" && !spec_.truth)
      return Fail("{}: claim \"{}\": 'truth' needs truth = true in the study", spec_.path, text_);
    if (e.text == "noise" && spec_.noise == 0)
      return Fail("{}: claim \"{}\": 'noise' needs noise = N in the study", spec_.path, text_);
    return {};
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
        const std::string key = part.prefix + v.site + " " + v.format;
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
    if (e.parts[0].kind == Kind::kCall && e.parts[0].text == "error" &&
        e.parts[0].parts.size() == 2 && e.parts.size() == 2)
      return CheckNames(e.parts[0]);
    const CallShape* measure = e.parts[0].kind == Kind::kName ? FindCall(e.parts[0].text) : nullptr;
    if (measure == nullptr || measure->predicate || measure->most != 2 ||
        e.parts[0].text == "error")
      return Fail(
          "{}: claim \"{}\": the first argument of '{}' is a measure's name, or error('VARIANT', "
          "'SITE')",
          spec_.path, text_, e.text);
    const std::vector<std::string> sweeps = LayerSweeps();
    if (e.parts.size() == 2 && sweeps.size() != 1)
      return Fail(
          "{}: claim \"{}\": {} sweeps go over layers; say which as a third argument, such as '{}'",
          spec_.path, text_, sweeps.size(), sweeps.empty() ? "ffn_norm bf16" : sweeps[0]);
    if (e.parts.size() == 3 &&
        (e.parts[2].kind != Kind::kText ||
         std::find(sweeps.begin(), sweeps.end(), e.parts[2].text) == sweeps.end()))
      return Fail("{}: claim \"{}\": no sweep over layers is '{}'{}", spec_.path, text_,
                  e.parts[2].text, DidYouMean(e.parts[2].text, sweeps));
    return {};
  }

  const std::string& text_;
  const StudySpec& spec_;  // what all parts have in common
  std::span<const StudySpec> parts_;
  size_t at_ = 0;
  int depth_ = 0, operations_ = 0;
};

}  // namespace

Result<Expression> ParseClaim(const std::string& text, std::span<const StudySpec> parts) {
  return Parser(text, parts).Parse();
}

void CollectNeeds(const Expression& e, const StudySpec& part, RunOptions* options) {
  const auto in_part = [&](const std::string& name) {
    return name == part.prefix + "baseline" ||
           std::any_of(part.variants.begin(), part.variants.end(),
                       [&](const StudyVariant& v) { return v.name == name; });
  };
  if (e.kind == Kind::kCall && e.text == "error") {
    if (!in_part(e.parts[0].text)) return;
    const std::string& site = e.parts[1].text;
    options->error_sites.push_back(site.substr(0, site.find('[')));
    options->error_labels.push_back(site);
    return;
  }
  if (e.kind == Kind::kCall && IsSeries(e.text)) {  // of error, over all layers
    if (e.parts[0].kind == Kind::kCall && in_part(e.parts[0].parts[0].text))
      options->error_sites.push_back(e.parts[0].parts[1].text);
    return;
  }
  if (e.kind == Kind::kCall && e.text == "overhead" && in_part(e.parts[0].text))
    options->timed_variants.push_back(e.parts[0].text);
  for (const Expression& child : e.parts) CollectNeeds(child, part, options);
}

}  // namespace vernier
