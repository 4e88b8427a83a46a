#include "model/pretokenizer.h"

#include <gtest/gtest.h>

#include <set>

namespace vernier {
namespace {

using Pieces = std::vector<std::string>;

Pieces Cut(const PreTokenizer& pre, std::string_view text) {
  std::vector<TextSpan> spans;
  const Status status = pre.Split(text, &spans);
  EXPECT_TRUE(status.has_value()) << status.error().message;
  Pieces pieces;
  for (const TextSpan& span : spans) {
    pieces.emplace_back(text.substr(span.begin, span.end - span.begin));
  }
  return pieces;
}

PreTokenizer Named(std::string_view name) {
  PreTokenizer pre;
  const NamedPreTokenizer* named = FindPreTokenizer(name);
  EXPECT_NE(named, nullptr);
  for (const std::string_view pattern : named->patterns) {
    EXPECT_TRUE(pre.Add(pattern, false, PreTokenizer::Gaps::kPieces, name).has_value());
  }
  return pre;
}

PreTokenizer One(std::string_view pattern, PreTokenizer::Gaps gaps = PreTokenizer::Gaps::kPieces) {
  PreTokenizer pre;
  EXPECT_TRUE(pre.Add(pattern, false, gaps, "test").has_value());
  return pre;
}

TEST(PreTokenizer, CutsAsTheModelsDo) {
  const std::string text = "I'LL buy 12345  apples!!\n\n  ok";
  EXPECT_EQ(Cut(Named("gpt-2"), text),
            (Pieces{"I", "'", "LL", " buy", " 12345", " ", " apples", "!!", "\n\n ", " ok"}));
  EXPECT_EQ(Cut(Named("llama-bpe"), text),
            (Pieces{"I", "'LL", " buy", " ", "123", "45", " ", " apples", "!!\n\n", " ", " ok"}));
  EXPECT_EQ(Cut(Named("qwen2"), text), (Pieces{"I", "'LL", " buy", " ", "1", "2", "3", "4", "5",
                                               " ", " apples", "!!\n\n", " ", " ok"}));
  EXPECT_EQ(Cut(Named("default"), "a+b 12345"), (Pieces{"a", "+", "b", " ", "123", "45"}));
  EXPECT_EQ(Cut(Named("smollm"), "a 12"), (Pieces{"a", " ", "1", "2"}));
  EXPECT_EQ(Cut(Named("gpt-2"), ""), Pieces{});
}

TEST(PreTokenizer, KnowsUnicode) {
  EXPECT_EQ(Cut(Named("gpt-2"), "Äpfel½ нещо"), (Pieces{"Äpfel", "½", " нещо"}));
  EXPECT_EQ(Cut(Named("llama-bpe"), "x\u00a0\u00a0y"), (Pieces{"x", "\u00a0", "\u00a0y"}));
}

TEST(PreTokenizer, BytesThatAreNoTextArePieces) {
  EXPECT_EQ(Cut(Named("gpt-2"),
                "ab\xff\xfe"
                "cd \x80"),
            (Pieces{"ab", "\xff\xfe", "cd", " ", "\x80"}));
}

TEST(PreTokenizer, GapsArePiecesOrDropped) {
  EXPECT_EQ(Cut(One("b+"), "abbac"), (Pieces{"a", "bb", "ac"}));
  EXPECT_EQ(Cut(One("b+", PreTokenizer::Gaps::kDropped), "abbac"), (Pieces{"bb"}));
  EXPECT_EQ(Cut(One("x*"), "axxa"), (Pieces{"a", "xx", "a"}));  // empty matches are none
  PreTokenizer literal;
  ASSERT_TRUE(literal.Add(".", true, PreTokenizer::Gaps::kPieces, "test").has_value());
  EXPECT_EQ(Cut(literal, "a.b"), (Pieces{"a", ".", "b"}));
}

TEST(PreTokenizer, HostilePatternsAreErrors) {
  PreTokenizer pre;
  for (const char* pattern : {"(", "[a", "\\C", "a{2,1}", "(?<", "\\p{Nonsense}"}) {
    const Status status = pre.Add(pattern, false, PreTokenizer::Gaps::kPieces, "file: step");
    ASSERT_FALSE(status.has_value()) << pattern;
    EXPECT_TRUE(status.error().message.starts_with("file: step: expected a regular expression"))
        << status.error().message;
  }
  EXPECT_FALSE(pre.Add(std::string(100000, 'a'), false, PreTokenizer::Gaps::kPieces, "x"));
  std::vector<TextSpan> spans;
  // Exponential, endless recursion, and a match that ends before it begins.
  for (const char* pattern : {"(a+)+$", "((?:a|aa)+)+b", "(?R)?a(?R)?b", "(?=ab\\K)", "a\\K"}) {
    PreTokenizer hostile;
    if (!hostile.Add(pattern, false, PreTokenizer::Gaps::kPieces, "x")) continue;
    const std::string text = std::string(60, 'a') + "c";
    const Status status = hostile.Split(text, &spans);
    if (status) {
      EXPECT_LE(spans.size(), text.size()) << pattern;
    }
  }
}

TEST(PreTokenizer, TheTableIsComplete) {
  std::set<std::string_view> names;
  for (const NamedPreTokenizer& entry : NamedPreTokenizers()) {
    EXPECT_TRUE(names.insert(entry.name).second) << entry.name;
    EXPECT_FALSE(entry.source.empty());
    EXPECT_FALSE(entry.patterns.empty());
    EXPECT_EQ(FindPreTokenizer(entry.name), &entry);
    Named(entry.name);
  }
  EXPECT_EQ(FindPreTokenizer("")->name, "default");
  EXPECT_EQ(FindPreTokenizer("llama3")->name, "llama-bpe");
  EXPECT_EQ(FindPreTokenizer("no such"), nullptr);
}

}  // namespace
}  // namespace vernier
