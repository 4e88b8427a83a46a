// Rules on the weights of a file, by name or by the site that reads them, without a model to run.
#ifndef VERNIER_ENGINE_WEIGHT_RULES_H_
#define VERNIER_ENGINE_WEIGHT_RULES_H_

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "arch/graph.h"
#include "base/result.h"
#include "engine/recipe.h"
#include "formats/treatment.h"
#include "model/tensor.h"

namespace vernier {

// What the last rule that matches a tensor does to it.
struct WeightChange {
  int rule = -1;                       // into the recipe; -1: nothing
  std::optional<TensorType> type;      // stores it in this block type, or
  std::optional<Treatment> treatment;  // rounds its values
  uint64_t key = 0;                    // of the treatment: the same as in runs (engine/weights.h)
};

struct WeightChanges {
  std::vector<WeightChange> changes;              // one for each name
  std::vector<std::vector<std::string>> matched;  // for each rule the names it matches
};

// Names are those of GGUF files; `graph` may be null: then rules can name weights only. Errors: a
// rule of another part than weights; one that matches nothing, with the nearest name; a layer that
// is not there; an unknown format, option or type; scale=static.
Result<WeightChanges> MatchWeightRules(const Recipe& recipe, std::span<const std::string> names,
                                       const Graph* graph, uint64_t seed);

}  // namespace vernier

#endif  // VERNIER_ENGINE_WEIGHT_RULES_H_
