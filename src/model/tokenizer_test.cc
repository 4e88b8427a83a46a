// Real vocabularies and models: ids from tests/data, which other programs made.
#include "model/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "base/file.h"
#include "model/checkpoint.h"

namespace vernier {
namespace {

using Ids = std::vector<int32_t>;

std::string Path(const std::string& name) { return std::string(VERNIER_SOURCE_DIR "/") + name; }

std::unique_ptr<Tokenizer> Open(const std::string& name) {
  auto checkpoint = OpenCheckpoint(Path(name));
  EXPECT_TRUE(checkpoint.has_value()) << checkpoint.error().message;
  if (!checkpoint) return nullptr;
  auto tokenizer = MakeTokenizer(*checkpoint);
  EXPECT_TRUE(tokenizer.has_value()) << tokenizer.error().message;
  return tokenizer ? std::move(*tokenizer) : nullptr;
}

std::string VocabPath(const std::string& name) {
  return "tests/data/vocab/ggml-vocab-" + name + ".gguf";
}

std::string Read(const std::string& name) {
  auto text = ReadText(Path(name));
  EXPECT_TRUE(text.has_value()) << text.error().message;
  return text ? *text : "";
}

// The texts of an .inp file: what lies between separators, inner newlines kept.
std::vector<std::string> Texts(const std::string& file) {
  const std::string separator = "\n__ggml_vocab_test__\n";
  std::vector<std::string> texts;
  size_t at = 0;
  for (size_t end; (end = file.find(separator, at)) != std::string::npos;
       at = end + separator.size()) {
    texts.push_back(file.substr(at, end - at));
  }
  if (at < file.size()) texts.push_back(file.substr(at));
  return texts;
}

Ids Encode(const Tokenizer& tokenizer, std::string_view text, bool special = false,
           bool parse = false) {
  auto ids = tokenizer.Encode(text, {.add_special = special, .parse_special = parse});
  EXPECT_TRUE(ids.has_value()) << ids.error().message;
  return ids ? *ids : Ids{};
}

class RealVocabulary : public testing::TestWithParam<const char*> {};

TEST_P(RealVocabulary, GivesTheIdsEveryCorrectTokenizerGives) {
  const std::string path = VocabPath(GetParam());
  const auto tokenizer = Open(path);
  ASSERT_NE(tokenizer, nullptr);
  const std::vector<std::string> texts = Texts(Read(path + ".inp"));
  std::istringstream out(Read(path + ".out"));
  size_t count = 0;
  for (std::string line; std::getline(out, line); ++count) {
    ASSERT_LT(count, texts.size());
    std::istringstream numbers(line);
    Ids expected;
    for (int32_t id; numbers >> id;) expected.push_back(id);
    EXPECT_EQ(Encode(*tokenizer, texts[count]), expected) << "text " << count << texts[count];
    EXPECT_EQ(tokenizer->Decode(expected), texts[count]) << "text " << count;
    Ids with_bos = expected;
    if (tokenizer->adds_bos()) with_bos.insert(with_bos.begin(), tokenizer->bos());
    EXPECT_EQ(Encode(*tokenizer, texts[count], true), with_bos);
    EXPECT_EQ(tokenizer->Decode(with_bos), texts[count]);
  }
  EXPECT_EQ(count, texts.size());
  EXPECT_GE(count, 46u);
}

TEST_P(RealVocabulary, BytesThatAreNoTextComeBack) {
  const auto tokenizer = Open(VocabPath(GetParam()));
  ASSERT_NE(tokenizer, nullptr);
  if (std::string(GetParam()) == "gpt-neox") {  // has no tokens for bytes that UTF-8 has not
    EXPECT_EQ(Encode(*tokenizer, "\xff\xc0"), (Ids{0, 0}));
    EXPECT_EQ(tokenizer->Decode(Encode(*tokenizer, "a\x80 b\xc3")), "a\x80 b\xc3");
    return;
  }
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all.push_back(static_cast<char>(byte));
  for (const std::string& text :
       {all, std::string("\xff\xfe"), std::string("a\x80 b\xc3"), std::string("\xed\xa0\x80x"),
        std::string("caf\xc3 \xe2\x96 x\xf0\x9f\x98"), std::string("\0\0", 2)}) {
    EXPECT_EQ(tokenizer->Decode(Encode(*tokenizer, text)), text);
    EXPECT_EQ(tokenizer->Decode(Encode(*tokenizer, text, true, true)), text);
  }
}

TEST_P(RealVocabulary, EveryIdHasAPiece) {
  const auto tokenizer = Open(VocabPath(GetParam()));
  ASSERT_NE(tokenizer, nullptr);
  for (int32_t id = 0; id < tokenizer->size(); ++id) {
    EXPECT_FALSE(tokenizer->Piece(id).empty()) << id;
  }
  EXPECT_THROW(tokenizer->Piece(tokenizer->size()), Defect);
  EXPECT_THROW(tokenizer->Piece(-1), Defect);
}

// A run of one letter is the worst case of a quadratic merge loop; the limit is 30 times what the
// n log n one takes.
TEST_P(RealVocabulary, LongRunsDoNotHang) {
  const auto tokenizer = Open(VocabPath(GetParam()));
  ASSERT_NE(tokenizer, nullptr);
#if defined(__SANITIZE_ADDRESS__)  // ten times as slow
  constexpr size_t kLength = size_t{1} << 15;
#else
  constexpr size_t kLength = size_t{1} << 18;
#endif
  for (const char* unit : {"a", " ", "\xe4\xbd\xa0", "\xf4"}) {
    std::string text;
    while (text.size() < kLength) text += unit;
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(tokenizer->Decode(Encode(*tokenizer, text)), text);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    EXPECT_LT(taken.count(), 20) << unit;
  }
}

INSTANTIATE_TEST_SUITE_P(Tokenizer, RealVocabulary,
                         testing::Values("gpt-2", "gpt-neox", "llama-bpe", "llama-spm", "qwen2"),
                         [](const auto& suite) {
                           std::string name = suite.param;
                           std::erase(name, '-');
                           return name;
                         });

class TinyModel : public testing::TestWithParam<const char*> {};

TEST_P(TinyModel, GivesTheReferenceIds) {
  const std::string name = GetParam();
  const auto tokenizer = Open("models/" + name);
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(tokenizer->size(), name == "tiny-mamba2" ? 512 : 1024);
  EXPECT_EQ(tokenizer->bos(), 0);
  EXPECT_EQ(tokenizer->eos(), 0);
  EXPECT_TRUE(tokenizer->adds_bos());
  EXPECT_TRUE(tokenizer->is_end_of_generation(0));
  EXPECT_FALSE(tokenizer->is_end_of_generation(1));
  auto prompts = nlohmann::json::parse(Read("tests/data/reference/" + name + ".json"));
  if (name != "tiny-mamba2") {  // llama.cpp's ids
    const auto golden = nlohmann::json::parse(Read("tests/data/golden/" + name + ".json"));
    for (const auto& prompt : golden["types"]["F32"]["prompts"]) prompts.push_back(prompt);
    EXPECT_GE(prompts.size(), 8u);
  }
  for (const auto& prompt : prompts) {
    const std::string text = prompt["prompt"];
    EXPECT_EQ(Encode(*tokenizer, text, true), prompt["ids"].get<Ids>()) << text;
    EXPECT_EQ(tokenizer->Decode(prompt["ids"].get<Ids>()), text);
    EXPECT_EQ(tokenizer->Decode(prompt["ids"].get<Ids>(), true), "<|endoftext|>" + text);
  }
}

INSTANTIATE_TEST_SUITE_P(Tokenizer, TinyModel,
                         testing::Values("tiny-llama", "tiny-qwen2", "tiny-mamba", "tiny-mamba2"),
                         [](const auto& suite) {
                           std::string name = suite.param;
                           std::erase(name, '-');
                           return name;
                         });

TEST(Tokenizer, CorporaComeBack) {
  for (const char* vocabulary : {"gpt-2", "llama-bpe", "llama-spm", "qwen2"}) {
    const auto tokenizer = Open(VocabPath(vocabulary));
    ASSERT_NE(tokenizer, nullptr);
    for (const char* corpus : {"data/shakespeare.txt", "data/gsm8k.txt"}) {
      std::string text = Read(corpus);
#if defined(__SANITIZE_ADDRESS__)
      text.resize(std::min<size_t>(text.size(), 20'000));
#endif
      EXPECT_EQ(tokenizer->Decode(Encode(*tokenizer, text)), text) << vocabulary;
    }
  }
}

TEST(Tokenizer, SpecialTokensOfLlama3) {
  const auto tokenizer = Open(VocabPath("llama-bpe"));
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(tokenizer->bos(), 128000);
  EXPECT_EQ(tokenizer->eos(), 128001);
  EXPECT_TRUE(tokenizer->adds_bos());
  EXPECT_TRUE(tokenizer->is_end_of_generation(128001));
  EXPECT_TRUE(tokenizer->is_end_of_generation(128009));  // <|eot_id|>
  EXPECT_FALSE(tokenizer->is_end_of_generation(128000));
  const std::string text = "Hi<|eot_id|>there";
  const Ids parsed = Encode(*tokenizer, text, false, true), plain = Encode(*tokenizer, text);
  EXPECT_EQ(parsed, (Ids{13347, 128009, 19041}));
  EXPECT_GT(plain.size(), parsed.size());
  EXPECT_EQ(tokenizer->Decode(plain), text);
  EXPECT_EQ(tokenizer->Decode(parsed, true), text);
  EXPECT_EQ(tokenizer->Decode(parsed), "Hithere");
  EXPECT_EQ(tokenizer->Piece(128009), "<|eot_id|>");
}

// The runs of spaces are tokens by themselves, found before the text is cut.
TEST(Tokenizer, SpacesOfGptNeox) {
  const auto tokenizer = Open(VocabPath("gpt-neox"));
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(tokenizer->bos(), 0);
  EXPECT_FALSE(tokenizer->adds_bos());
  for (size_t n = 2; n <= 24; ++n) {
    const Ids ids = Encode(*tokenizer, std::string(n, ' '));
    ASSERT_EQ(ids.size(), 1u) << n;
    EXPECT_EQ(tokenizer->Piece(ids[0]).size(), n);
  }
  EXPECT_EQ(Encode(*tokenizer, "<|endoftext|>", false, true), (Ids{0}));
}

TEST(Tokenizer, SpecialTokensOfQwen2) {
  const auto tokenizer = Open(VocabPath("qwen2"));
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(tokenizer->bos(), 151643);
  EXPECT_FALSE(tokenizer->adds_bos());
  EXPECT_TRUE(tokenizer->is_end_of_generation(151643));
  EXPECT_TRUE(tokenizer->is_end_of_generation(151645));  // <|im_end|>
  EXPECT_EQ(Encode(*tokenizer, "<|im_start|>", true, true), (Ids{151644}));
  // A user-defined token is found in every text.
  EXPECT_EQ(Encode(*tokenizer, "a[PAD151646]"), (Ids{64, 151646}));
}

TEST(Tokenizer, SpecialTokensOfLlama2) {
  const auto tokenizer = Open(VocabPath("llama-spm"));
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(tokenizer->bos(), 1);
  EXPECT_EQ(tokenizer->eos(), 2);
  EXPECT_TRUE(tokenizer->adds_bos());
  EXPECT_EQ(Encode(*tokenizer, "Hello</s>Hello", true, true), (Ids{1, 15043, 2, 15043}));
  // As text it is not the control token.
  const Ids plain = Encode(*tokenizer, "</s>");
  EXPECT_EQ(std::count(plain.begin(), plain.end(), 2), 0);
  EXPECT_EQ(tokenizer->Decode(plain), "</s>");
  EXPECT_EQ(Encode(*tokenizer, "", true), (Ids{1}));
  EXPECT_EQ(tokenizer->Piece(15043), " Hello");
  EXPECT_EQ(tokenizer->Piece(13), "\n");
}

}  // namespace
}  // namespace vernier
