// Rules on a scan: the order in which it goes through the tokens (`ssm_scan.order=chunked:64`), and
// after which tokens a treatment of its state acts (`ssm_state=int8,every=64`).
#ifndef VERNIER_ENGINE_STATE_RULES_H_
#define VERNIER_ENGINE_STATE_RULES_H_

#include "arch/graph.h"
#include "base/result.h"
#include "engine/plan.h"
#include "engine/recipe.h"
#include "ops/scan_order.h"

namespace vernier {

// Takes `every=N` off the rule's value: its treatment acts after the tokens at positions N - 1,
// 2 N - 1, ... of the text. 1 where the option is not there. Errors: another site than a state.
Result<size_t> TakeEvery(const Site& site, Rule* rule);

// The value of a rule on `.order`.
Result<ScanOrder> OrderOf(const Rule& rule);

// Whether the node's arithmetic has the order that the rule gave it: chunks are of f32 and f64.
Status CheckOrder(const Rule& rule, const Node& node, const NodePlan& plan);

}  // namespace vernier

#endif  // VERNIER_ENGINE_STATE_RULES_H_
