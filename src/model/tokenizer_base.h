// The part of a tokenizer that does not depend on its kind: special tokens found in the text,
// BOS and EOS around it, decoding piece by piece.
#ifndef VERNIER_MODEL_TOKENIZER_BASE_H_
#define VERNIER_MODEL_TOKENIZER_BASE_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/tokenizer.h"
#include "model/vocabulary.h"

namespace vernier {

class VocabularyTokenizer : public Tokenizer {
 public:
  explicit VocabularyTokenizer(Vocabulary vocabulary);

  Result<std::vector<int32_t>> Encode(std::string_view text, EncodeOptions options) const override;
  std::string Decode(std::span<const int32_t> ids, bool special) const override;
  std::string Piece(int32_t id) const override;
  int32_t size() const override { return vocabulary_.size(); }
  int32_t bos() const override { return vocabulary_.bos; }
  int32_t eos() const override { return vocabulary_.eos; }
  bool adds_bos() const override {
    return !vocabulary_.before.empty() && vocabulary_.before.front() == vocabulary_.bos;
  }
  bool is_end_of_generation(int32_t id) const override {
    return vocabulary_.end_of_generation.contains(id);
  }

 protected:
  const Vocabulary& vocabulary() const { return vocabulary_; }
  // Appends the ids of a nonempty stretch of text without special tokens. `first`: it begins the
  // whole text.
  virtual Status EncodeStretch(std::string_view text, bool first,
                               std::vector<int32_t>* ids) const = 0;
  // Appends the bytes of a token that is neither special nor user-defined.
  virtual void AppendPiece(int32_t id, std::string* out) const = 0;
  // Whether a space that the text of this first token begins with was put there by encoding.
  virtual bool StripsSpace(int32_t first) const = 0;

 private:
  Vocabulary vocabulary_;
  SpecialTokens user_defined_, all_special_;
};

}  // namespace vernier

#endif  // VERNIER_MODEL_TOKENIZER_BASE_H_
