#include "study/last_word.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/generate.h"
#include "study/study_testing.h"

namespace vernier {
namespace {

class LastWordTest : public testing::Test {
 protected:
  LastWordTest() : model_(OpenTiny()) {
    std::string text;
    for (int i = 0; i < 60; ++i) text += fmt::format("Line {} of a play: enter {}.\n", i, i * i);
    folder_.Write("a.txt", text);
  }
  Result<std::vector<StudyPassage>> Read(const std::string& lines, size_t limit = 0) {
    return ReadPassages(folder_.Write("w.jsonl", lines), limit, Tokens());
  }
  const Tokenizer& Tokens() { return *model_->tokenizer().value(); }
  Result<StudyData> Run(const std::string& rules, const RunOptions& options = {}) {
    const std::string study = fmt::format(
        "name = \"s\"\nmodel = \"{}/models/tiny-qwen2\"\ntexts = [\"a.txt\"]\ncontext = 32\n"
        "chunks = 1\nnoise = 1\nlast_words = {{ passages = \"w.jsonl\" }}\n[[variant]]\nname = "
        "\"v\"\nrules = [{}]\nby_layer = true\n",
        kSource, rules);
    ASSIGN_OR_RETURN(StudySpec spec, ReadStudy(folder_.Write("s.toml", study), {}));
    RETURN_IF_ERROR(ExpandSweeps(&spec, model_->graph().layers));
    ASSIGN_OR_RETURN(auto lanes, MakeLanes(spec, *model_));
    ASSIGN_OR_RETURN(auto inputs, ReadInputs(spec, *model_, std::move(lanes), options));
    ASSIGN_OR_RETURN(const auto store, Store::Open(folder_ / "out"));
    return RunStudy(spec, *model_, std::move(inputs), *store, options);
  }
  std::string TextOf(const StudyPassage& p, bool word) {
    const auto middle = p.ids.begin() + static_cast<std::ptrdiff_t>(p.word);
    return Tokens().Decode(word ? std::vector<int32_t>(middle, p.ids.end())
                                : std::vector<int32_t>(p.ids.begin(), middle));
  }
  ScratchFolder folder_;
  std::unique_ptr<Model> model_;
};

TEST_F(LastWordTest, PassagesAreCutAtTheLastBlank) {
  const auto passages = Read(
      "{\"text\": \"First Citizen:\\nSpeak, speak\"}\n\n"
      "{\"tag\": \"m\", \"text\": \"one  \\n two \"}\r\n"
      "{\"tag\": \"m\", \"text\": \"the day of the consulship\"}\n");
  ASSERT_TRUE(passages) << passages.error().message;
  ASSERT_EQ(passages->size(), 3u);
  EXPECT_EQ(TextOf((*passages)[0], false), "First Citizen:\nSpeak,");
  EXPECT_EQ(TextOf((*passages)[0], true), " speak");
  EXPECT_EQ((*passages)[1].tag, "m");
  EXPECT_TRUE(TextOf((*passages)[1], false).starts_with("one"));
  EXPECT_TRUE(TextOf((*passages)[1], true).ends_with("two"));
  EXPECT_EQ(TextOf((*passages)[2], false), "the day of the");
  EXPECT_GT((*passages)[2].ids.size() - (*passages)[2].word, 1u) << "a word of several tokens";
  EXPECT_EQ(Read("{\"tag\": \"m\", \"text\": \"a b\"}\n{\"tag\": \"m\", \"text\": \"a b c\"}\n"
                 "{\"text\": \"a b\"}\n",
                 1)
                ->size(),
            2u);
}

TEST_F(LastWordTest, Mistakes) {
  ExpectError(Read(""), "no passages");
  ExpectError(Read("{\"text\": \"a b\"}\n{\"text\": \"a\"}\n"),
              "w.jsonl:2: expected a passage of two");
  ExpectError(Read("{\"text\": \" a \"}\n"), "two words");
  ExpectError(Read("{\"text\": \"  \"}\n"), "two words");
  ExpectError(Read("{\"text\": 1}\n"), "w.jsonl:1: expected an object with 'text'");
  ExpectError(Read("{\"prompt\": \"a b\"}\n"), "expected an object with 'text'");
  ExpectError(Read("{\"text\": \"a b\", \"tag\": 1}\n"), "'tag'");
  ExpectError(Read("text\n"), "expected an object");
}

// A lane is right where greedy generation says the word, and its nll is that of the words' tokens
// in a plain evaluation.
TEST_F(LastWordTest, AsGenerationSays) {
  // Passages that end with what the model itself says next, and one with another word.
  std::string lines;
  std::vector<bool> own;  // whether the passage's tokens are those that were generated
  for (const char* start :
       {"First Citizen:\nBefore we", "The king is", "O, what a", "I will not"}) {
    GenerateOptions options;
    options.tokens = 12;
    const Plan plain = MakePlan(*model_, {}).value();
    const GenerateRequest request{&plain, Tokens().Encode(start, {}).value()};
    std::vector<int32_t> ids;
    const Generated generated = Generate(*model_, {&request, 1}, options)[0];
    for (const GeneratedStep& step : generated.steps) ids.push_back(step.token);
    std::string said = Tokens().Decode(ids);
    said = said.substr(0, said.find_last_of(" \n"));  // whole words
    lines += nlohmann::json{{"text", start + said}}.dump() + "\n";
    std::vector<int32_t> all = request.prompt;
    all.insert(all.end(), ids.begin(), ids.end());
    const std::vector<int32_t> read = Tokens().Encode(start + said, {}).value();
    own.push_back(!said.empty() && read.size() <= all.size() &&
                  std::equal(read.begin(), read.end(), all.begin()));
    own.push_back(false);
    lines += nlohmann::json{{"text", start + said + " xylophone"}}.dump() + "\n";
  }
  ASSERT_GE(std::count(own.begin(), own.end(), true), 2);
  folder_.Write("w.jsonl", lines);
  const auto data = Run("\"ffn_norm=e4m3\"");
  ASSERT_TRUE(data) << data.error().message;
  ASSERT_EQ(data->passages.size(), 8u);
  for (size_t l = 0; l < data->lanes.size(); ++l) {
    if (data->lanes[l].kind == LaneKind::kNoise || data->lanes[l].alone.whole >= 0) {
      EXPECT_TRUE(data->last_words[l].empty());
      continue;
    }
    ASSERT_EQ(data->last_words[l].size(), 8u);
    for (size_t p = 0; p < 8; ++p) {
      const StudyPassage& passage = data->passages[p];
      GenerateOptions options;
      options.tokens = passage.ids.size() - passage.word;
      const GenerateRequest request{
          &data->lanes[l].plan,
          {passage.ids.begin(), passage.ids.begin() + static_cast<std::ptrdiff_t>(passage.word)}};
      bool right = true;
      const auto steps = Generate(*model_, {&request, 1}, options)[0].steps;
      for (size_t i = 0; i < options.tokens; ++i)
        right = right && i < steps.size() && steps[i].token == passage.ids[passage.word + i];
      EXPECT_EQ(data->last_words[l][p].right, right) << data->lanes[l].name << " " << p;
      EXPECT_GT(data->last_words[l][p].nll, 0);
      if (p % 2 == 1) {
        EXPECT_FALSE(right) << "xylophone";
      } else if (l == 0 && own[p]) {
        EXPECT_TRUE(right) << TextOf(passage, true);
      }
    }
  }
  // By hand: the nll of the first passage's word in the baseline.
  const StudyPassage& passage = data->passages[0];
  double nll = 0;
  Stream stream{&data->lanes[0].plan, passage.ids, nullptr, {}};
  for (size_t i = passage.word - 1; i + 1 < passage.ids.size(); ++i)
    stream.wanted.push_back(static_cast<uint32_t>(i));
  Evaluate(*model_, {&stream, 1}, [&](std::span<const LogitsRow> rows) {
    for (const LogitsRow& row : rows) {
      const float* x = static_cast<const float*>(row.values);
      long double sum = 0;
      for (size_t i = 0; i < model_->graph().vocabulary; ++i)
        sum += std::exp(static_cast<long double>(x[i]));
      nll += static_cast<double>(std::log(sum) -
                                 x[static_cast<size_t>(passage.ids[stream.wanted[row.index] + 1])]);
    }
  });
  EXPECT_NEAR(data->last_words[0][0].nll, nll, 1e-10);
  // Again: from the store, the same bits.
  const auto again = Run("\"ffn_norm=e4m3\"");
  for (size_t p = 0; p < 8; ++p) {
    EXPECT_EQ(again->last_words[1][p].nll, data->last_words[1][p].nll);
    EXPECT_EQ(again->last_words[1][p].right, data->last_words[1][p].right);
  }
}

TEST(LastWordMeasures, ByHand) {
  const std::vector<LastWord> a = {{true, 1}, {true, 2}, {false, 3}, {true, 4}},
                              b = {{true, 1}, {false, 5}, {false, 3}, {false, 4}};
  const std::vector<uint32_t> once = {1, 1, 1, 1}, drawn = {2, 0, 1, 1};
  EXPECT_DOUBLE_EQ(LastWordMeasure("last_word", a, once), 0.75);
  EXPECT_DOUBLE_EQ(LastWordMeasure("last_word", a, drawn), 0.75);
  EXPECT_DOUBLE_EQ(LastWordMeasure("last_word_ppl", a, once), std::exp(2.5));
  EXPECT_DOUBLE_EQ(LastWordMeasure("last_word_ppl", a, drawn), std::exp(2.25));
  const PairedTest test = CompareLastWords(a, b);
  EXPECT_EQ(test.b, 2u);
  EXPECT_EQ(test.c, 0u);
  EXPECT_EQ(test.p_value, 0.5);
}

}  // namespace
}  // namespace vernier
