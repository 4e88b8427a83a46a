// What every tokenizer shares: the tokens with their types, the ids with a meaning, and the search
// for special tokens in a text. Filled from untrusted files: Add and Seal check it.
#ifndef VERNIER_MODEL_VOCABULARY_H_
#define VERNIER_MODEL_VOCABULARY_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/result.h"

namespace vernier {

// The token types of GGUF (tokenizer.ggml.token_type of gguf.md, ggml-org/ggml). Do not change the
// values.
enum class TokenType : uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,      // found in a text only when asked for; gives no text
  kUserDefined = 4,  // found in every text, before anything else is split
  kUnused = 5,
  kByte = 6,  // "<0x41>"
};

struct Token {
  std::string text;  // as the file spells it
  TokenType type = TokenType::kNormal;
  bool strip_left = false, strip_right = false;  // swallows ASCII white space beside it
  float score = 0;                               // SentencePiece; larger merges first
};

struct Vocabulary {
  Vocabulary() = default;
  Vocabulary(Vocabulary&&) = default;  // keeps the views of `ids` valid; a copy would not
  Vocabulary& operator=(Vocabulary&&) = default;

  std::string source;  // named in errors
  std::vector<Token> tokens;
  std::unordered_map<std::string_view, int32_t> ids;  // by text; views into `tokens`
  int32_t bos = -1, eos = -1, unknown = -1;
  std::vector<int32_t> before, after;  // what add_special puts around a text
  std::unordered_set<int32_t> end_of_generation;

  int32_t size() const { return static_cast<int32_t>(tokens.size()); }
  int32_t Id(std::string_view text) const;  // -1 when absent
  bool IsSpecial(int32_t id) const {        // gives no text of its own
    const TokenType type = tokens[static_cast<size_t>(id)].type;
    return type == TokenType::kControl || type == TokenType::kUnknown;
  }
  // Builds `ids` once all tokens are there. Tokens without text get none. Error when two tokens
  // have the same text.
  Status BuildIds();
  // Adds eos and the tokens known by their text to end turns in chat models, when they are control
  // or user-defined tokens.
  void FindEndOfGeneration();
};

// The value of "<0x41>", or -1 when the text is not of that form.
int ByteOfToken(std::string_view text);

// Finds special tokens in a text: at each place the longest one, the leftmost place first (the rule
// of Hugging Face's added tokens). Linear in the text times the longest special token.
class SpecialTokens {
 public:
  struct Match {
    size_t begin = 0, end = 0;
    int32_t id = -1;  // -1: none
  };
  // User-defined tokens, and control and unknown ones too if `all`.
  SpecialTokens(const Vocabulary& vocabulary, bool all);
  Match Find(std::string_view text, size_t from) const;

 private:
  void Insert(std::string_view text, int32_t id);
  std::vector<int32_t> ids_;                      // by node of a trie: the token ending there
  std::unordered_map<uint64_t, uint32_t> edges_;  // node * 256 + byte -> node
  std::vector<bool> starts_ = std::vector<bool>(256);
};

}  // namespace vernier

#endif  // VERNIER_MODEL_VOCABULARY_H_
