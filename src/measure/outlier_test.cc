#include "measure/outlier.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace vernier {
namespace {

// Two-sided 5 %, 1 % and 0.1 % points: table of Student's distribution (Fisher and Yates,
// Statistical Tables, 1963, table III).
TEST(Student, TableOfFisherAndYates) {
  for (const auto& [df, five, one, tenth] : {std::tuple{1.0, 12.706, 63.657, 636.619},
                                             {2.0, 4.303, 9.925, 31.598},
                                             {3.0, 3.182, 5.841, 12.924},
                                             {5.0, 2.571, 4.032, 6.869},
                                             {10.0, 2.228, 3.169, 4.587},
                                             {19.0, 2.093, 2.861, 3.883},
                                             {30.0, 2.042, 2.750, 3.646},
                                             {120.0, 1.980, 2.617, 3.373}}) {
    EXPECT_NEAR(StudentQuantile(0.05, df), five, 6e-4) << df;
    EXPECT_NEAR(StudentQuantile(0.01, df), one, 6e-4) << df;
    EXPECT_NEAR(StudentQuantile(0.001, df), tenth, df == 2 ? 2e-3 : 6e-4) << df;
    EXPECT_NEAR(StudentTail(StudentQuantile(0.02, df), df), 0.02, 1e-12);
  }
  // One degree of freedom: the Cauchy distribution.
  for (const double t : {0.1, 1.0, 7.0, 1000.0})
    EXPECT_NEAR(StudentTail(t, 1), 1 - 2 / M_PI * std::atan(t), 1e-13);
}

// Through (0, 0), (1, 1), (3, 2), the line is 1/7 + 9/14 x; residuals -1/7, 3/14, -1/14, so s^2 =
// 1/14 with one degree of freedom; at 2 it says 10/7, with variance s^2 (1 + 1/3 + (2 - 4/3)^2 /
// (14/3)) = 1/14 * 10/7.
TEST(Outlier, WorkedByHand) {
  const std::vector<double> y = {0, 1, 4, 2};
  EXPECT_NEAR(StudentisedResidual(y, 2), (4 - 10.0 / 7) / std::sqrt(10.0 / 98), 1e-12);
}

TEST(Outlier, DoesNotDependOnTheLineOrTheUnit) {
  const std::vector<double> y = {1.0, 1.2, 0.9, 2.0, 1.1, 0.95};
  std::vector<double> z;
  for (size_t k = 0; k < y.size(); ++k) z.push_back(3 + 0.5 * static_cast<double>(k) + 7 * y[k]);
  for (size_t i = 0; i < y.size(); ++i)
    EXPECT_NEAR(StudentisedResidual(z, i), StudentisedResidual(y, i), 1e-9);
  EXPECT_GT(StudentisedResidual(y, 3), 5);
  for (const size_t i : {0, 1, 2, 4, 5}) EXPECT_LT(std::abs(StudentisedResidual(y, i)), 2);
}

TEST(Outlier, ExactLines) {
  const std::vector<double> line = {1, 2, 3, 4, 5};
  EXPECT_EQ(StudentisedResidual(line, 2), 0);
  std::vector<double> off = line;
  off[2] = 2.9;
  EXPECT_EQ(StudentisedResidual(off, 2), -INFINITY);
}

}  // namespace
}  // namespace vernier
