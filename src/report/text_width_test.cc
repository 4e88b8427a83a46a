#include "report/text_width.h"

#include <gtest/gtest.h>

namespace vernier {
namespace {

// Columns as the East Asian Width (UAX #11) and the general category of the characters say.
TEST(TextWidth, CountsColumns) {
  EXPECT_EQ(TextWidth(""), 0u);
  EXPECT_EQ(TextWidth("plain"), 5u);
  EXPECT_EQ(TextWidth("\xc3\xa4\xc3\xb6"), 2u);          // two letters of Latin-1
  EXPECT_EQ(TextWidth("\xc2\xb1 \xce\x94p"), 4u);        // plus-minus, space, Delta, p
  EXPECT_EQ(TextWidth("e\xcc\x81"), 1u);                 // a combining acute accent
  EXPECT_EQ(TextWidth("\xe6\xbc\xa2\xe5\xad\x97"), 4u);  // two ideographs
  EXPECT_EQ(TextWidth("\xef\xbc\xa1"), 2u);              // a full-width A
  EXPECT_EQ(TextWidth("\xf0\x9f\x98\x80"), 2u);          // an emoji
  EXPECT_EQ(TextWidth("\xe2\x80\x8b"), 0u);              // a space without width
  EXPECT_EQ(TextWidth("\xff\xc3"), 2u);                  // not UTF-8
  EXPECT_EQ(TextWidth("\033[1;35mVACUOUS\033[0m"), 7u);  // colours
}

TEST(TextWidth, NamesMoveNoCursor) {
  EXPECT_EQ(Printable("a\tb\nc\r\033[2J\x7f"), "a?b?c??[2J?");
  EXPECT_EQ(Printable("\033[31mred"), "?[31mred");
  EXPECT_EQ(Printable("\xc2\x9b"
                      "2J"),
            "?2J");  // a control sequence in one character
  EXPECT_EQ(Printable("\xe6\xbc\xa2 \xff"), "\xe6\xbc\xa2 ?");
}

TEST(TextWidth, Cuts) {
  EXPECT_EQ(CutText("short", 5, true), "short");
  EXPECT_EQ(CutText("abcdefghij", 7, false), "abcd...");
  EXPECT_EQ(CutText("abcdefghij", 2, false), "..");
  EXPECT_EQ(CutText("abcdefghij", 7, true), "abcd\xe2\x80\xa6ij");
  EXPECT_EQ(CutText("abcdefghij", 1, true), "\xe2\x80\xa6");
  const std::string wide = "\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2";
  for (size_t width = 1; width < 9; ++width)
    EXPECT_LE(TextWidth(CutText(wide, width, true)), width);
}

TEST(TextWidth, Wraps) {
  using Lines = std::vector<std::string>;
  EXPECT_EQ(WrapText("", 10), Lines{""});
  EXPECT_EQ(WrapText("one two three", 7), (Lines{"one two", "three"}));
  EXPECT_EQ(WrapText("one two three", 13), Lines{"one two three"});
  EXPECT_EQ(WrapText("a  abcdefghij b", 4), (Lines{"a", "abcd", "efgh", "ij b"}));
  EXPECT_EQ(WrapText("\xe6\xbc\xa2\xe6\xbc\xa2", 1), (Lines{"\xe6\xbc\xa2", "\xe6\xbc\xa2"}));
}

TEST(TextWidth, LinesFitTheScreen) {
  const Screen screen(10, true, false);
  EXPECT_EQ(FitLines("short\n\n  one two three\n", screen), "short\n\n  one two\n  three\n");
  EXPECT_EQ(FitLines("no end", screen), "no end");
  EXPECT_EQ(FitLines("a line that is longer\n", Screen(10)), "a line that is longer\n");
  EXPECT_EQ(FitLines("\033[1mone two\033[0m x\n", screen), "\033[1mone two\033[0m x\n");
}

TEST(TextWidth, StylesWhereThereAreColours) {
  const Screen plain(80, true, false), coloured(80, true, true);
  EXPECT_EQ(Styled(plain, Style::kHeading, "x"), "x");
  EXPECT_EQ(Styled(coloured, Style::kHeading, "x"), "\033[1mx\033[0m");
  EXPECT_EQ(Styled(coloured, Style::kHeading, ""), "");
  EXPECT_EQ(StyledVerdict(plain, "VACUOUS: why"), "VACUOUS: why");
  EXPECT_EQ(StyledVerdict(coloured, "VACUOUS: why"), "\033[1;35mVACUOUS\033[0m: why");
  EXPECT_EQ(StyledVerdict(coloured, "not VACUOUS"), "not VACUOUS");
  for (const char* verdict : {"supported", "refuted", "undecided"})
    EXPECT_NE(StyledVerdict(coloured, verdict), verdict);
}

}  // namespace
}  // namespace vernier
