#include "base/names.h"

#include <gtest/gtest.h>

namespace vernier {
namespace {

TEST(NearestName, TyposAndCase) {
  const std::vector<std::string> names = {"attn_norm", "ffn_norm", "ffn_up", "bf16", "f16"};
  EXPECT_EQ(NearestName("fn_norm", names), "ffn_norm");
  EXPECT_EQ(NearestName("bf17", names), "bf16");
  EXPECT_EQ(NearestName("BF16", names), "bf16");
  EXPECT_EQ(NearestName("nfn_norm", names), "ffn_norm");
  EXPECT_EQ(NearestName("something_else", names), "");
  EXPECT_EQ(DidYouMean("f61", names), "; did you mean 'f16'?");
}

TEST(Glob, MatchesWholeText) {
  EXPECT_TRUE(GlobMatches("blk.*.ffn_*.weight", "blk.12.ffn_gate.weight"));
  EXPECT_FALSE(GlobMatches("blk.*.ffn_*.weight", "blk.12.attn_q.weight"));
  EXPECT_FALSE(GlobMatches("ffn_norm", "ffn_norm2"));
  EXPECT_TRUE(GlobMatches("*", ""));
  EXPECT_TRUE(GlobMatches("a?c", "abc"));
  EXPECT_TRUE(GlobMatches("blk.[0-3].x", "blk.2.x"));
  EXPECT_FALSE(GlobMatches("blk.[0-3].x", "blk.4.x"));
  EXPECT_TRUE(GlobMatches("a[", "a["));
  EXPECT_TRUE(GlobMatches("*ab*ab", "abxabab"));
}

TEST(Split, KeepsEmptyPieces) {
  EXPECT_EQ(Split("a,,b", ','), (std::vector<std::string>{"a", "", "b"}));
  EXPECT_EQ(Split("", ','), (std::vector<std::string>{""}));
  EXPECT_EQ(Trim("  a b\t"), "a b");
  EXPECT_EQ(Trim(" \t"), "");
}

}  // namespace
}  // namespace vernier
