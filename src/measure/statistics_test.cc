#include "measure/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

namespace vernier {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
const double kNan = std::nan("");

TEST(Statistics, MeanAndItsError) {
  const std::vector<double> x = {1, 2, 3, 6};
  const MeanError m = Mean(x);
  EXPECT_EQ(m.mean, 3);
  EXPECT_EQ(m.n, 4u);
  // E[x^2] - E[x]^2 = 12.5 - 9 = 3.5; over n - 1 = 3.
  EXPECT_DOUBLE_EQ(m.error, std::sqrt(3.5 / 3));
  const double one[] = {7};
  EXPECT_EQ(Mean(one).mean, 7);
  EXPECT_EQ(Mean(one).error, 0);
  EXPECT_EQ(Mean({}).n, 0u);
  const std::vector<double> far = {1e9 + 1, 1e9 + 2, 1e9 + 3, 1e9 + 6};
  EXPECT_DOUBLE_EQ(Mean(far).error, std::sqrt(3.5 / 3)) << "no cancellation";
}

TEST(Statistics, Covariance) {
  const std::vector<double> x = {1, 2, 3, 6}, y = {2, 0, 4, 2};
  // E[xy] = (2 + 0 + 12 + 12) / 4 = 6.5; E[x]E[y] = 6.
  EXPECT_DOUBLE_EQ(MeanCovariance(x, y), 0.5 / 3);
  EXPECT_DOUBLE_EQ(MeanCovariance(x, x), Mean(x).error * Mean(x).error);
  EXPECT_EQ(MeanCovariance({}, {}), 0);
}

TEST(Statistics, Quantiles) {
  const std::vector<double> x = {1, 2, 4, 8, 16};
  EXPECT_EQ(Quantile(x, 0), 1);
  EXPECT_EQ(Quantile(x, 1), 16);
  EXPECT_EQ(Quantile(x, 0.5), 4);
  EXPECT_DOUBLE_EQ(Quantile(x, 0.625), 6);    // position 2.5
  EXPECT_DOUBLE_EQ(Quantile(x, 0.95), 14.4);  // position 3.8
  EXPECT_TRUE(std::isnan(Quantile({}, 0.5)));
  const std::vector<double> open = {1, 2, kInfinity};
  EXPECT_EQ(Quantile(open, 0.5), 2) << "an infinite neighbour has no say";
  EXPECT_EQ(Quantile(open, 1), kInfinity);
}

TEST(Statistics, NanSortsLast) {
  std::vector<double> x;
  for (int i = 0; i < 100; ++i) x.push_back(i % 3 == 0 ? kNan : 100 - i);
  const std::vector<double> sorted = Sorted(x);
  for (size_t i = 1; i < 66; ++i) EXPECT_LT(sorted[i - 1], sorted[i]);
  for (size_t i = 66; i < 100; ++i) EXPECT_TRUE(std::isnan(sorted[i]));
}

TEST(Statistics, NormalQuantiles) {
  // Tables of the standard normal distribution, two-sided.
  EXPECT_NEAR(NormalQuantile(0.05), 1.959963984540054, 1e-12);
  EXPECT_NEAR(NormalQuantile(0.01), 2.575829303548901, 1e-12);
  EXPECT_NEAR(NormalQuantile(0.10), 1.644853626951473, 1e-12);
  EXPECT_NEAR(NormalQuantile(1e-9), 6.109410204869, 1e-9);
  EXPECT_NEAR(NormalQuantile(1), 0, 1e-12);
}

// The mean of the drawn groups' values.
auto MeanOf(const std::vector<double>& values) {
  return [values](std::span<const uint32_t> times) {
    double sum = 0, n = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      sum += times[i] * values[i];
      n += times[i];
    }
    return sum / n;
  };
}

TEST(Bootstrap, SameSeedSameInterval) {
  const std::vector<double> values = {3, 1, 4, 1, 5, 9, 2, 6};
  const size_t strata[] = {8};
  const Interval a = Bootstrap(strata, 500, 7, 0.05, MeanOf(values)),
                 b = Bootstrap(strata, 500, 7, 0.05, MeanOf(values)),
                 c = Bootstrap(strata, 500, 8, 0.05, MeanOf(values));
  EXPECT_EQ(a.low, b.low);
  EXPECT_EQ(a.high, b.high);
  EXPECT_TRUE(a.low != c.low || a.high != c.high);
  EXPECT_LT(a.low, Mean(values).mean);
  EXPECT_GT(a.high, Mean(values).mean);
  const Interval wide = Bootstrap(strata, 500, 7, 0.001, MeanOf(values));
  EXPECT_LE(wide.low, a.low);
  EXPECT_GE(wide.high, a.high);
}

// Of many groups it is the normal interval: mean -+ z * standard error.
TEST(Bootstrap, NearTheNormalInterval) {
  std::vector<double> values;
  for (size_t i = 0; i < 400; ++i) values.push_back(std::sin(static_cast<double>(i * i)));
  const size_t strata[] = {values.size()};
  const Interval interval = Bootstrap(strata, 2000, 1, 0.05, MeanOf(values));
  const MeanError m = Mean(values);
  EXPECT_NEAR(interval.low, m.mean - 1.96 * m.error, 0.25 * m.error);
  EXPECT_NEAR(interval.high, m.mean + 1.96 * m.error, 0.25 * m.error);
}

TEST(Bootstrap, DrawsWithinStrata) {
  const size_t strata[] = {3, 1, 4};
  std::set<std::vector<uint32_t>> seen;
  Bootstrap(strata, 200, 3, 0.05, [&](std::span<const uint32_t> times) {
    EXPECT_EQ(times.size(), 8u);
    EXPECT_EQ(times[0] + times[1] + times[2], 3u);
    EXPECT_EQ(times[3], 1u);
    EXPECT_EQ(times[4] + times[5] + times[6] + times[7], 4u);
    seen.insert(std::vector<uint32_t>(times.begin(), times.end()));
    return 0.0;
  });
  EXPECT_GT(seen.size(), 50u);
  EXPECT_LE(seen.size(), 10u * 35u);
}

TEST(Bootstrap, OneGroupIsAPointAndNanIsSaid) {
  const size_t ones[] = {1, 1};
  const Interval point = Bootstrap(ones, 100, 0, 0.05, MeanOf({2, 4}));
  EXPECT_EQ(point.low, 3);
  EXPECT_EQ(point.high, 3);
  // 0 / 0 in the draws that miss the one group that counts.
  const size_t strata[] = {4};
  const Interval unknown = Bootstrap(strata, 100, 0, 0.05, [](std::span<const uint32_t> times) {
    return static_cast<double>(times[2]) / static_cast<double>(times[2]);
  });
  EXPECT_TRUE(std::isnan(unknown.low));
  EXPECT_TRUE(std::isnan(unknown.high));
}

}  // namespace
}  // namespace vernier
