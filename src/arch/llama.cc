// Llama (Touvron et al. 2023, arXiv 2302.13971; Llama 3: arXiv 2407.21783). GGUF files hold the q
// and k rows in the order in which rotated pairs are neighbours.
#include "arch/architecture.h"
#include "arch/decoder.h"

namespace vernier {

Result<Graph> BuildLlama(const Checkpoint& checkpoint) {
  return BuildDecoder(checkpoint, {.gguf_layout = RopeLayout::kNeighbours, .qkv_bias = false});
}

}  // namespace vernier
