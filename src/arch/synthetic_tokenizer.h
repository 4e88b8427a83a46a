// A vocabulary of a model's size and kind, made up: bytes, and pieces spelled from small letters in
// the order of their frequency in English. It encodes every text and joins letters of English
// prose, so texts cost about as many steps as with a trained one; it means nothing.
#ifndef VERNIER_ARCH_SYNTHETIC_TOKENIZER_H_
#define VERNIER_ARCH_SYNTHETIC_TOKENIZER_H_

#include "arch/shapes.h"
#include "model/metadata.h"

namespace vernier {

// The keys tokenizer.ggml.* for `tokens` tokens in all. Ids of SentencePiece: <unk>, <s>, </s>, 256
// bytes, pieces. Of byte-level BPE: 256 bytes, pieces (one merge each), special tokens, [PADn].
void AddSyntheticTokenizer(const VocabularyShape& shape, size_t tokens, Metadata* metadata);

}  // namespace vernier

#endif  // VERNIER_ARCH_SYNTHETIC_TOKENIZER_H_
