// Which storage type each tensor of a quantised file gets: the choice llama-quantize of
// ggml-org/llama.cpp makes (src/llama-quant.cpp, version 0.5.0), as a function of the file type
// asked for, a few facts of the model, and the names and shapes of its tensors. Tables, no data:
// what is written is arch/write_model.h's.
#ifndef VERNIER_ARCH_QUANTIZE_TYPES_H_
#define VERNIER_ARCH_QUANTIZE_TYPES_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/metadata.h"
#include "model/tensor.h"

namespace vernier {

// What --type names: a type for most tensors, and a mixture of others where they matter more.
struct FileType {
  const char* name;  // of llama-quantize: "Q4_K_M"
  uint32_t number;   // enum llama_ftype, for general.file_type
  TensorType type;   // of most matrices
};

std::span<const FileType> FileTypes();
// Any case; the aliases Q3_K, Q4_K and Q5_K are the _M mixtures. Null when not among them.
const FileType* FindFileType(std::string_view name);
std::vector<std::string> FileTypeNames();

// What the mixtures look at.
struct MixtureFacts {
  std::string architecture;
  int layers = 0;
  int experts = 0;
  int query_groups = 0;        // query heads for each key head of layer 0; 0 without attention
  bool narrow_values = false;  // 80 layers of the "70B" shape, whose attn_v is 8 times smaller
};
// From the keys of a GGUF file; what is absent is 0.
MixtureFacts ReadMixtureFacts(const Metadata& metadata);

struct NamedShape {
  std::string name;
  std::vector<int64_t> shape;          // outermost dimension first
  TensorType type = TensorType::kF32;  // as it is
};

// A pattern (arch/type_patterns.h) that chose a type for a tensor, or nothing.
using ChosenByPattern = std::vector<std::optional<TensorType>>;

struct MixtureOptions {
  const FileType* file_type =
      nullptr;                // null: tensors keep their types, patterns and options apart
  bool pure = false;          // no mixture: the file type's own type everywhere
  bool leave_output = false;  // output.weight keeps its type
  bool has_importance = false;
  std::optional<TensorType> output, token_embedding;  // of output.weight, of the embeddings
};

struct TypeChoice {
  TensorType type = TensorType::kF32;
  TensorType wanted = TensorType::kF32;  // another one where the rows are no multiple of its blocks
  bool kept = false;                     // not a tensor that is quantised
};

// Whether llama-quantize quantises a tensor at all: names that end in "weight", of two dimensions
// or more (outer dimensions of 1 not counted), and none of the norms, routers, small convolutions,
// positions and the like that its runtime reads as float32.
bool IsQuantizable(std::string_view name, std::span<const int64_t> shape);

// The type for each tensor, in the order given. Tensors that are not quantised keep theirs; then,
// first come first served: the token embedding's option, the output's, a pattern, the mixture.
// Tied embeddings (a model without output.weight) take the output's type. Rows that are no whole
// blocks fall back: K-quants to a 32-element type near in size, anything else to F16. The mixtures
// count layers in llama.cpp's order (by layer, then name), whatever order the file has.
// Differences from llama-quantize: patterns also apply where the file type is F32, F16 or BF16 or
// not given, and the two options' types fall back too. by_pattern is empty or as long as tensors.
std::vector<TypeChoice> ChooseTypes(const MixtureFacts& facts, const MixtureOptions& options,
                                    std::span<const NamedShape> tensors,
                                    const ChosenByPattern& by_pattern = {});

// Whether llama-quantize refuses to make this tensor without an importance matrix: Q2_K in a Q2_K_S
// file, embeddings and output apart.
bool NeedsImportance(const MixtureOptions& options, std::string_view name, TensorType type);

}  // namespace vernier

#endif  // VERNIER_ARCH_QUANTIZE_TYPES_H_
