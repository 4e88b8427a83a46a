#include "cli/progress.h"

#include <gtest/gtest.h>

#include "report/text_width.h"

namespace vernier {
namespace {

TEST(Progress, Line) {
  const Progress half{"scoring", 500, 1000, "tokens"};
  EXPECT_EQ(ProgressText(half, 10, 0, 100),
            "scoring [##########----------]  50 %  500/1 000 tokens, 50/s, 10 s left");
  EXPECT_EQ(ProgressText(half, 10, 4, 100),
            "scoring [##########----------]  50 %  500/1 000 tokens, 50/s, 6 s left");
  EXPECT_EQ(ProgressText(half, 10, 0, 60), "scoring  50 %  500/1 000 tokens, 50/s, 10 s left");
  EXPECT_EQ(ProgressText({"scoring", 999, 1000, "tokens"}, 1, 0, 60),
            "scoring  99 %  999/1 000 tokens, 999/s, 0 s left");
  EXPECT_EQ(ProgressText({"reading the model", 0, 0, ""}, 0, 3.2, 60), "reading the model, 3 s");
  EXPECT_EQ(ProgressText({"scoring", 0, 10, "chunks"}, 0, 2, 60), "scoring   0 %  0/10 chunks");
  EXPECT_NE(ProgressText({"scoring", 1, 1000, "tokens"}, 36, 0, 80).find("10.0 h left"),
            std::string::npos);
  for (size_t width = 1; width < 90; ++width)
    EXPECT_LE(TextWidth(ProgressText(half, 10, 0, width)), width);
}

}  // namespace
}  // namespace vernier
