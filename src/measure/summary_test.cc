#include "measure/summary.h"

#include <gtest/gtest.h>

#include <cmath>

namespace vernier {
namespace {

// Four tokens in two lanes, and what llama-perplexity's formulas give for them.
class SummaryTest : public testing::Test {
 protected:
  SummaryTest() {
    const double nll_a[] = {1, 2, 3, 6}, nll_b[] = {1.5, 2, 3.5, 7}, kld[] = {0.1, 0, 0.3, 0.2},
                 delta_p[] = {-0.1, 0.2, 0, -0.3};
    for (size_t i = 0; i < 4; ++i) {
      TokenMeasure a, b;
      a.nll = nll_a[i];
      b.nll = nll_b[i];
      b.kld = kld[i];
      b.delta_p = delta_p[i];
      b.kld_truth = 2 * kld[i];
      b.same_top = i != 2;
      b.max_abs = static_cast<float>(i);
      b.mae = 0.5f * static_cast<float>(i);
      base_.push_back(a);
      tokens_.push_back(b);
    }
  }
  std::vector<TokenMeasure> base_, tokens_;
};

TEST(Summary, Perplexity) {
  const std::vector<double> nll = {1, 2, 3, 6};
  const Perplexity ppl = SummarizePerplexity(nll);
  EXPECT_DOUBLE_EQ(ppl.mean, std::exp(3));
  // sqrt((mean(nll^2) - mean(nll)^2) / (n - 1)) * ppl
  EXPECT_DOUBLE_EQ(ppl.uncertainty, std::sqrt((50.0 / 4 - 9) / 3) * std::exp(3));
  EXPECT_EQ(ppl.tokens, 4u);
}

TEST_F(SummaryTest, DivergenceAndProbabilities) {
  const DivergenceSummary s = Summarize(base_, tokens_);
  EXPECT_EQ(s.tokens, 4u);
  EXPECT_DOUBLE_EQ(s.kld.value, 0.15);
  EXPECT_DOUBLE_EQ(s.kld.error, std::sqrt((0.14 / 4 - 0.0225) / 3));
  EXPECT_DOUBLE_EQ(s.kld_truth.value, 0.3);
  ASSERT_EQ(s.kld_quantiles.size(), std::size(kKldFractions));
  EXPECT_EQ(s.kld_quantiles[0], 0.3);
  EXPECT_DOUBLE_EQ(s.kld_quantiles[3], 0.285);  // 95 %: position 2.85 between 0.2 and 0.3
  EXPECT_DOUBLE_EQ(s.kld_quantiles[5], 0.15);
  EXPECT_EQ(s.kld_quantiles.back(), 0);
  EXPECT_DOUBLE_EQ(s.delta_p.value, -0.05);
  const double square = 0.14 / 4, fourth = (1e-4 + 16e-4 + 81e-4) / 4;
  EXPECT_DOUBLE_EQ(s.rms_delta_p.value, std::sqrt(square));
  EXPECT_NEAR(s.rms_delta_p.error,
              0.5 / std::sqrt(square) * std::sqrt((fourth - square * square) / 3), 1e-15);
  EXPECT_EQ(s.delta_p_quantiles[0], 0.2);
  EXPECT_EQ(s.delta_p_quantiles.back(), -0.3);
  EXPECT_DOUBLE_EQ(s.same_top.value, 0.75);
  EXPECT_DOUBLE_EQ(s.same_top.error, std::sqrt(0.75 * 0.25 / 3));
  EXPECT_EQ(s.max_abs, 3);
  EXPECT_EQ(s.mae, 0.75);
}

// Right before: tokens 0, 1, 3; now: 1, 2.
TEST_F(SummaryTest, AccuracyIsPaired) {
  for (const size_t i : {0, 1, 3}) base_[i].correct = 1;
  for (const size_t i : {1, 2}) tokens_[i].correct = 1;
  const DivergenceSummary s = Summarize(base_, tokens_);
  EXPECT_DOUBLE_EQ(s.accuracy.value, 0.5);
  EXPECT_DOUBLE_EQ(s.accuracy.error, std::sqrt(0.25 / 3));
  EXPECT_DOUBLE_EQ(s.accuracy_difference.value, -0.25);
  // Differences -1, 0, 1, -1: mean square 3/4.
  EXPECT_DOUBLE_EQ(s.accuracy_difference.error, std::sqrt((0.75 - 0.0625) / 3));
  EXPECT_EQ(s.accuracy_test.b, 2u);
  EXPECT_EQ(s.accuracy_test.c, 1u);
  EXPECT_DOUBLE_EQ(s.accuracy_test.p_value, 1);  // of three tosses: 2 (1 + 3) / 8
}

TEST_F(SummaryTest, RatioOfPerplexitiesIsPaired) {
  const DivergenceSummary s = Summarize(base_, tokens_);
  const double a = std::exp(3), b = std::exp(3.5);
  const double va = (50.0 / 4 - 9) / 3, vb = (67.5 / 4 - 12.25) / 3,
               covariance = ((1.5 + 4 + 10.5 + 42) / 4 - 3 * 3.5) / 3;
  EXPECT_DOUBLE_EQ(s.log_ratio.value, 0.5);
  EXPECT_NEAR(s.log_ratio.error, std::sqrt(va + vb - 2 * covariance), 1e-14);
  EXPECT_NEAR(s.ratio.value, std::exp(0.5), 1e-14);
  EXPECT_NEAR(s.ratio.error, s.ratio.value * s.log_ratio.error, 1e-14);
  EXPECT_NEAR(s.difference.value, b - a, 1e-12);
  EXPECT_NEAR(s.difference.error, std::sqrt(a * a * va + b * b * vb - 2 * a * b * covariance),
              1e-12);
  EXPECT_NEAR(s.correlation, covariance / std::sqrt(va * vb), 1e-14);
}

TEST_F(SummaryTest, AgainstItself) {
  const DivergenceSummary s = Summarize(base_, base_);
  EXPECT_EQ(s.kld.value, 0);
  EXPECT_EQ(s.same_top.value, 1);
  EXPECT_EQ(s.ratio.value, 1);
  EXPECT_EQ(s.ratio.error, 0);
  EXPECT_EQ(s.difference.error, 0);
  EXPECT_EQ(s.rms_delta_p.value, 0);
  EXPECT_EQ(s.rms_delta_p.error, 0);
  EXPECT_NEAR(s.correlation, 1, 1e-14);
}

}  // namespace
}  // namespace vernier
