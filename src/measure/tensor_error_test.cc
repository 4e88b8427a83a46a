#include "measure/tensor_error.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace vernier {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

CapturedSite SiteOf(const std::string& label, std::vector<std::vector<float>> rows) {
  CapturedSite site;
  site.label = label;
  site.name = ParseSiteLabel(label).name;
  site.layer = ParseSiteLabel(label).layer;
  for (const auto& row : rows) {
    site.tokens.push_back(static_cast<uint32_t>(site.widths.size()));
    site.widths.push_back(row.size());
    site.f32.insert(site.f32.end(), row.begin(), row.end());
  }
  return site;
}

TensorError Error(std::vector<std::vector<float>> a, std::vector<std::vector<float>> b) {
  const CapturedSite left = SiteOf("x", std::move(a)), right = SiteOf("x", std::move(b));
  return MeasureError(CapturedRows(left).view(), CapturedRows(right).view());
}

TEST(TensorError, SmallNumbersByHand) {
  const TensorError e = Error({{3, 4}, {0}}, {{3, 4.5}, {-1}});
  EXPECT_EQ(e.count, 3u);
  EXPECT_EQ(e.equal, 1u);
  EXPECT_EQ(e.max_abs, 1);
  EXPECT_DOUBLE_EQ(e.rmse, std::sqrt(1.25 / 3));
  EXPECT_DOUBLE_EQ(e.l2_rel, std::sqrt(1.25) / 5);
  EXPECT_DOUBLE_EQ(e.sqnr_db, -20 * std::log10(std::sqrt(1.25) / 5));
  EXPECT_DOUBLE_EQ(e.cosine, 27 / (5 * std::sqrt(9 + 20.25 + 1)));
  EXPECT_EQ(e.first_difference, 1);
  EXPECT_EQ(e.first_row, 0u);
  EXPECT_EQ(e.first_column, 1u);
  EXPECT_EQ(e.ulp_median, 0x1p20);  // from 4 to 4.5: an eighth of the binade
}

TEST(TensorError, EqualTensors) {
  const TensorError e = Error({{0.1f, kNan, -kInf}, {0}}, {{0.1f, kNan, -kInf}, {0}});
  EXPECT_TRUE(e.identical());
  EXPECT_EQ(e.equal_bits(), 1);
  EXPECT_EQ(e.max_abs, 0);
  EXPECT_EQ(e.l2_rel, 0);
  EXPECT_EQ(e.sqnr_db, std::numeric_limits<double>::infinity());
  EXPECT_EQ(e.cosine, 1);
  EXPECT_EQ(e.first_difference, -1);
  EXPECT_EQ(e.nonfinite, 2u);
  EXPECT_EQ(e.unlike, 0u);
}

TEST(TensorError, NanAndInfinity) {
  const TensorError e = Error({{1, kNan, kInf, 2}}, {{1, 5, -kInf, kNan}});
  EXPECT_EQ(e.nonfinite, 3u);
  EXPECT_EQ(e.unlike, 3u);
  EXPECT_EQ(e.equal, 1u);
  EXPECT_EQ(e.max_abs, 0);
  EXPECT_EQ(e.first_difference, 1);
}

TEST(TensorError, ZerosAndSigns) {
  const TensorError signs = Error({{0.0f}}, {{-0.0f}});
  EXPECT_EQ(signs.equal, 0u);
  EXPECT_EQ(signs.ulp_max, 0);
  EXPECT_EQ(signs.l2_rel, 0);
  const TensorError from_zero = Error({{0, 0}}, {{0, 1}});
  EXPECT_EQ(from_zero.l2_rel, std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(from_zero.cosine));
}

TEST(TensorError, UlpQuantilesInterpolate) {
  std::vector<float> a(101, 1.0f), b;
  for (int i = 0; i <= 100; ++i) b.push_back(1.0f + static_cast<float>(i) * 0x1p-23f);
  const TensorError e = Error({a}, {b});
  EXPECT_EQ(e.ulp_median, 50);
  EXPECT_EQ(e.ulp_p99, 99);
  EXPECT_EQ(e.ulp_max, 100);
  EXPECT_EQ(Error({{1, 1}}, {{1, 1 + 0x1p-23f}}).ulp_median, 0.5);
}

TEST(TensorError, CapturesSiteBySite) {
  Capture a{"a.safetensors", "", "", "", {1, 2}, {}}, b{"b.safetensors", "", "", "", {1, 2}, {}};
  a.sites = {SiteOf("embd", {{1}, {2}}), SiteOf("l_out[0]", {{1}, {2}}), SiteOf("kq[0]", {{1}})};
  b.sites = {SiteOf("l_out[0]", {{1}, {3}}), SiteOf("embd", {{1}, {2}}), SiteOf("z", {{1}})};
  const auto compared = CompareCaptures(a, b);
  ASSERT_TRUE(compared);
  ASSERT_EQ(compared->sites.size(), 2u);
  EXPECT_EQ(compared->sites[0].label, "embd");
  EXPECT_EQ(compared->sites[1].layer, 0);
  EXPECT_EQ(compared->sites[1].error.max_abs, 1);
  EXPECT_EQ(compared->only_a, std::vector<std::string>{"kq[0]"});
  EXPECT_EQ(compared->only_b, std::vector<std::string>{"z"});

  b.sites[1] = SiteOf("embd", {{1, 2}, {2, 3}});
  const auto shapes = CompareCaptures(a, b);
  ASSERT_FALSE(shapes);
  EXPECT_EQ(shapes.error().message,
            "site 'embd': a is 2 rows of 1 elements, b 2 rows of 2 elements; expected the same "
            "shape");
  b.tokens = {1, 3};
  EXPECT_EQ(CompareCaptures(a, b).error().message,
            "a.safetensors and b.safetensors: token 1 is 2 and 3; expected the same token stream");
}

}  // namespace
}  // namespace vernier
