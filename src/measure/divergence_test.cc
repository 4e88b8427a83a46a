#include "measure/divergence.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace vernier {
namespace {

Distribution Make(const std::vector<float>& logits) {
  LogitsRow row;
  row.values = logits.data();
  Distribution d = MakeDistribution(row, logits.size(), BestKernels());
  WithProbabilities(&d, BestKernels());
  return d;
}

std::vector<float> RandomLogits(size_t n, uint32_t seed, double spread) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal(0, spread);
  std::vector<float> logits(n);
  for (float& x : logits) x = static_cast<float>(normal(random));
  return logits;
}

long double LogSum(const std::vector<float>& logits) {
  long double sum = 0;
  const float max = *std::max_element(logits.begin(), logits.end());
  for (const float x : logits) sum += std::exp(static_cast<long double>(x) - max);
  return max + std::log(sum);
}

long double RightKl(const std::vector<float>& a, const std::vector<float>& b) {
  const long double la = LogSum(a), lb = LogSum(b);
  long double kl = 0;
  for (size_t i = 0; i < a.size(); ++i)
    kl += std::exp(a[i] - la) * ((a[i] - la) - (static_cast<long double>(b[i]) - lb));
  return kl;
}

TEST(Divergence, AgainstExtendedPrecision) {
  for (const size_t n : {1, 2, 15, 16, 17, 1000}) {
    for (const double spread : {0.01, 3.0, 40.0}) {
      const auto a = RandomLogits(n, 1, spread), b = RandomLogits(n, 2, spread);
      const Distribution da = Make(a), db = Make(b);
      const auto right = static_cast<double>(RightKl(a, b));
      EXPECT_NEAR(KlDivergence(da, db), right, 1e-13 * (1 + right)) << n << " " << spread;
      for (const size_t token : {size_t{0}, n / 2, n - 1})
        EXPECT_NEAR(LogProbability(da, token), static_cast<double>(a[token] - LogSum(a)),
                    1e-14 * (1 + spread * 10));
    }
  }
}

// What rounding makes of logits: small differences must survive.
TEST(Divergence, SmallDifferences) {
  const auto a = RandomLogits(1000, 5, 3);
  std::vector<float> b = a;
  for (size_t i = 0; i < b.size(); i += 2) b[i] = std::nextafter(b[i], 100.0f);
  const auto right = static_cast<double>(RightKl(a, b));
  EXPECT_GT(right, 0);
  EXPECT_NEAR(KlDivergence(Make(a), Make(b)), right, 1e-15);
}

TEST(Divergence, OfItselfIsZero) {
  for (const double spread : {0.0, 1.0, 50.0}) {
    const Distribution d = Make(RandomLogits(333, 7, spread));
    EXPECT_EQ(KlDivergence(d, d), 0);
    const TokenMeasure m = MeasureToken(d, d, &d, 12);
    EXPECT_EQ(m.kld, 0);
    EXPECT_EQ(m.kld_truth, 0);
    EXPECT_EQ(m.delta_p, 0);
    EXPECT_EQ(m.max_abs, 0);
    EXPECT_EQ(m.same_top, 1);
  }
}

TEST(Divergence, TiesGoToTheLowestId) {
  const Distribution d = Make({1, 3, 3, 2, 3});
  EXPECT_EQ(d.top, 1u);
  EXPECT_EQ(d.margin, 0);
  EXPECT_EQ(Rank(d, 1), 0u);
  EXPECT_EQ(Rank(d, 2), 1u);
  EXPECT_EQ(Rank(d, 4), 2u);
  EXPECT_EQ(Rank(d, 3), 3u);
  EXPECT_EQ(Rank(d, 0), 4u);
  EXPECT_EQ(MeasureToken(d, Make({1, 2, 3, 2, 3}), nullptr, 0).same_top, 0);
  EXPECT_EQ(MeasureToken(d, Make({1, 4, 4, 4, 4}), nullptr, 0).same_top, 1);
  EXPECT_EQ(MeasureToken(d, Make({1, 4, 4, 4, 4}), nullptr, 1).correct, 1);
  EXPECT_EQ(MeasureToken(d, Make({1, 4, 4, 4, 4}), nullptr, 2).correct, 0);
  EXPECT_EQ(MeasureToken(d, Make({1, 2, 3, 2, 3}), nullptr, 2).correct, 1);
}

TEST(Divergence, TokenByHand) {
  const auto ln = [](double x) { return static_cast<float>(std::log(x)); };
  const Distribution a = Make({ln(0.5), ln(0.25), ln(0.25)}),
                     b = Make({ln(0.25), ln(0.5), ln(0.25)});
  const TokenMeasure m = MeasureToken(a, b, &b, 1);
  EXPECT_NEAR(m.nll, std::log(2), 1e-6);
  EXPECT_NEAR(m.kld, 0.25 * std::log(2), 1e-6);
  EXPECT_NEAR(m.delta_p, 0.25, 1e-6);
  EXPECT_EQ(m.kld_truth, 0);
  EXPECT_NEAR(m.max_abs, std::log(2), 1e-6);
  EXPECT_NEAR(m.mae, 2 * std::log(2) / 3, 1e-6);
  EXPECT_NEAR(m.margin, std::log(2), 1e-6);
  EXPECT_EQ(m.same_top, 0);
}

TEST(Divergence, ATokenOfProbabilityZeroAddsNothing) {
  const Distribution a = Make({0, -2000, 1}), b = Make({0, 5, 1});
  EXPECT_EQ(a.p[1], 0);
  EXPECT_TRUE(std::isfinite(KlDivergence(a, b)));
  EXPECT_NEAR(KlDivergence(b, a), 2000, 100);  // finite logits give a finite divergence
}

}  // namespace
}  // namespace vernier
