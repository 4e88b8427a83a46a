// The tokenizer of a Hugging Face folder: tokenizer.json of the tokenizers library, with
// tokenizer_config.json and config.json for what it leaves open.
#ifndef VERNIER_MODEL_TOKENIZER_HF_H_
#define VERNIER_MODEL_TOKENIZER_HF_H_

#include <memory>
#include <string_view>

#include "base/result.h"
#include "model/tokenizer.h"

namespace vernier {

struct HfTokenizerFiles {
  std::string_view folder;            // named in errors
  std::string_view tokenizer;         // texts of the files
  std::string_view config;            // config.json
  std::string_view tokenizer_config;  // may be empty: there is none
};

// Model BPE, in two kinds. Byte-level: pre-tokenizer ByteLevel, alone or after Split and Digits; a
// Split's own regular expression is used. SentencePiece-like: spaces become U+2581 by a normalizer
// (Prepend, Replace) or the pre-tokenizer Metaspace; byte_fallback. Every other normalizer,
// pre-tokenizer, post-processor or model is an error that names it.
//
// Normalizer NFC is accepted and does nothing: text that is not in NFC (rare, e.g. from macOS file
// names) gets the ids llama.cpp gives it, which differ from those of the tokenizers library.
//
// What add_special adds, the first that applies:
//   1. add_bos_token, add_eos_token of tokenizer_config.json;
//   2. the post-processor's template (TemplateProcessing, for a single text);
//   3. tokenizer_config.json exists: BOS for the SentencePiece-like kind, nothing for byte-level;
//   4. there is only config.json: BOS where it names bos_token_id.
// BOS and EOS are the tokens of tokenizer_config.json, else the ids of config.json. All of
// config.json's eos_token_id end generation.
//
// Ids up to config.json's vocab_size that no token has are unused tokens without text, so that
// every row of the model's output has an id.
Result<std::unique_ptr<Tokenizer>> MakeHfTokenizer(const HfTokenizerFiles& files);

}  // namespace vernier

#endif  // VERNIER_MODEL_TOKENIZER_HF_H_
