#include "report/table.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <sstream>

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

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

Screen Terminal(size_t width) { return Screen(width, true, false); }

TEST(Table, LeavesOutColumnsByTheirNumber) {
  const Table table{{{"name", Align::kLeft},
                     {"first"},
                     {"second", Align::kRight, 2},
                     {"third", Align::kRight, 1},
                     {"", Align::kLeft, 0, true}},
                    {{"a", "1", "2", "3"}, {"b", "4", "5", "6"}}};
  EXPECT_EQ(FormatTable(table, Terminal(40)),
            "name  first  second  third\na         1       2      3\nb         4       5      6\n");
  EXPECT_EQ(FormatTable(table, Terminal(25)),
            "name  first  third\na         1      3\nb         4      6\n"
            "not shown in 25 columns:\nsecond\n");
  EXPECT_EQ(FormatTable(table, Terminal(12)),
            "name  first\na         1\nb         4\nnot shown in\n12 columns:\nsecond,\nthird\n");
}

TEST(Table, IsCutIntoBlocks) {
  const Table table{{{"layer", Align::kLeft}, {"one"}, {"two"}, {"three"}},
                    {{"0", "1.25", "2.25", "3.25"}, {"1", "4.25", "5.25", "6.25"}}};
  EXPECT_EQ(FormatTable(table, Terminal(18)),
            "layer   one   two\n0      1.25  2.25\n1      4.25  5.25\n\n"
            "layer  three\n0       3.25\n1       6.25\n");
}

TEST(Table, WrapsReasonsAndShortensNames) {
  const Table table{
      {{"rule", Align::kLeft}, {"n"}, {"", Align::kLeft, 0, true}},
      {{"blk.0.attn_norm.weight=bf16", "12", "VACUOUS: all of them are numbers of it"}}};
  EXPECT_EQ(FormatTable(table, Terminal(50)),
            "rule                   n\n"
            "blk.0.attn_no\xe2\x80\xa6t=bf16  12  VACUOUS: all of them are\n"
            "                          numbers of it\n");
  EXPECT_EQ(FormatTable(table, Screen(50, true, true)).find("\033[1mrule"), 0u);
  EXPECT_NE(FormatTable(table, Screen(50, true, true)).find("\033[1;35mVACUOUS\033[0m: all"),
            std::string::npos);
}

TEST(Table, NamesMoveNoCursor) {
  EXPECT_EQ(FormatTable(Table{{{"a", Align::kLeft}}, {{"x\033[2J\ny"}}}), "a\nx?[2J?y\n");
}

// Whatever a table holds, and however narrow the screen: no line is too long, and no number is lost
// but with a column that is named or by being cut where it can be seen.
TEST(Table, FitsEveryScreen) {
  std::mt19937 random(7);
  const auto below = [&](uint32_t n) { return random() % n; };
  const char* const pieces[] = {"a",         "blk.", "weight",    "\xe6\xbc\xa2",
                                "e\xcc\x81", " ",    "-1.25e-05", "\xff"};
  for (int round = 0; round < 200; ++round) {
    Table table;
    for (size_t c = 0; c < 1 + below(12); ++c)
      table.columns.push_back({std::string(below(14), 't'),
                               below(3) == 0 ? Align::kLeft : Align::kRight,
                               static_cast<int>(below(3)), below(4) == 0});
    for (size_t r = 0; r < below(6); ++r) {
      table.rows.emplace_back();
      for (size_t c = 0; c < table.columns.size(); ++c) {
        table.rows.back().emplace_back();
        for (size_t p = 0; p < below(9); ++p) table.rows.back().back() += pieces[below(8)];
      }
    }
    for (const size_t width : {20u, 33u, 60u, 80u, 200u})
      for (const std::string& line : Lines(FormatTable(table, Terminal(width)))) {
        ASSERT_LE(TextWidth(line), width) << line;
        ASSERT_FALSE(line.ends_with(' ')) << line;
      }
  }
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
