#include "formats/treatment.h"

#include <gtest/gtest.h>
#include <mpfr.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

namespace vernier {
namespace {

constexpr auto kActivation = TreatedThing::kActivation;
constexpr auto kWeight = TreatedThing::kWeight;

Treatment Parse(std::string_view text, TreatedThing thing = kActivation) {
  auto t = ParseTreatment(text, thing);
  EXPECT_TRUE(t) << t.error().message;
  return t.value_or(Treatment{});
}

std::string ErrorOf(std::string_view text, TreatedThing thing = kActivation) {
  const auto t = ParseTreatment(text, thing);
  EXPECT_FALSE(t) << text;
  return t ? "" : t.error().message;
}

std::vector<float> Normal(size_t n, uint32_t seed, float scale = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> x(n);
  for (float& v : x) v = normal(random);
  return x;
}

std::vector<float> Treated(const Treatment& t, std::vector<float> x, TreatmentCounts* counts,
                           uint64_t key = 0) {
  const TreatmentCounts c = TreatRow(t, x.data(), x.size(), key);
  if (counts != nullptr) *counts = c;
  return x;
}

TEST(ParseTreatment, Defaults) {
  Treatment t = Parse("bf16");
  EXPECT_EQ(t.format.name, "bf16");
  EXPECT_EQ(t.rounding, Rounding::kNearestEven);
  EXPECT_EQ(t.overflow, Overflow::kInfinity);
  EXPECT_EQ(t.scale, ScaleRule::kNone);
  EXPECT_EQ(t.per, Granularity::kRow);
  EXPECT_TRUE(t.symmetric);
  EXPECT_EQ(Parse("e4m3").overflow, Overflow::kNan);
  EXPECT_EQ(Parse("e5m2").overflow, Overflow::kInfinity);
  EXPECT_EQ(Parse("e2m1").overflow, Overflow::kSaturate);
  t = Parse("int8");
  EXPECT_EQ(t.overflow, Overflow::kSaturate);
  EXPECT_EQ(t.scale, ScaleRule::kAbsMax);
}

TEST(ParseTreatment, AllOptions) {
  const Treatment t =
      Parse(" int8 , round = nearest-away,scale=percentile:99.9, per=group:32 ,symmetric=false ");
  EXPECT_EQ(t.rounding, Rounding::kNearestAway);
  EXPECT_EQ(t.scale, ScaleRule::kPercentile);
  EXPECT_EQ(t.scale_value, 99.9);
  EXPECT_EQ(t.per, Granularity::kGroup);
  EXPECT_EQ(t.group, 32);
  EXPECT_FALSE(t.symmetric);
  const Treatment f = Parse("e4m3,overflow=saturate,subnormals=flush,scale=0.5");
  EXPECT_EQ(f.overflow, Overflow::kSaturate);
  EXPECT_TRUE(f.flush_subnormals);
  EXPECT_EQ(f.scale, ScaleRule::kConstant);
  EXPECT_EQ(f.scale_value, 0.5);
  EXPECT_EQ(Parse("int8,per=tensor", kWeight).per, Granularity::kTensor);
  EXPECT_EQ(Parse("int8,per=channel", kWeight), Parse("int8", kWeight));
  EXPECT_EQ(Parse("int8,per=token"), Parse("int8"));
}

TEST(ParseTreatment, EqualMeaningsAreEqual) {
  EXPECT_EQ(Parse("int8,scale=percentile:100"), Parse("int8"));
  EXPECT_EQ(Parse("bf16,scale=1"), Parse("bf16"));
  EXPECT_EQ(Parse("int8,scale=1.0"), Parse("int8,scale=none"));
  EXPECT_EQ(Parse("bf16,per=tensor"), Parse("bf16"));
  EXPECT_EQ(Parse("int8,scale=0.1,per=group:4"), Parse("int8,scale=1e-1"));
  EXPECT_EQ(Parse("e5m10,overflow=inf"), Parse("f16"));
}

TEST(TreatmentText, RoundTrips) {
  for (const char* text :
       {"bf16", "f16,overflow=saturate", "e4m3,overflow=saturate,subnormals=flush",
        "e5m2,round=stochastic", "int8", "int4,per=group:32,symmetric=false",
        "int8,scale=percentile:99.9,per=group:128", "int8,scale=none", "int16,scale=0.1",
        "e4m3,scale=absmax", "e2m1,round=odd,scale=percentile:50", "e7m12,round=down"}) {
    EXPECT_EQ(TreatmentText(Parse(text)), text);
    EXPECT_EQ(Parse(TreatmentText(Parse(text))), Parse(text));
  }
  EXPECT_EQ(TreatmentText(Parse("int8,symmetric=false,per=tensor,round=up", kWeight)),
            "int8,round=up,per=tensor,symmetric=false");
}

// Every combination of options: what parses has a text that gives it back.
TEST(TreatmentText, EveryCombinationRoundTrips) {
  const std::vector<std::string> formats = {"bf16",    "e4m3",  "e2m1",      "int8",
                                            "posit16", "mxfp4", "mxint8",    "mxfp8_e5m2",
                                            "nvfp4",   "q4_0",  "ggml:mxfp4"};
  const std::vector<std::vector<std::string>> options = {
      {"", ",round=up"},
      {"", ",overflow=saturate", ",overflow=nan"},
      {"", ",scale=absmax", ",scale=percentile:99.9", ",scale=0.1", ",scale=none",
       ",scale=absmax:0.3", ",scale=range:-0.1:3", ",scale=static", ",scale=static:ffn_norm[3].in",
       ",scale=floor", ",scale=rceil"},
      {"", ",per=tensor", ",per=row", ",per=group:32", ",per=group:7"},
      {"", ",symmetric=false"},
      {"", ",segments=0.25:32/1:127"},
      {"", ",outliers=keep", ",outliers=second"},
      {"", ",rotate=hadamard"}};
  size_t parsed = 0;
  for (const TreatedThing thing : {kActivation, kWeight}) {
    std::vector<std::string> texts = formats;
    for (const auto& option : options) {
      std::vector<std::string> more;
      for (const std::string& text : texts)
        for (const std::string& value : option) more.push_back(text + value);
      texts = std::move(more);
    }
    for (const std::string& text : texts) {
      const auto t = ParseTreatment(text, thing);
      if (!t) continue;
      ++parsed;
      const std::string canonical = TreatmentText(*t);
      const auto again = ParseTreatment(canonical, thing);
      ASSERT_TRUE(again) << text << ": " << canonical << ": " << again.error().message;
      ASSERT_EQ(*again, *t) << text << ": " << canonical;
      ASSERT_EQ(TreatmentText(*again), canonical);
    }
  }
  EXPECT_GT(parsed, 1500u);
}

TEST(ParseTreatment, Blocks) {
  Treatment t = Parse("mxfp8_e4m3");
  EXPECT_EQ(t.format.name, "e4m3");
  EXPECT_EQ(t.overflow, Overflow::kSaturate);
  EXPECT_EQ(t.scale, ScaleRule::kFloor);
  EXPECT_EQ(t.group, 32);
  EXPECT_EQ(TreatmentText(Parse("mxfp4,per=group:32,scale=floor,overflow=saturate")), "mxfp4");
  EXPECT_EQ(TreatmentText(Parse("mxfp4,per=group:16,scale=rceil,round=odd,rotate=hadamard")),
            "mxfp4,round=odd,scale=rceil,per=group:16,rotate=hadamard");
  EXPECT_EQ(Parse("nvfp4", kWeight).per, Granularity::kTensor);
  EXPECT_EQ(Parse("nvfp4").per, Granularity::kRow);
  EXPECT_EQ(Parse("ggml:q4_0"), Parse("q4_0"));
  EXPECT_NE(Parse("ggml:mxfp4"), Parse("mxfp4"));
  EXPECT_EQ(TreatmentText(Parse("ggml:q4_0,rotate=none")), "q4_0");
}

TEST(ParseTreatment, ErrorsOfBlocksAndGrids) {
  const struct {
    const char *text, *message;
  } cases[] = {
      {"mxfp9_e4m3", "unknown format 'mxfp9_e4m3'; did you mean 'mxfp8_e4m3'?"},
      {"q4_9", "unknown format 'q4_9'; did you mean 'q4_0'?"},
      {"q4_0,round=up",
       "treatment 'q4_0,round=up': round: q4_0 takes no such option; it has rotate, times or plus"},
      {"q4_0,rond=up",
       "treatment 'q4_0,rond=up': unknown option 'rond'; known are rotate, times or "
       "plus"},
      {"mxfp4,scale=absmax",
       "treatment 'mxfp4,scale=absmax': unknown value in 'scale=absmax'; known are floor, ceil, "
       "even or rceil"},
      {"mxfp4,scale=cel",
       "treatment 'mxfp4,scale=cel': unknown value in 'scale=cel'; did you mean 'ceil'?"},
      {"mxfp4,overflow=nan",
       "treatment 'mxfp4,overflow=nan': overflow=nan: e2m1 has no NaN; use overflow=saturate"},
      {"mxfp4,outliers=keep",
       "treatment 'mxfp4,outliers=keep': outliers: mxfp4 takes no such option; it has round, "
       "overflow, subnormals, scale, per, rotate, times or plus"},
      {"mxfp4,per=tensor",
       "treatment 'mxfp4,per=tensor': per=tensor: a scale from all tokens of an activation would "
       "depend on later tokens; use per=token, group:N or a number as scale"},
      {"nvfp4,per=group:32",
       "treatment 'nvfp4,per=group:32': per=group:32: nvfp4 has blocks of 16; per= says what "
       "shares the scale above them"},
      {"nvfp4,scale=percentile:9",
       "treatment 'nvfp4,scale=percentile:9': unknown value in 'scale=percentile:9'; known are "
       "absmax, absmax:A, none, static or a number"},
      {"bf16,segments=1:8",
       "treatment 'bf16,segments=1:8': segments=1:8: bf16 has a grid of its own; segments are for "
       "intN"},
      {"int8,outliers=keep",
       "treatment 'int8,outliers=keep': outliers=keep: there are none beyond scale=absmax"},
      {"e4m3,scale=2,outliers=keep",
       "treatment 'e4m3,scale=2,outliers=keep': outliers=keep: for intN; e4m3 has overflow="},
      {"int8,scale=1,outliers=sekond",
       "treatment 'int8,scale=1,outliers=sekond': unknown value in 'outliers=sekond'; did you "
       "mean 'second'?"},
      {"int8,scale=1,segments=1:8,outliers=second",
       "treatment 'int8,scale=1,segments=1:8,outliers=second': outliers=second: goes with "
       "integers, not with segments"},
      {"int8,segments=1:8,symmetric=false",
       "treatment 'int8,segments=1:8,symmetric=false': segments=1:8: are symmetric about 0"},
      {"int8,rotate=hadamrd",
       "treatment 'int8,rotate=hadamrd': unknown value in 'rotate=hadamrd'; did you mean "
       "'hadamard'?"},
      {"int8,percentile=99",
       "treatment 'int8,percentile=99': percentile=99: goes with scale=static; of the data it is "
       "scale=percentile:99"},
      {"int8,scale=range:-1:1",
       "treatment 'int8,scale=range:-1:1': scale=range:LO:HI: for symmetric=false; the symmetric "
       "range is absmax:A"},
      {"int8,scale=absmax:2,symmetric=false",
       "treatment 'int8,scale=absmax:2,symmetric=false': symmetric=false: needs both ends, "
       "scale=range:LO:HI"},
      {"int8,scale=absmax:-2",
       "treatment 'int8,scale=absmax:-2': scale=absmax:-2: expected absmax:A with A from 0 to "
       "1e+30"},
      {"int8,scale=range:1:2,symmetric=false",
       "treatment 'int8,scale=range:1:2,symmetric=false': scale=range:1:2: expected range:LO:HI "
       "with LO from -1e+30 to 0 and HI from 0 to 1e+30"},
      {"posit16,scale=absmax:2",
       "treatment 'posit16,scale=absmax:2': scale=absmax:2: would put the largest element where "
       "posit16 is coarsest; expected a number or none"},
  };
  for (const auto& c : cases) EXPECT_EQ(ErrorOf(c.text), c.message);
  for (const char* bad : {"mxfp4,symmetric=false", "nvfp4,overflow=saturate", "ggml:mxint8",
                          "ggml:f16", "e8m0,scale=static", "int8,scale=range:nan:nan",
                          "int8,scale=static,percentile=0", "int8,scale=absmax:inf"})
    EXPECT_EQ(ErrorOf(bad).find('\n'), std::string::npos) << bad;
}

// Posits take a number as scale: x / c is rounded into the format.
TEST(ScaledFloats, PositsWithConstantScale) {
  const RoundSpec spec =
      MakeRoundSpec(FindFormat("posit16").value(), Rounding::kNearestEven, Overflow::kSaturate);
  const std::vector<float> x = Normal(500, 12, 30);
  const std::vector<float> y = Treated(Parse("posit16,scale=16"), x, nullptr);
  for (size_t i = 0; i < x.size(); ++i)
    ASSERT_EQ(y[i], static_cast<float>(RoundValue(spec, static_cast<double>(x[i]) / 16) * 16));
}

TEST(ParseTreatment, Errors) {
  const struct {
    const char *text, *message;
  } cases[] = {
      {"bf17", "unknown format 'bf17'; did you mean 'bf16'?"},
      {"", "treatment '': expected a format such as 'bf16'"},
      {"bf16,rond=up", "treatment 'bf16,rond=up': unknown option 'rond'; did you mean 'round'?"},
      {"bf16,round=nearest_even",
       "treatment 'bf16,round=nearest_even': unknown value in 'round=nearest_even'; did you mean "
       "'nearest-even'?"},
      {"bf16,round", "treatment 'bf16,round': expected option=value in place of 'round'"},
      {"bf16,", "treatment 'bf16,': expected option=value in place of ''"},
      {"bf16,round=up,round=up",
       "treatment 'bf16,round=up,round=up': option 'round' is given twice"},
      {"e4m3,overflow=inf",
       "treatment 'e4m3,overflow=inf': overflow=inf: e4m3 has no infinities; use overflow=nan or "
       "overflow=saturate"},
      {"e2m1,overflow=nan",
       "treatment 'e2m1,overflow=nan': overflow=nan: e2m1 has no NaN; use overflow=saturate"},
      {"int8,scale=percentile:101",
       "treatment 'int8,scale=percentile:101': scale=percentile:101: expected percentile:P with P "
       "above 0 and up to 100"},
      {"int8,scale=absmx",
       "treatment 'int8,scale=absmx': unknown value in 'scale=absmx'; did you mean 'absmax'?"},
      {"int8,per=group:0",
       "treatment 'int8,per=group:0': per=group:0: expected group:N with N from 1 on"},
      {"int8,per=channel",
       "treatment 'int8,per=channel': per=channel: the scale of an activation's channel would "
       "depend on later tokens; use per=token or group:N"},
      {"int8,per=tensor",
       "treatment 'int8,per=tensor': per=tensor: a scale from all tokens of an activation would "
       "depend on later tokens; use per=token, group:N or a number as scale"},
      {"bf16,symmetric=false",
       "treatment 'bf16,symmetric=false': symmetric=false: bf16 is symmetric about 0; zero points "
       "are for intN"},
  };
  for (const auto& c : cases) EXPECT_EQ(ErrorOf(c.text), c.message);
  EXPECT_EQ(ErrorOf("int8,per=token", kWeight),
            "treatment 'int8,per=token': per=token: a weight has no tokens; use per=channel, "
            "group:N or tensor");
  for (const char* bad : {"int8,overflow=nan",
                          "int8,subnormals=flush",
                          "int8,scale=0",
                          "int8,scale=-1",
                          "int8,scale=inf",
                          "int8,scale=nan",
                          "int8,scale=1e31",
                          "int8,scale=percentile",
                          "int8,scale=percentile:",
                          "int8,scale=percentile:0",
                          "int8,scale=percentile:nan",
                          "int8,per=group",
                          "int8,per=group:",
                          "int8,per=group:-3",
                          "int8,per=group:99999999999",
                          "int8,scale=0.5,symmetric=false",
                          "int8,symmetric=no",
                          "f64,scale=absmax",
                          "bf16,subnormals=",
                          "bf16,=up",
                          "int8,scale=static:",
                          "bf16;round=up"})
    EXPECT_EQ(ErrorOf(bad).find('\n'), std::string::npos) << bad;
}

TEST(TreatRow, F32OnFloatsChangesNothing) {
  const std::vector<float> x = Normal(1000, 1);
  for (const char* text : {"f32", "f64", "f32,round=stochastic", "f32,overflow=saturate"}) {
    TreatmentCounts counts;
    EXPECT_EQ(Treated(Parse(text), x, &counts), x);
    EXPECT_EQ(counts, (TreatmentCounts{1000, 0, 0, 0}));
    EXPECT_TRUE(HoldsExactly(Parse(text), x.data(), x.size()));
  }
}

TEST(TreatRow, CountsOfAKnownRow) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> x = {1, 1.01f, 500, -1e-5f, 0, -0.0f, nan, HUGE_VALF, 448};
  TreatmentCounts counts;
  const std::vector<float> y = Treated(Parse("e4m3,overflow=saturate"), x, &counts);
  EXPECT_EQ(counts, (TreatmentCounts{9, 4, 2, 1}));
  const float expected[] = {1, 1, 448, -0.0f, 0, -0.0f, nan, 448, 448};
  EXPECT_EQ(std::memcmp(y.data(), expected, sizeof(expected)), 0);
}

// x * qmax / A of floats as an exact fraction of integers; x and A of less than 2^40 in ratio.
struct Fraction {
  __extension__ typedef __int128 Int;
  Int numerator, denominator;
};

Fraction Quotient(float x, float a, int qmax) {
  int ex = 0, ea = 0;
  const auto mx = static_cast<int64_t>(std::ldexp(std::frexp(x, &ex), 24));
  const auto ma = static_cast<int64_t>(std::ldexp(std::frexp(a, &ea), 24));
  return {Fraction::Int{mx} * qmax, Fraction::Int{ma} << (ea - ex)};
}

int64_t RoundFraction(Fraction f, Rounding mode) {
  const bool negative = f.numerator < 0;
  const Fraction::Int n = negative ? -f.numerator : f.numerator;
  auto q = static_cast<int64_t>(n / f.denominator);
  const Fraction::Int rest = n % f.denominator, twice = 2 * rest;
  bool away = false;
  if (mode == Rounding::kNearestEven)
    away = twice > f.denominator || (twice == f.denominator && q % 2 != 0);
  if (mode == Rounding::kNearestAway) away = twice >= f.denominator;
  if (mode == Rounding::kUp) away = rest != 0 && !negative;
  if (mode == Rounding::kDown) away = rest != 0 && negative;
  if (mode == Rounding::kOdd) away = rest != 0 && q % 2 == 0;
  q += away;
  return negative ? -q : q;
}

// a * b / c rounded to double by MPFR, then to float.
float ScaledBack(int64_t q, double a, int64_t c) {
  mpfr_t v;
  mpfr_init2(v, 128);
  mpfr_set_d(v, a, MPFR_RNDN);
  mpfr_mul_si(v, v, q, MPFR_RNDN);
  mpfr_t r;
  mpfr_init2(r, 53);
  mpfr_set_si(r, c, MPFR_RNDN);
  mpfr_div(r, v, r, MPFR_RNDN);
  const double d = mpfr_get_d(r, MPFR_RNDN);
  mpfr_clear(v);
  mpfr_clear(r);
  return static_cast<float>(d);
}

TEST(Integers, AbsMaxEqualsExactFractions) {
  for (int bits : {2, 4, 7, 8, 12, 16}) {
    const int qmax = (1 << (bits - 1)) - 1;
    for (const char* mode : {"nearest-even", "nearest-away", "toward-zero", "up", "down", "odd"}) {
      const Treatment t = Parse(fmt::format("int{},round={}", bits, mode));
      SCOPED_TRACE(TreatmentText(t));
      for (uint32_t seed = 0; seed < 20; ++seed) {
        std::vector<float> x = Normal(300, seed, seed % 2 ? 1e-3f : 30);
        // Half of the rows have a power of two times qmax on top, so that ties happen.
        if (seed % 4 < 2) {
          for (size_t i = 0; i < x.size(); ++i)
            x[i] = std::round(std::clamp(x[i] * 8, -2.0f * static_cast<float>(qmax),
                                         2.0f * static_cast<float>(qmax))) /
                   2;
          x[7] = static_cast<float>(-qmax);
          for (float& v : x) v = std::clamp(v, -static_cast<float>(qmax), static_cast<float>(qmax));
        }
        float a = 0;
        for (float v : x) a = std::max(a, std::abs(v));
        TreatmentCounts counts;
        const std::vector<float> y = Treated(t, x, &counts);
        TreatmentCounts expected{x.size(), 0, 0, 0};
        for (size_t i = 0; i < x.size(); ++i) {
          // A number that the grid gives stays in every mode.
          int64_t q = RoundFraction(Quotient(x[i], a, qmax), Rounding::kNearestEven);
          if (ScaledBack(q, a, qmax) != x[i])
            q = RoundFraction(Quotient(x[i], a, qmax), t.rounding);
          const float e = ScaledBack(q, a, qmax) + 0.0f;
          ASSERT_EQ(std::memcmp(&e, &y[i], sizeof(e)), 0) << x[i] << " of " << a << ": " << y[i];
          expected.changed += std::memcmp(&e, &x[i], sizeof(e)) != 0;
          expected.flushed += x[i] != 0 && e == 0;
        }
        EXPECT_EQ(counts, expected);
        if (t.rounding == Rounding::kNearestEven) {
          EXPECT_EQ(Treated(t, y, &counts), y) << "not idempotent";
          EXPECT_EQ(counts.changed, 0u);
        }
      }
    }
  }
}

TEST(Integers, DoubleRowsFollowTheStatedOperations) {
  std::mt19937 random(2);
  std::normal_distribution<double> normal;
  std::vector<double> x(5000);
  for (double& v : x) v = normal(random);
  double a = 0;
  for (double v : x) a = std::max(a, std::abs(v));
  std::vector<double> y = x;
  TreatRow(Parse("int8"), y.data(), y.size(), 0);
  for (size_t i = 0; i < x.size(); ++i) {
    const double t = x[i] * 127 / a;
    ASSERT_EQ(y[i], std::nearbyint(t) * a / 127);
  }
  y = x;
  TreatRow(Parse("e4m3,scale=0.3"), y.data(), y.size(), 0);
  const RoundSpec e4m3 = MakeRoundSpec(FindFormat("e4m3").value());
  for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(y[i], RoundValue(e4m3, x[i] / 0.3) * 0.3);
}

TEST(Integers, ConstantScale) {
  TreatmentCounts counts;
  const std::vector<float> x = {0.25f, 0.75f, -0.25f, 1.3f, 63.5f, 63.75f, -1000, HUGE_VALF};
  // 0.25 / 0.5 is a tie between 0 and 1, 63.75 / 0.5 one between 127 and 128.
  EXPECT_EQ(Treated(Parse("int8,scale=0.5"), x, &counts),
            (std::vector<float>{0, 1, 0, 1.5f, 63.5f, 63.5f, -63.5f, 63.5f}));
  EXPECT_EQ(counts, (TreatmentCounts{8, 7, 3, 2}));
  EXPECT_EQ(Treated(Parse("int8,scale=0.5,round=nearest-away"), x, nullptr),
            (std::vector<float>{0.5f, 1, -0.5f, 1.5f, 63.5f, 63.5f, -63.5f, 63.5f}));
  EXPECT_EQ(Treated(Parse("int4,scale=none"), {2.5f, -7.6f, 3.5f, 0.5f}, &counts),
            (std::vector<float>{2, -7, 4, 0}));
  EXPECT_EQ(counts, (TreatmentCounts{4, 4, 1, 1}));
}

TEST(Integers, Asymmetric) {
  // Range [-1, 14.3]: N = 15 steps for int4, s = 1.02, z = -8 + rne(1 / 1.02) = -7.
  TreatmentCounts counts;
  const std::vector<float> y =
      Treated(Parse("int4,symmetric=false"), {-1, 0, 14.3f, 1, 0.5f}, &counts);
  const double s = (static_cast<double>(14.3f) + 1) / 15;
  EXPECT_EQ(y, (std::vector<float>{static_cast<float>(-1 * s), 0, static_cast<float>(14 * s),
                                   static_cast<float>(s), 0}));
  EXPECT_EQ(counts, (TreatmentCounts{5, 4, 0, 1}));
  // All positive: the range is widened to 0, so all of it is kept.
  const std::vector<float> positive = {3, 15, 7.4f};
  EXPECT_EQ(Treated(Parse("int4,symmetric=false"), positive, nullptr),
            (std::vector<float>{3, 15, 7}));
}

TEST(Integers, AsymmetricStaysWithinAStep) {
  for (uint32_t seed = 0; seed < 50; ++seed) {
    std::vector<float> x = Normal(200, seed);
    for (float& v : x) v += static_cast<float>(seed % 7) - 3;
    const auto [low, high] = std::minmax_element(x.begin(), x.end());
    const double step = (std::max(*high, 0.0f) - std::min(*low, 0.0f)) / 255.0;
    const std::vector<float> y = Treated(Parse("int8,symmetric=false"), x, nullptr);
    std::vector<float> distinct = y;
    std::sort(distinct.begin(), distinct.end());
    EXPECT_LE(std::unique(distinct.begin(), distinct.end()) - distinct.begin(), 256);
    // Half a step from rounding x and another half from rounding the zero point, at the ends.
    for (size_t i = 0; i < x.size(); ++i) ASSERT_LE(std::abs(y[i] - x[i]), step * 1.0001);
  }
}

TEST(Integers, PercentileInterpolates) {
  // Magnitudes 1 .. 5, P = 60: at 2.4, so 3.4.
  TreatmentCounts counts;
  const std::vector<float> y =
      Treated(Parse("int8,scale=percentile:60"), {5, -1, 3, -4, 2}, &counts);
  const double a = 3 + (0.6 * 4 - 2) * 1;
  EXPECT_FLOAT_EQ(y[0], static_cast<float>(a));
  EXPECT_FLOAT_EQ(y[3], static_cast<float>(-a));
  EXPECT_EQ(counts.saturated, 2u);
  // NaN and infinities take no part in it.
  const std::vector<float> z = Treated(Parse("int8,scale=percentile:60"),
                                       {5, -1, 3, -4, 2, HUGE_VALF, std::nanf("")}, &counts);
  for (size_t i = 0; i < y.size(); ++i) EXPECT_EQ(z[i], y[i]);
  EXPECT_EQ(z[5], y[0]);
  EXPECT_TRUE(std::isnan(z[6]));
  EXPECT_EQ(counts.saturated, 3u);
}

TEST(Integers, ZerosNanAndInfinities) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  TreatmentCounts counts;
  std::vector<float> y = Treated(Parse("int8"), {0, 0, 0}, &counts);
  EXPECT_EQ(y, (std::vector<float>{0, 0, 0}));
  EXPECT_EQ(counts, (TreatmentCounts{3, 0, 0, 0}));
  y = Treated(Parse("int8"), {0, -0.0f, nan}, &counts);
  EXPECT_FALSE(std::signbit(y[1]));
  EXPECT_TRUE(std::isnan(y[2]));
  EXPECT_EQ(counts, (TreatmentCounts{3, 1, 0, 0}));
  y = Treated(Parse("int8"), {2, -HUGE_VALF, nan, 1e-9f, -1e-9f}, &counts);
  EXPECT_EQ(y[1], -2);
  EXPECT_TRUE(std::isnan(y[2]));
  EXPECT_FALSE(std::signbit(y[4]));
  EXPECT_EQ(counts, (TreatmentCounts{5, 3, 1, 2}));
  // A percentile of 0 leaves nothing.
  y = Treated(Parse("int8,scale=percentile:50"), {0, 0, 0, 1, -1}, &counts);
  EXPECT_EQ(y, (std::vector<float>{0, 0, 0, 0, 0}));
  EXPECT_EQ(counts, (TreatmentCounts{5, 2, 2, 2}));
  EXPECT_EQ(TreatRow(Parse("int8"), static_cast<float*>(nullptr), 0, 0), TreatmentCounts{});
}

TEST(Integers, ExtremeRows) {
  const float top = std::numeric_limits<float>::max();
  for (const char* text : {"int8", "int8,symmetric=false", "int16,round=up", "e4m3,scale=absmax"}) {
    for (float v : Treated(Parse(text), {top, -top, 1}, nullptr)) EXPECT_TRUE(std::isfinite(v));
    for (float v : Treated(Parse(text), {1e-45f, -1e-45f, 0}, nullptr))
      EXPECT_TRUE(std::isfinite(v));
    double row[] = {1e308, -1.7e308, 5};
    TreatRow(Parse(text), row, 3, 0);
    for (double v : row) EXPECT_TRUE(std::isfinite(v)) << text;
    double tiny[] = {5e-324, -5e-324, 0};
    TreatRow(Parse(text), tiny, 3, 0);
    for (double v : tiny) EXPECT_TRUE(std::isfinite(v)) << text;
  }
  double row[] = {1e308, -1e308, 0.5e308};
  TreatRow(Parse("int8"), row, 3, 0);
  EXPECT_DOUBLE_EQ(row[0], 1e308);
  EXPECT_DOUBLE_EQ(row[2], 1e308 / 127 * 64);  // 63.5 goes to the even 64
}

TEST(ScaledFloats, AbsMaxMapsToTheTop) {
  const std::vector<float> x = Normal(500, 4, 1e-4f);
  const float a = std::abs(*std::max_element(
      x.begin(), x.end(), [](float l, float r) { return std::abs(l) < std::abs(r); }));
  for (const char* name : {"e4m3", "e5m2", "e2m1", "f16", "bf16"}) {
    const Format f = FindFormat(name).value();
    const RoundSpec spec = MakeRoundSpec(f, Rounding::kNearestEven, Overflow::kSaturate);
    TreatmentCounts counts;
    const std::vector<float> y = Treated(Parse(fmt::format("{},scale=absmax", name)), x, &counts);
    EXPECT_EQ(counts.saturated, 0u);
    for (size_t i = 0; i < x.size(); ++i) {
      const double t = static_cast<double>(x[i]) * f.max_finite / a;
      const auto e = static_cast<float>(RoundValue(spec, t) * a / f.max_finite);
      ASSERT_EQ(y[i], e);
      EXPECT_TRUE(std::abs(x[i]) != a || y[i] == x[i]);
    }
  }
}

// x * b / a divided exactly and rounded once into the format, by MPFR.
double TrueQuotient(const Format& f, float x, float a) {
  mpfr_t n, q;
  mpfr_init2(n, 128);
  mpfr_init2(q, f.precision);
  mpfr_set_d(n, f.max_finite, MPFR_RNDN);
  mpfr_mul_d(n, n, static_cast<double>(x), MPFR_RNDN);
  mpfr_set_emin(f.emin - f.precision + 2);
  const int direction = mpfr_div_d(q, n, static_cast<double>(a), MPFR_RNDN);
  mpfr_subnormalize(q, direction, MPFR_RNDN);
  const double r = mpfr_get_d(q, MPFR_RNDN);
  mpfr_set_emin(mpfr_get_emin_min());
  mpfr_clear(n);
  mpfr_clear(q);
  return r;
}

TEST(ScaledFloats, QuotientIsRoundedOnce) {
  for (const char* name : {"e2m1", "e4m3", "e5m2", "f16", "bf16", "f32", "e7m26"}) {
    const Format f = FindFormat(name).value();
    const Treatment t = Parse(fmt::format("{},scale=absmax", name));
    for (uint32_t seed = 0; seed < 40; ++seed) {
      std::vector<float> x = Normal(500, seed, 3);
      for (size_t i = 0; i < x.size(); i += 2) x[i] = std::round(x[i] * 16) / 16;  // ties
      if (seed % 2 == 0) x[3] = seed % 4 == 0 ? 14 : 15;
      float a = 0;
      for (float v : x) a = std::max(a, std::abs(v));
      const std::vector<float> y = Treated(t, x, nullptr);
      for (size_t i = 0; i < x.size(); ++i) {
        const double r = TrueQuotient(f, x[i], a);
        ASSERT_EQ(y[i], static_cast<float>(r * static_cast<double>(a) / f.max_finite))
            << name << " " << x[i] << " of " << a;
      }
    }
  }
}

TEST(ScaledFloats, ConstantScaleCountsAndSpecials) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  TreatmentCounts counts;
  // In units of 2: 0.5, 300 > 6, tiny, inf.
  const std::vector<float> y =
      Treated(Parse("e2m1,scale=2"), {1, 600, -1e-3f, -HUGE_VALF, nan, -0.0f}, &counts);
  EXPECT_EQ(y[0], 1);
  EXPECT_EQ(y[1], 12);
  EXPECT_TRUE(y[2] == 0 && std::signbit(y[2]));
  EXPECT_EQ(y[3], -12);
  EXPECT_TRUE(std::isnan(y[4]));
  EXPECT_TRUE(std::signbit(y[5]));
  EXPECT_EQ(counts, (TreatmentCounts{6, 3, 2, 1}));
  EXPECT_TRUE(std::isnan(Treated(Parse("e4m3,scale=2"), {1000}, nullptr)[0]));
  EXPECT_TRUE(std::isinf(Treated(Parse("e5m2,scale=absmax"), {1000, HUGE_VALF}, nullptr)[1]));
}

TEST(Groups, AreRowsOfTheirOwn) {
  const std::vector<float> x = Normal(100, 8);
  const Treatment grouped = Parse("int4,per=group:32"), row = Parse("int4");
  TreatmentCounts counts, sum;
  const std::vector<float> y = Treated(grouped, x, &counts);
  for (size_t i = 0; i < x.size(); i += 32) {
    std::vector<float> part(x.begin() + static_cast<long>(i),
                            x.begin() + static_cast<long>(std::min<size_t>(i + 32, 100)));
    sum += TreatRow(row, part.data(), part.size(), 0);
    EXPECT_TRUE(std::equal(part.begin(), part.end(), y.begin() + static_cast<long>(i)));
  }
  EXPECT_EQ(counts, sum);
}

TEST(Groups, StochasticUsesTheIndexInTheRow) {
  const std::vector<float> x(4096, 0.3f);
  std::vector<float> ones = x;
  ones[0] = ones[2048] = 1;  // equal ranges, so only the random numbers can differ
  const Treatment t = Parse("int4,round=stochastic,per=group:2048");
  const std::vector<float> y = Treated(t, ones, nullptr, 3);
  EXPECT_FALSE(std::equal(y.begin(), y.begin() + 2048, y.begin() + 2048));
  EXPECT_EQ(Treated(Parse("int4,round=stochastic"), ones, nullptr, 3), y);
  double sum = 0;
  for (float v : y) sum += v;
  const double mean = (sum - 2) / 4094, f = 0.3 * 7 - 2;
  EXPECT_NEAR(mean, 0.3, 5 * std::sqrt(f * (1 - f) / 4094) / 7);
}

TEST(TreatTensor, IsItsRows) {
  for (const char* text : {"bf16,round=stochastic", "int8", "e4m3,scale=absmax,per=group:16",
                           "int4,round=stochastic,symmetric=false"}) {
    const Treatment t = Parse(text, kWeight);
    std::vector<float> whole = Normal(7 * 40, 2), rows = whole;
    const TreatmentCounts counts = TreatTensor(t, whole.data(), 7, 40, 99);
    TreatmentCounts sum;
    for (size_t r = 7; r-- > 0;) sum += TreatRow(t, rows.data() + r * 40, 40, RowKey(99, r));
    EXPECT_EQ(whole, rows) << text;
    EXPECT_EQ(counts, sum);
  }
  EXPECT_NE(RowKey(1, 2), RowKey(2, 1));
  EXPECT_NE(RowKey(1, 0), RowKey(1, 1));
}

TEST(TreatTensor, OneScaleForAll) {
  for (const char* text : {"int8,per=tensor", "int8,scale=percentile:90,per=tensor",
                           "int6,symmetric=false,per=tensor", "e4m3,scale=absmax,per=tensor"}) {
    const Treatment t = Parse(text, kWeight);
    Treatment row = t;
    row.per = Granularity::kRow;
    std::vector<float> tensor = Normal(7 * 40, 2), flat = tensor;
    const TreatmentCounts counts = TreatTensor(t, tensor.data(), 7, 40, 0);
    EXPECT_EQ(counts, TreatRow(row, flat.data(), flat.size(), 0));
    EXPECT_EQ(tensor, flat);
    EXPECT_THROW(TreatRow(t, flat.data(), flat.size(), 0), Defect);
  }
}

TEST(TreatRow, DoubleRowsOfFloatsAgreeWithFloatRows) {
  for (const char* text : {"bf16", "e4m3,round=down", "f16,round=stochastic", "e4m3"}) {
    const std::vector<float> x = Normal(1000, 6, 100);
    std::vector<double> d(x.begin(), x.end());
    TreatmentCounts counts;
    const std::vector<float> y = Treated(Parse(text), x, &counts, 12);
    EXPECT_EQ(TreatRow(Parse(text), d.data(), d.size(), 12), counts);
    for (size_t i = 0; i < x.size(); ++i)
      ASSERT_TRUE(d[i] == static_cast<double>(y[i]) || (std::isnan(d[i]) && std::isnan(y[i])));
  }
}

TEST(HoldsExactly, AgreesWithTreatRow) {
  std::vector<float> x = Normal(10000, 5);
  for (const char* text : {"bf16", "int8", "e4m3,scale=absmax", "bf16,round=stochastic",
                           "int8,scale=0.01", "int4,per=group:32"}) {
    const Treatment t = Parse(text);
    EXPECT_FALSE(HoldsExactly(t, x.data(), x.size())) << text;
    std::vector<float> y = Treated(t, x, nullptr);
    EXPECT_TRUE(HoldsExactly(t, y.data(), y.size())) << text;
    y[9999] += y[9999] / 1024 + 1e-7f;
    EXPECT_FALSE(HoldsExactly(t, y.data(), y.size())) << text;
  }
  EXPECT_TRUE(HoldsExactly(Parse("int8"), x.data(), 0));
}

}  // namespace
}  // namespace vernier
