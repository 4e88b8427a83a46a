// Qwen2 and Qwen2.5 (arXiv 2407.10671, 2412.15115).
#include "arch/architecture.h"
#include "arch/decoder.h"

namespace vernier {

Result<Graph> BuildQwen2(const Checkpoint& checkpoint) {
  return BuildDecoder(checkpoint, {.gguf_layout = RopeLayout::kHalves, .qkv_bias = true});
}

}  // namespace vernier
