#include "report/rule_effects.h"

#include <algorithm>

#include "report/table.h"

namespace vernier {

namespace {

constexpr size_t kUncut = 1000;

// "1 weight", "4 weights"
std::string Counted(size_t count, const char* what) {
  return fmt::format("{} {}{}", CountText(count), what, count == 1 ? "" : "s");
}

}  // namespace

std::vector<RuleEffect> WithEffects(const Plan& plan, const std::vector<TreatmentCounts>& counts) {
  std::vector<RuleEffect> effects = plan.rules;
  CHECK(counts.size() == effects.size());
  for (size_t i = 0; i < effects.size(); ++i) effects[i].counts += counts[i];
  return effects;
}

nlohmann::ordered_json EffectsJson(const std::vector<RuleEffect>& effects) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const RuleEffect& e : effects)
    json.push_back({{"rule", e.rule},
                    {"sites", e.sites.size()},
                    {"elements", e.counts.touched},
                    {"changed", e.counts.changed},
                    {"saturated", e.counts.saturated},
                    {"flushed", e.counts.flushed},
                    {"vacuous", e.vacuous()},
                    {"why", e.vacuous() ? nlohmann::ordered_json(WhyVacuous(e)) : nullptr},
                    {"labels", e.sites}});
  return json;
}

std::string EffectsTable(const std::vector<RuleEffect>& effects, const Screen& screen) {
  if (effects.empty()) return "";
  Table table{{{"rule", Align::kLeft},
               {"sites", Align::kRight, 3},
               {"elements", Align::kRight, 4},
               {"changed"},
               {"saturated", Align::kRight, 1},
               {"flushed", Align::kRight, 2},
               {"", Align::kLeft, 0, true}},
              {}};
  for (const RuleEffect& e : effects) {
    std::vector<std::string> row = {e.rule, std::to_string(e.sites.size())};
    if (e.rounds) {
      for (const uint64_t count :
           {e.counts.touched, e.counts.changed, e.counts.saturated, e.counts.flushed})
        row.push_back(CountText(count));
    } else {
      row.insert(row.end(), 4, "-");
    }
    row.push_back(e.vacuous() ? "VACUOUS: " + WhyVacuous(e) : "");
    table.rows.push_back(std::move(row));
  }
  return FormatTable(table, screen.fit ? screen : Screen(kUncut, false, screen.colour));
}

std::string WhyVacuous(const RuleEffect& e) {
  if (!e.rounds) return "there is nothing it speaks of";
  const std::string weights =
      e.stored_types.empty()
          ? ""
          : fmt::format(" of {} (stored as {})", Counted(e.sites.size(), "weight"),
                        fmt::join(e.stored_types, ", "));
  if (e.counts.touched == 0)
    return "it touched no element: later rules hold at its sites, or they were not computed";
  if (e.counts.touched == 1)
    return fmt::format("the 1 element{} is a number of that format already", weights);
  return fmt::format("all {} elements{} are numbers of that format already",
                     CountText(e.counts.touched), weights);
}

bool AnyVacuous(const std::vector<RuleEffect>& effects) {
  return std::any_of(effects.begin(), effects.end(),
                     [](const RuleEffect& e) { return e.vacuous(); });
}

}  // namespace vernier
