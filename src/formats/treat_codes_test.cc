#include "formats/treat_codes.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace vernier {
namespace {

Treatment Parse(std::string_view text, TreatedThing thing) {
  auto t = ParseTreatment(text, thing);
  EXPECT_TRUE(t) << text << (t ? "" : t.error().message);
  return t.value_or(Treatment{});
}

std::vector<float> Normal(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.3f, 2);
  std::vector<float> x(n);
  for (float& v : x) v = normal(random);
  return x;
}

// Code times scale is what the treatment leaves, bit for bit.
template <class T>
void ExpectSame(const IntegerCodes& codes, const std::vector<T>& treated, int largest,
                const std::string& what) {
  ASSERT_EQ(codes.codes.size(), treated.size()) << what;
  const size_t columns = codes.columns;
  for (size_t i = 0; i < treated.size(); ++i) {
    const size_t r = i / columns, c = i % columns;
    const CodeScale& s = codes.scales[r * codes.Groups() + c / codes.group];
    EXPECT_LE(std::abs(int{codes.codes[i]}), largest) << what;
    const T value = static_cast<T>(codes.codes[i] * s.a / s.b);
    ASSERT_EQ(value, treated[i]) << what << " element " << i;
  }
}

TEST(Codes, TimesScaleAreTheTreatedRow) {
  for (const char* text :
       {"int8", "int4", "int2", "int8,scale=percentile:97", "int8,scale=0.05", "int8,scale=none",
        "int8,scale=absmax:3", "int8,per=group:32", "int5,per=group:48", "int8,symmetric=false",
        "int4,symmetric=false,scale=range:-2:5", "int8,symmetric=false,per=group:16",
        "int8,round=toward-zero", "int6,round=nearest-away,scale=percentile:90",
        "int8,round=stochastic"}) {
    const Treatment t = Parse(text, TreatedThing::kActivation);
    for (const size_t n : {1, 100, 777}) {
      std::vector<float> x = Normal(n, static_cast<uint32_t>(n));
      std::vector<double> wide(x.begin(), x.end());
      for (double& v : wide) v *= 1.000000123;
      const IntegerCodes codes = CodesOfRow(t, x.data(), n, 5),
                         wide_codes = CodesOfRow(t, wide.data(), n, 5);
      TreatRow(t, x.data(), n, 5);
      TreatRow(t, wide.data(), n, 5);
      ExpectSame(codes, x, LargestCode(t), text);
      ExpectSame(wide_codes, wide, LargestCode(t), text);
    }
  }
}

TEST(Codes, OfTensors) {
  Workers workers(2);
  for (const char* text :
       {"int8", "int4,per=group:32", "int8,per=tensor", "int8,per=tensor,symmetric=false",
        "int8,per=tensor,scale=percentile:99", "int3,round=stochastic"}) {
    const Treatment t = Parse(text, TreatedThing::kWeight);
    std::vector<float> x = Normal(40 * 96, 3);
    const IntegerCodes codes = CodesOfTensor(t, x.data(), 40, 96, 9, &workers);
    TreatTensor(t, x.data(), 40, 96, 9, nullptr);
    ExpectSame(codes, x, LargestCode(t), text);
  }
}

TEST(Codes, ZerosInfinitiesAndNan) {
  const Treatment t = Parse("int8,per=group:2", TreatedThing::kActivation);
  const std::vector<float> x = {0, -0.0f, 1, -2, HUGE_VALF, 3};
  const IntegerCodes codes = CodesOfRow(t, x.data(), x.size(), 0);
  EXPECT_EQ(codes.codes, (std::vector<int16_t>{0, 0, 64, -127, 127, 127}));
  EXPECT_EQ(codes.scales[0].Rounded(), 0);
  EXPECT_EQ(codes.scales[1].Rounded(), 2.0f / 127);
  EXPECT_EQ(codes.nan[0], 0);
  const std::vector<float> with_nan = {1, std::nanf("")};
  EXPECT_EQ(CodesOfRow(t, with_nan.data(), 2, 0).nan[0], 1);
}

TEST(Codes, WhatHasNone) {
  const auto reason = [](const char* text) {
    const Status s = CheckCodes(Parse(text, TreatedThing::kActivation));
    return s ? "accepted" : s.error().message;
  };
  EXPECT_EQ(reason("int8"), "accepted");
  EXPECT_EQ(reason("int9"), "int9: int takes intN with N up to 8");
  EXPECT_EQ(reason("bf16"), "bf16: int takes intN with N up to 8");
  EXPECT_EQ(reason("q4_0"), "q4_0 is no intN; int takes intN with N up to 8");
  EXPECT_EQ(reason("int8,rotate=hadamard"), "accepted");
  EXPECT_EQ(reason("int8,scale=0.1,outliers=keep"),
            "outliers=: what it makes is no integer times a scale");
}

}  // namespace
}  // namespace vernier
