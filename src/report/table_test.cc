#include "report/table.h"

#include <gtest/gtest.h>

#include <limits>

namespace vernier {
namespace {

TEST(Table, AlignsAndCuts) {
  const Table table{{{"name", Align::kLeft}, {"n"}},
                    {{"a", "1"}, {"\xc3\xa4\xc3\xb6", "234"}, {"c"}}};
  EXPECT_EQ(FormatTable(table), "name    n\na       1\n\xc3\xa4\xc3\xb6    234\nc\n");
  const Table wide{{{"name", Align::kLeft}, {"n"}}, {{std::string(50, 'x'), "12345"}}};
  EXPECT_EQ(FormatTable(wide, 30),
            "name                         n\n" + std::string(20, 'x') + "...  12345\n");
  EXPECT_EQ(FormatTable(Table{{{"", Align::kLeft}, {""}}, {{"a", "1"}}}), "a  1\n");
}

TEST(Table, Numbers) {
  EXPECT_EQ(NumberText(0), "0");
  EXPECT_EQ(NumberText(1.23456), "1.235");
  EXPECT_EQ(NumberText(12345.6), "12346");
  EXPECT_EQ(NumberText(1.5e-7), "1.5e-07");
  EXPECT_EQ(NumberText(std::numeric_limits<double>::infinity()), "inf");
  EXPECT_EQ(CountText(1), "1");
  EXPECT_EQ(CountText(1234567), "1 234 567");
  EXPECT_EQ(ByteText(999), "999 B");
  EXPECT_EQ(ByteText(7890000), "7.89 MB");
  EXPECT_EQ(PercentText(1), "100 %");
  EXPECT_EQ(PercentText(0.999999), ">99.99 %");
  EXPECT_EQ(PercentText(0.5), "50.0 %");
  EXPECT_EQ(PercentText(1e-9), "<0.01 %");
}

}  // namespace
}  // namespace vernier
