// Rules and recipes: the text of what is changed where (see docs/rules.md).
//
//   rule     = selector "=" value
//   selector = site-glob [ "[" layers "]" ] [ "." part ]  |  weight-name glob
//   ("blk.*.ffn_*.weight") layers   = item { "," item }, item = N | [A] ":" [B]      as in Python:
//   0:5  -5:  3  0,2,7 part     = out (default) | in | weight | math | acc | eps
//   value    = a treatment (formats/treatment.h); for math: f32 | f64 | int | PROFILE or an
//   arithmetic in a format, for acc how its sums are taken (ops/format_math.h); for eps: a positive
//   number
//   types=FILETYPE, types[layers]=FILETYPE: the types of a file (engine/type_rules.h)
//   profile "=" PROFILE: that arithmetic in every node
//   rope.theta=NUMBER, model.layers=N: constants of the model (engine/constant_rules.h)
//   PROFILE  = ggml-repack | ggml-vecdot { ",rows=" many | one | N }
#ifndef VERNIER_ENGINE_RECIPE_H_
#define VERNIER_ENGINE_RECIPE_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/static_scales.h"

namespace vernier {

enum class Part { kOut, kIn, kWeight, kMath, kAcc, kEps, kOrder, kProfile, kConstant };

struct LayerRange {
  std::optional<int> first,
      last;  // [first, last), negative from the end; a single layer N has single = N
  std::optional<int> single;
};

struct LayerSelection {
  std::string text;                // "0:5"
  std::vector<LayerRange> ranges;  // empty: every layer, and what is in none
  std::optional<int> only;         // of those this layer alone; not written in a rule
  bool Contains(int layer, int layers) const;
};

struct Rule {
  std::string text;  // as written, without spaces
  std::string glob;  // of a site or a weight's name
  LayerSelection layers;
  Part part = Part::kOut;
  bool weight_name = false;  // the glob contains a dot: it names weights ("blk.*.attn_q.weight")
  std::string value;
  std::string place{};  // "a.recipe:3", in a recipe file; empty: it stands in none
};

// Later rules win over earlier ones at the same part of the same site.
struct Recipe {
  std::vector<Rule> rules;
  std::shared_ptr<const StaticScales> scales;  // for scale=static; null: none are given
};

// Errors name the rule: "rule 'ffn_norm': expected SELECTOR=VALUE".
Result<Rule> ParseRule(std::string_view text);
Result<Recipe> ParseRecipe(const std::vector<std::string>& rules);
// A recipe file: one rule a line, empty lines and lines that start with # apart. `include FILE`
// stands for the rules of that file, whose path begins at the folder of this one.
Result<Recipe> ReadRecipe(const std::string& path);
// Its rules as texts, as ParseRecipe takes them.
Result<std::vector<std::string>> ReadRecipeTexts(const std::string& path);

// Whether a rule has scale=static: scales that no rule reads are a mistake.
bool ReadsScales(const Recipe& recipe);

}  // namespace vernier

#endif  // VERNIER_ENGINE_RECIPE_H_
