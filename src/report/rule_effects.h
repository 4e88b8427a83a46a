// What a run's rules did, as every verb that applies rules reports it.
#ifndef VERNIER_REPORT_RULE_EFFECTS_H_
#define VERNIER_REPORT_RULE_EFFECTS_H_

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/plan.h"

namespace vernier {

// The plan's rules, its counts of weights and those of activations added.
std::vector<RuleEffect> WithEffects(const Plan& plan, const std::vector<TreatmentCounts>& counts);

// [{rule, sites, elements, changed, saturated, flushed, vacuous, labels}]
nlohmann::ordered_json EffectsJson(const std::vector<RuleEffect>& effects);
std::string EffectsTable(const std::vector<RuleEffect>& effects);  // empty where there is no rule
bool AnyVacuous(const std::vector<RuleEffect>& effects);

}  // namespace vernier

#endif  // VERNIER_REPORT_RULE_EFFECTS_H_
