// The architectures Vernier knows: one file each, one line in the table of architecture.cc.
#ifndef VERNIER_ARCH_ARCHITECTURE_H_
#define VERNIER_ARCH_ARCHITECTURE_H_

#include <span>
#include <vector>

#include "arch/graph.h"
#include "arch/hyperparameters.h"
#include "base/result.h"
#include "model/checkpoint.h"

namespace vernier {

struct Architecture {
  const char* name;  // general.architecture of GGUF, model_type of Hugging Face
  const char* doc;   // one line
  // The graph of a checkpoint of this architecture. Its weights point into the checkpoint, which
  // must outlive it. Errors: a constant or tensor that is missing, has another shape than the
  // constants say, or a tensor the graph would not read.
  Result<Graph> (*build)(const Checkpoint& checkpoint);
  // The constants as people see them, and those of a Hugging Face folder as GGUF keys.
  Result<std::vector<NamedConstant>> (*constants)(const Checkpoint& checkpoint);
  Status (*write_constants)(const Checkpoint& folder, Metadata* metadata);
};

std::span<const Architecture> Architectures();

// The checkpoint's architecture; an error when it is not known.
Result<const Architecture*> FindArchitecture(const Checkpoint& checkpoint);
// Its graph.
Result<Graph> BuildGraph(const Checkpoint& checkpoint);

Result<Graph> BuildLlama(const Checkpoint& checkpoint);
Result<Graph> BuildQwen2(const Checkpoint& checkpoint);
Result<Graph> BuildMamba(const Checkpoint& checkpoint);
Result<Graph> BuildMamba2(const Checkpoint& checkpoint);

}  // namespace vernier

#endif  // VERNIER_ARCH_ARCHITECTURE_H_
