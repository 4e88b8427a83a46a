#include "arch/architecture.h"

#include "base/names.h"

namespace vernier {
namespace {

constexpr Architecture kArchitectures[] = {
    {"llama", "Llama 1 to 3 and what shares their graph (TinyLlama, Mistral without a window)",
     BuildLlama, DecoderConstants, WriteDecoderConstants},
    {"qwen2", "Qwen 2 and 2.5: llama with biases on the q, k and v projections", BuildQwen2,
     DecoderConstants, WriteDecoderConstants},
    {"mamba", "Mamba 1: selective state spaces instead of attention", BuildMamba, SsmConstants,
     WriteSsmConstants},
    {"falcon_mamba", "Mamba 1 with norms of dt, B and C (GGUF files of it say mamba)", BuildMamba,
     SsmConstants, WriteSsmConstants},
    {"mamba2", "Mamba 2: heads with one rate each, B and C by groups, a norm behind the gate",
     BuildMamba2, SsmConstants, WriteSsmConstants},
};

}  // namespace

std::span<const Architecture> Architectures() { return kArchitectures; }

Result<const Architecture*> FindArchitecture(const Checkpoint& checkpoint) {
  ASSIGN_OR_RETURN(const std::string name, ArchitectureName(checkpoint));
  std::vector<std::string> names;
  for (const Architecture& a : kArchitectures) {
    if (name == a.name) return &a;
    names.push_back(a.name);
  }
  return Fail("{}: architecture '{}' is not known; known: {}{}", checkpoint.path, name,
              fmt::join(names, ", "), DidYouMean(name, names));
}

Result<Graph> BuildGraph(const Checkpoint& checkpoint) {
  ASSIGN_OR_RETURN(const Architecture* architecture, FindArchitecture(checkpoint));
  return architecture->build(checkpoint);
}

}  // namespace vernier
