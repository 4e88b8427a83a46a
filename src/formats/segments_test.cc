#include "formats/segments.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "formats/treatment.h"

namespace vernier {
namespace {

constexpr Rounding kModes[] = {
    Rounding::kNearestEven, Rounding::kNearestAway, Rounding::kTowardZero, Rounding::kUp,
    Rounding::kDown,        Rounding::kOdd,         Rounding::kStochastic};

SegmentedGrid Parse(std::string_view text) {
  auto grid = ParseSegments(text);
  EXPECT_TRUE(grid) << (grid ? "" : grid.error().message);
  return grid.value_or(SegmentedGrid{});
}

// The oracle: all gaps between neighbouring points as integers in units of 2^-40, listed from the
// text's meaning, and exact integer comparisons.
constexpr double kUnit = 0x1p40;
struct Gap {
  int64_t below, above;
  bool below_even;
};

std::vector<Gap> GapsOf(const SegmentedGrid& grid) {
  std::vector<Gap> gaps;
  for (size_t k = 0; k < grid.size(); ++k) {
    const auto start = static_cast<int64_t>(grid[k].start * kUnit),
               end = static_cast<int64_t>(grid[k].end * kUnit),
               step = static_cast<int64_t>(grid[k].step * kUnit);
    const bool last = k + 1 == grid.size();
    int64_t at = start, distance = step;
    for (int64_t i = 0, more = last ? 2 : 0; at < end || more-- > 0; ++i) {
      const int64_t next = grid[k].logarithmic ? start + distance : at + step;
      gaps.push_back({at, next, i % 2 == 0});
      if (grid[k].logarithmic) distance *= 2;
      at = next;
    }
  }
  return gaps;
}

int64_t Expected(const std::vector<Gap>& gaps, int64_t q, Rounding mode,
                 decltype(RandomBits(0, 0)) random) {
  const bool negative = q < 0;
  const int64_t u = negative ? -q : q;
  const auto gap = std::find_if(gaps.begin(), gaps.end(),
                                [&](const Gap& g) { return u >= g.below && u < g.above; });
  if (gap == gaps.end()) return negative ? -gaps.back().above : gaps.back().above;
  const int64_t rest = u - gap->below, width = gap->above - gap->below;
  bool away = false;
  switch (mode) {
    case Rounding::kNearestEven:
      away = 2 * rest > width || (2 * rest == width && !gap->below_even);
      break;
    case Rounding::kNearestAway:
      away = 2 * rest >= width;
      break;
    case Rounding::kTowardZero:
      break;
    case Rounding::kUp:
      away = rest > 0 && !negative;
      break;
    case Rounding::kDown:
      away = rest > 0 && negative;
      break;
    case Rounding::kOdd:
      away = rest > 0 && gap->below_even;
      break;
    case Rounding::kStochastic:  // as a number between 0 and 1 goes (round_test.cc)
      away = RoundToMultiple(static_cast<double>(rest) / static_cast<double>(width), 0, mode,
                             random) > 0;
      break;
  }
  const int64_t r = away ? gap->above : gap->below;
  return negative ? -r : r;
}

// Points, midpoints, their neighbours in units of 2^-40, and random numbers.
std::vector<int64_t> Inputs(const std::vector<Gap>& gaps) {
  std::vector<int64_t> inputs;
  for (const Gap& g : gaps)
    for (const int64_t x : {g.below, (g.below + g.above) / 2, (3 * g.below + g.above) / 4})
      for (const int64_t d : {-1, 0, 1})
        for (const int64_t sign : {-1, 1}) inputs.push_back(sign * (x + d));
  std::mt19937_64 random(7);
  const int64_t end = gaps.back().below;
  for (int i = 0; i < 3000; ++i)
    inputs.push_back(static_cast<int64_t>(random() % static_cast<uint64_t>(2 * end)) - end);
  std::erase_if(inputs, [](int64_t x) {  // a double holds the rest exactly
    return static_cast<int64_t>(static_cast<double>(x)) != x;
  });
  return inputs;
}

constexpr const char* kGrids[] = {"0.25:32/1:127",      "0.5:64/1:127",    "0.25:16/1:143/4:395",
                                  "0.25:8/log:0.25:17", "1:127",           "log:1:7",
                                  "0.125:1/2:7/0.5:8",  "0.5:3.5/log:2:4", "1:1/log:0.0078125:20"};

TEST(Segments, EveryModeEqualsExactComparisons) {
  for (const char* text : kGrids) {
    const SegmentedGrid grid = Parse(text);
    const std::vector<Gap> gaps = GapsOf(grid);
    const std::vector<int64_t> inputs = Inputs(gaps);
    for (const Rounding mode : kModes) {
      std::vector<double> q(inputs.size());
      for (size_t i = 0; i < q.size(); ++i) q[i] = static_cast<double>(inputs[i]) / kUnit;
      RoundToSegments(grid, mode, q.data(), q.size(), 5, 11);
      for (size_t i = 0; i < q.size(); ++i) {
        const int64_t e = Expected(gaps, inputs[i], mode, RandomBits(5, 11 + i));
        ASSERT_EQ(q[i], static_cast<double>(e) / kUnit)
            << text << " mode " << static_cast<int>(mode) << ": "
            << static_cast<double>(inputs[i]) / kUnit;
      }
    }
  }
}

TEST(Segments, EndsBeyondEverything) {
  const SegmentedGrid grid = Parse("0.25:8/log:0.25:255");
  double q[] = {0x1p300, -0x1p300, 8 + 0x1p253, 8 + 0x1p252};
  RoundToSegments(grid, Rounding::kNearestEven, q, 4, 0, 0);
  EXPECT_GT(q[0], grid.back().end);
  EXPECT_LT(q[1], -grid.back().end);
  EXPECT_EQ(q[2], 0x1p253);  // 8 + 2^253 rounded to double
  EXPECT_EQ(q[2], grid.back().end);
  EXPECT_EQ(q[3], 0x1p252);
}

TEST(Segments, TextsRoundTrip) {
  for (const char* text : kGrids) {
    EXPECT_EQ(SegmentsText(Parse(text)), text);
    EXPECT_EQ(Parse(SegmentsText(Parse(text))), Parse(text));
  }
  EXPECT_EQ(Parse(" 0.25:32 / 1.0:127.0 "), Parse("0.25:32/1:127"));
}

TEST(Segments, Errors) {
  const struct {
    const char *text, *message;
  } cases[] = {
      {"", "segments=: expected STEP:END or log:STEP:K in place of ''"},
      {"0.25", "segments=0.25: expected STEP:END or log:STEP:K in place of '0.25'"},
      {"0.3:3", "segments=0.3:3: step 0.3 is not a power of two from 2^-16 to 2^16"},
      {"-1:3", "segments=-1:3: step -1 is not a power of two from 2^-16 to 2^16"},
      {"1:8/2:7", "segments=1:8/2:7: the end 7 is not beyond 8, where its segment starts"},
      {"1:8/4:13", "segments=1:8/4:13: from 8 to 13 is no whole number of steps of 4"},
      {"1:8/1:9", "segments=1:8/1:9: two segments of step 1 are one"},
      {"log:1:2/1:9", "segments=log:1:2/1:9: nothing may follow log:STEP:K"},
      {"log:1:256",
       "segments=log:1:256: expected log:STEP:K with K from 0 to 255 in place of "
       "'log:1:256'"},
      {"log:1", "segments=log:1: expected log:STEP:K with K from 0 to 255 in place of 'log:1'"},
      {"0.25:20000", "segments=0.25:20000: the end 20000 is more than 65536 steps of 0.25 from 0"},
      {"1:nan", "segments=1:nan: expected STEP:END or log:STEP:K in place of '1:nan'"},
  };
  for (const auto& c : cases) {
    const auto grid = ParseSegments(c.text);
    ASSERT_FALSE(grid) << c.text;
    EXPECT_EQ(grid.error().message, c.message);
  }
  for (const char* bad : {"1:inf", "inf:3", "log:1:nan", "log:1:-1", "log:1:1.5", "1e-9:1", "1:2:3",
                          "0:3", "1:8/", "65536:1e300"})
    EXPECT_FALSE(ParseSegments(bad)) << bad;
  std::string many;
  for (int i = 0; i < 17; ++i)
    many += fmt::format("{}{}:{}", i > 0 ? "/" : "", i % 2 ? 1 : 2, 2 * (i + 1));
  EXPECT_FALSE(ParseSegments(many));
}

Treatment TreatmentOf(std::string_view text) {
  auto t = ParseTreatment(text, TreatedThing::kActivation);
  EXPECT_TRUE(t) << (t ? "" : t.error().message);
  return t.value_or(Treatment{});
}

std::vector<float> Ramp(float least, float most, int n) {
  std::vector<float> x;
  for (int i = 0; i <= n; ++i)
    x.push_back(least + (most - least) * static_cast<float>(i) / static_cast<float>(n));
  return x;
}

// The formulas as the experiments' code states them (units of s; C's roundf, ties away).
double QuarterScale(double x) {
  const double u = std::abs(x);
  const double r = u < 32 ? std::round(u * 4) / 4 : std::min(std::round(u), 127.0);
  return std::copysign(r, x);
}
double ThreeSegments(double x) {
  const double u = std::abs(x);
  const double r = u <= 15.75 ? std::round(u * 4) / 4
                   : u <= 143 ? std::clamp(std::round(u), 16.0, 143.0)
                              : 143 + 4 * std::min(std::round((u - 143) / 4), 63.0);
  return std::copysign(r, x);
}
double LogTail(double x) {
  const double u = std::abs(x);
  const double r =
      u <= 8 ? std::trunc(u * 4) / 4 : 8 + std::ldexp(0.25, std::max(0, std::ilogb((u - 8) * 4)));
  return std::copysign(r, x);
}

TEST(Segments, KnownCodeBooks) {
  const std::vector<float> x = Ramp(-450, 450, 31981);
  const struct {
    const char* text;
    double (*formula)(double);
    double gap_low, gap_high;  // where the formula does not go to the nearest, or the one below
  } cases[] = {{"int8,scale=0.5,round=nearest-away,segments=0.25:32/1:127", QuarterScale, 0, 0},
               {"int8,scale=0.5,round=nearest-away,segments=0.25:16/1:143/4:395", ThreeSegments,
                15.75, 15.875},
               {"int8,scale=0.5,round=toward-zero,segments=0.25:8/log:0.25:255", LogTail, 8, 8.25}};
  for (const auto& c : cases) {
    std::vector<float> y = x;
    TreatRow(TreatmentOf(c.text), y.data(), y.size(), 0);
    for (size_t i = 0; i < x.size(); ++i) {
      const double q = static_cast<double>(x[i]) / 0.5, u = std::abs(q);
      if (u > c.gap_low && u < c.gap_high) continue;
      ASSERT_EQ(y[i], static_cast<float>(c.formula(q) * 0.5)) << c.text << ": " << q;
    }
  }
}

TEST(Segments, SaturationIsDecidedAfterRounding) {
  std::vector<float> x = {127, 127.49f, 127.5f, 128, -1000, HUGE_VALF, 0.125f, 0.375f, -0.1f};
  TreatmentCounts counts =
      TreatRow(TreatmentOf("int8,scale=1,segments=0.25:32/1:127"), x.data(), x.size(), 0);
  // 127.5 is halfway between points 95 and 96 of the second segment: the even one is beyond.
  EXPECT_EQ(x, (std::vector<float>{127, 127, 127, 127, -127, 127, 0, 0.5f, 0}));
  EXPECT_FALSE(std::signbit(x[8]));
  EXPECT_EQ(counts, (TreatmentCounts{9, 8, 4, 2}));
  x = {200, -0.2f, 31.9f};
  counts =
      TreatRow(TreatmentOf("int8,scale=1,segments=0.25:32/1:127,outliers=keep"), x.data(), 3, 0);
  EXPECT_EQ(x, (std::vector<float>{200, -0.25f, 32}));
  EXPECT_EQ(counts, (TreatmentCounts{3, 2, 0, 0}));
}

// What the treatment gives it keeps, in every mode, although values were rounded to the host type.
TEST(Segments, ConstantScalesAreIdempotent) {
  std::mt19937 random(3);
  std::normal_distribution<double> normal(0, 20);
  for (const char* grid : {"", ",segments=0.25:32/1:127", ",segments=0.25:16/1:143/4:395",
                           ",segments=0.25:8/log:0.25:255", ",segments=1:1000/0.5:32768"}) {
    for (const char* mode :
         {"nearest-even", "nearest-away", "toward-zero", "up", "down", "odd", "stochastic"}) {
      for (const char* scale : {"0.3", "0.0123", "absmax:3.1", "absmax:0.017"}) {
        const Treatment t = TreatmentOf(fmt::format("int8,round={},scale={}{}", mode, scale, grid));
        std::vector<float> x(3000);
        for (float& v : x) v = static_cast<float>(normal(random));
        std::vector<double> d(x.begin(), x.end());
        EXPECT_GT(TreatRow(t, x.data(), x.size(), 1).changed, 0u);
        TreatRow(t, d.data(), d.size(), 1);
        EXPECT_EQ(TreatRow(t, x.data(), x.size(), 2).changed, 0u) << TreatmentText(t);
        EXPECT_EQ(TreatRow(t, d.data(), d.size(), 2).changed, 0u) << TreatmentText(t);
      }
    }
  }
}

}  // namespace
}  // namespace vernier
