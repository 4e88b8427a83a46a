#include "study/recommend.h"

#include "study/study_testing.h"

namespace vernier {
namespace {

// Two texts of six chunks of ten tokens; every lane's numbers by hand.
class RecommendTest : public testing::Test {
 protected:
  RecommendTest() {
    spec_.texts = {{"t", "t"}, {"u", "u"}};
    SetChunks(6);
  }
  void SetChunks(size_t of_text) {
    data_.chunks.resize(2 * of_text);
    data_.text_of_chunk.clear();
    for (size_t c = 0; c < 2 * of_text; ++c) data_.text_of_chunk.push_back(c / of_text);
  }
  // `right` of ten tokens in each chunk.
  void Lane(const std::string& name, double bytes, double kld, double nll, size_t right,
            const std::string& output) {
    StudyLane lane;
    lane.kind = data_.lanes.empty() ? LaneKind::kBaseline : LaneKind::kVariant;
    lane.name = name;
    lane.variant = static_cast<int>(data_.lanes.size()) - 1;
    data_.lanes.push_back(std::move(lane));
    costs_.push_back({.weight_bytes = bytes});
    data_.scores.emplace_back();
    for (size_t c = 0; c < data_.chunks.size(); ++c) {
      ChunkScore score;
      score.fingerprint = HashText(output);
      score.tokens.resize(10);
      for (size_t i = 0; i < 10; ++i) {
        score.tokens[i].kld = kld;
        score.tokens[i].nll = nll + 0.01 * (static_cast<double>((c + right) % 3) - 1);
        score.tokens[i].correct = i < right;
      }
      data_.scores.back().push_back(std::move(score));
    }
  }
  std::string StandingOf(const std::vector<Candidate>& all, const std::string& name) {
    for (const Candidate& c : all) {
      if (data_.lanes[c.lane].name != name) continue;
      std::string text = StandingName(c.standing);
      if (c.standing == Standing::kDominated || c.standing == Standing::kSame)
        text += " " + data_.lanes[c.other].name;
      return text;
    }
    return "absent";
  }
  StudySpec spec_;
  StudyData data_;
  std::vector<LaneCost> costs_;
};

TEST_F(RecommendTest, TheFrontAndWhatIsBehindIt) {
  Lane("baseline", 100, 0, 2, 5, "a");
  Lane("good", 50, 0.001, 2, 5, "b");
  Lane("rough", 40, 1, 3, 5, "c");
  Lane("behind", 60, 0.5, 2, 5, "d");
  Lane("copy", 55, 0.001, 2, 5, "b");
  Lane("cheaper", 45, 0.4, 2.5, 5, "e");
  Lane("dearer", 48, 0.4, 2.5, 5, "e");  // the same output as "cheaper"
  const auto all = Recommend(spec_, data_, costs_);
  ASSERT_EQ(all.size(), 7u);
  EXPECT_EQ(StandingOf(all, "good"), "recommended");
  EXPECT_EQ(StandingOf(all, "baseline"), "as good");
  EXPECT_EQ(StandingOf(all, "rough"), "worse");
  EXPECT_EQ(StandingOf(all, "cheaper"), "worse");
  EXPECT_EQ(StandingOf(all, "behind"), "dominated good");
  EXPECT_EQ(StandingOf(all, "copy"), "same good");
  EXPECT_EQ(StandingOf(all, "dearer"), "same cheaper");
  for (size_t i = 1; i < all.size(); ++i) EXPECT_LE(all[i - 1].bytes, all[i].bytes);
  EXPECT_EQ(data_.lanes[all[0].lane].name, "rough");
  EXPECT_DOUBLE_EQ(all[0].kld.value, 1);
  EXPECT_NEAR(all[0].kld.interval.low, 1, 1e-12);
  EXPECT_NEAR(all[0].log_ratio.value, 1, 1e-12);
}

// An output that an earlier, dearer lane has as well: the cheaper one stands for both.
TEST_F(RecommendTest, TheCheaperOfTwoThatAreTheSame) {
  Lane("baseline", 100, 0, 2, 5, "a");
  Lane("dear", 80, 0.1, 2, 5, "b");
  Lane("cheap", 50, 0.1, 2, 5, "b");
  const auto all = Recommend(spec_, data_, costs_);
  EXPECT_EQ(StandingOf(all, "cheap"), "recommended");
  EXPECT_EQ(StandingOf(all, "dear"), "same cheap");
}

// Fewer right next tokens are worse, whatever the perplexity says.
TEST_F(RecommendTest, AccuracyCounts) {
  Lane("baseline", 100, 0, 2, 5, "a");
  Lane("wrong", 50, 0.1, 2, 4, "b");
  const auto all = Recommend(spec_, data_, costs_);
  EXPECT_EQ(StandingOf(all, "wrong"), "worse");
  EXPECT_EQ(StandingOf(all, "baseline"), "recommended");
  EXPECT_EQ(all[0].test.b, 12u);
  EXPECT_EQ(all[0].test.c, 0u);
  EXPECT_DOUBLE_EQ(all[0].test.p_value, 2.0 / 4096);
  EXPECT_DOUBLE_EQ(all[0].accuracy.value, -0.1);
}

TEST_F(RecommendTest, NothingToChoose) {
  Lane("baseline", 100, 0, 2, 5, "a");
  Lane("same cost", 100, 1, 3, 5, "b");
  EXPECT_TRUE(Recommend(spec_, data_, costs_).empty());
}

TEST_F(RecommendTest, OneChunkSaysNothing) {
  SetChunks(1);
  Lane("baseline", 100, 0, 2, 5, "a");
  Lane("rough", 50, 1, 3, 5, "b");
  EXPECT_EQ(StandingOf(Recommend(spec_, data_, costs_), "rough"), "unknown");
}

TEST_F(RecommendTest, AccuracyDifferenceOfATextAndOfAll) {
  Lane("baseline", 100, 0, 2, 5, "a");
  Lane("better", 50, 1, 3, 5, "b");
  for (size_t c = 0; c < 6; ++c) data_.scores[1][c].tokens[9].correct = 1;  // of the first text
  EXPECT_DOUBLE_EQ(AccuracyDifference(spec_, data_, 0, 1, 0).value, 0.1);
  EXPECT_DOUBLE_EQ(AccuracyDifference(spec_, data_, 0, 1, 1).value, 0);
  const IntervalValue all = AccuracyDifference(spec_, data_, 0, 1, -1);
  EXPECT_DOUBLE_EQ(all.value, 0.05);
  EXPECT_DOUBLE_EQ(all.interval.low, 0.05);  // drawn within texts: always six chunks of each
  EXPECT_DOUBLE_EQ(all.interval.high, 0.05);
}

}  // namespace
}  // namespace vernier
