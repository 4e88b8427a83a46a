#include "arch/type_patterns.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "base/file.h"

namespace vernier {
namespace {

const std::vector<NamedShape> kTensors = {{"token_embd.weight", {8, 256}, TensorType::kF32},
                                          {"blk.0.attn_norm.weight", {256}, TensorType::kF32},
                                          {"blk.0.attn_v.weight", {8, 256}, TensorType::kF32},
                                          {"blk.1.attn_v.weight", {8, 256}, TensorType::kF32},
                                          {"blk.10.attn_v.weight", {8, 256}, TensorType::kF32}};

ChosenByPattern Match(const std::vector<std::string>& texts) {
  std::vector<TypePattern> patterns;
  for (const std::string& text : texts) patterns.push_back(ParseTypePattern(text, "x").value());
  return MatchPatterns(patterns, kTensors).value();
}

std::string ErrorOf(const std::string& text) {
  const auto pattern = ParseTypePattern(text, "--tensor-type");
  if (!pattern) return pattern.error().message;
  const auto matched = MatchPatterns({&*pattern, 1}, kTensors);
  return matched ? "" : matched.error().message;
}

TEST(TypePatterns, FirstOfThoseFoundAnywhereInTheName) {
  const auto none = std::nullopt;
  EXPECT_EQ(Match({"attn_v=q8_0"}),
            (ChosenByPattern{none, none, TensorType::kQ8_0, TensorType::kQ8_0, TensorType::kQ8_0}));
  EXPECT_EQ(Match({"blk\\.1\\.=q4_k", "ATTN_V=Q8_0", "embd$|weight$=f16"}),
            (ChosenByPattern{TensorType::kF16, none, TensorType::kQ8_0, TensorType::kQ4_K,
                             TensorType::kQ8_0}));
  EXPECT_EQ(Match({"blk.(?=10)=mxfp4"})[4], TensorType::kMXFP4);
  EXPECT_EQ(Match({}), ChosenByPattern(5));
}

TEST(TypePatterns, BadOnesAreNamed) {
  EXPECT_EQ(ErrorOf("attn_v"),
            "--tensor-type: expected PATTERN=TYPE, as in attn_v=q8_0, found 'attn_v'");
  for (const char* text : {"", "=", "=q8_0", "attn_v="})
    EXPECT_NE(ErrorOf(text).find("expected PATTERN=TYPE"), std::string::npos) << text;
  EXPECT_EQ(
      ErrorOf("attn_v=q40"),
      "--tensor-type: 'attn_v=q40': expected a tensor type, found 'q40'; did you mean 'Q4_0'?");
  for (const char* text : {"attn_v=f64", "attn_v=q8_k", "attn_v=q8_1", "attn_v=q4_k_m"})
    EXPECT_NE(ErrorOf(text).find("expected a tensor type"), std::string::npos) << text;
  EXPECT_EQ(ErrorOf("attn_(v=q8_0"),
            "--tensor-type: 'attn_(v=q8_0': no regular expression: missing closing parenthesis at "
            "character 7");
  EXPECT_EQ(ErrorOf("blk.0.atn_v.weight=q8_0"),
            "--tensor-type: 'blk.0.atn_v.weight=q8_0': no tensor is named so; did you mean "
            "'blk.0.attn_v.weight'?");
  EXPECT_EQ(ErrorOf("attn_norm=q8_0"),
            "--tensor-type: 'attn_norm=q8_0': blk.0.attn_norm.weight is not quantised, and no "
            "other tensor is named so");
  EXPECT_NE(ErrorOf("(([a-z._0-9]+)+)+[^a-z._0-9]=q8_0").find("takes too long"), std::string::npos);
  EXPECT_NE(ErrorOf(std::string(5000, 'a') + "=q8_0").find("5000 characters"), std::string::npos);
  EXPECT_EQ(ErrorOf(std::string("a\0b\n=q8", 7)).find('\n'), std::string::npos);
}

class PlanFile : public ::testing::Test {
 protected:
  PlanFile()
      : path_(std::filesystem::temp_directory_path() / fmt::format("plan{}.txt", getpid())) {}
  ~PlanFile() override { std::filesystem::remove(path_); }
  Result<std::vector<TypePattern>> Read(const std::string& text) {
    EXPECT_TRUE(WriteFileAtomically(path_.string(), text));
    return ReadTypePatterns(path_.string());
  }
  std::filesystem::path path_;
};

TEST_F(PlanFile, SpacesAndLinesSeparate) {
  const auto patterns =
      Read("# a mixture\nattn_v=q8_0 attn_q=q5_k\r\n\n\t ffn_down=iq4_xs  \n#output=f16\nx=f16");
  ASSERT_TRUE(patterns);
  ASSERT_EQ(patterns->size(), 4u);
  EXPECT_EQ((*patterns)[0].pattern, "attn_v");
  EXPECT_EQ((*patterns)[1].type, TensorType::kQ5_K);
  EXPECT_EQ((*patterns)[2].source, path_.string() + ":4");
  EXPECT_EQ((*patterns)[3].pattern, "x");
}

TEST_F(PlanFile, BadLinesAreNamed) {
  EXPECT_EQ(Read("attn_v=q8_0\nattn_q q5_k\n").error().message,
            path_.string() + ":2: expected PATTERN=TYPE, as in attn_v=q8_0, found 'attn_q'");
  EXPECT_NE(Read("\n\nattn_q=q5_q\n").error().message.find(":3: 'attn_q=q5_q': expected a tensor"),
            std::string::npos);
  for (const char* text : {"", "\n", "# nothing\n"})
    EXPECT_NE(Read(text).error().message.find("expected lines PATTERN=TYPE"), std::string::npos);
  EXPECT_FALSE(Read(std::string("\0\0\xff\xfe", 4)));
  EXPECT_FALSE(ReadTypePatterns("/nowhere/plan.txt"));
}

}  // namespace
}  // namespace vernier
