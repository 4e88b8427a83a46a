// The tokenizer a GGUF file describes (keys tokenizer.ggml.*, gguf.md of ggml-org/ggml).
#ifndef VERNIER_MODEL_TOKENIZER_GGUF_H_
#define VERNIER_MODEL_TOKENIZER_GGUF_H_

#include <memory>

#include "base/result.h"
#include "model/metadata.h"
#include "model/tokenizer.h"

namespace vernier {

// Model "gpt2" (byte-level, needs tokens and merges; `pre` names the pre-tokenizer, absent is
// "default") or "llama" (needs tokens and scores). Without token_type the tokens of BOS
// and EOS are control tokens and all others normal.
//
// BOS: as add_bos_token says; where it is absent, "llama" adds one and "gpt2" does where its
// pre-tokenizer is known to (Llama 3). Ids absent from a "llama" file are 1, 2 and 0 for BOS, EOS
// and unknown if those tokens have the type for it. Any id out of range is an error, and so is
// add_bos_token = true without bos_token_id.
Result<std::unique_ptr<Tokenizer>> MakeGgufTokenizer(const Metadata& metadata);

}  // namespace vernier

#endif  // VERNIER_MODEL_TOKENIZER_GGUF_H_
