#include "engine/weight_rules.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "arch/type_patterns.h"
#include "base/hash.h"
#include "base/names.h"
#include "engine/type_rules.h"

namespace vernier {
namespace {

int LayerOf(const std::string& name) {
  constexpr std::string_view kPrefix = "blk.";
  int layer = -1;
  if (!name.starts_with(kPrefix)) return -1;
  const char* end = name.data() + name.size();
  const auto [at, error] = std::from_chars(name.data() + kPrefix.size(), end, layer);
  return error == std::errc() && at != end && *at == '.' && layer >= 0 ? layer : -1;
}

// Names of the weights that the sites of a rule read.
std::set<std::string> NamesBySite(const Rule& rule, const Graph* graph) {
  std::set<std::string> names;
  if (graph == nullptr || rule.weight_name) return names;
  for (const Site& site : graph->sites) {
    const int weight = graph->nodes[static_cast<size_t>(site.node)].weight;
    if (weight >= 0 && site.inner == InnerSite::kNone && GlobMatches(rule.glob, site.name))
      names.insert(graph->weights[static_cast<size_t>(weight)].name);
  }
  return names;
}

Error NothingMatches(const Rule& rule, std::span<const std::string> names, const Graph* graph) {
  std::vector<std::string> candidates(names.begin(), names.end());
  if (graph != nullptr)
    for (const Site& site : graph->sites)
      if (graph->nodes[static_cast<size_t>(site.node)].weight >= 0)
        candidates.push_back(site.name + ".weight");
  const std::string written = rule.weight_name ? rule.glob : rule.glob + ".weight";
  return {fmt::format("rule '{}': no weight is named '{}'{}", rule.text, written,
                      DidYouMean(written, candidates))};
}

Result<WeightChange> ChangeOf(const Rule& rule, int index) {
  WeightChange change;
  change.rule = index;
  if (rule.value == "fold")
    return Fail("rule '{}': a file is written with its norms as they are; folding is of runs",
                rule.text);
  auto treatment = ParseTreatment(rule.value, TreatedThing::kWeight);
  if (!treatment) return Fail("rule '{}': {}", rule.text, treatment.error().message);
  if (treatment->scale == ScaleRule::kStatic)
    return Fail(
        "rule '{}': a file is written without scales of sites; expected a scale from the data or a "
        "number",
        rule.text);
  if (treatment->logarithm)
    return Fail("rule '{}': a file is written with treated values; of=log is of runs", rule.text);
  if (!treatment->IsStored() || treatment->hadamard) {
    change.treatment = *treatment;
    return change;
  }
  const TensorType type = treatment->block->stored;
  auto writable = ParseWritableType(Info(type).name);
  if (!writable) return Fail("rule '{}': {}", rule.text, writable.error().message);
  change.type = type;
  return change;
}

}  // namespace

Result<WeightChanges> MatchWeightRules(const Recipe& recipe, std::span<const std::string> names,
                                       const Graph* graph, uint64_t seed) {
  WeightChanges result;
  result.changes.resize(names.size());
  int layers = 0;
  for (const std::string& name : names) layers = std::max(layers, LayerOf(name) + 1);
  for (const Rule& rule : recipe.rules) {
    if (IsTypesRule(rule))
      return Fail("rule '{}': the types of a file are chosen by --type", rule.text);
    if (rule.part != Part::kWeight)
      return Fail("rule '{}': a file has weights only; expected a weight's name or SITE.weight",
                  rule.text);
    const std::string glob = rule.weight_name ? rule.glob : rule.glob + ".weight";
    const std::set<std::string> by_site = NamesBySite(rule, graph);
    ASSIGN_OR_RETURN(WeightChange change, ChangeOf(rule, static_cast<int>(result.matched.size())));
    bool named = false;
    std::vector<std::string>& matched = result.matched.emplace_back();
    for (size_t i = 0; i < names.size(); ++i) {
      if (!GlobMatches(glob, names[i]) && by_site.count(names[i]) == 0) continue;
      named = true;
      if (!rule.layers.Contains(LayerOf(names[i]), layers)) continue;
      matched.push_back(names[i]);
      const Hash128 hash = HashText(names[i]);
      change.key = Combine(hash, Combine(hash, seed).low).low;
      result.changes[i] = change;
    }
    if (!named) return tl::unexpected(NothingMatches(rule, names, graph));
    if (matched.empty())
      return Fail("rule '{}': nothing of '{}' is in layer [{}]; layers are 0 to {}", rule.text,
                  glob, rule.layers.text, layers - 1);
  }
  return result;
}

}  // namespace vernier
