#include "ops/treat_weight.h"

#include <gtest/gtest.h>

#include <cmath>

#include "formats/treatment_testing.h"
#include "ops/elementary.h"

namespace vernier {
namespace {

TEST(TreatWeight, TreatsLogarithmsAsTheirFileKeepsThem) {
  const Treatment of_log = ParseOrFail("int8,per=tensor,of=log", TreatedThing::kWeight),
                  plain = ParseOrFail("int8,per=tensor", TreatedThing::kWeight);
  const std::vector<float> logs = NormalNumbers(96, 5, 1, 1);  // as a folder has A_log
  std::vector<double> a, treated_logs(logs.begin(), logs.end());
  for (const float x : logs) a.push_back(-Exponential(x));
  const TreatmentCounts counts = TreatWeight(of_log, a.data(), 6, 16, 0, nullptr);
  TreatTensor(plain, treated_logs.data(), 6, 16, 0);
  EXPECT_EQ(counts.touched, 96u);
  EXPECT_GT(counts.changed, 80u);
  for (size_t i = 0; i < a.size(); ++i)
    EXPECT_NEAR(a[i], -Exponential(treated_logs[i]), std::abs(a[i]) * 0x1p-51) << i;
}

TEST(TreatWeight, SignsZerosAndThreads) {
  const Treatment t = ParseOrFail("int4,scale=1,of=log", TreatedThing::kWeight);
  std::vector<float> x = {0, -0.0f, 1, -1, 3, -8, std::nanf(""), 1e-30f};
  const TreatmentCounts counts = TreatWeight(t, x.data(), 1, x.size(), 0, nullptr);
  EXPECT_EQ(x[0], 0);
  EXPECT_TRUE(std::signbit(x[1]));
  EXPECT_EQ(x[2], 1);
  EXPECT_EQ(x[3], -1);
  EXPECT_EQ(x[4], static_cast<float>(Exponential(1)));
  EXPECT_EQ(x[5], -static_cast<float>(Exponential(2)));
  EXPECT_TRUE(std::isnan(x[6]));
  EXPECT_EQ(x[7], static_cast<float>(Exponential(-7)));  // ln is -69
  EXPECT_EQ(counts.changed, 3u);
  EXPECT_EQ(counts.saturated, 1u);
  const std::vector<float> numbers = NormalNumbers(5000, 6);
  std::vector<float> alone = numbers, shared = numbers;
  Workers workers(2);
  const Treatment tensor = ParseOrFail("int8,per=tensor,of=log", TreatedThing::kWeight);
  TreatWeight(tensor, alone.data(), 50, 100, 0, nullptr);
  TreatWeight(tensor, shared.data(), 50, 100, 0, &workers);
  EXPECT_EQ(alone, shared);
}

}  // namespace
}  // namespace vernier
