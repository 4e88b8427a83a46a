// The floating-point environment that docs/numerics.md takes for granted, in every worker: round to
// nearest, subnormals kept.
#include <gtest/gtest.h>

#include <vector>

#include "base/parallel.h"

namespace vernier {
namespace {

TEST(FloatingPoint, NearestEvenAndSubnormalsInEveryWorker) {
  Workers workers(2);
  std::vector<int> good(64);
  workers.For(good.size(), 1, [&](size_t first, size_t last) {
    for (size_t i = first; i < last; ++i) {
      volatile float one = 1.0f, half_ulp = 0x1p-24f, tiny = 0x1p-126f, half = 0.5f;
      volatile double wide = 1.0, wide_half_ulp = 0x1p-53, wide_tiny = 0x1p-1022, wide_half = 0.5;
      good[i] = one + half_ulp == 1.0f && one + 3 * half_ulp == 1.0f + 0x1p-22f &&
                tiny * half == 0x1p-127f && tiny * half != 0 && wide + wide_half_ulp == 1.0 &&
                wide_tiny * wide_half == 0x1p-1023 && wide_tiny * wide_half != 0;
    }
  });
  for (const int g : good) EXPECT_TRUE(g);
}

}  // namespace
}  // namespace vernier
