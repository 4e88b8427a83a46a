// Cutting a text into the pieces that byte-pair encoding never joins across, by the regular
// expressions a model was trained with. PCRE2 in UTF mode with Unicode classes.
//
// Bytes that are not UTF-8 are no characters: a run of them is a piece of its own, and the text
// before and after is cut as if it ended and began there.
//
// Known limit: PCRE2 takes U+180E (Mongolian vowel separator) for white space, today's Unicode and
// the Oniguruma library the models were trained with do not.
#ifndef VERNIER_MODEL_PRETOKENIZER_H_
#define VERNIER_MODEL_PRETOKENIZER_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace vernier {

struct TextSpan {
  uint32_t begin = 0, end = 0;
};

class PreTokenizer {
 public:
  // What becomes of the text between matches.
  enum class Gaps { kPieces, kDropped };

  PreTokenizer();
  ~PreTokenizer();
  PreTokenizer(PreTokenizer&&) noexcept;
  PreTokenizer& operator=(PreTokenizer&&) noexcept;

  // One more step: every match of `pattern` (a regular expression, or plain text if `literal`) in a
  // piece so far becomes a piece. Error naming `where` when it does not compile.
  Status Add(std::string_view pattern, bool literal, Gaps gaps, std::string_view where);
  // Cuts `text` (below 2^31 bytes) into nonempty pieces, in order. Error when a match needs more
  // than the limits that keep a hostile pattern from running for ever.
  Status Split(std::string_view text, std::vector<TextSpan>* pieces) const;

 private:
  struct Step;
  std::vector<std::unique_ptr<Step>> steps_;
};

// A pre-tokenizer known by name (tokenizer.ggml.pre of GGUF).
struct NamedPreTokenizer {
  std::string_view name;
  std::vector<std::string_view> patterns;  // in order
  bool ignore_merges = false;              // a piece that is a token needs no merges to become it
  bool add_bos = false;                    // where the file does not say
  std::string_view source;                 // of the patterns
};
std::span<const NamedPreTokenizer> NamedPreTokenizers();
const NamedPreTokenizer* FindPreTokenizer(std::string_view name);  // also by alias; null: unknown

// GPT-2's expression, which the ByteLevel pre-tokenizer of tokenizer.json means by use_regex.
extern const std::string_view kGpt2Pattern;

}  // namespace vernier

#endif  // VERNIER_MODEL_PRETOKENIZER_H_
