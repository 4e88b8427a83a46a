// A model's constants, read from GGUF metadata or a Hugging Face config.json: every key the
// architecture needs, checked; a value that this program would ignore to the result's harm is an
// error, not ignored.
#ifndef VERNIER_ARCH_HYPERPARAMETERS_H_
#define VERNIER_ARCH_HYPERPARAMETERS_H_

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/checkpoint.h"
#include "ops/rope.h"

namespace vernier {

struct Hyperparameters {
  std::string architecture;
  size_t layers = 0, hidden = 0, intermediate = 0, heads = 0, kv_heads = 0, head_dim = 0,
         vocabulary = 0, context = 0;
  double eps = 0;
  RopeSpec rope;  // layout set by the architecture
};

// Of a model of state-space layers (Mamba, Falcon Mamba, Mamba 2).
struct SsmHyperparameters {
  std::string architecture;
  size_t layers = 0, hidden = 0, vocabulary = 0, context = 0;
  size_t inner = 0, states = 0, taps = 0, dt_rank = 0;  // taps: the convolution's kernel
  double eps = 0;
  bool conv_bias = true;
  std::optional<double> parts_eps{};          // Falcon Mamba: of the norms of dt, B and C
  size_t heads = 0, groups = 1;               // Mamba 2, which has no dt_rank
  double step_low = 0, step_high = INFINITY;  // Mamba 2: the limits of a step
  bool LimitsStep() const { return step_low > 0 || step_high < INFINITY; }
};

// A constant as people see it.
struct NamedConstant {
  std::string name;
  double value = 0;
  bool whole = true;  // an integer
};

// "general.architecture" of a GGUF file, "model_type" of a Hugging Face folder.
Result<std::string> ArchitectureName(const Checkpoint& checkpoint);

// Of a decoder-only transformer.
Result<Hyperparameters> ReadHyperparameters(const Checkpoint& checkpoint);
Result<SsmHyperparameters> ReadSsmHyperparameters(const Checkpoint& checkpoint);

// For `inspect`.
Result<std::vector<NamedConstant>> DecoderConstants(const Checkpoint& checkpoint);
Result<std::vector<NamedConstant>> SsmConstants(const Checkpoint& checkpoint);

// The constants of a Hugging Face folder as the keys that convert_hf_to_gguf.py of
// ggml-org/llama.cpp writes.
Status WriteDecoderConstants(const Checkpoint& folder, Metadata* metadata);
Status WriteSsmConstants(const Checkpoint& folder, Metadata* metadata);

}  // namespace vernier

#endif  // VERNIER_ARCH_HYPERPARAMETERS_H_
