#include "measure/mcnemar.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace vernier {
namespace {

__extension__ typedef unsigned __int128 Uint128;

// 2 sum_{i <= k} C(n, i) / 2^n as a fraction of integers, n <= 100: Pascal's triangle.
double ExactP(size_t n, size_t k) {
  std::vector<Uint128> row = {1};
  for (size_t i = 0; i < n; ++i) {
    row.push_back(1);
    for (size_t j = row.size() - 2; j > 0; --j) row[j] += row[j - 1];
  }
  Uint128 tail = 0;
  for (size_t i = 0; i <= k; ++i) tail += row[i];
  const Uint128 half = Uint128{1} << (n - 1);
  return tail >= half ? 1 : static_cast<double>(tail) / static_cast<double>(half);
}

TEST(McNemarTest, IsTheBinomialSumOfIntegers) {
  for (size_t n = 1; n <= 100; ++n)
    for (size_t b = 0; b <= n; ++b) {
      const PairedTest test = McNemar(b, n - b);
      const double expected = ExactP(n, std::min(b, n - b));
      // n additions and multiplications.
      EXPECT_NEAR(test.p_value, expected, static_cast<double>(2 * n) * 0x1p-52 * expected)
          << b << " of " << n;
      EXPECT_EQ(test.b, b);
      EXPECT_EQ(test.c, n - b);
    }
}

TEST(McNemarTest, ByHand) {
  EXPECT_EQ(McNemar(0, 0).p_value, 1);
  EXPECT_EQ(McNemar(0, 1).p_value, 1);
  EXPECT_EQ(McNemar(0, 5).p_value, 0.0625);  // 2 / 32
  EXPECT_EQ(McNemar(5, 0).p_value, 0.0625);
  EXPECT_EQ(McNemar(2, 2).p_value, 1);
  EXPECT_DOUBLE_EQ(McNemar(1, 9).p_value, 22.0 / 1024);
  EXPECT_EQ(McNemar(100000, 0).p_value, 0);  // 2^-99999: below every double
  // About z = 2, P = 0.0455: the normal distribution, with half a step of continuity.
  EXPECT_NEAR(McNemar(50000 - 317, 50000 + 316).p_value, 0.0455, 0.0005);
}

}  // namespace
}  // namespace vernier
