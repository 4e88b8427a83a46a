#include "model/tokenizer_bpe.h"

#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "model/tokenizer_base.h"
#include "model/utf8.h"

namespace vernier {
namespace {

struct ByteAlphabet {
  std::array<uint16_t, 256> code_of{};
  std::array<int16_t, 0x144> byte_of{};  // 0x143 is the last letter
  ByteAlphabet() {
    byte_of.fill(-1);
    uint16_t next = 0x100;
    for (uint16_t byte = 0; byte < 256; ++byte) {
      const bool printable =
          (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte < 0x100 && byte != 0xad);
      const uint16_t code = printable ? byte : next++;
      code_of[byte] = code;
      byte_of[code] = static_cast<int16_t>(byte);
    }
  }
};

const ByteAlphabet& Alphabet() {
  static const ByteAlphabet alphabet;
  return alphabet;
}

class ByteBpeTokenizer : public VocabularyTokenizer {
 public:
  ByteBpeTokenizer(Vocabulary words, ByteBpeModel model)
      : VocabularyTokenizer(std::move(words)), model_(std::move(model)) {
    for (size_t byte = 0; byte < 256; ++byte) {
      std::string letter;
      AppendShortUtf8(Alphabet().code_of[byte], letter);
      byte_ids_[byte] = vocabulary().Id(letter);
    }
  }

 protected:
  Status EncodeStretch(std::string_view text, bool, std::vector<int32_t>* ids) const override {
    std::string spaced;
    if (model_.add_prefix_space && text[0] != ' ') {
      spaced.assign(" ").append(text);
      text = spaced;
    }
    std::vector<TextSpan> pieces;
    RETURN_IF_ERROR(model_.pre.Split(text, &pieces));
    BpeMerger<uint32_t> merger;
    std::string letters;
    for (const TextSpan& span : pieces) {
      const std::string_view piece = text.substr(span.begin, span.end - span.begin);
      if (model_.ignore_merges) {
        letters.clear();
        AppendInByteAlphabet(piece, &letters);
        const int32_t id = vocabulary().Id(letters);
        if (id >= 0 && !vocabulary().IsSpecial(id)) {
          ids->push_back(id);
          continue;
        }
      }
      RETURN_IF_ERROR(EncodePiece(piece, &merger, ids));
    }
    return {};
  }

  void AppendPiece(int32_t id, std::string* out) const override {
    AppendFromByteAlphabet(vocabulary().tokens[static_cast<size_t>(id)].text, out);
  }
  bool StripsSpace(int32_t) const override { return false; }

 private:
  Status EncodePiece(std::string_view piece, BpeMerger<uint32_t>* merger,
                     std::vector<int32_t>* ids) const {
    merger->symbols.clear();
    for (uint32_t i = 0; i < piece.size(); ++i) {
      merger->symbols.push_back({byte_ids_[static_cast<unsigned char>(piece[i])], i, i + 1});
    }
    merger->Run([this](const BpeSymbol& left, const BpeSymbol& right) {
      return model_.merges.Find(left.id, right.id);
    });
    for (const BpeSymbol& symbol : merger->symbols) {
      const int32_t id = symbol.id >= 0 ? symbol.id : vocabulary().unknown;
      if (id < 0) {
        return Fail(
            "{}: the vocabulary has no token for byte 0x{:02x} of the text, nor an unknown token",
            vocabulary().source, static_cast<unsigned char>(piece[symbol.begin]));
      }
      ids->push_back(id);
    }
    return {};
  }

  ByteBpeModel model_;
  std::array<int32_t, 256> byte_ids_{};
};

}  // namespace

std::unique_ptr<Tokenizer> MakeByteBpe(Vocabulary vocabulary, ByteBpeModel model) {
  return std::make_unique<ByteBpeTokenizer>(std::move(vocabulary), std::move(model));
}

void AppendInByteAlphabet(std::string_view bytes, std::string* out) {
  for (const char c : bytes) {
    AppendShortUtf8(Alphabet().code_of[static_cast<unsigned char>(c)], *out);
  }
}

void AppendFromByteAlphabet(std::string_view text, std::string* out) {
  const ByteAlphabet& alphabet = Alphabet();
  const size_t before = out->size();
  for (size_t i = 0; i < text.size();) {
    const size_t length = Utf8Length(text, i);
    const uint32_t code = length == 0 ? UINT32_MAX : Utf8CodePoint(text, i, length);
    if (code >= alphabet.byte_of.size() || alphabet.byte_of[code] < 0) {
      out->resize(before);
      out->append(text);
      return;
    }
    out->push_back(static_cast<char>(alphabet.byte_of[code]));
    i += length;
  }
}

}  // namespace vernier
