#include "formats/rotate.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>
#include <vector>

#include "base/result.h"
#include "formats/treatment.h"

namespace vernier {
namespace {

TEST(Hadamard, BlockIsTheLargestPowerOfTwo) {
  EXPECT_EQ(HadamardBlock(1), 1u);
  EXPECT_EQ(HadamardBlock(3), 1u);
  EXPECT_EQ(HadamardBlock(4096), 4096u);
  EXPECT_EQ(HadamardBlock(768), 256u);
  EXPECT_EQ(HadamardBlock(4864), 256u);
  EXPECT_THROW(HadamardBlock(0), Defect);
}

// Small integers, so that all sums are exact and only the norm rounds.
TEST(Hadamard, EqualsTheMatrix) {
  std::mt19937 random(1);
  for (const size_t n : {1, 2, 8, 32, 64, 96, 768}) {
    std::vector<double> x(n);
    for (double& v : x) v = static_cast<double>(random() % 2001) - 1000;
    std::vector<double> y = x;
    const size_t block = HadamardBlock(n);
    Hadamard(y.data(), n, block);
    const double norm = 1 / std::sqrt(static_cast<double>(block));
    for (size_t i = 0; i < n; ++i) {
      const size_t first = i / block * block;
      int64_t sum = 0;
      for (size_t j = 0; j < block; ++j) {
        const auto v = static_cast<int64_t>(x[first + j]);
        sum += std::popcount((i - first) & j) % 2 == 0 ? v : -v;
      }
      ASSERT_EQ(y[i], static_cast<double>(sum) * norm) << n << " " << i;
    }
  }
}

Treatment Parse(std::string_view text) {
  auto t = ParseTreatment(text, TreatedThing::kWeight);
  EXPECT_TRUE(t) << (t ? "" : t.error().message);
  return t.value_or(Treatment{});
}

std::vector<float> Normal(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(n);
  for (float& v : x) v = normal(random);
  return x;
}

// The rotation in double and back leaves a relative error of about 2 log2(n) 2^-53 of the largest
// element, which the rounding to float32 takes away.
TEST(Rotation, AloneChangesNoFloat) {
  std::vector<float> x = Normal(1024, 2);
  for (float& v : x) v += v < 0 ? -0.01f : 0.01f;
  const std::vector<float> before = x;
  EXPECT_EQ(TreatRow(Parse("f64,rotate=hadamard"), x.data(), x.size(), 0),
            (TreatmentCounts{1024, 0, 0, 0}));
  EXPECT_EQ(x, before);
}

TEST(Rotation, GoesAroundTheTreatment) {
  for (const char* format : {"int8", "int4,per=group:32", "bf16,round=stochastic", "mxfp4",
                             "nvfp4,per=row", "int8,scale=absmax:2", "q8_0"}) {
    std::vector<float> x = Normal(768, 3);
    x[5] = 40;
    std::vector<double> rotated(x.begin(), x.end());
    Hadamard(rotated.data(), 768, 256);
    const TreatmentCounts inner = TreatRow(Parse(format), rotated.data(), 768, 9);
    Hadamard(rotated.data(), 768, 256);
    std::vector<float> y = x;
    const TreatmentCounts counts =
        TreatRow(Parse(std::string(format) + ",rotate=hadamard"), y.data(), 768, 9);
    EXPECT_EQ(counts.saturated, inner.saturated);
    uint64_t changed = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      ASSERT_EQ(y[i], static_cast<float>(rotated[i])) << format;
      changed += y[i] != x[i];
    }
    EXPECT_EQ(counts.changed, changed);
  }
}

TEST(Rotation, SpreadsAnOutlier) {
  std::vector<float> x = Normal(256, 4), plain, rotated;
  x[17] = 100;
  plain = rotated = x;
  TreatRow(Parse("int4"), plain.data(), 256, 0);
  TreatRow(Parse("int4,rotate=hadamard"), rotated.data(), 256, 0);
  double plain_error = 0, rotated_error = 0;
  for (size_t i = 0; i < 256; ++i) {
    plain_error += std::pow(plain[i] - x[i], 2);
    rotated_error += std::pow(rotated[i] - x[i], 2);
  }
  EXPECT_LT(rotated_error, plain_error);
}

TEST(Rotation, BlocksWithNonFiniteElementsAreLost) {
  std::vector<float> x = Normal(12, 5);  // blocks of 4
  const std::vector<float> before = x;
  x[5] = HUGE_VALF;
  const TreatmentCounts counts = TreatRow(Parse("int8,rotate=hadamard"), x.data(), 12, 0);
  for (size_t i = 0; i < 12; ++i) EXPECT_EQ(std::isnan(x[i]), i / 4 == 1) << i;
  EXPECT_EQ(counts.saturated, 4u);
  EXPECT_EQ(TreatRow(Parse("int8,rotate=hadamard"), x.data(), 0, 0), TreatmentCounts{});
}

TEST(Rotation, OneScaleOfARotatedTensor) {
  std::vector<float> x = Normal(5 * 96, 6), y = x;
  TreatTensor(Parse("int8,per=tensor,rotate=hadamard"), y.data(), 5, 96, 0);
  std::vector<double> rotated(x.begin(), x.end());
  Hadamard(rotated.data(), rotated.size(), 32);
  TreatRow(Parse("int8"), rotated.data(), rotated.size(), 0);
  Hadamard(rotated.data(), rotated.size(), 32);
  for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(y[i], static_cast<float>(rotated[i]));
}

}  // namespace
}  // namespace vernier
