// Rules on constants of the whole model (docs/rules.md):
//   rope.theta=NUMBER   the base of the rotary frequencies
//   model.layers=N      only the first N layers run; -N: all but the last N
#ifndef VERNIER_ENGINE_CONSTANT_RULES_H_
#define VERNIER_ENGINE_CONSTANT_RULES_H_

#include <string_view>

#include "arch/graph.h"
#include "base/result.h"
#include "engine/recipe.h"

namespace vernier {

struct Plan;

bool IsConstant(std::string_view selector);
// As the model has them.
void SetConstants(const Graph& graph, Plan* plan);
// The rule is the last of plan->rules.
Status ApplyConstant(const Rule& rule, const Graph& graph, Plan* plan);
// What goes with other rules is known when all have been read.
Status CheckConstants(const Graph& graph, const Plan& plan);

}  // namespace vernier

#endif  // VERNIER_ENGINE_CONSTANT_RULES_H_
