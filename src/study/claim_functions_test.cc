#include "study/claim_functions.h"

#include <gtest/gtest.h>

#include <cmath>

namespace vernier {
namespace {

StudyData Texts() {
  StudyData data;
  data.lanes.resize(2);
  data.generated = {{{{1, 2, 3, 4}, {.1, .2, .3, .4}}, {{5, 6, 7, 8}, {.5, .6, .7, .8}}},
                    {{{1, 2, 9, 4}, {9, 9, 9, 9}}, {{5, 6, 7, 8}, {9, 9, 9, 9}}}};
  return data;
}

TEST(FreeRuns, SayWhereTextsPart) {
  const std::vector<FreeRun> runs = FreeRunsOf(Texts(), 1);
  ASSERT_EQ(runs.size(), 2u);
  EXPECT_EQ(runs[0].same, 3u);  // they meet again: position by position
  EXPECT_EQ(runs[0].agreed, 2u);
  EXPECT_TRUE(runs[0].parts);
  EXPECT_EQ(runs[0].margin, .3);
  EXPECT_EQ(runs[1].agreed, 4u);
  EXPECT_FALSE(runs[1].parts);
  const std::vector<uint32_t> once = {1, 1}, last = {0, 2};
  EXPECT_EQ(FreeRunMeasure("match", runs, once), 7. / 8);
  EXPECT_EQ(FreeRunMeasure("parted", runs, once), .5);
  EXPECT_EQ(FreeRunMeasure("agreed", runs, once), 3);
  EXPECT_EQ(FreeRunMeasure("parting_margin", runs, once), .3);
  EXPECT_EQ(FreeRunMeasure("match", runs, last), 1);
  EXPECT_TRUE(std::isnan(FreeRunMeasure("parting_margin", runs, last)));
}

TEST(DepthExponentTest, IsThePowerOfDepth) {
  for (const double power : {0.5, 1.0, -0.25, 2.0}) {
    std::vector<LayerError> errors;
    for (int layer = 0; layer < 7; ++layer)
      errors.push_back({layer, 1e-7 * std::pow(layer + 1, power)});
    EXPECT_NEAR(DepthExponent(errors), power, 1e-12);
  }
  // numpy.polyfit(log([1, 2, 4]), log([1, 1.5, 3.5]), 1)[0]
  EXPECT_NEAR(DepthExponent(std::vector<LayerError>{{0, 1}, {1, 1.5}, {3, 3.5}}),
              0.9036774610288021, 1e-12);
  EXPECT_TRUE(std::isnan(DepthExponent(std::vector<LayerError>{{0, 1}})));
  EXPECT_TRUE(std::isnan(DepthExponent(std::vector<LayerError>{{0, 1}, {1, 0}})));
  EXPECT_TRUE(std::isnan(DepthExponent({})));
}

TEST(FormatFacts, OfPosit32) {  // minpos 2^-120, maxpos 2^120: Posit Standard 2022, 3.1
  EXPECT_EQ(FormatFact("format_min", "posit32", 0).value(), std::ldexp(1, -120));
  EXPECT_EQ(FormatFact("format_max", "posit32", 0).value(), std::ldexp(1, 120));
  EXPECT_EQ(FormatFact("fraction_bits", "posit32", -1.5).value(), 27);
  EXPECT_EQ(FormatFact("fraction_bits", "posit32", 0.05).value(), 26);
  EXPECT_EQ(FormatFact("fraction_bits", "f32", 1e-6).value(), 23);
  EXPECT_FALSE(FormatFact("fraction_bits", "posit32", 1e40));
  EXPECT_FALSE(FormatFact("fraction_bits", "posit32", 0));
  EXPECT_FALSE(FormatFact("format_min", "posit31x", 0));
}

}  // namespace
}  // namespace vernier
