// Small vocabularies in GGUF metadata: rules about special ids, and what corrupted ones give.
#include "model/tokenizer_gguf.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <random>

#include "model/tokenizer_bpe.h"

namespace vernier {
namespace {

using Ids = std::vector<int32_t>;

constexpr const char* kPrefix = "tokenizer.ggml.";
std::string Key(const std::string& name) { return kPrefix + name; }

// All 256 bytes, three merges, and a control token 259 "<|end|>".
Metadata ByteMetadata() {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    tokens.emplace_back();
    AppendInByteAlphabet({&c, 1}, &tokens.back());
  }
  tokens.insert(tokens.end(), {"ab", "abc", "<user>", "<|end|>"});
  std::vector<int32_t> types(tokens.size(), 1);
  types[258] = 4;
  types[259] = 3;
  Metadata metadata;
  metadata.source = "m.gguf";
  metadata.Set(Key("model"), MetaString("gpt2"));
  metadata.Set(Key("pre"), MetaString("gpt-2"));
  metadata.Set(Key("tokens"), MetaStrings(tokens));
  metadata.Set(Key("token_type"), MetaInt32s(types));
  metadata.Set(Key("merges"), MetaStrings({"a b", "ab c"}));
  metadata.Set(Key("bos_token_id"), MetaUint32(259));
  metadata.Set(Key("eos_token_id"), MetaUint32(259));
  return metadata;
}

// <unk>, <s>, </s>, two byte tokens and a few pieces; "ab" is unused.
Metadata LlamaMetadata() {
  Metadata metadata;
  metadata.source = "m.gguf";
  metadata.Set(Key("model"), MetaString("llama"));
  metadata.Set(Key("tokens"), MetaStrings({"<unk>", "<s>", "</s>", "<0x41>", "<0x0A>", "▁", "a",
                                           "b", "c", "ab", "abc", "▁a"}));
  metadata.Set(Key("token_type"), MetaInt32s({2, 3, 3, 6, 6, 1, 1, 1, 1, 5, 1, 1}));
  metadata.Set(Key("scores"), MetaFloat32s({0, 0, 0, 0, 0, -9, -9, -9, -9, -1, -2, -3}));
  return metadata;
}

std::unique_ptr<Tokenizer> Make(const Metadata& metadata) {
  auto tokenizer = MakeGgufTokenizer(metadata);
  EXPECT_TRUE(tokenizer.has_value()) << tokenizer.error().message;
  return tokenizer ? std::move(*tokenizer) : nullptr;
}

std::string Message(const Metadata& metadata) {
  auto tokenizer = MakeGgufTokenizer(metadata);
  return tokenizer ? "" : tokenizer.error().message;
}

TEST(GgufTokenizer, ByteLevel) {
  const auto tokenizer = Make(ByteMetadata());
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(*tokenizer->Encode("abcab", {}), (Ids{257, 256}));
  EXPECT_EQ(*tokenizer->Encode("ab<user>c", {}), (Ids{256, 258, 'c'}));
  EXPECT_EQ(*tokenizer->Encode("<|end|>", {.parse_special = true}), (Ids{259}));
  EXPECT_EQ(tokenizer->Encode("<|end|>", {})->size(), 7u);
  EXPECT_FALSE(tokenizer->adds_bos());
  EXPECT_TRUE(tokenizer->is_end_of_generation(259));
}

TEST(GgufTokenizer, ScoresUnusedTokensAndBytes) {
  const auto tokenizer = Make(LlamaMetadata());
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(tokenizer->bos(), 1);  // the usual ids, which the types confirm
  EXPECT_EQ(tokenizer->eos(), 2);
  EXPECT_EQ(*tokenizer->Encode("bc", {}), (Ids{1, 5, 7, 8}));
  EXPECT_EQ(*tokenizer->Encode("abc", {.add_special = false}), (Ids{5, 10}));
  // "ab" is joined first, being the best, and taken apart at the end, being unused.
  EXPECT_EQ(*tokenizer->Encode("bab", {.add_special = false}), (Ids{5, 7, 6, 7}));
  EXPECT_EQ(*tokenizer->Encode("A\n", {.add_special = false}), (Ids{5, 3, 4}));
  EXPECT_EQ(*tokenizer->Encode("xé", {.add_special = false}), (Ids{5, 0, 0}));
  EXPECT_EQ(tokenizer->Decode(Ids{1, 5, 10, 11, 4}), "abc a\n");
  EXPECT_EQ(tokenizer->Decode(Ids{11, 11}), "a a");
  EXPECT_EQ(*tokenizer->Encode("", {}), (Ids{1}));
}

TEST(GgufTokenizer, SpacePrefix) {
  Metadata metadata = LlamaMetadata();
  metadata.Set(Key("add_space_prefix"), MetaBool(false));
  const auto tokenizer = Make(metadata);
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(*tokenizer->Encode("abc", {.add_special = false}), (Ids{10}));
  EXPECT_EQ(*tokenizer->Encode(" a", {.add_special = false}), (Ids{11}));
  EXPECT_EQ(tokenizer->Decode(Ids{11}), " a");
}

TEST(GgufTokenizer, BosAndEosAsTheFileSays) {
  for (const bool bos : {false, true}) {
    for (const bool eos : {false, true}) {
      for (Metadata metadata : {ByteMetadata(), LlamaMetadata()}) {
        metadata.Set(Key("add_bos_token"), MetaBool(bos));
        metadata.Set(Key("add_eos_token"), MetaBool(eos));
        const auto tokenizer = Make(metadata);
        ASSERT_NE(tokenizer, nullptr);
        EXPECT_EQ(tokenizer->adds_bos(), bos);
        Ids expected = *tokenizer->Encode("b", {.add_special = false});
        if (bos) expected.insert(expected.begin(), tokenizer->bos());
        if (eos) expected.push_back(tokenizer->eos());
        EXPECT_EQ(*tokenizer->Encode("b", {}), expected);
      }
    }
  }
  Metadata llama3 = ByteMetadata();
  llama3.Set(Key("pre"), MetaString("llama-bpe"));
  EXPECT_TRUE(Make(llama3)->adds_bos());
}

struct Corruption {
  const char* key;
  MetaValue value;
  const char* message;  // part of it; "" for a tokenizer that is made all the same
};

TEST(GgufTokenizer, CorruptedByteLevelVocabularies) {
  const std::vector<Corruption> all = {
      {"model", MetaString("bert"), "'tokenizer.ggml.model': expected 'gpt2' or 'llama', found"},
      {"model", MetaUint32(1), "tokenizer.ggml.model"},
      {"pre", MetaString("nonsense"), "unknown pre-tokenizer 'nonsense'; known are gpt-2"},
      {"tokens", MetaStrings({}), "expected 1 to"},
      {"tokens", MetaStrings({"a", "b"}), "'tokenizer.ggml.token_type': expected 2 values"},
      {"tokens", MetaFloat32s({1}), "tokenizer.ggml.tokens"},
      {"tokens", MetaString("a"), "tokenizer.ggml.tokens"},
      {"token_type", MetaInt32s({1}), "expected 260 values, one for each token, found 1"},
      {"token_type", MetaInt32s(std::vector<int32_t>(260, 7)), "expected token types from 1 to 6"},
      {"token_type", MetaInt32s(std::vector<int32_t>(260, -1)), "expected token types from 1 to 6"},
      {"token_type", MetaStrings({"a"}), "tokenizer.ggml.token_type"},
      {"merges", MetaStrings({"a b", "a q"}), "merges[1]: expected tokens of the vocabulary"},
      {"merges", MetaStrings({"ab"}), "merges[0]: expected two tokens"},
      {"merges", MetaUint32(0), "tokenizer.ggml.merges"},
      {"bos_token_id", MetaUint32(260), "tokenizer.ggml.bos_token_id"},
      {"eos_token_id", MetaUint32(UINT32_MAX), "tokenizer.ggml.eos_token_id"},
      {"eot_token_id", MetaUint32(260), "tokenizer.ggml.eot_token_id"},
      {"unknown_token_id", MetaString("x"), "tokenizer.ggml.unknown_token_id"},
      {"add_bos_token", MetaUint32(1), "tokenizer.ggml.add_bos_token"},
      {"scores", MetaStrings({"unused by gpt2"}), ""},
      {"merges", MetaStrings({}), ""},
  };
  for (const Corruption& corruption : all) {
    Metadata metadata = ByteMetadata();
    metadata.Set(Key(corruption.key), corruption.value);
    const std::string message = Message(metadata);
    EXPECT_NE(message.find(corruption.message), std::string::npos)
        << corruption.key << ": " << message;
    EXPECT_EQ(message.empty(), std::string(corruption.message).empty()) << message;
    EXPECT_TRUE(message.empty() || message.starts_with("m.gguf: ")) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos);
  }
}

TEST(GgufTokenizer, CorruptedLlamaVocabularies) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<Corruption> all = {
      {"scores", MetaFloat32s({1, 2}), "'tokenizer.ggml.scores': expected 12 values"},
      {"scores", MetaFloat32s(std::vector<float>(12, nan)), "tokenizer.ggml.scores"},
      {"scores", MetaString("x"), "tokenizer.ggml.scores"},
      {"token_type", MetaInt32s(std::vector<int32_t>(12, 6)), "expected byte tokens like '<0x41>'"},
      {"bos_token_id", MetaUint32(12), "tokenizer.ggml.bos_token_id"},
  };
  for (const Corruption& corruption : all) {
    Metadata metadata = LlamaMetadata();
    metadata.Set(Key(corruption.key), corruption.value);
    const std::string message = Message(metadata);
    EXPECT_NE(message.find(corruption.message), std::string::npos) << message;
    EXPECT_FALSE(message.empty()) << corruption.key;
  }
}

TEST(GgufTokenizer, MissingKeysAreNamed) {
  const auto without = [](Metadata metadata, const std::string& name) {
    std::erase_if(metadata.entries, [&](const auto& entry) { return entry.first == Key(name); });
    return Message(metadata);
  };
  for (const char* key : {"model", "tokens", "merges"}) {
    EXPECT_NE(without(ByteMetadata(), key).find(Key(key)), std::string::npos) << key;
  }
  EXPECT_NE(without(LlamaMetadata(), "scores").find(Key("scores")), std::string::npos);
  EXPECT_EQ(without(ByteMetadata(), "token_type"), "");
  EXPECT_EQ(without(ByteMetadata(), "pre"), "");
  Metadata no_bos = ByteMetadata();
  std::erase_if(no_bos.entries, [](const auto& e) { return e.first == Key("bos_token_id"); });
  no_bos.Set(Key("add_bos_token"), MetaBool(true));
  EXPECT_EQ(Message(no_bos),
            "m.gguf: key 'tokenizer.ggml.add_bos_token' is true: expected a key "
            "'tokenizer.ggml.bos_token_id'");
}

TEST(GgufTokenizer, WithoutTypesBosAndEosAreSpecial) {
  Metadata metadata = ByteMetadata();
  std::erase_if(metadata.entries, [](const auto& e) { return e.first == Key("token_type"); });
  const auto tokenizer = Make(metadata);
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(tokenizer->Decode(Ids{259, 257}), "abc");
  EXPECT_EQ(tokenizer->Decode(Ids{259, 257}, true), "<|end|>abc");
}

TEST(GgufTokenizer, AByteWithoutTokenIsNamed) {
  Metadata metadata = ByteMetadata();
  metadata.Set(Key("tokens"), MetaStrings({"a", "b", "ab"}));
  metadata.Set(Key("token_type"), MetaInt32s({1, 1, 1}));
  metadata.Set(Key("merges"), MetaStrings({"a b"}));
  metadata.Set(Key("bos_token_id"), MetaUint32(0));
  metadata.Set(Key("eos_token_id"), MetaUint32(0));
  const auto tokenizer = Make(metadata);
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(*tokenizer->Encode("abba", {}), (Ids{2, 1, 0}));
  const auto ids = tokenizer->Encode("abc", {});
  ASSERT_FALSE(ids.has_value());
  EXPECT_NE(ids.error().message.find("no token for byte 0x63"), std::string::npos);
}

// Any change of one element gives an error or a tokenizer that keeps its promises.
TEST(GgufTokenizer, RandomlyDamagedVocabularies) {
  std::mt19937 random(7);
  int made = 0;
  for (int round = 0; round < 400; ++round) {
    Metadata metadata = round % 2 == 0 ? ByteMetadata() : LlamaMetadata();
    for (size_t changes = 1 + random() % 3; changes > 0; --changes) {
      MetaValue& value = metadata.entries[random() % metadata.entries.size()].second;
      auto* array = std::get_if<MetaArray>(&value.value);
      MetaValue& hit = array == nullptr || array->values.empty()
                           ? value
                           : array->values[random() % array->values.size()];
      if (auto* text = std::get_if<std::string>(&hit.value)) {
        if (text->empty() || random() % 4 == 0) {
          text->clear();
        } else {
          (*text)[random() % text->size()] = static_cast<char>(random() % 256);
        }
      } else if (auto* number = std::get_if<int64_t>(&hit.value)) {
        *number = static_cast<int64_t>(random() % 9) - 1;
      } else if (auto* count = std::get_if<uint64_t>(&hit.value)) {
        *count = random() % 300;
      } else if (auto* score = std::get_if<double>(&hit.value)) {
        *score = random() % 5;
      }
    }
    auto tokenizer = MakeGgufTokenizer(metadata);
    if (!tokenizer) continue;
    ++made;
    for (const bool parse : {false, true}) {
      const auto ids = (*tokenizer)->Encode("abc <|end|> a\xff\n<user>ab</s>", {true, parse});
      if (!ids) continue;
      for (const int32_t id : *ids) ASSERT_TRUE(id >= 0 && id < (*tokenizer)->size());
      (*tokenizer)->Decode(*ids, parse);
    }
  }
  EXPECT_GT(made, 50);
}

}  // namespace
}  // namespace vernier
