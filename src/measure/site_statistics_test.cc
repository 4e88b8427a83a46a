#include "measure/site_statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace vernier {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

template <class T>
SiteStatistics Measure(const std::vector<std::vector<T>>& rows, Workers* workers = nullptr) {
  std::vector<const void*> at;
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    at.push_back(row.data());
    widths.push_back(row.size());
  }
  return MeasureSite({sizeof(T) == 4 ? Arithmetic::kF32 : Arithmetic::kF64, at, widths}, workers);
}

TEST(SiteStatistics, SmallNumbersByHand) {
  const SiteStatistics s = Measure<float>({{1, 2, 3}, {-4, 0}});
  EXPECT_EQ(s.count, 5u);
  EXPECT_EQ(s.zeros, 1u);
  EXPECT_DOUBLE_EQ(s.mean, 0.4);
  EXPECT_DOUBLE_EQ(s.rms, std::sqrt(30.0 / 5));
  EXPECT_DOUBLE_EQ(s.std, std::sqrt(30.0 / 5 - 0.16));
  EXPECT_EQ(s.min, -4);
  EXPECT_EQ(s.max, 3);
  EXPECT_EQ(s.absmax, 4);
  EXPECT_EQ(s.exponents, (std::map<int, uint64_t>{{0, 1}, {1, 2}, {2, 1}}));
}

TEST(SiteStatistics, NanAndInfinityAreCountedAndLeftOut) {
  const SiteStatistics s = Measure<float>({{kNan, 1, kInf, -kInf, 3, kNan, -0.0f}});
  EXPECT_EQ(s.nans, 2u);
  EXPECT_EQ(s.infinities, 2u);
  EXPECT_EQ(s.zeros, 1u);
  EXPECT_DOUBLE_EQ(s.mean, 4.0 / 3);
  EXPECT_EQ(s.max, 3);
  EXPECT_EQ(s.min, 0);
  const SiteStatistics none = Measure<float>({{kNan}});
  EXPECT_TRUE(std::isnan(none.mean) && std::isnan(none.absmax) && std::isnan(none.std));
}

TEST(SiteStatistics, ExponentsOfSubnormals) {
  const SiteStatistics f = Measure<float>({{0x1p-149f, 0x1.8p-127f}});
  EXPECT_EQ(f.exponents, (std::map<int, uint64_t>{{-149, 1}, {-127, 1}}));
  const SiteStatistics d = Measure<double>({{0x1p-1074, -0x1p-1023, 0x1p1023, 0}});
  EXPECT_EQ(d.exponents, (std::map<int, uint64_t>{{-1074, 1}, {-1023, 1}, {1023, 1}}));
  EXPECT_EQ(d.zeros, 1u);
}

// The written order: sixteen lanes within a row and their tree, then the rows; on one thread and on
// several.
TEST(SiteStatistics, SumsInTheStatedOrder) {
  std::vector<std::vector<double>> rows(300);
  uint64_t state = 1;
  double sum = 0;
  size_t count = 0;
  for (size_t r = 0; r < rows.size(); ++r) {
    double lanes[16] = {};
    for (size_t i = 0; i < 21 + r; ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      rows[r].push_back(std::ldexp(static_cast<double>(state >> 12), -40) - 1000);
      lanes[i % 16] += rows[r].back();
    }
    for (size_t half = 8; half > 0; half /= 2)
      for (size_t l = 0; l < half; ++l) lanes[l] += lanes[l + half];
    sum += lanes[0];
    count += rows[r].size();
  }
  EXPECT_EQ(Measure(rows).mean, sum / static_cast<double>(count));
  Workers workers(3);
  const SiteStatistics one = Measure(rows), more = Measure(rows, &workers);
  EXPECT_EQ(one.mean, more.mean);
  EXPECT_EQ(one.std, more.std);
  EXPECT_EQ(one.exponents, more.exponents);
  long double squares = 0;  // std against a plain sum in more precision
  for (const auto& row : rows)
    for (const double x : row)
      squares +=
          (x - static_cast<long double>(one.mean)) * (x - static_cast<long double>(one.mean));
  EXPECT_NEAR(one.std, static_cast<double>(std::sqrt(squares / count)), 1e-12 * one.std);
}

TEST(SiteStatistics, GrowthIsAgainstTheLayerBefore) {
  std::vector<SiteSummary> sites(4);
  for (size_t i = 0; i < 3; ++i) {
    sites[i].name = "l_out";
    sites[i].layer = static_cast<int>(i);
  }
  sites[0].statistics.rms = 2;
  sites[1].statistics.rms = 3;
  sites[3].name = "embd";
  MeasureGrowth(sites);
  EXPECT_TRUE(std::isnan(sites[0].growth));
  EXPECT_EQ(sites[1].growth, 1.5);
  EXPECT_EQ(sites[2].growth, 0);
  EXPECT_TRUE(std::isnan(sites[3].growth));
}

}  // namespace
}  // namespace vernier
