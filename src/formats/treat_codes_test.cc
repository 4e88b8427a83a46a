#include "formats/treat_codes.h"

#include <gtest/gtest.h>

#include <cmath>

#include "formats/rotate.h"
#include "formats/treatment_testing.h"

namespace vernier {
namespace {

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
    const Treatment t = ParseOrFail(text, TreatedThing::kActivation);
    for (const size_t n : {1, 100, 777}) {
      std::vector<float> x = NormalNumbers(n, static_cast<uint32_t>(n));
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
    const Treatment t = ParseOrFail(text, TreatedThing::kWeight);
    std::vector<float> x = NormalNumbers(40 * 96, 3);
    const IntegerCodes codes = CodesOfTensor(t, x.data(), 40, 96, 9, &workers);
    TreatTensor(t, x.data(), 40, 96, 9, nullptr);
    ExpectSame(codes, x, LargestCode(t), text);
  }
}

TEST(Codes, ZerosInfinitiesAndNan) {
  const Treatment t = ParseOrFail("int8,per=group:2", TreatedThing::kActivation);
  const std::vector<float> x = {0, -0.0f, 1, -2, HUGE_VALF, 3};
  const IntegerCodes codes = CodesOfRow(t, x.data(), x.size(), 0);
  EXPECT_EQ(codes.codes, (std::vector<int16_t>{0, 0, 64, -127, 127, 127}));
  EXPECT_EQ(codes.scales[0].Rounded(), 0);
  EXPECT_EQ(codes.scales[1].Rounded(), 2.0f / 127);
  EXPECT_EQ(codes.nan[0], 0);
  const std::vector<float> with_nan = {1, std::nanf("")};
  EXPECT_EQ(CodesOfRow(t, with_nan.data(), 2, 0).nan[0], 1);
}

TEST(Codes, OfRotatedRows) {
  Workers workers(2);
  const size_t rows = 5, columns = 24;  // blocks of 8
  for (const char* text : {"int8,per=tensor,rotate=hadamard", "int8,rotate=hadamard",
                           "int8,scale=0.05,full=true,rotate=hadamard,round=nearest-away"}) {
    const Treatment t = ParseOrFail(text, TreatedThing::kWeight);
    const std::vector<float> x = NormalNumbers(rows * columns, 4);
    std::vector<double> rotated(x.begin(), x.end());
    for (size_t r = 0; r < rows; ++r) Hadamard(rotated.data() + r * columns, columns, 8);
    Treatment plain = t;
    plain.hadamard = false;
    const IntegerCodes codes = CodesOfTensor(t, x.data(), rows, columns, 0, &workers),
                       want = CodesOfTensor(plain, rotated.data(), rows, columns, 0, nullptr);
    EXPECT_EQ(codes.codes, want.codes) << text;
    // Rotated back they are what the treatment leaves.
    std::vector<float> treated = x;
    TreatTensor(t, treated.data(), rows, columns, 0);
    for (size_t r = 0; r < rows; ++r) {
      std::vector<double> back(columns);
      const CodeScale& s = codes.scales[r];
      for (size_t c = 0; c < columns; ++c) back[c] = codes.codes[r * columns + c] * s.a / s.b;
      Hadamard(back.data(), columns, 8);
      for (size_t c = 0; c < columns; ++c)
        EXPECT_EQ(static_cast<float>(back[c]), treated[r * columns + c]) << text;
    }
  }
  const Treatment t = ParseOrFail("int8,rotate=hadamard", TreatedThing::kActivation);
  const std::vector<float> with_nan = {1, std::nanf(""), 2, 3};
  EXPECT_EQ(CodesOfRow(t, with_nan.data(), 4, 0).nan[0], 1);
}

TEST(Codes, OneMoreBelowZero) {
  const Treatment full = ParseOrFail("int8,scale=0.5,full=true", TreatedThing::kActivation),
                  even = ParseOrFail("int8,scale=0.5", TreatedThing::kActivation);
  const std::vector<float> x = {-63.5f, -63.75f, -64, -70, 63.5f, 70};
  EXPECT_EQ(CodesOfRow(full, x.data(), x.size(), 0).codes,
            (std::vector<int16_t>{-127, -128, -128, -128, 127, 127}));
  EXPECT_EQ(CodesOfRow(even, x.data(), x.size(), 0).codes,
            (std::vector<int16_t>{-127, -127, -127, -127, 127, 127}));
  EXPECT_EQ(LargestCode(full), 128);
  std::vector<float> treated = x;
  EXPECT_EQ(TreatRow(full, treated.data(), treated.size(), 0).saturated, 2u);
  EXPECT_EQ(treated, (std::vector<float>{-63.5f, -64, -64, -64, 63.5f, 63.5f}));
}

TEST(Codes, WhatHasNone) {
  const auto reason = [](const char* text) {
    const Status s = CheckCodes(ParseOrFail(text, TreatedThing::kActivation));
    return s ? "accepted" : s.error().message;
  };
  EXPECT_EQ(reason("int8"), "accepted");
  EXPECT_EQ(reason("int9"), "int9: int takes intN with N up to 8");
  EXPECT_EQ(reason("bf16"), "bf16: int takes intN with N up to 8");
  EXPECT_EQ(reason("q4_0"), "q4_0 is no intN; int takes intN with N up to 8");
  EXPECT_EQ(reason("int8,rotate=hadamard"), "accepted");
  EXPECT_FALSE(CheckCodes(ParseOrFail("int8,of=log", TreatedThing::kWeight)));
  EXPECT_EQ(reason("int8,scale=0.1,outliers=keep"),
            "outliers=: what it makes is no integer times a scale");
}

}  // namespace
}  // namespace vernier
