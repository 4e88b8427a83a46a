// Outliers, given ranges, and tensors on several threads. Scaled grids and floats are held to exact
// arithmetic in treatment_test.cc.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "formats/treatment.h"

namespace vernier {
namespace {

constexpr auto kWeight = TreatedThing::kWeight;

Treatment Parse(std::string_view text, TreatedThing thing = TreatedThing::kActivation) {
  auto t = ParseTreatment(text, thing);
  EXPECT_TRUE(t) << (t ? "" : t.error().message);
  return t.value_or(Treatment{});
}

std::vector<float> Normal(size_t n, uint32_t seed, float scale = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> x(n);
  for (float& v : x) v = normal(random);
  return x;
}

TEST(Outliers, KeptAsTheyAre) {
  const float nan = std::nanf("");
  std::vector<float> x = {0.26f, 63.7f, 63.74f, 63.75f, -64.3f, 1e30f, HUGE_VALF, nan, -0.0f};
  std::vector<float> y = x;
  const TreatmentCounts counts =
      TreatRow(Parse("int8,scale=0.5,outliers=keep"), y.data(), y.size(), 0);
  // 63.74 / 0.5 rounds to 127; 63.75 is halfway to 128.
  const float expected[] = {0.5f, 63.5f, 63.5f, 63.75f, -64.3f, 1e30f, HUGE_VALF};
  for (size_t i = 0; i < std::size(expected); ++i) EXPECT_EQ(y[i], expected[i]) << x[i];
  EXPECT_TRUE(std::isnan(y[7]));
  EXPECT_FALSE(std::signbit(y[8]));
  EXPECT_EQ(counts, (TreatmentCounts{9, 4, 0, 0}));
  EXPECT_EQ(TreatRow(Parse("int8,scale=0.5"), x.data(), x.size(), 0).saturated, 4u);
}

// The definition in double: t = x * 127 / a of doubles, outliers those whose rounded t is beyond
// 127, a2 their largest magnitude.
std::vector<double> TwoScales(const std::vector<double>& x, double a, double b, bool* any) {
  double a2 = 0;
  for (const double v : x)
    if (std::abs(std::nearbyint(v * b / a)) > 127) a2 = std::max(a2, std::abs(v));
  *any = a2 > 0;
  std::vector<double> y;
  for (const double v : x) {
    const double q = std::nearbyint(v * b / a);
    y.push_back(std::abs(q) > 127 ? std::nearbyint(v * 127 / a2) * a2 / 127 : q * a / b + 0.0);
  }
  return y;
}

TEST(Outliers, SecondScale) {
  for (uint32_t seed = 0; seed < 50; ++seed) {
    const std::vector<float> f = Normal(700, seed, 20);
    const std::vector<double> x(f.begin(), f.end());
    bool any = false;
    std::vector<double> expected = TwoScales(x, 0.25, 1, &any), d = x;
    std::vector<float> y = f;
    const Treatment t = Parse("int8,scale=0.25,outliers=second");
    const TreatmentCounts counts = TreatRow(t, y.data(), y.size(), 0);
    TreatRow(t, d.data(), d.size(), 0);
    EXPECT_TRUE(any);
    EXPECT_EQ(counts.saturated, 0u);
    for (size_t i = 0; i < x.size(); ++i) {
      ASSERT_EQ(d[i], expected[i]);
      ASSERT_EQ(y[i], static_cast<float>(expected[i]));
    }
    // The same with the scale from a percentile, in groups.
    const Treatment p = Parse("int8,scale=percentile:90,outliers=second,per=group:100");
    d = x;
    TreatRow(p, d.data(), d.size(), 0);
    for (size_t at = 0; at < x.size(); at += 100) {
      std::vector<double> part(x.begin() + static_cast<long>(at),
                               x.begin() + static_cast<long>(at + 100));
      std::vector<double> sorted = part;
      for (double& v : sorted) v = std::abs(v);
      std::sort(sorted.begin(), sorted.end());
      const double place = 90.0 / 100 * 99, rest = place - std::floor(place);
      const auto k = static_cast<size_t>(place);
      const double a = sorted[k] + rest * (sorted[k + 1] - sorted[k]);
      expected = TwoScales(part, a, 127, &any);
      for (size_t i = 0; i < 100; ++i) ASSERT_EQ(d[at + i], expected[i]);
    }
  }
}

TEST(Outliers, SecondScaleOfInfinitiesAndOfNothing) {
  const Treatment t = Parse("int8,scale=1,outliers=second");
  std::vector<float> x = {1.2f, 300, -HUGE_VALF, -299};
  TreatmentCounts counts = TreatRow(t, x.data(), 4, 0);
  EXPECT_EQ(x[1], 300);
  EXPECT_EQ(x[2], -300);
  EXPECT_EQ(x[3], static_cast<float>(-127 * 300.0 / 127));  // 126.58 rounds to 127
  EXPECT_EQ(counts.saturated, 1u);
  x = {1.2f, HUGE_VALF};
  counts = TreatRow(t, x.data(), 2, 0);
  EXPECT_EQ(x[1], 127);
  EXPECT_EQ(counts.saturated, 1u);
  // A percentile of 0: all other numbers are outliers.
  x = {0, 0, 0, 1, -2};
  counts = TreatRow(Parse("int8,scale=percentile:50,outliers=second"), x.data(), 5, 0);
  EXPECT_EQ(x[4], -2);
  EXPECT_EQ(x[3], static_cast<float>(64 * 2.0 / 127));
  EXPECT_EQ(counts.saturated, 0u);
  x = {0, -0.0f, 0, 1, -2};
  counts = TreatRow(Parse("int8,scale=percentile:50,outliers=keep"), x.data(), 5, 0);
  EXPECT_EQ(x, (std::vector<float>{0, 0, 0, 1, -2}));
  EXPECT_EQ(counts, (TreatmentCounts{5, 1, 0, 0}));
}

TEST(Outliers, OfAWholeTensor) {
  const Treatment t = Parse("int8,scale=percentile:95,per=tensor,outliers=second", kWeight);
  Treatment row = t;
  row.per = Granularity::kRow;
  std::vector<float> x = Normal(40 * 64, 3), tensor = x, flat = x;
  x[77] = tensor[77] = flat[77] = 30;
  Workers workers(3);
  const TreatmentCounts counts = TreatTensor(t, tensor.data(), 40, 64, 0, &workers);
  EXPECT_EQ(counts, TreatRow(row, flat.data(), flat.size(), 0));
  EXPECT_EQ(tensor, flat);
  EXPECT_EQ(tensor[77], 30);
}

TEST(Outliers, BeyondAnAsymmetricRange) {
  std::vector<float> x = {-5, -0.4f, 0, 20, 100};
  const TreatmentCounts counts =
      TreatRow(Parse("int8,scale=range:-1:254,symmetric=false,outliers=keep"), x.data(), 5, 0);
  EXPECT_EQ(x, (std::vector<float>{-5, 0, 0, 20, 100}));
  EXPECT_EQ(counts, (TreatmentCounts{5, 1, 0, 1}));
}

TEST(GivenRange, IsWhatTheDataWouldGive) {
  const std::vector<float> x = Normal(300, 4);
  float a = 0, low = 0, high = 0;
  for (const float v : x) {
    a = std::max(a, std::abs(v));
    low = std::min(low, v);
    high = std::max(high, v);
  }
  const std::pair<std::string, std::string> pairs[] = {
      {"int8", fmt::format("int8,scale=absmax:{}", static_cast<double>(a))},
      {"e4m3,scale=absmax", fmt::format("e4m3,scale=absmax:{}", static_cast<double>(a))},
      {"int6,symmetric=false", fmt::format("int6,symmetric=false,scale=range:{}:{}",
                                           static_cast<double>(low), static_cast<double>(high))}};
  for (const auto& [data, given] : pairs) {
    std::vector<float> by_data = x, by_given = x;
    const TreatmentCounts counts = TreatRow(Parse(data), by_data.data(), 300, 0);
    EXPECT_EQ(TreatRow(Parse(given), by_given.data(), 300, 0), counts);
    EXPECT_EQ(by_data, by_given) << given;
  }
  std::vector<float> none = {1, -1, 0};
  TreatRow(Parse("int8,scale=absmax:0"), none.data(), 3, 0);
  EXPECT_EQ(none, (std::vector<float>{0, 0, 0}));
  EXPECT_THROW(TreatRow(Parse("int8,scale=static"), none.data(), 3, 0), Defect);
}

TEST(TreatTensor, ThreadsDoNotMatter) {
  Workers workers(4);
  for (const char* text :
       {"bf16,round=stochastic", "int8", "int8,per=tensor", "int8,scale=percentile:99,per=tensor",
        "int4,per=group:32,symmetric=false", "int6,per=tensor,symmetric=false", "q4_k", "q8_0",
        "int4,per=tensor,rotate=hadamard", "int4,rotate=hadamard", "e4m3,scale=absmax,per=tensor",
        "int8,scale=0.01,segments=0.25:32/1:127,outliers=keep"}) {
    const Treatment t = Parse(text, kWeight);
    const std::vector<float> x = Normal(129 * 512, 5);
    std::vector<float> one = x, many = x;
    const TreatmentCounts counts = TreatTensor(t, one.data(), 129, 512, 7);
    EXPECT_EQ(TreatTensor(t, many.data(), 129, 512, 7, &workers), counts);
    EXPECT_EQ(one, many) << text;
    EXPECT_EQ(counts.touched, x.size());
    std::vector<double> d(x.begin(), x.end()), e = d;
    EXPECT_EQ(TreatTensor(t, d.data(), 129, 512, 7),
              TreatTensor(t, e.data(), 129, 512, 7, &workers));
    EXPECT_EQ(d, e) << text;
  }
}

template <class T>
void CheckHolds(const char* text) {
  const Treatment t = Parse(text, kWeight);
  const std::vector<float> f = Normal(20 * 64, 6);
  std::vector<T> x(f.begin(), f.end());
  Workers workers(2);
  EXPECT_FALSE(TensorHoldsExactly(t, x.data(), 20, 64, &workers)) << text;
  TreatTensor(t, x.data(), 20, 64, 0);
  EXPECT_TRUE(TensorHoldsExactly(t, x.data(), 20, 64)) << text;
  EXPECT_TRUE(TensorHoldsExactly(t, x.data(), 20, 64, &workers)) << text;
  x[1000] += x[1000] / 1024 + static_cast<T>(1e-7);
  EXPECT_FALSE(TensorHoldsExactly(t, x.data(), 20, 64, &workers)) << text;
}

TEST(HoldsExactly, Tensors) {
  for (const char* text : {"bf16", "int8", "int8,per=tensor", "int8,round=toward-zero,per=tensor",
                           "int4,per=group:32", "mxfp4", "mxfp8_e4m3,scale=rceil,per=tensor"}) {
    CheckHolds<float>(text);
    CheckHolds<double>(text);
  }
  EXPECT_TRUE(TensorHoldsExactly(Parse("int8"), static_cast<const float*>(nullptr), 0, 64));
}

TEST(HoldsExactly, DirectedModesKnowTheirOwnNumbers) {
  for (const char* mode : {"toward-zero", "up", "down", "odd", "stochastic"}) {
    for (const char* rest : {"", ",per=group:32", ",symmetric=false", ",scale=0.3"}) {
      const Treatment t = Parse(fmt::format("int8,round={}{}", mode, rest));
      std::vector<float> x = Normal(2000, 7);
      EXPECT_FALSE(HoldsExactly(t, x.data(), x.size()));
      TreatRow(t, x.data(), x.size(), 0);
      // With a zero point the range's ends need not be kept, and then the scale changes.
      EXPECT_TRUE(!t.symmetric || HoldsExactly(t, x.data(), x.size())) << TreatmentText(t);
    }
  }
}

// times= and plus=: one fused operation in double, rounded to the row's type, then the format.
TEST(Affine, FloatsAndDoubles) {
  const float nan = std::nanf("");
  const std::vector<float> x = {1, -2, 0.1f, 0, 1e30f, HUGE_VALF, nan};
  std::vector<float> y = x;
  const TreatmentCounts counts = TreatRow(Parse("f64,times=1.5,plus=-0.25"), y.data(), y.size(), 0);
  const float expected[] = {1.25f,
                            -3.25f,
                            static_cast<float>(std::fma(double{0.1f}, 1.5, -0.25)),
                            -0.25f,
                            static_cast<float>(double{1e30f} * 1.5),
                            HUGE_VALF};
  for (size_t i = 0; i < std::size(expected); ++i) EXPECT_EQ(y[i], expected[i]) << x[i];
  EXPECT_TRUE(std::isnan(y[6]));
  EXPECT_EQ(counts, (TreatmentCounts{7, 5, 0, 0}));
  std::vector<double> d = {0.1};
  TreatRow(Parse("f64,times=3"), d.data(), 1, 0);
  EXPECT_EQ(d[0], std::fma(0.1, 3.0, 0.0));
}

TEST(Affine, BeforeTheFormat) {
  for (const char* rest : {"bf16", "int8,per=group:8", "mxfp4", "q8_0", "int4,rotate=hadamard"}) {
    std::vector<float> x = Normal(64, 5), y = x;
    for (float& v : x) v = static_cast<float>(std::fma(double{v}, 2.5, 0.125));
    TreatRow(Parse(rest), x.data(), x.size(), 9);
    TreatRow(Parse(std::string(rest) + ",times=2.5,plus=0.125"), y.data(), y.size(), 9);
    EXPECT_EQ(x, y) << rest;
  }
  std::vector<float> same = {1, 2};
  EXPECT_EQ(TreatRow(Parse("f64,times=1,plus=0"), same.data(), 2, 0).changed, 0u);
}

TEST(Affine, Text) {
  EXPECT_EQ(TreatmentText(Parse("f64,plus=-0.5,times=1.25")), "f64,times=1.25,plus=-0.5");
  EXPECT_EQ(TreatmentText(Parse("f64,times=1,plus=-0")), "f64");
  for (const auto& [text, thing, part] :
       {std::tuple{"f64,times=x", TreatedThing::kActivation, "expected a number"},
        {"f64,plus=inf", TreatedThing::kActivation, "expected a number"},
        {"f64,times=nan", TreatedThing::kActivation, "expected a number"},
        {"f64,times=2", kWeight, "corrects activations"}}) {
    const auto refused = ParseTreatment(text, thing);
    ASSERT_FALSE(refused) << text;
    EXPECT_NE(refused.error().message.find(part), std::string::npos) << refused.error().message;
  }
}

}  // namespace
}  // namespace vernier
