// `types=q4_k_m`: the weights as a file of that type holds them, each tensor in the type that
// llama-quantize's mixture gives it (arch/quantize_types.h). The values are bit for bit those of
// the file that `vernier quantize --type q4_k_m` writes. `types[0:2]=q8_0`: in those layers alone.
#ifndef VERNIER_ENGINE_TYPE_RULES_H_
#define VERNIER_ENGINE_TYPE_RULES_H_

#include <optional>
#include <vector>

#include "base/result.h"
#include "engine/model.h"
#include "engine/recipe.h"
#include "formats/treatment.h"

namespace vernier {

bool IsTypesRule(const Rule& rule);

// What such a rule does to a weight.
struct RuledType {
  bool keeps = true;                   // not a tensor that is quantised: the rule leaves it alone
  std::optional<Treatment> treatment;  // none: it is of that type already, and as it is
};

// By weight slot of the model's graph, layers apart. Errors: an unknown file type, or one that
// needs an importance matrix.
Result<std::vector<RuledType>> TypesByRule(const Rule& rule, const Model& model);

}  // namespace vernier

#endif  // VERNIER_ENGINE_TYPE_RULES_H_
