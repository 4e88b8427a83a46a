#include "arch/architecture.h"

#include "arch/hyperparameters.h"
#include "base/names.h"

namespace vernier {
namespace {

constexpr Architecture kArchitectures[] = {
    {"llama", "Llama 1 to 3 and what shares their graph (TinyLlama, Mistral without a window)",
     BuildLlama},
    {"qwen2", "Qwen 2 and 2.5: llama with biases on the q, k and v projections", BuildQwen2},
};

}  // namespace

std::span<const Architecture> Architectures() { return kArchitectures; }

Result<Graph> BuildGraph(const Checkpoint& checkpoint) {
  ASSIGN_OR_RETURN(const std::string name, ArchitectureName(checkpoint));
  std::vector<std::string> names;
  for (const Architecture& a : kArchitectures) {
    if (name == a.name) return a.build(checkpoint);
    names.push_back(a.name);
  }
  return Fail("{}: architecture '{}' is not known; known: {}{}", checkpoint.path, name,
              fmt::join(names, ", "), DidYouMean(name, names));
}

}  // namespace vernier
