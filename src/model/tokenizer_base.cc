#include "model/tokenizer_base.h"

#include <utility>

namespace vernier {
namespace {

constexpr std::string_view kSpaces = " \t\n\v\f\r";

}  // namespace

VocabularyTokenizer::VocabularyTokenizer(Vocabulary vocabulary)
    : vocabulary_(std::move(vocabulary)),
      user_defined_(vocabulary_, false),
      all_special_(vocabulary_, true) {}

Result<std::vector<int32_t>> VocabularyTokenizer::Encode(std::string_view text,
                                                         EncodeOptions options) const {
  constexpr size_t kLongest = size_t{1} << 30;  // offsets have 32 bits, and a space may take three
  if (text.size() > kLongest / 4) {
    return Fail("text of {} bytes: expected at most {} to tokenize", text.size(), kLongest / 4);
  }
  std::vector<int32_t> ids;
  if (options.add_special) ids = vocabulary_.before;
  const SpecialTokens& specials = options.parse_special ? all_special_ : user_defined_;
  for (size_t at = 0; at < text.size();) {
    const SpecialTokens::Match match = specials.Find(text, at);
    const size_t stop = match.id < 0 ? text.size() : match.begin;
    std::string_view stretch = text.substr(at, stop - at);
    if (match.id >= 0 && vocabulary_.tokens[static_cast<size_t>(match.id)].strip_left) {
      stretch = stretch.substr(0, stretch.find_last_not_of(kSpaces) + 1);  // npos + 1 is 0
    }
    if (!stretch.empty()) RETURN_IF_ERROR(EncodeStretch(stretch, at == 0, &ids));
    if (match.id < 0) break;
    ids.push_back(match.id);
    at = match.end;
    if (vocabulary_.tokens[static_cast<size_t>(match.id)].strip_right) {
      at = std::min(text.find_first_not_of(kSpaces, at), text.size());
    }
  }
  if (options.add_special) {
    ids.insert(ids.end(), vocabulary_.after.begin(), vocabulary_.after.end());
  }
  return ids;
}

std::string VocabularyTokenizer::Decode(std::span<const int32_t> ids, bool special) const {
  std::string text;
  bool first = true;
  for (const int32_t id : ids) {
    CHECK(id >= 0 && id < size());
    const Token& token = vocabulary_.tokens[static_cast<size_t>(id)];
    if (vocabulary_.IsSpecial(id) || token.type == TokenType::kUnused) {
      if (special) text += token.text;
      continue;
    }
    const size_t before = text.size();
    if (token.type == TokenType::kUserDefined) {
      text += token.text;
    } else {
      AppendPiece(id, &text);
      if (first && text.size() > before && text[before] == ' ' && StripsSpace(id)) {
        text.erase(before, 1);
      }
    }
    first = false;
  }
  return text;
}

std::string VocabularyTokenizer::Piece(int32_t id) const {
  CHECK(id >= 0 && id < size());
  const Token& token = vocabulary_.tokens[static_cast<size_t>(id)];
  if (token.type != TokenType::kNormal && token.type != TokenType::kByte) return token.text;
  std::string piece;
  AppendPiece(id, &piece);
  return piece;
}

}  // namespace vernier
