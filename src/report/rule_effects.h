// What a run's rules did, as every verb that applies rules reports it.
#ifndef VERNIER_REPORT_RULE_EFFECTS_H_
#define VERNIER_REPORT_RULE_EFFECTS_H_

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/plan.h"
#include "report/text_width.h"

namespace vernier {

// The plan's rules, its counts of weights and those of activations added.
std::vector<RuleEffect> WithEffects(const Plan& plan, const std::vector<TreatmentCounts>& counts);

// [{rule, sites, elements, changed, saturated, flushed, vacuous, why, labels}]; `why` is null where
// it is not vacuous
nlohmann::ordered_json EffectsJson(const std::vector<RuleEffect>& effects);
// Empty where there is no rule. In a file nothing is cut.
std::string EffectsTable(const std::vector<RuleEffect>& effects, const Screen& screen = Screen());
// Why a vacuous rule changed nothing: "all 1 024 elements of 4 weights (stored as BF16) are numbers
// of that format already".
std::string WhyVacuous(const RuleEffect& effect);
bool AnyVacuous(const std::vector<RuleEffect>& effects);

}  // namespace vernier

#endif  // VERNIER_REPORT_RULE_EFFECTS_H_
