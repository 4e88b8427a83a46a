// A study's results are the same however often it was interrupted.
#include "report/study_report.h"

#include "study/study_testing.h"

namespace vernier {
namespace {

constexpr const char* kStudy = R"toml(name = "small"
model = "MODEL"
texts = ["a.txt", "b.txt"]
context = 32
chunks = 2
noise = 1
generate = { prompts = "p.jsonl", tokens = 8 }
[[variant]]
name = "rough"
rules = ["l_out=e2m1,scale=absmax"]
[[variant]]
name = "idle"
rules = ["ffn_norm.weight=bf16"]
[[variant]]
name = "broken"
rules = ["l_out=f16,scale=1e-6,overflow=nan"]
[[claim]]
says = "rough is worse"
expect = "kld('rough') > kld('idle')"
[[claim]]
says = "broken is broken"
expect = "kld('broken') > 0"
)toml";

class StudyReportTest : public testing::Test {
 protected:
  StudyReportTest() : model_(OpenTiny()) {
    std::string text;
    for (int i = 0; i < 60; ++i) text += fmt::format("Line {} of a play: enter {}.\n", i, i * i);
    folder_.Write("a.txt", text);
    folder_.Write("b.txt", "Another one. " + text);
    folder_.Write("p.jsonl", "{\"prompt\": \"First\"}\n{\"prompt\": \"Then\", \"tag\": \"x\"}\n");
    std::string study = kStudy;
    study.replace(study.find("MODEL"), 5, kSource + "/models/tiny-qwen2");
    spec_ = ReadStudy(folder_.Write("study.toml", study), {}).value();
    EXPECT_TRUE(ExpandSweeps(&spec_, model_->graph().layers));
  }
  StudyData Run(const std::string& store_folder, const RunOptions& options) {
    auto lanes = MakeLanes(spec_, *model_).value();
    auto inputs = ReadInputs(spec_, *model_, std::move(lanes), options).value();
    const auto store = Store::Open(folder_ / store_folder).value();
    return RunStudy(spec_, *model_, std::move(inputs), *store, options).value();
  }
  // All that a finished study writes, without its cost.
  nlohmann::ordered_json Results(const StudyData& data) {
    std::vector<Expression> claims;
    for (const StudyClaim& claim : spec_.claims)
      claims.push_back(ParseClaim(claim.expression, {&spec_, 1}).value());
    const StudiedModel model{&spec_, &data, &model_->graph()};
    const auto judged = JudgeClaims(spec_.claims, claims, {&model, 1});
    const StudyPart part{&spec_, model_.get(), &data,
                         MakeStudyReport(spec_, data, model_->graph())};
    auto json = StudyJson({&part, 1}, judged);
    json.erase("cost");
    json["csv"] = StudyCsv({&part, 1});
    EXPECT_NE(StudyTables({&part, 1}, judged).find("rough is worse"), std::string::npos);
    return nlohmann::ordered_json::parse(json.dump());  // NaN is null there
  }
  ScratchFolder folder_;
  std::unique_ptr<Model> model_;
  StudySpec spec_;
};

TEST_F(StudyReportTest, InterruptedOrNot) {
  int calls = 0;
  RunOptions options;
  options.memory_budget = 0;
  options.progress = [&](const Progress&) { return ++calls > 0; };
  const auto whole = Results(Run("whole", options));
  ASSERT_GT(calls, 6);
  for (const int stop : {2, calls / 2, calls}) {
    const std::string out = fmt::format("stopped {}", stop);
    int call = 0;
    RunOptions stopping = options;
    stopping.progress = [&](const Progress&) { return ++call != stop; };
    EXPECT_FALSE(Run(out, stopping).complete);
    EXPECT_EQ(Results(Run(out, {})).dump(1), whole.dump(1)) << stop;
  }
}

// Logits that are no numbers are said to be so, and break nothing.
TEST_F(StudyReportTest, NanIsNull) {
  const auto results = Results(Run("out", {}));
  const auto& broken = results.at("variants").at(2);
  EXPECT_EQ(broken.at("name"), "broken");
  EXPECT_EQ(broken.at("vacuous"), false);
  EXPECT_TRUE(broken.at("kld").at("mean").is_null());
  EXPECT_TRUE(broken.at("kld").at("max").is_null());
  EXPECT_TRUE(broken.at("free_running").at("match_rate").is_number());
  EXPECT_EQ(results.at("claims").at(1).at("verdict"), "undecided");
  EXPECT_EQ(results.at("claims").at(0).at("verdict"), "supported");
  EXPECT_EQ(results.at("variants").at(1).at("same_as"), "baseline");
  EXPECT_EQ(results.at("variants").at(1).at("free_running").at("match_rate"), 1.0);
  EXPECT_TRUE(results.at("variants").at(1).at("free_running").at("first_difference").is_null());
  EXPECT_LT(results.at("variants").at(0).at("free_running").at("match_rate"), 1.0);
  EXPECT_EQ(results.at("variants").at(0).at("free_running").at("tags").at("x").at("prompts"), 1);
}

}  // namespace
}  // namespace vernier
