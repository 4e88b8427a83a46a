// The values of rules on `.math` and of `profile=`.
#ifndef VERNIER_ENGINE_MATH_RULES_H_
#define VERNIER_ENGINE_MATH_RULES_H_

#include <optional>
#include <string>

#include "arch/graph.h"
#include "base/result.h"
#include "formats/treatment.h"
#include "ops/format_math.h"
#include "ops/ggml_rows.h"
#include "ops/op.h"

namespace vernier {

// What `math` names: a type, ggml's arithmetic in float, an arithmetic in a format, or integers.
struct MathRule {
  Arithmetic type = Arithmetic::kF32;
  std::optional<GgmlBatching> ggml{};
  std::optional<FormatMath> format{};
  bool integer = false;
};

// "ggml-repack,rows=one"
Result<GgmlBatching> ParseProfile(const std::string& text);
// "f32", "step:posit32,round=odd", "int", "ggml-vecdot"
Result<MathRule> ParseMath(const std::string& text);

// What the treatments of operand and weight need of each other under `int`; both have codes.
Status CheckIntegers(const Node& node, const Treatment& x, const Treatment& w);

}  // namespace vernier

#endif  // VERNIER_ENGINE_MATH_RULES_H_
