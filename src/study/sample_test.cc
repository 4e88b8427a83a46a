// The sample of a page against what the study itself measured on the same chunk.
#include "study/sample.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "study/study_testing.h"

namespace vernier {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kStudy = R"(name = "small"
model = "MODEL"
texts = ["a.txt"]
context = 32
chunks = 1
truth = true
noise = 2
observe = ["ffn_norm"]
[[variant]]
name = "rounded"
rules = ["ffn_norm[2]=e4m3"]
by_layer = true
[[variant]]
name = "idle"
rules = ["ffn_norm.weight=bf16"]
[[variant]]
name = "broken"
rules = ["l_out=f16,scale=1e-6,overflow=nan"]
)";

class SampleTest : public testing::Test {
 protected:
  SampleTest() : model_(OpenTiny()) {
    std::string text;
    for (int i = 0; i < 60; ++i) text += fmt::format("Line {} of a play: enter {}.\n", i, i * i);
    folder_.Write("a.txt", text);
    std::string study = kStudy;
    study.replace(study.find("MODEL"), 5, kSource + "/models/tiny-qwen2");
    spec_ = ReadStudy(folder_.Write("study.toml", study), {}).value();
    EXPECT_TRUE(ExpandSweeps(&spec_, model_->graph().layers));
    store_ = Store::Open(folder_ / "out").value();
    auto inputs =
        ReadInputs(spec_, *model_, MakeLanes(spec_, *model_).value(), RunOptions{}).value();
    data_ = RunStudy(spec_, *model_, std::move(inputs), *store_, RunOptions{}).value();
  }
  Json Sample(const RunOptions& options = {}) {
    return SampleStudy(*model_, data_, *store_, options).value().value();
  }
  static const Json& Lane(const Json& sample, const std::string& name) {
    for (const Json& lane : sample["lanes"])
      if (lane["name"] == name) return lane;
    ADD_FAILURE() << name;
    return sample;
  }
  ScratchFolder folder_;
  std::unique_ptr<Model> model_;
  StudySpec spec_;
  std::unique_ptr<Store> store_;
  StudyData data_;
};

TEST_F(SampleTest, AgreesWithTheStudy) {
  const Json sample = Sample();
  ASSERT_EQ(sample["chunks"], Json({0}));
  ASSERT_EQ(sample["sites"].size(), model_->graph().sites.size());
  // Baseline, truth, one noise lane, three variants: none of one layer alone.
  ASSERT_EQ(sample["lanes"].size(), 6u);
  size_t compared = 0;
  for (size_t l = 0; l < data_.lanes.size(); ++l) {
    if (data_.lanes[l].alone.whole >= 0 || data_.lanes[l].name == "noise 2" ||
        data_.lanes[l].name == "broken")
      continue;
    const Json& lane = Lane(sample, data_.lanes[l].name);
    for (size_t i = 0; i < data_.sites.size(); ++i) {
      const SiteSums& sums = data_.scores[l][0].sites[i];
      const auto site = static_cast<size_t>(data_.sites[i]);
      EXPECT_NEAR(lane["l2_rel"][site].get<double>(), std::sqrt(sums.error / sums.reference),
                  1e-12 * std::sqrt(sums.error / sums.reference));
      EXPECT_NEAR(lane["truth_l2_rel"][site].get<double>(),
                  std::sqrt(sums.truth_error / sums.truth_reference),
                  1e-12 * std::sqrt(sums.truth_error / sums.truth_reference));
      EXPECT_EQ(sample["sites"][site]["count"].get<double>(), sums.count);
      ++compared;
    }
  }
  EXPECT_GT(compared, 40u);
}

TEST_F(SampleTest, HistogramsCountEveryElement) {
  const Json sample = Sample();
  const auto total = [](const Json& histogram, const char* zeros) {
    uint64_t sum = histogram[zeros].get<uint64_t>();
    for (const Json& bin : histogram["bins"]) sum += bin.get<uint64_t>();
    return sum;
  };
  for (size_t s = 0; s < sample["sites"].size(); ++s) {
    const Json& site = sample["sites"][s];
    EXPECT_EQ(total(site, "zeros"), site["count"].get<uint64_t>());
    // E4M3 in layer 2: nothing before differs; a vacuous variant nowhere.
    for (const char* name : {"rounded", "idle"}) {
      const Json& lane = Lane(sample, name);
      const Json& errors = lane["errors"][s];
      ASSERT_EQ(total(errors, "equal"), site["count"].get<uint64_t>()) << name << s;
      const bool differs = lane["l2_rel"][s].get<double>() > 0;
      EXPECT_EQ(errors["bins"].empty(), !differs);
      if (site["layer"] < 2 && site["layer"] >= 0) {
        EXPECT_FALSE(differs);
      }
    }
    EXPECT_EQ(Lane(sample, "idle")["l2_rel"][s], 0.0);
    EXPECT_TRUE(Lane(sample, "baseline")["errors"][s].is_null());
  }
  // Rounding to 3 bits of fraction errs by at most half of 2^-3 of the value's binade.
  for (size_t s = 0; s < sample["sites"].size(); ++s) {
    const Json& site = sample["sites"][s];
    if (site["name"] != "ffn_norm" || site["layer"] != 2) continue;
    const Json& errors = Lane(sample, "rounded")["errors"][s];
    EXPECT_GT(errors["bins"].size(), 3u);
    EXPECT_LE(errors["first"].get<int>() + static_cast<int>(errors["bins"].size()),
              site["first"].get<int>() + static_cast<int>(site["bins"].size()) - 4 + 1);
  }
}

TEST_F(SampleTest, LikeliestTokens) {
  const Json sample = Sample();
  const auto& scored = data_.chunks[0].scored;
  const Json& base = Lane(sample, "baseline")["top"];
  ASSERT_EQ(base.size(), scored.size());
  const Json& rounded = Lane(sample, "rounded")["top"];
  size_t differing = 0;
  for (size_t k = 0; k < scored.size(); ++k) {
    ASSERT_EQ(base[k].size(), 5u);
    const auto id = static_cast<size_t>(data_.chunks[0].tokens[scored[k] + 1]);
    double sum = 0;
    for (size_t i = 0; i < 5; ++i) {
      const double p = base[k][i][1].get<double>();
      sum += p;
      if (i > 0) {
        EXPECT_LE(p, base[k][i - 1][1].get<double>());
      }
      // The study's own measure of the text's token.
      if (base[k][i][0] == id) {
        EXPECT_NEAR(-std::log(p), data_.scores[0][0].tokens[k].nll, 1e-9);
      }
    }
    EXPECT_LE(sum, 1 + 1e-12);
    const bool same = data_.scores[1][0].tokens[k].same_top != 0;
    const Json& other = rounded[k].is_null() ? base[k] : rounded[k];
    EXPECT_EQ(other[0][0] == base[k][0][0], same) << k;
    differing += rounded[k].is_null() ? 0 : 1;
    EXPECT_TRUE(Lane(sample, "idle")["top"][k].is_null());
  }
  EXPECT_GT(differing, 0u);
}

TEST_F(SampleTest, IsComputedOnceAndMayBeInterrupted) {
  RunOptions options;
  options.progress = [](const Progress&) { return false; };
  EXPECT_FALSE(SampleStudy(*model_, data_, *store_, options).value().has_value());
  const Json whole = Sample();
  // From the store: nothing runs that could be interrupted. One lane at a time gives the same.
  EXPECT_EQ(Sample(options), whole);
  const auto other = Store::Open(folder_ / "other").value();
  RunOptions small;
  small.memory_budget = 1;
  EXPECT_EQ(SampleStudy(*model_, data_, *other, small).value().value(), whole);
}

TEST(SampledChunks, AreTheFirstOfTheTexts) {
  StudyData data;
  data.chunks.resize(40);
  for (size_t c = 0; c < 40; ++c) data.text_of_chunk.push_back(c / 8);
  EXPECT_EQ(SampledChunks(data), (std::vector<size_t>{0, 8, 16, 24}));
  data.chunks.resize(19);
  EXPECT_EQ(SampledChunks(data), (std::vector<size_t>{0}));
}

}  // namespace
}  // namespace vernier
