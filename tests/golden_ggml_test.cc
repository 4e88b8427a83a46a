// The profiles against llama.cpp's logits, perplexities and divergences, for every type of file.
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "e2e_testing.h"
#include "kernels/kernels.h"
#include "measure/score_pair.h"
#include "measure/summary.h"

namespace vernier {
namespace {

// A folder's model as a GGUF file of a type.
void Quantise(const std::string& folder, const std::string& type, const std::string& to) {
  auto checkpoint = OpenCheckpoint(folder);
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  QuantizeOptions options;
  options.mixture.file_type = FindFileType(type);
  ASSERT_NE(options.mixture.file_type, nullptr) << type;
  const auto report = QuantizeModel(*checkpoint, to, options);
  ASSERT_TRUE(report) << report.error().message;
}

std::unique_ptr<Model> OpenWith(const std::string& path, const Kernels* kernels, int threads) {
  ModelOptions options;
  options.kernels = kernels;
  options.threads = threads;
  auto model = Model::Open(path, options);
  EXPECT_TRUE(model) << (model ? "" : model.error().message);
  return model ? std::move(*model) : nullptr;
}

// Half a unit of the eighth digit that the file has, and a hair.
double PrintedError(double x) {
  return 0.51 * std::pow(10.0, std::floor(std::log10(std::abs(x))) - 7);
}

std::string PromptRule(const std::string& profile, size_t tokens) {
  return "profile=" + profile + ",rows=" + std::to_string(tokens);
}

class GoldenGgml : public ::testing::TestWithParam<const char*> {
 protected:
  std::string Folder() const { return TinyFolder(GetParam()); }
  nlohmann::json Golden(const std::string& what) const {
    return ReadJsonFile(kSource + "/tests/data/golden/" + GetParam() + what + ".json");
  }
  ScratchFolder folder_;
};

// Every logit of every prompt of every type is the number that llama.cpp printed.
TEST_P(GoldenGgml, EveryLogitOfEveryType) {
  const nlohmann::json file = Golden("");
  EXPECT_GE(file.at("types").size(), 8u);
  for (const auto& [type, golden] : file.at("types").items()) {
    SCOPED_TRACE(type);
    const std::string path = folder_ / "model.gguf";
    Quantise(Folder(), type, path);
    const auto model = OpenModel(path);
    for (const auto& prompt : golden.at("prompts")) {
      const std::vector<int32_t> ids = prompt.at("ids");
      const std::vector<double> right = prompt.at("logits");
      const std::vector<float> logits =
          LastLogits(*model, PlanOf(*model, {PromptRule("ggml-repack", ids.size())}), ids);
      ASSERT_EQ(logits.size(), right.size());
      size_t wrong = 0;
      for (size_t i = 0; i < right.size(); ++i)
        wrong += std::abs(static_cast<double>(logits[i]) - right[i]) > PrintedError(right[i]);
      EXPECT_EQ(wrong, 0u) << ids.size() << " tokens";
    }
  }
}

// The numbers are the same on every instruction set, with any number of threads, in one call or
// token by token, and alone or beside others.
TEST_P(GoldenGgml, SameBitsEveryWay) {
  const std::vector<int32_t> ids = Golden("").at("types").at("F32").at("prompts").at(3).at("ids");
  for (const char* type : {"BF16", "Q4_K_M", "Q2_K", "Q8_0"}) {
    SCOPED_TRACE(type);
    const std::string path = folder_ / "model.gguf";
    Quantise(Folder(), type, path);
    const auto model = OpenModel(path);
    const std::string rule = PromptRule("ggml-repack", ids.size());
    const Plan plan = PlanOf(*model, {rule}), other = PlanOf(*model, {"profile=ggml-vecdot"});
    const std::vector<float> logits = LastLogits(*model, plan, ids);
    for (const Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512}) {
      if (KernelsFor(isa) == nullptr) continue;
      const auto same = OpenWith(path, KernelsFor(isa), isa == Isa::kAvx2 ? 3 : 1);
      EXPECT_EQ(LastLogits(*same, PlanOf(*same, {rule}), ids), logits) << static_cast<int>(isa);
    }
    KvCache cache;
    std::vector<float> decoded;
    for (size_t i = 0; i < ids.size(); ++i) {
      const Stream stream{&plan, {ids[i]}, &cache, {0}};
      Evaluate(*model, {&stream, 1}, [&](std::span<const LogitsRow> rows) {
        const float* values = static_cast<const float*>(rows[0].values);
        decoded.assign(values, values + model->graph().vocabulary);
      });
    }
    EXPECT_EQ(decoded, logits);
    std::vector<uint32_t> all(ids.size());
    for (uint32_t i = 0; i < all.size(); ++i) all[i] = i;
    const Stream streams[] = {{&other, ids, nullptr, all}, {&plan, ids, nullptr, all}};
    std::vector<float> beside;
    Evaluate(*model, streams, [&](std::span<const LogitsRow> rows) {
      for (const LogitsRow& row : rows)
        if (row.stream == 1 && row.index + 1 == ids.size())
          beside.assign(static_cast<const float*>(row.values),
                        static_cast<const float*>(row.values) + model->graph().vocabulary);
    });
    EXPECT_EQ(beside, logits);
  }
}

bool TestAll() { return std::getenv("VERNIER_TEST_ALL") != nullptr; }

// llama-perplexity's figures: -c 128 -b 128 is 32 whole fours.
TEST_P(GoldenGgml, PerplexityAndDivergence) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "whole texts take minutes under the sanitizers, and read nothing new";
#endif
  if (GetParam() == std::string("tiny-mamba") && !TestAll())
    GTEST_SKIP() << "half a minute a type: ggml's scan, whose exponentials are one by one";
  const nlohmann::json texts = Golden("-perplexity");
  const nlohmann::json& golden = texts.at(0);
  Quantise(Folder(), "F32", folder_ / "f32.gguf");
  const auto base = OpenModel(folder_ / "f32.gguf");
  const std::string name = std::filesystem::path(golden.at("text").get<std::string>()).filename();
  std::ifstream in(kSource + "/data/" + name);
  std::stringstream text;
  text << in.rdbuf();
  const auto ids = base->tokenizer().value()->Encode(text.str(), {}).value();
  const auto chunks = PerplexityChunks(ids, golden.at("context"), true, 0).value();
  const Plan plain = PlanOf(*base, {});  // 1e-5 from llama.cpp's of an F32 file, and faster
  for (const std::string type : {"Q4_K_M", "Q8_0"}) {
    SCOPED_TRACE(type);
    const nlohmann::json& right = golden.at("types").at(type);
    Quantise(Folder(), type, folder_ / "model.gguf");
    const auto model = OpenModel(folder_ / "model.gguf");
    const Plan plan = PlanOf(*model, {"profile=ggml-repack"});
    const PairScore score = ScorePair({{model.get(), &plan}, {base.get(), &plain}, chunks, {}});
    std::vector<double> nll;
    for (const TokenMeasure& token : score.tokens) nll.push_back(token.nll);
    const double ppl = right.at("ppl");
    EXPECT_NEAR(SummarizePerplexity(nll).mean, ppl, 1e-4 * ppl);
    const DivergenceSummary summary = Summarize(score.base, score.tokens);
    const double kld = right.at("Mean KLD").at(0), rms = right.at("RMS Δp").at(0);
    EXPECT_NEAR(summary.kld.value, kld, 0.02 * kld);
    EXPECT_NEAR(100 * summary.rms_delta_p.value, rms, 0.02 * rms);
    if (!TestAll()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenGgml,
                         ::testing::Values("tiny-llama", "tiny-qwen2", "tiny-mamba"),
                         [](const auto& test) {
                           std::string name = test.param;
                           name.erase(name.find('-'), 1);
                           return name;
                         });

}  // namespace
}  // namespace vernier
