// The tokenizer of a Hugging Face folder as GGUF metadata.
#ifndef VERNIER_ARCH_CONVERT_TOKENIZER_H_
#define VERNIER_ARCH_CONVERT_TOKENIZER_H_

#include "base/result.h"
#include "model/checkpoint.h"
#include "model/metadata.h"

namespace vernier {

// Adds the tokenizer.ggml.* keys (gguf.md of ggml-org/ggml) of the folder's tokenizer.json:
//   model "gpt2", pre (the named pre-tokenizer with the same patterns and ignore_merges), tokens,
//   token_type (special added tokens are control, other added ones user-defined, ids without a
//   token unused and named [PADn]), merges, bos_token_id, eos_token_id, add_bos_token,
//   add_eos_token; and tokenizer.chat_template where tokenizer_config.json has one.
// The tokenizer made from the keys gives the ids of the folder's own.
//
// Errors: what MakeTokenizer says of the folder; a SentencePiece-like tokenizer (its scores are not
// in tokenizer.json); a pre-tokenizer with no name; what GGUF has no key for: add_prefix_space,
// added tokens that strip spaces, ids around a text other than BOS and EOS.
Status AddTokenizer(const Checkpoint& folder, Metadata* metadata);

}  // namespace vernier

#endif  // VERNIER_ARCH_CONVERT_TOKENIZER_H_
