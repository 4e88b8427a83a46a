// The decoder-only transformer that llama, qwen2 and their relatives share: pre-norm, rotary
// attention with grouped KV heads, SwiGLU. An architecture's file says where it differs.
#ifndef VERNIER_ARCH_DECODER_H_
#define VERNIER_ARCH_DECODER_H_

#include "arch/graph.h"
#include "arch/hyperparameters.h"
#include "base/result.h"
#include "model/checkpoint.h"

namespace vernier {

struct DecoderTraits {
  RopeLayout gguf_layout =
      RopeLayout::kHalves;  // of the q and k rows in GGUF files; Hugging Face has halves
  bool qkv_bias = false;
};

Result<Graph> BuildDecoder(const Checkpoint& checkpoint, const DecoderTraits& traits);

}  // namespace vernier

#endif  // VERNIER_ARCH_DECODER_H_
