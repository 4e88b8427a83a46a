#include "model/vocabulary.h"

#include <array>

#include "model/quote.h"

namespace vernier {
namespace {

// Tokens that end a turn, by the names the model makers gave them (Llama 3, ChatML, Phi, Gemma,
// GPT-2, Granite, DeepSeek). Model files often name only one of them as eos.
constexpr std::array<std::string_view, 12> kEndTexts = {
    "<|eot_id|>",    "<|eom_id|>",    "<|im_end|>",         "<|end|>",
    "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>",    "<EOT>",
    "<|return|>",    "</s>",          "<end_of_utterance>", "<｜end▁of▁sentence｜>"};

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

int32_t Vocabulary::Id(std::string_view text) const {
  const auto it = ids.find(text);
  return it == ids.end() ? -1 : it->second;
}

Status Vocabulary::BuildIds() {
  ids.clear();
  ids.reserve(tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i].text.empty()) continue;
    const auto [it, fresh] = ids.emplace(tokens[i].text, static_cast<int32_t>(i));
    if (!fresh) {
      return Fail("{}: token {} has two ids, {} and {}: expected one", source,
                  Quote(tokens[i].text), it->second, i);
    }
  }
  return {};
}

void Vocabulary::FindEndOfGeneration() {
  if (eos >= 0) end_of_generation.insert(eos);
  for (const std::string_view text : kEndTexts) {
    const int32_t id = Id(text);
    if (id < 0) continue;
    const TokenType type = tokens[static_cast<size_t>(id)].type;
    if (type == TokenType::kControl || type == TokenType::kUserDefined) {
      end_of_generation.insert(id);
    }
  }
}

int ByteOfToken(std::string_view text) {
  if (text.size() != 6 || text.substr(0, 3) != "<0x" || text[5] != '>') return -1;
  const int high = HexDigit(text[3]), low = HexDigit(text[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

SpecialTokens::SpecialTokens(const Vocabulary& vocabulary, bool all) : ids_(1, -1) {
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    const Token& token = vocabulary.tokens[static_cast<size_t>(id)];
    if (token.type == TokenType::kUserDefined || (all && vocabulary.IsSpecial(id))) {
      Insert(token.text, id);
    }
  }
}

void SpecialTokens::Insert(std::string_view text, int32_t id) {
  if (text.empty()) return;
  uint32_t node = 0;
  for (const char c : text) {
    const uint64_t key = uint64_t{node} << 8 | static_cast<unsigned char>(c);
    const auto [it, fresh] = edges_.emplace(key, static_cast<uint32_t>(ids_.size()));
    if (fresh) ids_.push_back(-1);
    node = it->second;
  }
  ids_[node] = id;
  starts_[static_cast<unsigned char>(text[0])] = true;
}

SpecialTokens::Match SpecialTokens::Find(std::string_view text, size_t from) const {
  for (size_t begin = from; begin < text.size(); ++begin) {
    if (!starts_[static_cast<unsigned char>(text[begin])]) continue;
    Match match;
    uint32_t node = 0;
    for (size_t end = begin; end < text.size(); ++end) {
      const uint64_t key = uint64_t{node} << 8 | static_cast<unsigned char>(text[end]);
      const auto it = edges_.find(key);
      if (it == edges_.end()) break;
      node = it->second;
      if (ids_[node] >= 0) match = {begin, end + 1, ids_[node]};
    }
    if (match.id >= 0) return match;
  }
  return {};
}

}  // namespace vernier
