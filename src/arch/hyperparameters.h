// A model's constants, read from GGUF metadata or a Hugging Face config.json: every key the
// architecture needs, checked; a value that this program would ignore to the result's harm is an
// error, not ignored.
#ifndef VERNIER_ARCH_HYPERPARAMETERS_H_
#define VERNIER_ARCH_HYPERPARAMETERS_H_

#include <string>

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

// "general.architecture" of a GGUF file, "model_type" of a Hugging Face folder.
Result<std::string> ArchitectureName(const Checkpoint& checkpoint);

// Of a decoder-only transformer.
Result<Hyperparameters> ReadHyperparameters(const Checkpoint& checkpoint);

}  // namespace vernier

#endif  // VERNIER_ARCH_HYPERPARAMETERS_H_
