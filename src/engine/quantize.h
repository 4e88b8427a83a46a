// Making a model file of other types: types chosen as llama-quantize chooses them
// (arch/quantize_types.h), rules on weights applied, rows encoded and written
// (arch/write_model.h). docs/commands.md, `quantize`, is the manual for users.
#ifndef VERNIER_ENGINE_QUANTIZE_H_
#define VERNIER_ENGINE_QUANTIZE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "arch/quantize_types.h"
#include "arch/type_patterns.h"
#include "arch/write_model.h"
#include "base/progress.h"
#include "base/result.h"
#include "engine/plan.h"
#include "engine/recipe.h"
#include "model/checkpoint.h"
#include "model/importance.h"

namespace vernier {

struct QuantizeOptions {
  MixtureOptions mixture;             // has_importance is set from `importance`
  std::vector<TypePattern> patterns;  // the first that a name has wins
  const ImportanceMatrix* importance = nullptr;
  bool allow_requantize = false;  // into a block type from another one
  // Rules on weights. A storage type as value (`blk.*.ffn_up.weight=q4_0`, `...=ggml:mxfp4`) stores
  // the tensor in that type, which computes what a run under the rule does. Anything else is a
  // treatment: the values are rounded, then stored in the type the tensor has or was given by type
  // or pattern.
  Recipe recipe;
  uint64_t seed = 0;  // of stochastic rounding, as in runs
  int threads = 0;
  ProgressSink progress;  // megabytes of the source
};

struct QuantizedTensor {
  std::string name;
  std::vector<int64_t> shape;
  TensorType from = TensorType::kF32;  // in the source
  TypeChoice choice;                   // what was written
  bool importance = false;             // whether weights of its inputs were used
  uint64_t source_bytes = 0;
  TensorOutcome outcome;
};

struct QuantizeReport {
  bool copied = false;  // the file byte for byte; outcomes have no errors and nothing changed
  std::vector<QuantizedTensor> tensors;  // in the order of the file
  std::vector<RuleEffect> rules;         // of a storage type too: elements that read back otherwise
};

// Writes the model to `path`, which appears only when it is complete.
//
// A GGUF file for which nothing is asked, neither type nor pattern, option or rule, is copied byte
// for byte (the parts of a split set become one file). Otherwise keys and their order stay, but
// general.file_type, where a file type is given, general.quantization_version (2, ggml's), where a
// block type is written, and with an importance matrix quantize.imatrix.file, .dataset,
// .entries_count and .chunks_count are set, as llama-quantize does.
//
// Errors, all before anything is written unless said: what arch/convert.h, type patterns, rules and
// treatments say; OUT is a file of the source; a rule that matches no tensor, names another part
// than weights, or wants a block type of a tensor that is not quantised or has other rows; a block
// type from another one without allow_requantize; a treatment of values that are stored in a block
// type nobody asked for; an importance matrix that has nothing for any tensor, or for one that
// needs it, or of another size; and while writing, what arch/write_model.h says and a treatment
// whose values are no numbers of the type the tensor happens to have.
Result<QuantizeReport> QuantizeModel(const Checkpoint& checkpoint, const std::string& path,
                                     const QuantizeOptions& options);

}  // namespace vernier

#endif  // VERNIER_ENGINE_QUANTIZE_H_
