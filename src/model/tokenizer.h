// Text to token ids and back. Byte-level BPE (GPT-2 family, pre-tokenizers by name) and
// SentencePiece-style BPE (llama), read from GGUF metadata or a Hugging Face tokenizer.json; both
// give the same ids for the same model. A tokenizer never changes: threads may share it.
#ifndef VERNIER_MODEL_TOKENIZER_H_
#define VERNIER_MODEL_TOKENIZER_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/checkpoint.h"

namespace vernier {

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  struct EncodeOptions {
    bool add_special = true;  // BOS (and EOS) where the model's own rules add them
    // "<|endoftext|>" in the text becomes that token; otherwise it is text. User-defined tokens
    // (added tokens that are not special) are found either way.
    bool parse_special = false;
  };
  // Any bytes are accepted; what is not UTF-8 is encoded byte by byte where the vocabulary has
  // bytes. Time O(n log n). Errors: a character or byte without a token, and no unknown token
  // either; more than 256 MiB; a pre-tokenizer pattern of the file that needs too many steps.
  virtual Result<std::vector<int32_t>> Encode(std::string_view text,
                                              EncodeOptions options) const = 0;
  // Special tokens give no text unless `special` asks for their names; nor do unused ones. Where
  // encoding puts a space before the text, decoding takes one away. Ids must be in [0, size()).
  virtual std::string Decode(std::span<const int32_t> ids, bool special = false) const = 0;
  // The bytes of one token (special tokens: their name).
  virtual std::string Piece(int32_t id) const = 0;

  // Ids run from 0 to size() - 1; some may have no text.
  virtual int32_t size() const = 0;
  virtual int32_t bos() const = 0;  // -1: none
  virtual int32_t eos() const = 0;  // -1: none
  virtual bool adds_bos() const = 0;
  virtual bool is_end_of_generation(int32_t id) const = 0;
};

// The rules for BOS and EOS are in tokenizer_gguf.h and tokenizer_hf.h, the known pre-tokenizers in
// pretokenizer.h.
//
// From the checkpoint's metadata (GGUF) or tokenizer.json and config (Hugging Face). Error when
// there is none, when its model or pre-tokenizer is not one of those above (naming it), or when it
// contradicts itself.
Result<std::unique_ptr<Tokenizer>> MakeTokenizer(const Checkpoint& checkpoint);

}  // namespace vernier

#endif  // VERNIER_MODEL_TOKENIZER_H_
