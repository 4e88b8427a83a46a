#include "engine/recipe.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "base/file.h"
#include "base/names.h"
#include "engine/constant_rules.h"

namespace vernier {
namespace {

struct PartName {
  const char* name;
  Part part;
};
constexpr PartName kParts[] = {
    {"out", Part::kOut}, {"in", Part::kIn},   {"weight", Part::kWeight}, {"math", Part::kMath},
    {"acc", Part::kAcc}, {"eps", Part::kEps}, {"order", Part::kOrder}};

std::optional<int> Integer(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "3", "0:5", "-5:", ":"; nullopt when it is none of them.
std::optional<LayerRange> ParseRange(std::string_view text) {
  const size_t colon = text.find(':');
  LayerRange range;
  if (colon == std::string_view::npos) {
    range.single = Integer(text);
    if (!range.single) return std::nullopt;
    return range;
  }
  const std::string_view first = text.substr(0, colon), last = text.substr(colon + 1);
  if (!first.empty() && !(range.first = Integer(first))) return std::nullopt;
  if (!last.empty() && !(range.last = Integer(last))) return std::nullopt;
  return range;
}

std::string WithoutSpaces(std::string_view text) {
  std::string out;
  for (const char c : text)
    if (c != ' ' && c != '\t') out += c;
  return out;
}

// The rules of a file at the end of the recipe. `open`: the files that include it, by their paths.
Status AddFile(const std::string& path, std::vector<std::string>* open, Recipe* recipe) {
  const std::filesystem::path plain = std::filesystem::path(path).lexically_normal();
  if (std::find(open->begin(), open->end(), plain.string()) != open->end())
    return Fail("{} includes itself", path);
  ASSIGN_OR_RETURN(const std::string text, ReadText(path, 1 << 20));
  open->push_back(plain.string());
  int number = 0;
  for (const std::string& raw : Split(text, '\n')) {
    ++number;
    std::string_view line = raw;
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    line = Trim(line);
    if (line.empty() || line.front() == '#') continue;
    if (line.starts_with("include ") || line.starts_with("include\t")) {
      const std::filesystem::path file = plain.parent_path() / Trim(line.substr(8));
      if (const Status added = AddFile(file.string(), open, recipe); !added)
        return Fail("{}:{}: {}", path, number, added.error().message);
      continue;
    }
    auto rule = ParseRule(line);
    if (!rule) return Fail("{}:{}: {}", path, number, rule.error().message);
    rule->place = fmt::format("{}:{}", path, number);
    recipe->rules.push_back(std::move(*rule));
  }
  open->pop_back();
  return {};
}

}  // namespace

bool LayerSelection::Contains(int layer, int layers) const {
  if (only && layer != *only) return false;
  if (ranges.empty()) return true;
  if (layer < 0) return false;
  const auto from_end = [layers](int i) { return i < 0 ? i + layers : i; };
  for (const LayerRange& r : ranges) {
    if (r.single) {
      if (from_end(*r.single) == layer) return true;
    } else if (layer >= from_end(r.first.value_or(0)) &&
               layer < (r.last ? from_end(*r.last) : layers)) {
      return true;
    }
  }
  return false;
}

Result<Rule> ParseRule(std::string_view text) {
  Rule rule;
  rule.text = WithoutSpaces(text);
  const size_t equals = rule.text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == rule.text.size())
    return Fail("rule '{}': expected SELECTOR=VALUE, as in ffn_norm[0:5]=bf16", text);
  std::string selector = rule.text.substr(0, equals);
  rule.value = rule.text.substr(equals + 1);
  if (IsConstant(selector)) {
    rule.part = Part::kConstant;
    rule.glob = selector;
    return rule;
  }
  // The part stands last; a selector with a dot left over names weights.
  const size_t dot = selector.rfind('.');
  if (dot != std::string::npos) {
    const std::string tail = selector.substr(dot + 1);
    const std::string head = selector.substr(0, dot);
    const size_t bracket = head.rfind('[');
    const bool plain = head.substr(0, bracket).find('.') == std::string::npos;
    for (const PartName& p : kParts) {
      if (tail != p.name || !plain) continue;
      rule.part = p.part;
      selector = head;
    }
  }
  if (!selector.empty() && selector.back() == ']') {
    const size_t open = selector.rfind('[');
    if (open == std::string::npos) return Fail("rule '{}': ']' without '['", text);
    rule.layers.text = selector.substr(open + 1, selector.size() - open - 2);
    for (const std::string& item : Split(rule.layers.text, ',')) {
      const auto range = ParseRange(item);
      if (!range)
        return Fail(
            "rule '{}': layers '{}': expected N, A:B or a list of them, as in [0:5] or [0,2,7]",
            text, rule.layers.text);
      rule.layers.ranges.push_back(*range);
    }
    selector.resize(open);
  }
  if (selector.empty()) return Fail("rule '{}': expected a site before '='", text);
  if (selector == "profile" && rule.part == Part::kOut) {
    rule.part = Part::kProfile;
    selector = "*";
  }
  rule.glob = selector;
  rule.weight_name = selector.find('.') != std::string::npos;
  if (rule.weight_name) rule.part = Part::kWeight;
  if (selector == "types" && rule.part == Part::kOut) rule.part = Part::kWeight;
  return rule;
}

bool ReadsScales(const Recipe& recipe) {
  for (const Rule& rule : recipe.rules)
    for (const std::string& option : Split(rule.value, ','))
      if (option == "scale=static" || option.starts_with("scale=static:")) return true;
  return false;
}

Result<Recipe> ParseRecipe(const std::vector<std::string>& rules) {
  Recipe recipe;
  for (const std::string& text : rules) {
    ASSIGN_OR_RETURN(Rule rule, ParseRule(text));
    recipe.rules.push_back(std::move(rule));
  }
  return recipe;
}

Result<Recipe> ReadRecipe(const std::string& path) {
  Recipe recipe;
  std::vector<std::string> open;
  RETURN_IF_ERROR(AddFile(path, &open, &recipe));
  return recipe;
}

Result<std::vector<std::string>> ReadRecipeTexts(const std::string& path) {
  ASSIGN_OR_RETURN(const Recipe recipe, ReadRecipe(path));
  std::vector<std::string> texts;
  for (const Rule& rule : recipe.rules) texts.push_back(rule.text);
  return texts;
}

}  // namespace vernier
