#include "arch/synthetic_tokenizer.h"

#include <algorithm>
#include <string_view>

#include "model/vocabulary.h"

namespace vernier {
namespace {

constexpr std::string_view kLetters = "etaoinshrdlcumwfgypbvkjxqz";
constexpr std::string_view kSpmSpace = "\xe2\x96\x81";  // U+2581
constexpr std::string_view kBpeSpace = "\xc4\xa0";      // U+0120, the space in byte-level BPE

// A piece of two characters or more: one more letter after a shorter piece.
struct Piece {
  std::string text;
  std::string_view last;
};

// `count` pieces, all of one length before those of the next; a space stands in front only.
std::vector<Piece> MakePieces(size_t count, std::string_view space) {
  std::vector<Piece> pieces;
  pieces.reserve(count);
  std::vector<std::string> stems = {std::string(space)};
  for (const char c : kLetters) stems.emplace_back(1, c);
  while (pieces.size() < count) {
    std::vector<std::string> longer;
    for (const std::string& stem : stems)
      for (size_t i = 0; i < kLetters.size() && pieces.size() < count; ++i) {
        pieces.push_back({stem + kLetters[i], kLetters.substr(i, 1)});
        longer.push_back(pieces.back().text);
      }
    stems = std::move(longer);
  }
  return pieces;
}

struct Tokens {
  std::vector<std::string> texts;
  std::vector<int32_t> types;
  void Add(std::string text, TokenType type) {
    texts.push_back(std::move(text));
    types.push_back(static_cast<int32_t>(type));
  }
  void AddBytes() {
    for (int byte = 0; byte < 256; ++byte) Add(fmt::format("<0x{:02X}>", byte), TokenType::kByte);
  }
};

// The character that stands for a byte: itself where it is printable, else one from U+0100 on
// (bytes_to_unicode of openai/gpt-2).
std::vector<std::string> ByteCharacters() {
  std::vector<std::string> out;
  int next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte != 0xad);
    const int code = printable ? byte : next++;
    if (code < 0x80)
      out.emplace_back(1, static_cast<char>(code));
    else
      out.push_back({static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 0x3f))});
  }
  return out;
}

void AddSentencePiece(size_t count, Tokens* tokens, Metadata* metadata) {
  tokens->Add("<unk>", TokenType::kUnknown);
  tokens->Add("<s>", TokenType::kControl);
  tokens->Add("</s>", TokenType::kControl);
  tokens->AddBytes();
  std::vector<float> scores(tokens->texts.size(), 0);
  tokens->Add(std::string(kSpmSpace), TokenType::kNormal);
  for (char c = '!'; c <= '~'; ++c) tokens->Add(std::string(1, c), TokenType::kNormal);
  for (Piece& piece : MakePieces(count - tokens->texts.size(), kSpmSpace))
    tokens->Add(std::move(piece.text), TokenType::kNormal);
  for (size_t i = scores.size(); i < count; ++i) scores.push_back(-static_cast<float>(i));
  metadata->Set("tokenizer.ggml.scores", MetaFloat32s(scores));
}

void AddByteLevel(const VocabularyShape& shape, size_t count, Tokens* tokens, Metadata* metadata) {
  for (std::string& c : ByteCharacters()) tokens->Add(std::move(c), TokenType::kNormal);
  std::vector<std::string> merges;
  for (Piece& piece : MakePieces(shape.pieces - tokens->texts.size(), kBpeSpace)) {
    const std::string_view text = piece.text;
    merges.push_back(
        fmt::format("{} {}", text.substr(0, text.size() - piece.last.size()), piece.last));
    tokens->Add(std::move(piece.text), TokenType::kNormal);
  }
  for (const char* name : shape.special) tokens->Add(name, TokenType::kControl);
  while (tokens->texts.size() < count)
    tokens->Add(fmt::format("[PAD{}]", tokens->texts.size()), TokenType::kUnused);
  metadata->Set("tokenizer.ggml.merges", MetaStrings(merges));
}

}  // namespace

void AddSyntheticTokenizer(const VocabularyShape& shape, size_t count, Metadata* metadata) {
  const bool spm = shape.kind == TokenizerKind::kSentencePiece;
  Tokens tokens;
  Metadata extra;  // the arrays that go after the tokens
  if (spm)
    AddSentencePiece(count, &tokens, &extra);
  else
    AddByteLevel(shape, count, &tokens, &extra);
  CHECK(tokens.texts.size() == count);
  metadata->Set("tokenizer.ggml.model", MetaString(spm ? "llama" : "gpt2"));
  metadata->Set("tokenizer.ggml.pre", MetaString(shape.pre));
  metadata->Set("tokenizer.ggml.tokens", MetaStrings(tokens.texts));
  metadata->Set("tokenizer.ggml.token_type", MetaInt32s(tokens.types));
  for (auto& [key, value] : extra.entries) metadata->Set(key, std::move(value));
  const auto set_id = [&](const char* key, const char* text) {
    if (text == nullptr) return;
    const auto at = std::find(tokens.texts.begin(), tokens.texts.end(), text);
    CHECK(at != tokens.texts.end());
    metadata->Set(key, MetaUint32(static_cast<uint32_t>(at - tokens.texts.begin())));
  };
  set_id("tokenizer.ggml.bos_token_id", shape.bos);
  set_id("tokenizer.ggml.eos_token_id", shape.eos);
  if (spm) metadata->Set("tokenizer.ggml.unknown_token_id", MetaUint32(0));
  metadata->Set("tokenizer.ggml.add_bos_token", MetaBool(shape.adds_bos));
  metadata->Set("tokenizer.ggml.add_eos_token", MetaBool(false));
}

}  // namespace vernier
