// Scores do not depend on what is scored beside them, on memory, or on threads.
#include "measure/score.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "base/file.h"
#include "measure/score_pair.h"

namespace vernier {
namespace {

std::unique_ptr<Model> Open(int threads) {
  ModelOptions options;
  options.threads = threads;
  return Model::Open(std::string(VERNIER_SOURCE_DIR) + "/models/tiny-qwen2", options).value();
}

Plan PlanOf(Model& model, const std::vector<std::string>& rules, uint64_t seed = 0) {
  return MakePlan(model, ParseRecipe(rules).value(), seed).value();
}

std::vector<int32_t> Tokens(size_t n) {
  std::vector<int32_t> tokens;
  for (size_t i = 0; i < n; ++i) tokens.push_back(static_cast<int32_t>((i * i * 7 + 3 * i) % 1000));
  return tokens;
}

bool SameBits(double a, double b) { return std::memcmp(&a, &b, sizeof a) == 0; }

void ExpectSame(const TokenMeasure& a, const TokenMeasure& b) {
  EXPECT_TRUE(SameBits(a.nll, b.nll) && SameBits(a.kld, b.kld) && SameBits(a.delta_p, b.delta_p) &&
              SameBits(a.kld_truth, b.kld_truth));
  EXPECT_TRUE(a.max_abs == b.max_abs && a.mae == b.mae && a.margin == b.margin &&
              a.same_top == b.same_top && a.correct == b.correct);
}

void ExpectSame(const ChunkScore& a, const ChunkScore& b) {
  EXPECT_EQ(a.fingerprint, b.fingerprint);
  ASSERT_EQ(a.tokens.size(), b.tokens.size());
  for (size_t i = 0; i < a.tokens.size(); ++i) ExpectSame(a.tokens[i], b.tokens[i]);
  ASSERT_EQ(a.effects.size(), b.effects.size());
  for (size_t i = 0; i < a.effects.size(); ++i) {
    EXPECT_EQ(a.effects[i].touched, b.effects[i].touched);
    EXPECT_EQ(a.effects[i].changed, b.effects[i].changed);
  }
  ASSERT_EQ(a.sites.size(), b.sites.size());
  for (size_t i = 0; i < a.sites.size(); ++i)
    EXPECT_TRUE(SameBits(a.sites[i].error, b.sites[i].error) &&
                SameBits(a.sites[i].reference, b.sites[i].reference));
}

TEST(PerplexityChunks, AsLlamaPerplexityCuts) {
  const auto tokens = Tokens(3 * 16 + 5);
  const auto chunks = PerplexityChunks(tokens, 16, true, 999).value();
  ASSERT_EQ(chunks.size(), 3u);
  for (size_t c = 0; c < 3; ++c) {
    ASSERT_EQ(chunks[c].tokens.size(), 16u);
    EXPECT_EQ(chunks[c].tokens[0], 999);
    for (size_t i = 1; i < 16; ++i) EXPECT_EQ(chunks[c].tokens[i], tokens[c * 16 + i]);
    EXPECT_EQ(chunks[c].scored, (std::vector<uint32_t>{8, 9, 10, 11, 12, 13, 14}));
  }
  EXPECT_EQ(PerplexityChunks(tokens, 16, false, 999).value()[1].tokens[0], tokens[16]);
  EXPECT_EQ(PerplexityChunks(tokens, 16, true, 0, 2).value().size(), 2u);
  EXPECT_EQ(PerplexityChunks(tokens, 16, true, 0, 9).value().size(), 3u);
  EXPECT_EQ(PerplexityChunks(tokens, 9, true, 0).value()[0].scored,
            (std::vector<uint32_t>{4, 5, 6, 7}));
}

TEST(PerplexityChunks, Refused) {
  EXPECT_TRUE(PerplexityChunks(Tokens(32), 16, true, 0));
  EXPECT_FALSE(PerplexityChunks(Tokens(31), 16, true, 0));
  EXPECT_FALSE(PerplexityChunks({}, 16, true, 0));
  EXPECT_FALSE(PerplexityChunks(Tokens(100), 7, true, 0));
  EXPECT_FALSE(PerplexityChunks(Tokens(100), 0, true, 0));
}

class ScoreTest : public testing::Test {
 protected:
  ScoreTest() {
    chunks_ = PerplexityChunks(Tokens(96), 32, true, 0).value();
    lanes_ = {{},
              {"ffn_norm[2]=bf16"},
              {"*.math=f64"},
              {"ffn_norm.weight=bf16"},
              {"l_out=e4m3"},
              {"ffn_norm[1:]=bf16,round=stochastic"},
              {"ffn_norm[2]=e8m7"}};
  }
  // [chunk][lane]
  std::vector<std::vector<ChunkScore>> ScoreAll(Model& model, uint64_t budget,
                                                const std::vector<size_t>& which) {
    std::vector<Plan> plans;
    for (const size_t lane : which) plans.push_back(PlanOf(model, lanes_[lane], 11));
    ScoreRequest request;
    for (const Plan& plan : plans) request.plans.push_back(&plan);
    for (const Chunk& chunk : chunks_) request.chunks.push_back(&chunk);
    request.truth = which.size() > 2 ? 2 : -1;
    request.memory_budget = budget;
    for (size_t i = 0; i < model.graph().sites.size(); ++i)
      if (model.graph().sites[i].name == "l_out") request.sites.push_back(static_cast<int>(i));
    std::vector<std::vector<ChunkScore>> all;
    const bool done = Score(
        model, request,
        [&](size_t chunk, std::vector<ChunkScore> lanes) {
          EXPECT_EQ(chunk, all.size());
          all.push_back(std::move(lanes));
          return true;
        },
        {}, &cost_);
    EXPECT_TRUE(done);
    return all;
  }
  std::vector<Chunk> chunks_;
  std::vector<std::vector<std::string>> lanes_;
  EvaluationCost cost_;
};

TEST_F(ScoreTest, IndependentOfMemoryAndThreads) {
  const auto one = Open(1), three = Open(3);
  const std::vector<size_t> all = {0, 1, 2, 3, 4, 5, 6};
  const auto right = ScoreAll(*one, uint64_t{2} << 30, all);
  ASSERT_EQ(right.size(), chunks_.size());
  const uint64_t row = EvaluationBytes(one->graph(), 1);
  for (const uint64_t budget : {uint64_t{0}, 4 * 32 * row, 8 * 32 * row, uint64_t{2} << 30}) {
    const auto got = ScoreAll(*three, budget, all);
    ASSERT_EQ(got.size(), right.size());
    for (size_t c = 0; c < right.size(); ++c)
      for (size_t l = 0; l < all.size(); ++l) {
        SCOPED_TRACE(fmt::format("budget {}, chunk {}, lane {}", budget, c, l));
        ExpectSame(right[c][l], got[c][l]);
      }
  }
  for (size_t c = 0; c < right.size(); ++c) {
    EXPECT_EQ(right[c][3].fingerprint, right[c][0].fingerprint) << "weights that are BF16 already";
    EXPECT_EQ(right[c][6].fingerprint, right[c][1].fingerprint) << "two names of one format";
    EXPECT_NE(right[c][1].fingerprint, right[c][0].fingerprint);
    EXPECT_GT(right[c][4].tokens[3].kld, right[c][1].tokens[3].kld);
    EXPECT_EQ(right[c][0].tokens[3].kld, 0);
    EXPECT_EQ(right[c][2].tokens[3].kld_truth, 0);
    EXPECT_GT(right[c][0].tokens[3].kld_truth, 0);
    EXPECT_EQ(right[c][0].sites[0].error, 0);
    EXPECT_GT(right[c][0].sites[0].reference, 0);
    EXPECT_EQ(right[c][1].sites[1].error, 0) << "before the rounded layer";
    EXPECT_GT(right[c][1].sites[2].error, 0);
  }
}

TEST_F(ScoreTest, AloneAsInAStudyAndAsInAPair) {
  const auto model = Open(2);
  const auto together = ScoreAll(*model, uint64_t{2} << 30, {0, 1, 2, 3, 4, 5, 6});
  const Plan base = PlanOf(*model, {});
  for (const size_t lane : {1, 4, 5}) {
    SCOPED_TRACE(lane);
    const auto alone = ScoreAll(*model, uint64_t{2} << 30, {0, lane});
    const Plan plan = PlanOf(*model, lanes_[lane], 11);
    const PairScore pair = ScorePair({{model.get(), &plan}, {model.get(), &base}, chunks_, {}});
    size_t at = 0;
    for (size_t c = 0; c < chunks_.size(); ++c) {
      EXPECT_EQ(alone[c][1].fingerprint, together[c][lane].fingerprint);
      for (size_t i = 0; i < chunks_[c].scored.size(); ++i, ++at) {
        TokenMeasure expected = together[c][lane].tokens[i];
        expected.kld_truth = 0;  // there was no truth in the others
        ExpectSame(alone[c][1].tokens[i], expected);
        ExpectSame(pair.tokens[at], expected);
        EXPECT_TRUE(SameBits(pair.base[at].nll, together[c][0].tokens[i].nll));
      }
    }
    EXPECT_EQ(at, pair.tokens.size());
  }
}

TEST_F(ScoreTest, AsOnePlainEvaluation) {
  const auto model = Open(1);
  const auto scores = ScoreAll(*model, uint64_t{2} << 30, {0, 1});
  const Plan plan = PlanOf(*model, lanes_[1], 11);
  for (size_t c = 0; c < chunks_.size(); ++c) {
    const Stream stream{&plan, chunks_[c].tokens, nullptr, chunks_[c].scored};
    size_t seen = 0;
    Evaluate(*model, {&stream, 1}, [&](std::span<const LogitsRow> rows) {
      for (const LogitsRow& row : rows) {
        const Distribution d =
            MakeDistribution(row, model->graph().vocabulary, *model->machine().kernels);
        const auto next = static_cast<size_t>(chunks_[c].tokens[chunks_[c].scored[row.index] + 1]);
        EXPECT_TRUE(SameBits(scores[c][1].tokens[row.index].nll, -LogProbability(d, next)));
        ++seen;
      }
    });
    EXPECT_EQ(seen, chunks_[c].scored.size());
  }
}

// All layers times five formats: less than 60 % of the tensors that lanes apart would compute.
TEST_F(ScoreTest, ASweepSharesWhatIsEqual) {
  const auto model = Open(2);
  lanes_ = {{}};
  for (int layer = 0; layer < model->graph().layers; ++layer)
    for (const char* format : {"bf16", "f16", "e4m3", "e5m2", "int8"})
      lanes_.push_back({fmt::format("ffn_norm[{}]={}", layer, format)});
  chunks_.resize(2);
  std::vector<Plan> plans;
  for (const auto& rules : lanes_) plans.push_back(PlanOf(*model, rules, 11));
  ScoreRequest request;
  for (const Plan& plan : plans) request.plans.push_back(&plan);
  for (const Chunk& chunk : chunks_) request.chunks.push_back(&chunk);
  std::vector<std::vector<ChunkScore>> together;
  Score(
      *model, request,
      [&](size_t, std::vector<ChunkScore> lanes) {
        together.push_back(std::move(lanes));
        return true;
      },
      {}, &cost_);
  EXPECT_LE(static_cast<double>(cost_.tensors_evaluated),
            0.60 * static_cast<double>(cost_.tensors_naive));
  EXPECT_GT(cost_.tensors_evaluated, cost_.tensors_naive / 10);
  EvaluationCost ignored;
  for (size_t lane = 1; lane < lanes_.size(); ++lane) {
    ScoreRequest alone = request;
    alone.plans = {&plans[0], &plans[lane]};
    Score(
        *model, alone,
        [&](size_t chunk, std::vector<ChunkScore> lanes) {
          SCOPED_TRACE(lanes_[lane][0]);
          ExpectSame(lanes[1], together[chunk][lane]);
          return true;
        },
        {}, &ignored);
  }
}

// A lane of one layer alone splits its variant's error there, as vectors: what the layer makes of
// the baseline's input, and the rest. Whatever the memory, and against values tapped by hand.
TEST_F(ScoreTest, InheritedAndContributed) {
  const auto model = Open(2);
  const Plan base = PlanOf(*model, {}), truth = PlanOf(*model, {"*.math=f64"}),
             whole = PlanOf(*model, {"types=q4_0"}), alone = PlanOf(*model, {"types[2]=q4_0"});
  chunks_.resize(2);
  ScoreRequest request;
  request.plans = {&base, &alone, &truth, &whole};
  request.truth = 2;
  request.alone = {{}, {3, 2}, {}, {}};
  request.beside = {-1, -1, -1, 2};  // the whole beside the truth
  const auto& sites = model->graph().sites;
  for (size_t i = 0; i < sites.size(); ++i)
    if (sites[i].name == "l_out" && (sites[i].layer == 1 || sites[i].layer == 2))
      request.sites.push_back(static_cast<int>(i));
  for (const Chunk& chunk : chunks_) request.chunks.push_back(&chunk);
  for (const uint64_t budget : {uint64_t{0}, uint64_t{2} << 30}) {
    request.memory_budget = budget;
    EvaluationCost cost;
    std::vector<std::vector<ChunkScore>> scores;
    Score(
        *model, request,
        [&](size_t, std::vector<ChunkScore> lanes) {
          scores.push_back(std::move(lanes));
          return true;
        },
        {}, &cost);
    ASSERT_EQ(scores.size(), 2u);
    for (size_t c = 0; c < 2; ++c) {
      std::vector<Stream> streams;
      for (const Plan* plan : request.plans)
        streams.push_back({plan, chunks_[c].tokens, nullptr, chunks_[c].scored});
      std::vector<std::vector<double>> values(4);
      const Tap tap{[](const Site& site) { return site.name == "l_out" && site.layer == 2; },
                    [&](const SiteTensor& t) {
                      for (size_t r = 0; r < t.rows.size(); ++r)
                        for (size_t i = 0; chunks_[c].IsScored(t.tokens[r]) && i < t.widths[r]; ++i)
                          values[t.stream].push_back(
                              t.type == Arithmetic::kF32
                                  ? static_cast<double>(static_cast<const float*>(t.rows[r])[i])
                                  : static_cast<const double*>(t.rows[r])[i]);
                    }};
      Evaluate(
          *model, streams, [](std::span<const LogitsRow>) {}, &tap);
      ASSERT_EQ(values[0].size(), chunks_[c].scored.size() * model->graph().hidden);
      SiteSums expected;
      for (size_t i = 0; i < values[0].size(); ++i) {
        const double a = values[0][i], b = values[1][i], t = values[2][i], w = values[3][i];
        SiteSums one;
        one.error = (b - a) * (b - a);
        one.reference = a * a;
        one.truth_error = (b - t) * (b - t);
        one.truth_reference = t * t;
        one.count = 1;
        one.sum = b;
        one.squares = b * b;
        one.inherited = (b - w) * (b - w);
        one.low = one.high = b;
        one.max_error = std::abs(b - a);
        one.beside = (w - t) * (w - t);
        one.beside_max = std::abs(w - t);
        expected.Add(one, 1);
        expected.Add(SiteSums{.count = 1, .low = -1e9, .high = 1e9}, 0);  // counts not once
      }
      const SiteSums& got = scores[c][1].sites[1];
      EXPECT_DOUBLE_EQ(got.error, expected.error);
      EXPECT_DOUBLE_EQ(got.reference, expected.reference);
      EXPECT_DOUBLE_EQ(got.truth_error, expected.truth_error);
      EXPECT_DOUBLE_EQ(got.truth_reference, expected.truth_reference);
      EXPECT_DOUBLE_EQ(got.count, expected.count);
      EXPECT_DOUBLE_EQ(got.sum, expected.sum);
      EXPECT_DOUBLE_EQ(got.squares, expected.squares);
      EXPECT_DOUBLE_EQ(got.inherited, expected.inherited);
      EXPECT_GT(got.inherited, 0);
      EXPECT_EQ(got.low, expected.low);
      EXPECT_EQ(got.high, expected.high);
      EXPECT_EQ(got.max_error, expected.max_error);
      for (size_t i = 0; i < got.first.size(); ++i) EXPECT_EQ(got.first[i], values[1][i]);
      EXPECT_EQ(scores[c][3].sites[1].beside_max, expected.beside_max);
      EXPECT_DOUBLE_EQ(scores[c][3].sites[1].beside, expected.beside);
      EXPECT_GT(expected.beside, 0);
      EXPECT_EQ(got.beside, 0) << "compared with none";
      EXPECT_EQ(scores[c][1].sites[0].error, 0) << "the layer before is the baseline's";
      EXPECT_EQ(scores[c][1].sites[0].inherited, 0) << "of its own layer alone";
      EXPECT_EQ(scores[c][3].sites[1].inherited, 0);
    }
  }
}

// The last layer is evaluated for scored tokens alone; all layers speak of those.
TEST_F(ScoreTest, SitesSpeakOfScoredTokens) {
  const auto model = Open(1);
  const Plan plan = PlanOf(*model, {});
  ScoreRequest request;
  request.plans = {&plan};
  for (const Chunk& chunk : chunks_) request.chunks.push_back(&chunk);
  for (size_t i = 0; i < model->graph().sites.size(); ++i)
    if (model->graph().sites[i].name == "l_out") request.sites.push_back(static_cast<int>(i));
  EvaluationCost cost;
  Score(
      *model, request,
      [&](size_t c, std::vector<ChunkScore> lanes) {
        for (const SiteSums& sums : lanes[0].sites)
          EXPECT_EQ(sums.count,
                    static_cast<double>(chunks_[c].scored.size() * model->graph().hidden));
        return true;
      },
      {}, &cost);
}

TEST(SiteSumsTest, StandardDeviationByHand) {
  SiteSums sums;
  for (const double x : {1.0, 2.0, 3.0, 6.0}) {
    SiteSums one;
    one.count = 1;
    one.sum = one.low = one.high = x;
    one.squares = x * x;
    one.first = {x};
    sums.Add(one, 1);
  }
  EXPECT_DOUBLE_EQ(StandardDeviation(sums), std::sqrt(3.5));
  EXPECT_EQ(sums.low, 1);
  EXPECT_EQ(sums.high, 6);
  EXPECT_EQ(sums.first[0], 1);
}

TEST_F(ScoreTest, StopsWhenAsked) {
  const auto model = Open(1);
  const Plan plan = PlanOf(*model, {});
  ScoreRequest request;
  request.plans = {&plan};
  for (const Chunk& chunk : chunks_) request.chunks.push_back(&chunk);
  EvaluationCost cost;
  EXPECT_FALSE(Score(
      *model, request, [](size_t, std::vector<ChunkScore>) { return false; }, {}, &cost));
  EXPECT_FALSE(Score(
      *model, request, [](size_t, std::vector<ChunkScore>) { return true; },
      [](const Progress&) { return false; }, &cost));
}

}  // namespace
}  // namespace vernier
