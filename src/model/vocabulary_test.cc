#include "model/vocabulary.h"

#include <gtest/gtest.h>

#include "model/utf8.h"

namespace vernier {
namespace {

TEST(Vocabulary, RefusesTwoIdsOfOneText) {
  Vocabulary vocabulary;
  vocabulary.source = "file";
  vocabulary.tokens = {{.text = "a"}, {.text = ""}, {.text = ""}, {.text = "a"}};
  const Status status = vocabulary.BuildIds();
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().message, "file: token 'a' has two ids, 0 and 3: expected one");
}

TEST(Vocabulary, TokensThatEndATurn) {
  Vocabulary vocabulary;
  vocabulary.tokens = {{.text = "x"},
                       {.text = "<|im_end|>", .type = TokenType::kControl},
                       {.text = "<|eot_id|>", .type = TokenType::kUserDefined},
                       {.text = "</s>"}};  // ordinary text here
  vocabulary.eos = 0;
  ASSERT_TRUE(vocabulary.BuildIds().has_value());
  vocabulary.FindEndOfGeneration();
  EXPECT_EQ(vocabulary.end_of_generation, (std::unordered_set<int32_t>{0, 1, 2}));
}

TEST(Vocabulary, ByteTokens) {
  EXPECT_EQ(ByteOfToken("<0x00>"), 0);
  EXPECT_EQ(ByteOfToken("<0xFf>"), 255);
  EXPECT_EQ(ByteOfToken("<0xFG>"), -1);
  EXPECT_EQ(ByteOfToken("<0xFFF>"), -1);
  EXPECT_EQ(ByteOfToken("<0x1>"), -1);
  EXPECT_EQ(ByteOfToken(""), -1);
}

TEST(SpecialTokens, LeftmostThenLongest) {
  Vocabulary vocabulary;
  vocabulary.tokens = {{.text = "<a>", .type = TokenType::kUserDefined},
                       {.text = "<a><b>", .type = TokenType::kUserDefined},
                       {.text = "<c>", .type = TokenType::kControl},
                       {.text = "normal"},
                       {.text = "", .type = TokenType::kControl}};
  ASSERT_TRUE(vocabulary.BuildIds().has_value());
  const SpecialTokens some(vocabulary, false), all(vocabulary, true);
  const auto found = [](const SpecialTokens& specials, std::string_view text, size_t from) {
    const SpecialTokens::Match match = specials.Find(text, from);
    return std::tuple(match.begin, match.end, match.id);
  };
  EXPECT_EQ(found(some, "x<c><a><b>", 0), std::tuple(4, 10, 1));
  EXPECT_EQ(found(all, "x<c><a><b>", 0), std::tuple(1, 4, 2));
  EXPECT_EQ(found(some, "<a><a><b", 0), std::tuple(0, 3, 0));
  EXPECT_EQ(found(some, "<a><a><b", 1), std::tuple(3, 6, 0));
  EXPECT_EQ(found(all, "normal <a", 0), std::tuple(0, 0, -1));
  EXPECT_EQ(found(all, "", 0), std::tuple(0, 0, -1));
}

TEST(Utf8, OnlyWellFormedCharacters) {
  const auto length = [](std::string_view text) { return Utf8Length(text, 0); };
  EXPECT_EQ(length("a"), 1u);
  EXPECT_EQ(length("\xc3\xa4"), 2u);
  EXPECT_EQ(length("\xe2\x96\x81"), 3u);
  EXPECT_EQ(length("\xf0\x9f\x98\x80"), 4u);
  EXPECT_EQ(length("\xf4\x8f\xbf\xbf"), 4u);
  for (const char* bad :
       {"\x80", "\xc0\x80", "\xc1\xbf", "\xc3", "\xc3x", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xe2\x96",
        "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xf0\x9f\x98"}) {
    EXPECT_EQ(length(bad), 0u) << testing::PrintToString(std::string(bad));
  }
  EXPECT_EQ(Utf8CodePoint("\xe2\x96\x81", 0, 3), 0x2581u);
  EXPECT_EQ(Utf8CodePoint("\xf4\x8f\xbf\xbf", 0, 4), 0x10ffffu);
}

}  // namespace
}  // namespace vernier
