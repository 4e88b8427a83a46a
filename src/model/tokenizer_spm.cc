#include "model/tokenizer_spm.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "model/tokenizer_base.h"
#include "model/utf8.h"

namespace vernier {
namespace {

constexpr std::string_view kSpace = "\xe2\x96\x81";  // U+2581

std::string EscapeSpaces(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 2);
  for (const char c : text) {
    if (c == ' ') {
      out += kSpace;
    } else {
      out.push_back(c);
    }
  }
  return out;
}

class SpmTokenizer : public VocabularyTokenizer {
 public:
  SpmTokenizer(Vocabulary words, SpmModel model)
      : VocabularyTokenizer(std::move(words)), model_(std::move(model)) {
    byte_ids_.fill(-1);
    for (int32_t id = 0; id < size(); ++id) {
      const Token& token = TokenOf(id);
      longest_ = std::max(longest_, token.text.size());
      has_unused_ = has_unused_ || token.type == TokenType::kUnused;
      if (token.type != TokenType::kByte) continue;
      const int byte = ByteOfToken(token.text);
      if (byte >= 0) byte_ids_[static_cast<size_t>(byte)] = id;
    }
  }

 protected:
  Status EncodeStretch(std::string_view text, bool first,
                       std::vector<int32_t>* ids) const override {
    std::string escaped = EscapeSpaces(text);
    const bool prefixed = model_.prefix == SpmModel::Prefix::kEach ||
                          (model_.prefix == SpmModel::Prefix::kFirst && first);
    if (prefixed && !(model_.prefix_unless_space && escaped.starts_with(kSpace))) {
      escaped.insert(0, kSpace);
    }
    if (!model_.split_words) return EncodeWord(escaped, ids);
    const std::string_view all = escaped;
    for (size_t at = 0; at < all.size();) {
      const size_t end = std::min(all.find(kSpace, at + 1), all.size());
      RETURN_IF_ERROR(EncodeWord(all.substr(at, end - at), ids));
      at = end;
    }
    return {};
  }

  void AppendPiece(int32_t id, std::string* out) const override {
    const Token& token = TokenOf(id);
    if (token.type == TokenType::kByte && ByteOfToken(token.text) >= 0) {
      out->push_back(static_cast<char>(ByteOfToken(token.text)));
      return;
    }
    const std::string_view text = token.text;
    for (size_t at = 0; at < text.size();) {
      const size_t space = std::min(text.find(kSpace, at), text.size());
      out->append(text, at, space - at);
      if (space < text.size()) out->push_back(' ');
      at = space + kSpace.size();
    }
  }

  bool StripsSpace(int32_t first) const override {
    return model_.prefix != SpmModel::Prefix::kNone && TokenOf(first).type == TokenType::kNormal;
  }

 private:
  // What an unused token was joined from, to take it apart again.
  using Origins = std::unordered_map<int32_t, uint32_t>;  // id -> bytes of the left part

  const Token& TokenOf(int32_t id) const { return vocabulary().tokens[static_cast<size_t>(id)]; }
  // The token of a text that joining may produce, or -1.
  int32_t Joinable(std::string_view text) const {
    if (text.size() > longest_) return -1;
    const int32_t id = vocabulary().Id(text);
    if (id < 0) return -1;
    const TokenType type = TokenOf(id).type;
    const bool usable =
        type == TokenType::kNormal || type == TokenType::kUserDefined || type == TokenType::kUnused;
    return usable ? id : -1;
  }

  Status EncodeWord(std::string_view text, std::vector<int32_t>* ids) const {
    Origins origins;
    bool was_unknown = false;
    const auto emit = [&](const BpeSymbol& symbol) -> Status {
      if (symbol.id >= 0 && origins.empty()) {
        ids->push_back(symbol.id);
        was_unknown = false;
        return {};
      }
      return Emit(text, symbol, origins, &was_unknown, ids);
    };
    if (model_.merges) {
      BpeMerger<uint32_t> merger;
      Start(text, &merger.symbols);
      merger.Run([this](const BpeSymbol& left, const BpeSymbol& right) {
        return model_.merges->Find(left.id, right.id);
      });
      for (const BpeSymbol& symbol : merger.symbols) RETURN_IF_ERROR(emit(symbol));
      return {};
    }
    BpeMerger<float> merger;
    Start(text, &merger.symbols);
    merger.Run([&](const BpeSymbol& left, const BpeSymbol& right) -> std::optional<BpeJoin<float>> {
      const int32_t id = Joinable(text.substr(left.begin, right.end - left.begin));
      if (id < 0) return std::nullopt;
      if (has_unused_ && TokenOf(id).type == TokenType::kUnused) {
        origins.try_emplace(id, left.end - left.begin);
      }
      return BpeJoin<float>{-TokenOf(id).score, id};
    });
    for (const BpeSymbol& symbol : merger.symbols) RETURN_IF_ERROR(emit(symbol));
    return {};
  }

  void Start(std::string_view text, std::vector<BpeSymbol>* symbols) const {
    for (uint32_t i = 0; i < text.size();) {
      const uint32_t length = std::max<uint32_t>(static_cast<uint32_t>(Utf8Length(text, i)), 1);
      symbols->push_back({Joinable(text.substr(i, length)), i, i + length});
      i += length;
    }
  }

  // Appends the ids of a symbol: its token, the tokens an unused one came from, or its bytes.
  Status Emit(std::string_view text, const BpeSymbol& whole, const Origins& origins,
              bool* was_unknown, std::vector<int32_t>* ids) const {
    std::vector<BpeSymbol> left = {whole};
    while (!left.empty()) {
      const BpeSymbol symbol = left.back();
      left.pop_back();
      const auto origin = symbol.id < 0 ? origins.end() : origins.find(symbol.id);
      if (origin != origins.end()) {
        const uint32_t middle = symbol.begin + origin->second;
        left.push_back({Joinable(text.substr(middle, symbol.end - middle)), middle, symbol.end});
        left.push_back({Joinable(text.substr(symbol.begin, origin->second)), symbol.begin, middle});
      } else if (symbol.id >= 0) {
        ids->push_back(symbol.id);
        *was_unknown = false;
      } else {
        RETURN_IF_ERROR(
            EmitBytes(text.substr(symbol.begin, symbol.end - symbol.begin), was_unknown, ids));
      }
    }
    return {};
  }

  Status EmitBytes(std::string_view bytes, bool* was_unknown, std::vector<int32_t>* ids) const {
    const auto id_of = [this](char c) { return byte_ids_[static_cast<unsigned char>(c)]; };
    if (std::all_of(bytes.begin(), bytes.end(), [&](char c) { return id_of(c) >= 0; })) {
      for (const char c : bytes) ids->push_back(id_of(c));
      *was_unknown = false;
      return {};
    }
    if (vocabulary().unknown < 0) {
      return Fail("{}: the vocabulary has no tokens for bytes like 0x{:02x}, nor an unknown token",
                  vocabulary().source, static_cast<unsigned char>(bytes[0]));
    }
    if (!*was_unknown || !model_.fuse_unknown) ids->push_back(vocabulary().unknown);
    *was_unknown = true;
    return {};
  }

  SpmModel model_;
  std::array<int32_t, 256> byte_ids_{};
  size_t longest_ = 0;  // bytes of the longest token: no longer text needs looking up
  bool has_unused_ = false;
};

}  // namespace

std::unique_ptr<Tokenizer> MakeSpm(Vocabulary vocabulary, SpmModel model) {
  return std::make_unique<SpmTokenizer>(std::move(vocabulary), std::move(model));
}

}  // namespace vernier
