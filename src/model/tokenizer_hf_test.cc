// tokenizer.json: the same ids as the GGUF of the same model, the rules about BOS, and what is
// refused.
#include "model/tokenizer_hf.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/file.h"
#include "model/checkpoint.h"
#include "model/pretokenizer.h"

namespace vernier {
namespace {

using Ids = std::vector<int32_t>;
using Json = nlohmann::json;

std::string Path(const std::string& name) { return std::string(VERNIER_SOURCE_DIR "/") + name; }

Json Template(const std::string& name, int32_t id) {
  return {{"type", "TemplateProcessing"},
          {"single",
           {{{"SpecialToken", {{"id", name}, {"type_id", 0}}}},
            {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}},
          {"special_tokens", {{name, {{"id", name}, {"ids", {id}}, {"tokens", {name}}}}}}};
}

Json ByteLevel(bool use_regex) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", use_regex}};
}

Json SplitBy(std::string_view pattern) {
  return {{"type", "Sequence"},
          {"pretokenizers",
           {{{"type", "Split"},
             {"pattern", {{"Regex", pattern}}},
             {"behavior", "Isolated"},
             {"invert", false}},
            ByteLevel(false)}}};
}

// Merges of a SentencePiece vocabulary: every way to cut a token into two tokens, best score first.
Json MergesByScore(const std::vector<std::string>& tokens, const std::vector<double>& scores,
                   const std::vector<int64_t>& types) {
  std::unordered_map<std::string, size_t> ids;
  for (size_t i = 0; i < tokens.size(); ++i) ids.emplace(tokens[i], i);
  struct Merge {
    double score;
    std::string left, right;
  };
  std::vector<Merge> merges;
  for (size_t i = 0; i < tokens.size(); ++i) {
    for (size_t cut = 1; types[i] == 1 && cut < tokens[i].size(); ++cut) {
      const std::string left = tokens[i].substr(0, cut), right = tokens[i].substr(cut);
      if (ids.contains(left) && ids.contains(right)) merges.push_back({scores[i], left, right});
    }
  }
  std::stable_sort(merges.begin(), merges.end(),
                   [](const Merge& a, const Merge& b) { return a.score > b.score; });
  Json list = Json::array();
  for (const Merge& merge : merges) list.push_back(merge.left + " " + merge.right);
  return list;
}

// A tokenizer.json in the way its makers write it, from a GGUF vocabulary.
Json ToJson(const std::string& name, const Metadata& metadata) {
  const auto tokens = *metadata.Strings("tokenizer.ggml.tokens");
  const auto types = *metadata.Ints("tokenizer.ggml.token_type");
  Json vocab = Json::object(), added = Json::array();
  for (size_t i = 0; i < tokens.size(); ++i) {
    const bool special = types[i] == 2 || types[i] == 3;
    if (types[i] == 1 || types[i] == 6) vocab[tokens[i]] = i;
    if (special) added.push_back({{"id", i}, {"content", tokens[i]}, {"special", true}});
    if (types[i] == 4 && name == "gpt-neox")  // runs of spaces
      added.push_back(
          {{"id", i}, {"content", tokens[i]}, {"special", false}, {"normalized", true}});
  }
  Json root = {{"added_tokens", added},
               {"normalizer", nullptr},
               {"post_processor", ByteLevel(false)},
               {"model", {{"type", "BPE"}, {"vocab", vocab}}}};
  Json& model = root["model"];
  if (name == "llama-spm") {
    model["byte_fallback"] = true;
    model["fuse_unk"] = true;
    model["unk_token"] = "<unk>";
    model["merges"] = MergesByScore(tokens, *metadata.Floats("tokenizer.ggml.scores"), types);
    root["normalizer"] = {
        {"type", "Sequence"},
        {"normalizers",
         {{{"type", "Prepend"}, {"prepend", "▁"}},
          {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "▁"}}}}};
    root["post_processor"] = Template("<s>", 1);
    return root;
  }
  Json merges = Json::array();
  const auto pairs = *metadata.Strings("tokenizer.ggml.merges");
  for (const std::string& merge : pairs) {
    if (name == "llama-bpe") {
      const size_t space = merge.find(' ');
      merges.push_back({merge.substr(0, space), merge.substr(space + 1)});
    } else {
      merges.push_back(merge);
    }
  }
  model["merges"] = std::move(merges);
  root["pre_tokenizer"] =
      name.starts_with("gpt-") ? ByteLevel(true) : SplitBy(FindPreTokenizer(name)->patterns[0]);
  if (name == "qwen2" || name == "gpt-neox") root["normalizer"] = {{"type", "NFC"}};
  if (name == "llama-bpe") {
    model["ignore_merges"] = true;
    root["post_processor"] = {
        {"type", "Sequence"},
        {"processors", {ByteLevel(true), Template("<|begin_of_text|>", 128000)}}};
  }
  return root;
}

Result<std::unique_ptr<Tokenizer>> MakeFrom(const Json& tokenizer,
                                            const Json& config = Json::object(),
                                            const std::string& tokenizer_config = "") {
  return MakeHfTokenizer({.folder = "folder",
                          .tokenizer = tokenizer.dump(),
                          .config = config.dump(),
                          .tokenizer_config = tokenizer_config});
}

class SameModel : public testing::TestWithParam<const char*> {};

TEST_P(SameModel, GivesTheIdsOfItsGguf) {
  const std::string name = GetParam();
  auto checkpoint = OpenCheckpoint(Path("tests/data/vocab/ggml-vocab-" + name + ".gguf"));
  ASSERT_TRUE(checkpoint.has_value()) << checkpoint.error().message;
  auto gguf = MakeTokenizer(*checkpoint);
  ASSERT_TRUE(gguf.has_value()) << gguf.error().message;
  const int32_t bos = (*gguf)->bos();
  auto hf = MakeFrom(ToJson(name, checkpoint->metadata),
                     {{"vocab_size", (*gguf)->size()}, {"bos_token_id", bos}, {"eos_token_id", 2}},
                     R"({"model_max_length": 1})");
  ASSERT_TRUE(hf.has_value()) << hf.error().message;
  EXPECT_EQ((*hf)->size(), (*gguf)->size());
  EXPECT_EQ((*hf)->adds_bos(), (*gguf)->adds_bos());
  EXPECT_EQ((*hf)->bos(), bos);
  for (const std::string& file :
       {std::string("data/shakespeare.txt"), std::string("data/gsm8k.txt"),
        "tests/data/vocab/ggml-vocab-" + name + ".gguf.inp"}) {
    std::string text = *ReadText(Path(file));
#if defined(__SANITIZE_ADDRESS__)  // ten times as slow
    text.resize(std::min<size_t>(text.size(), 20'000));
#endif
    text += "\xff\xc3 <s></s><|endoftext|><|eot_id|>x  ";
    for (const bool parse : {false, true}) {
      const auto expected = (*gguf)->Encode(text, {.parse_special = parse});
      const auto ids = (*hf)->Encode(text, {.parse_special = parse});
      ASSERT_TRUE(expected.has_value() && ids.has_value());
      EXPECT_EQ(*ids, *expected) << file;
      EXPECT_EQ((*hf)->Decode(*ids), (*gguf)->Decode(*ids));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(HfTokenizer, SameModel,
                         testing::Values("gpt-2", "llama-bpe", "llama-spm", "qwen2"),
                         [](const auto& suite) {
                           std::string name = suite.param;
                           std::erase(name, '-');
                           return name;
                         });

// GPT-NeoX's tokenizer.json cuts texts as GPT-2's does, which GGUF calls "olmo" for it; the
// vocabulary's own file names nothing and is cut by llama.cpp's default.
TEST(HfTokenizer, GptNeox) {
  auto checkpoint = OpenCheckpoint(Path("tests/data/vocab/ggml-vocab-gpt-neox.gguf"));
  ASSERT_TRUE(checkpoint.has_value()) << checkpoint.error().message;
  checkpoint->metadata.Set("tokenizer.ggml.pre", MetaString("olmo"));
  const auto gguf = MakeTokenizer(*checkpoint);
  ASSERT_TRUE(gguf.has_value()) << gguf.error().message;
  const auto hf = MakeFrom(ToJson("gpt-neox", checkpoint->metadata),
                           {{"bos_token_id", 0}, {"eos_token_id", 0}});
  ASSERT_TRUE(hf.has_value()) << hf.error().message;
  EXPECT_EQ((*hf)->size(), (*gguf)->size());
  for (const char* file : {"data/shakespeare.txt", "data/gsm8k.txt",
                           "tests/data/vocab/ggml-vocab-gpt-neox.gguf.inp"}) {
    const std::string text = *ReadText(Path(file)) + " <|endoftext|><|padding|>x  ";
    for (const bool parse : {false, true}) {
      const Tokenizer::EncodeOptions options{.add_special = false, .parse_special = parse};
      const auto ids = (*hf)->Encode(text, options);
      ASSERT_TRUE(ids.has_value());
      EXPECT_EQ(*ids, *(*gguf)->Encode(text, options)) << file;
      EXPECT_EQ((*hf)->Decode(*ids, true), text);
    }
  }
  // A bracket goes with the space before it, and a run of spaces is a token.
  EXPECT_EQ((*hf)->Encode(" (", {.add_special = false})->size(), 1u);
  EXPECT_EQ((*hf)->Encode("\n        (", {.add_special = false})->size(), 3u);
}

// "a", "b", "ab" and two special tokens.
Json Small() {
  return {{"added_tokens",
           {{{"id", 3}, {"content", "<s>"}, {"special", true}},
            {{"id", 5}, {"content", "</s>"}, {"special", true}}}},
          {"pre_tokenizer", ByteLevel(true)},
          {"model",
           {{"type", "BPE"},
            {"vocab", {{"a", 0}, {"b", 1}, {"ab", 2}}},
            {"merges", Json::array({"a b"})}}}};
}

Json SmallSpm() {
  return {{"added_tokens", {{{"id", 0}, {"content", "<s>"}, {"special", true}}}},
          {"pre_tokenizer", {{"type", "Metaspace"}, {"replacement", "▁"}, {"split", false}}},
          {"model",
           {{"type", "BPE"},
            {"vocab", {{"▁", 1}, {"a", 2}, {"▁a", 3}, {"a▁", 4}, {"<unk>", 5}}},
            {"unk_token", "<unk>"},
            {"merges", Json::array({Json::array({"a", "▁"}), "▁ a"})}}}};
}

TEST(HfTokenizer, BosRules) {
  struct Case {
    bool has_template;
    const char* config;
    const char* tokenizer_config;
    Ids expected;  // of "ab" with special tokens
  };
  const std::vector<Case> cases = {
      {false, R"({})", "", {2}},
      {false, R"({"bos_token_id": 3})", "", {3, 2}},  // a bare folder: what config.json names
      {false, R"({"bos_token_id": 3})", R"({})", {2}},
      {false, R"({"bos_token_id": null})", "", {2}},
      {false, R"({"bos_token_id": 3})", R"({"add_bos_token": true})", {3, 2}},
      {false, R"({"bos_token_id": 3})", R"({"add_bos_token": null, "bos_token": null})", {2}},
      {false, R"({})", R"({"add_bos_token": true, "bos_token": {"content": "</s>"}})", {5, 2}},
      {false, R"({"eos_token_id": [5, 3]})", R"({"add_eos_token": true})", {2, 5}},
      {true, R"({})", "", {3, 2}},
      {true, R"({"bos_token_id": 3})", R"({})", {3, 2}},
      {true, R"({"bos_token_id": 3})", R"({"add_bos_token": true})", {3, 2}},
      {true, R"({"bos_token_id": 3})", R"({"add_bos_token": false})", {2}},
  };
  for (const Case& c : cases) {
    Json json = Small();
    if (c.has_template) json["post_processor"] = Template("<s>", 3);
    auto tokenizer = MakeFrom(json, Json::parse(c.config), c.tokenizer_config);
    ASSERT_TRUE(tokenizer.has_value()) << tokenizer.error().message;
    EXPECT_EQ(*(*tokenizer)->Encode("ab", {}), c.expected) << c.config << c.tokenizer_config;
    EXPECT_EQ((*tokenizer)->adds_bos(), c.expected[0] != 2);
    EXPECT_EQ(*(*tokenizer)->Encode("ab", {.add_special = false}), Ids{2});
  }
  auto spm = MakeFrom(SmallSpm(), {{"bos_token_id", 0}}, "{}");
  ASSERT_TRUE(spm.has_value()) << spm.error().message;
  EXPECT_TRUE((*spm)->adds_bos());
}

TEST(HfTokenizer, SpecialIds) {
  auto made = MakeFrom(Small(), {{"vocab_size", 9}, {"eos_token_id", {5, 3}}});
  ASSERT_TRUE(made.has_value()) << made.error().message;
  const Tokenizer& tokenizer = **made;
  EXPECT_EQ(tokenizer.size(), 9);
  EXPECT_EQ(tokenizer.eos(), 5);
  EXPECT_EQ(tokenizer.bos(), -1);
  EXPECT_TRUE(tokenizer.is_end_of_generation(3) && tokenizer.is_end_of_generation(5));
  EXPECT_EQ(tokenizer.Decode(Ids{4, 8, 2}), "ab");  // ids without a token give no text
  EXPECT_EQ(tokenizer.Piece(8), "");
  EXPECT_EQ(*tokenizer.Encode("a</s>b", {.parse_special = true}), (Ids{0, 5, 1}));
}

TEST(HfTokenizer, AddedTokensTakeTheSpacesBesideThem) {
  Json json = Small();
  json["model"]["vocab"]["Ġ"] = 4;
  json["added_tokens"].push_back(
      {{"id", 6}, {"content", "<x>"}, {"special", false}, {"lstrip", true}, {"rstrip", true}});
  auto tokenizer = MakeFrom(json);
  ASSERT_TRUE(tokenizer.has_value()) << tokenizer.error().message;
  EXPECT_EQ(*(*tokenizer)->Encode("a  <x> \n b", {}), (Ids{0, 6, 1}));
  EXPECT_EQ(*(*tokenizer)->Encode(" <x> ", {}), (Ids{6}));
  EXPECT_EQ((*tokenizer)->Decode(Ids{0, 6}), "a<x>");
}

TEST(HfTokenizer, Metaspace) {
  const auto ids = [](const char* scheme, bool split, std::string_view text) {
    Json json = SmallSpm();
    json["pre_tokenizer"]["prepend_scheme"] = scheme;
    json["pre_tokenizer"]["split"] = split;
    auto tokenizer = MakeFrom(json);
    EXPECT_TRUE(tokenizer.has_value()) << tokenizer.error().message;
    return tokenizer ? *(*tokenizer)->Encode(text, {.parse_special = true}) : Ids{};
  };
  EXPECT_EQ(ids("always", false, "a a"), (Ids{1, 4, 2}));
  EXPECT_EQ(ids("always", true, "a a"), (Ids{3, 3}));  // never joined across a word's beginning
  EXPECT_EQ(ids("always", true, " a"), (Ids{3}));      // there is a space already
  EXPECT_EQ(ids("always", true, "a<s>a"), (Ids{3, 0, 3}));
  EXPECT_EQ(ids("first", true, "a<s>a"), (Ids{3, 0, 2}));
  EXPECT_EQ(ids("never", true, "a<s>a"), (Ids{2, 0, 2}));
  EXPECT_EQ(ids("never", true, "xx"), (Ids{5, 5}));
}

TEST(HfTokenizer, WhatIsNotSupportedIsNamed) {
  struct Case {
    const char* pointer;  // what is replaced
    Json value;
    const char* message;
  };
  const Json isolated = {
      {"type", "Split"}, {"pattern", {{"Regex", "a("}}}, {"behavior", "Isolated"}};
  Json merged = isolated;
  merged["behavior"] = "MergedWithNext";
  const std::vector<Case> cases = {
      {"/model", nullptr, "expected an object 'model'"},
      {"/model/type", "Unigram", "model: expected type 'BPE', found 'Unigram'"},
      {"/model/type", 3, "model: expected a string 'type'"},
      {"/model/dropout", 0.1, "model: 'dropout' is not supported"},
      {"/model/end_of_word_suffix", "</w>", "model: 'end_of_word_suffix' is not supported"},
      {"/model/unk_token", "<none>", "model: 'unk_token': expected a token"},
      {"/model/vocab", Json::array(), "expected an object 'vocab'"},
      {"/model/vocab/a", -1, "model.vocab: token 'a': expected an id from 0 to"},
      {"/model/vocab/a", 3000000, "model.vocab: token 'a': expected an id from 0 to"},
      {"/model/vocab/a", 18446744073709551615u, "model.vocab: token 'a': expected an id from"},
      {"/model/vocab/a", "x", "model.vocab: token 'a': expected a text and an integer id"},
      {"/model/vocab/a", 1, "model.vocab: id 1 belongs to 'a' and to 'b'"},
      {"/model/vocab/a", 3, "added_tokens[0]: id 3 belongs to 'a' and to '<s>'"},
      {"/model/merges", "a b", "model: expected an array 'merges'"},
      {"/model/merges/0", "a c", "model.merges[0]: expected tokens of the vocabulary"},
      {"/model/merges/0", Json::array({"a"}), "model.merges: expected strings"},
      {"/added_tokens", 1, "added_tokens: expected an array"},
      {"/added_tokens/0/content", nullptr, "added_tokens[0]: expected a string 'content'"},
      {"/added_tokens/0/content", "a", "token 'a' has two ids"},
      {"/added_tokens/0/id", 1e30, "added_tokens[0]: expected 'content' and an integer 'id'"},
      {"/added_tokens/0/single_word", true, "added_tokens[0]: 'single_word' is not supported"},
      {"/normalizer", {{"type", "Lowercase"}}, "normalizer: type 'Lowercase' is not supported"},
      {"/normalizer", Json::array(), "normalizer: expected a string 'type'"},
      {"/pre_tokenizer", nullptr, "pre_tokenizer: expected ByteLevel last"},
      {"/pre_tokenizer", {{"type", "Whitespace"}}, "pre_tokenizer: type 'Whitespace' is not"},
      {"/pre_tokenizer", isolated, "pre_tokenizer: expected a regular expression"},
      {"/pre_tokenizer", merged, "pre_tokenizer: behavior 'MergedWithNext' is not supported"},
      {"/post_processor", {{"type", "BertProcessing"}}, "post_processor: type 'BertProcessing'"},
      {"/post_processor", Template("<s>", 6), "post_processor.special_tokens: '<s>': expected ids"},
  };
  for (const Case& c : cases) {
    Json json = Small();
    json[Json::json_pointer(c.pointer)] = c.value;
    auto tokenizer = MakeFrom(json);
    ASSERT_FALSE(tokenizer.has_value()) << c.pointer << c.value;
    const std::string& message = tokenizer.error().message;
    EXPECT_NE(message.find(c.message), std::string::npos) << message;
    EXPECT_TRUE(message.starts_with("folder/tokenizer.json: ")) << message;
  }
}

TEST(HfTokenizer, WrongConfigurationIsNamed) {
  const auto message = [](const char* config, const char* tokenizer_config) {
    auto tokenizer = MakeFrom(Small(), Json::parse(config), tokenizer_config);
    return tokenizer ? "" : tokenizer.error().message;
  };
  EXPECT_EQ(message(R"({"bos_token_id": 6})", ""),
            "folder/config.json: 'bos_token_id': expected an integer from 0 to 5");
  EXPECT_NE(message(R"({"eos_token_id": ["a"]})", "").find("'eos_token_id'"), std::string::npos);
  EXPECT_NE(message(R"({"vocab_size": 1e9})", "").find("'vocab_size'"), std::string::npos);
  EXPECT_NE(message("{}", R"({"bos_token": "<none>"})").find("'bos_token': expected a token"),
            std::string::npos);
  EXPECT_NE(message("{}", R"({"add_bos_token": 1})").find("'add_bos_token'"), std::string::npos);
  EXPECT_EQ(message("{}", R"({"add_bos_token": true})"),
            "folder/tokenizer_config.json: 'add_bos_token' is true: expected 'bos_token'");
  EXPECT_NE(message("{}", "{").find("folder/tokenizer_config.json"), std::string::npos);
}

TEST(HfTokenizer, TruncatedAndDamagedFilesAreErrorsOrTokenizers) {
  const std::string whole = *ReadText(Path("models/tiny-llama/tokenizer.json"));
  for (size_t size = 0; size + 2 < whole.size(); size += 97) {
    EXPECT_FALSE(MakeHfTokenizer({"f", std::string_view(whole).substr(0, size), "{}", ""}));
  }
  int made = 0;
  for (size_t at = 0; at < whole.size(); at += 53) {
    std::string damaged = whole;
    damaged[at] = "\"0a{[:,\xff"[at % 8];
    auto tokenizer = MakeHfTokenizer({"f", damaged, "{}", ""});
    if (!tokenizer) continue;
    ++made;
    const auto ids = (*tokenizer)->Encode("First Citizen:\n\xff<|endoftext|>", {true, true});
    if (ids) (*tokenizer)->Decode(*ids, true);
  }
  EXPECT_GT(made, 0);
}

}  // namespace
}  // namespace vernier
