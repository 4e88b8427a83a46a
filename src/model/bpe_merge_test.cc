#include "model/bpe_merge.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

namespace vernier {
namespace {

Vocabulary Words(const std::vector<std::string>& texts) {
  Vocabulary vocabulary;
  vocabulary.source = "words";
  for (const std::string& text : texts) vocabulary.tokens.push_back({.text = text});
  EXPECT_TRUE(vocabulary.BuildIds().has_value());
  return vocabulary;
}

TEST(MergeTable, NamesWhatIsWrong) {
  const Vocabulary words = Words({"a", "b", "ab", "c"});
  MergeTable table(4);
  EXPECT_TRUE(table.Add(words, "a b", "list").has_value());
  ASSERT_TRUE(table.Find(0, 1).has_value());
  EXPECT_EQ(table.Find(0, 1)->id, 2);
  EXPECT_FALSE(table.Find(1, 0).has_value());
  EXPECT_FALSE(table.Find(-1, 0).has_value());
  const auto message = [&](std::string_view pair) {
    const Status status = table.Add(words, pair, "list");
    return status ? "" : status.error().message;
  };
  EXPECT_EQ(message("a c"), "words: list[1]: expected tokens of the vocabulary, it has no 'ac'");
  EXPECT_EQ(message("x b"), "words: list[1]: expected tokens of the vocabulary, it has no 'x'");
  EXPECT_EQ(message("ab"), "words: list[1]: expected two tokens with a space between, found 'ab'");
  EXPECT_NE(message(""), "");
  EXPECT_NE(message(" b"), "");
  EXPECT_NE(message("a "), "");
  EXPECT_NE(message("a b c"), "");
}

TEST(MergeTable, TheEarlierOfTwoEqualMergesStays) {
  const Vocabulary words = Words({"a", "b", "ab"});
  MergeTable table(2);
  EXPECT_TRUE(table.Add(words, "a b", "list").has_value());
  EXPECT_TRUE(table.Add(words, "a b", "list").has_value());
  EXPECT_EQ(table.Find(0, 1)->key, 0u);
}

// The definition: while there is a pair that may be joined, join the one with the lowest rank, the
// leftmost among equals.
std::vector<std::string> JoinSlowly(
    std::string_view text, const std::map<std::pair<std::string, std::string>, int>& ranks) {
  std::vector<std::string> parts;
  for (const char c : text) parts.emplace_back(1, c);
  while (true) {
    size_t best = parts.size();
    int lowest = INT32_MAX;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      const auto it = ranks.find({parts[i], parts[i + 1]});
      if (it != ranks.end() && it->second < lowest) {
        lowest = it->second;
        best = i;
      }
    }
    if (best == parts.size()) return parts;
    parts[best] += parts[best + 1];
    parts.erase(parts.begin() + static_cast<ptrdiff_t>(best) + 1);
  }
}

TEST(BpeMerger, DoesWhatTheDefinitionSays) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::string> texts = {"a", "b", "c"};
    std::map<std::pair<std::string, std::string>, int> ranks;
    std::vector<std::pair<std::string, std::string>> merges;
    for (int i = 0; i < 30; ++i) {
      const std::string left = texts[random() % texts.size()];
      const std::string right = texts[random() % texts.size()];
      if (left.size() + right.size() > 9) continue;
      if (!ranks.emplace(std::pair(left, right), static_cast<int>(merges.size())).second) continue;
      merges.emplace_back(left, right);
      const std::string joined = left + right;
      if (std::find(texts.begin(), texts.end(), joined) == texts.end()) texts.push_back(joined);
    }
    const Vocabulary words = Words(texts);
    MergeTable table(merges.size());
    for (const auto& [left, right] : merges) {
      ASSERT_TRUE(table.Add(words, left, right, "list").has_value());
    }
    std::string text;
    for (size_t i = random() % 60; i > 0; --i) text.push_back("abc"[random() % 3]);
    BpeMerger<uint32_t> merger;
    for (uint32_t i = 0; i < text.size(); ++i) {
      merger.symbols.push_back({words.Id(std::string_view(text).substr(i, 1)), i, i + 1});
    }
    merger.Run([&](const BpeSymbol& a, const BpeSymbol& b) { return table.Find(a.id, b.id); });
    std::vector<std::string> parts;
    for (const BpeSymbol& symbol : merger.symbols) {
      parts.push_back(text.substr(symbol.begin, symbol.end - symbol.begin));
      EXPECT_EQ(words.Id(parts.back()), symbol.id);
    }
    EXPECT_EQ(parts, JoinSlowly(text, ranks)) << text;
  }
}

}  // namespace
}  // namespace vernier
