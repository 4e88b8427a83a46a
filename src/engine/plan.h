// A recipe compiled against a model: for each node, the arithmetic it runs in and what is done to
// its operands, its weight and its result. Two plans with equal identities give equal values.
#ifndef VERNIER_ENGINE_PLAN_H_
#define VERNIER_ENGINE_PLAN_H_

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/hash.h"
#include "engine/head_rules.h"
#include "engine/model.h"
#include "engine/recipe.h"
#include "formats/treatment.h"
#include "ops/format_math.h"
#include "ops/ggml_rows.h"
#include "ops/scan_order.h"

namespace vernier {

// A treatment at one place, and the rule (index into the recipe) that put it there.
struct PlacedTreatment {
  Treatment treatment;
  int rule = 0;
  uint64_t seed = 0;  // of this place, for stochastic rounding
  Hash128 identity;   // of treatment, seed and heads
  HeadRange heads{};  // the part of a row that is treated
  size_t every = 1;   // of a state: after the tokens at positions every - 1, 2 every - 1, ...
};

struct NodePlan {
  Arithmetic math = Arithmetic::kF32;           // of a format: its host
  std::optional<FormatMath> format;             // arithmetic in a format (docs/arithmetic.md)
  bool integer = false;                         // of the integers of `codes` and `weight`
  std::optional<GgmlBatching> ggml;             // ggml's arithmetic, in float (docs/profiles.md)
  bool selected = false;                        // of ggml's: see RowBatch
  bool half_keys = false, half_values = false;  // ggml's attention: K, V are kept in binary16
  double eps = 0;
  double rope_theta = 0;  // of a rotary node; 0: the model's
  ScanOrder order;        // of a scan
  std::optional<PlacedTreatment> in, out, weight, scores, softmax, state;
  // Integers: the treatment whose codes the operand has: `in`, or what the node it reads was
  // rounded by.
  std::optional<PlacedTreatment> codes;
  // Norms without weight (`norm.weight=fold`): of a matrix, the slot whose vector its rows are
  // multiplied by; of the norm, that its own weight is 1.
  int folded = -1;
  bool ones = false;
  std::optional<PlacedTreatment> kept;  // kStore in a format: how its rows are rounded
  Hash128 identity;  // of what the node computes from its (treated) operands, before `out`
};

// The weight as the node reads it.
WeightForm FormOf(const NodePlan& plan);

// What a rule did in a lane. Weights are counted once; activations over all rows evaluated.
struct RuleEffect {
  std::string rule;
  std::vector<std::string> sites;  // "ffn_norm[3]", "blk.3.attn_q.weight"
  TreatmentCounts counts;
  bool rounds = true;  // false: it changes arithmetic or a constant, and counts nothing
  std::set<std::string> stored_types{};  // of the weights it treats: "BF16"
  bool vacuous() const { return rounds ? counts.changed == 0 : sites.empty(); }
};

struct Plan {
  Recipe recipe;
  uint64_t seed = 0;
  std::vector<NodePlan> nodes;
  std::vector<RuleEffect>
      rules;  // in recipe order; counts of weights filled in, of activations zero
  Hash128 identity;
  double rope_theta = 0;    // as its rotary nodes have it
  int layers = 0;           // of the model's, how many run; the first
  std::vector<int> source;  // by node, which one's value its readers get: itself, but where layers
                            // are left out
  bool ggml = false;        // some node computes in ggml's arithmetic
  bool weights_only = false;  // no rule touches an activation, arithmetic or constant
  bool Runs(const Node& node) const { return node.layer < layers; }
  // Whether it is known, without running, that this recipe computes what the model as it is does:
  // every treated weight is held exactly by its format, and there is no other rule.
  bool ForetoldVacuous() const;
};

// Errors: a rule that matches no site (with the nearest name), a layer that is not there, an
// unknown format, option or arithmetic, a part the site has not, a static scale that is not in the
// recipe's scales, rows that are not whole blocks of a storage type, `.acc` where the arithmetic
// has no partial sums, `int` where operand or weight are no integers, `fold` of what is no norm's
// weight or where something else than a matrix product reads the norm.
Result<Plan> MakePlan(Model& model, const Recipe& recipe, uint64_t seed = 0);

// A number that a recipe reads from a file of scales: what to calibrate.
struct StaticNeed {
  std::string key;        // StaticKey
  double percentile = 0;  // 0: absmax
  bool ema = false;
};

// Those of the recipe's rules on activations, each once, in order. Errors: as MakePlan's, but for
// scales; a static scale of a weight.
Result<std::vector<StaticNeed>> ListStaticNeeds(Model& model, const Recipe& recipe);

}  // namespace vernier

#endif  // VERNIER_ENGINE_PLAN_H_
