// SentencePiece-style byte-pair encoding (Llama 2, TinyLlama, Mistral): spaces become U+2581, a
// text starts as its characters, and neighbours are joined either by the score of the joined token
// (GGUF) or by ranked merges (tokenizer.json). What ends up in no token falls back to byte tokens.
// After google/sentencepiece, src/bpe_model.cc: control, unknown and byte tokens are never the
// result of joining, unused ones are taken apart again.
#ifndef VERNIER_MODEL_TOKENIZER_SPM_H_
#define VERNIER_MODEL_TOKENIZER_SPM_H_

#include <memory>
#include <optional>

#include "base/result.h"
#include "model/bpe_merge.h"
#include "model/tokenizer.h"
#include "model/vocabulary.h"

namespace vernier {

struct SpmModel {
  // Where encoding puts a space in front: nowhere, at the start of the text and after every special
  // token in it, or at the start only. Decoding takes one leading space away again.
  enum class Prefix { kNone, kEach, kFirst };
  Prefix prefix = Prefix::kEach;
  bool prefix_unless_space = false;  // not where the text begins with a space already
  bool split_words = false;          // never join across the beginning of a word
  bool fuse_unknown = false;         // one unknown token for a run of unknown characters
  std::optional<MergeTable> merges;  // without it joining goes by score
};

// `vocabulary` has its ids built.
std::unique_ptr<Tokenizer> MakeSpm(Vocabulary vocabulary, SpmModel model);

}  // namespace vernier

#endif  // VERNIER_MODEL_TOKENIZER_SPM_H_
