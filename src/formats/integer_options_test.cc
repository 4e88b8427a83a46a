// Options of integers that hardware has: one code more below zero, a second grid that is given.
#include <gtest/gtest.h>

#include "formats/treatment_testing.h"

namespace vernier {
namespace {

// The second grid may be given: its largest number, beyond which all is clipped.
TEST(Integers, SecondScaleGiven) {
  const auto t = ParseOrFail("int8,scale=0.125,outliers=second:254", TreatedThing::kActivation);
  std::vector<float> x = {1.06f, 15.9f, 16, 17.1f, -100.9f, 254.9f, 300};
  const TreatmentCounts counts = TreatRow(t, x.data(), x.size(), 0);
  EXPECT_EQ(x, (std::vector<float>{1, 15.875f, 16, 18, -100, 254, 254}));
  EXPECT_EQ(counts.saturated, 1u) << "300 alone";
}

TEST(Integers, OptionsRoundTrip) {
  for (const char* text :
       {"int8,scale=static,outliers=second:static", "int8,scale=0.5,outliers=second:254",
        "int8,scale=0.5,full=true", "int4,scale=static,percentile=ema:99.95,full=true",
        "int8,per=tensor,of=log", "int8,scale=percentile:99,full=true,rotate=hadamard"}) {
    const Treatment t = ParseOrFail(text, TreatedThing::kWeight);
    EXPECT_EQ(TreatmentText(t), text);
    EXPECT_NE(t, ParseOrFail(std::string(text).substr(0, std::string(text).rfind(',')),
                             TreatedThing::kWeight));
  }
}

TEST(Integers, OptionsThatAreRefused) {
  const struct {
    const char *text, *message;
  } cases[] = {
      {"int8,scale=1,outliers=second:0",
       "treatment 'int8,scale=1,outliers=second:0': outliers=second:0: expected second, "
       "second:static or second:A with A above 0 and up to 1e+30"},
      {"int8,scale=1,outliers=second:static",
       "treatment 'int8,scale=1,outliers=second:static': outliers=second:static: goes with "
       "scale=static"},
      {"int8,full=true", "treatment 'int8,full=true': full=true: nothing is beyond scale=absmax"},
      {"e4m3,full=true",
       "treatment 'e4m3,full=true': full=true: e4m3 has no codes of integers; it is for intN"},
      {"int8,scale=1,full=true,segments=1:8",
       "treatment 'int8,scale=1,full=true,segments=1:8': full=true: is of symmetric integers"},
      {"int8,of=log",
       "treatment 'int8,of=log': of=log: of weights (A of a state-space layer, which files keep "
       "so)"},
  };
  for (const auto& c : cases) {
    const auto parsed = ParseTreatment(c.text, TreatedThing::kActivation);
    ASSERT_FALSE(parsed) << c.text;
    EXPECT_EQ(parsed.error().message, c.message);
  }
}

}  // namespace
}  // namespace vernier
