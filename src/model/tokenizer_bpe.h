// Byte-level byte-pair encoding (GPT-2, Llama 3, Qwen): the text is cut into pieces by regular
// expressions, each piece starts as its bytes, and ranked merges join them. Every byte sequence
// has ids, and decoding gives the same bytes back.
#ifndef VERNIER_MODEL_TOKENIZER_BPE_H_
#define VERNIER_MODEL_TOKENIZER_BPE_H_

#include <memory>
#include <string>
#include <string_view>

#include "model/bpe_merge.h"
#include "model/pretokenizer.h"
#include "model/tokenizer.h"
#include "model/vocabulary.h"

namespace vernier {

struct ByteBpeModel {
  MergeTable merges;
  PreTokenizer pre;
  bool ignore_merges = false;     // a piece that is a token becomes it without merging
  bool add_prefix_space = false;  // before a piece of the text that does not begin with a space
};

// `vocabulary` has its ids built; normal tokens are spelt in the byte-level alphabet, others in
// plain text.
std::unique_ptr<Tokenizer> MakeByteBpe(Vocabulary vocabulary, ByteBpeModel model);

// The byte-level alphabet of GPT-2 (bytes_to_unicode in encoder.py of openai/gpt-2): printable
// Latin-1 stands for itself, the other 68 bytes for U+0100 onwards, in order.
void AppendInByteAlphabet(std::string_view bytes, std::string* out);
// Back. A text with a character outside the alphabet is appended as it is.
void AppendFromByteAlphabet(std::string_view text, std::string* out);

}  // namespace vernier

#endif  // VERNIER_MODEL_TOKENIZER_BPE_H_
