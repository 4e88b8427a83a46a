// Integers, folded norms and recipes of files, as rules: what is accepted, what it does.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "engine/engine_testing.h"
#include "engine/evaluate.h"
#include "engine/plan.h"

namespace vernier {
namespace {

std::unique_ptr<Model> Open(const std::string& name) {
  ModelOptions options;
  options.threads = 2;
  auto model = Model::Open(kSource + "/models/" + name, options);
  EXPECT_TRUE(model);
  return std::move(*model);
}

std::string ErrorOf(Model& model, const std::vector<std::string>& rules) {
  const auto plan = MakePlan(model, ParseRecipe(rules).value());
  return plan ? "accepted" : plan.error().message;
}

std::vector<float> Logits(Model& model, const Plan& plan) {
  const Stream stream{&plan, {1, 5, 200, 7, 7, 31}, nullptr, {0, 3, 5}};
  std::vector<float> out;
  Evaluate(model, {&stream, 1}, [&](std::span<const LogitsRow> rows) {
    for (const LogitsRow& row : rows) {
      const float* values = static_cast<const float*>(row.values);
      out.insert(out.end(), values, values + model.graph().vocabulary);
    }
  });
  return out;
}

const RuleEffect& Effect(const Plan& plan, size_t rule) { return plan.rules[rule]; }

TEST(IntegerRules, CodesOfWhatTheNodeReads) {
  const auto model = Open("tiny-mamba");
  const std::string weight = "ssm_x.weight=int8,per=tensor", math = "ssm_x.math=int";
  const std::vector<std::string> in = {"ssm_x.in=int8,scale=0.1", weight, math},
                                 of_site = {"ssm_conv_silu=int8,scale=0.1", weight, math};
  const Plan a = MakePlan(*model, ParseRecipe(in).value()).value(),
             b = MakePlan(*model, ParseRecipe(of_site).value()).value();
  for (size_t i = 0; i < a.nodes.size(); ++i) {
    if (model->graph().nodes[i].site != "ssm_x") continue;
    EXPECT_EQ(a.nodes[i].codes->treatment, b.nodes[i].codes->treatment);
    EXPECT_FALSE(b.nodes[i].in.has_value());
    EXPECT_EQ(a.nodes[i].identity, b.nodes[i].identity);
  }
  EXPECT_EQ(ErrorOf(*model, {weight, math, "ssm_conv_silu=int8"}),
            "rule 'ssm_x.math=int': ssm_x[0] has no rule on .in; int needs .in=intN and "
            ".weight=intN")
      << "a slice of a row with a scale from the data may have another";
  EXPECT_EQ(ErrorOf(*model, {"ssm_x.in=int8,rotate=hadamard", weight, math}),
            "rule 'ssm_x.math=int': ssm_x[0]: rotate=hadamard stands on .in alone; the product is "
            "of rotated codes by rotated codes");
  EXPECT_EQ(ErrorOf(*model, {"ssm_x.in=int8", weight + ",rotate=hadamard", math}),
            "rule 'ssm_x.math=int': ssm_x[0]: rotate=hadamard stands on .weight alone; the product "
            "is of rotated codes by rotated codes");
  EXPECT_EQ(ErrorOf(*model, {"ssm_x.in=int8,rotate=hadamard", weight + ",rotate=hadamard", math}),
            "accepted");
}

TEST(IntegerRules, ConvolutionsHaveOneScale) {
  const auto model = Open("tiny-mamba");
  const std::string weight = "ssm_conv_nobias.weight=int8,per=tensor",
                    math = "ssm_conv_nobias.math=int";
  EXPECT_EQ(ErrorOf(*model, {"ssm_in=int8,scale=0.1", weight, math}), "accepted");
  EXPECT_EQ(ErrorOf(*model, {"ssm_conv_nobias.in=int8", weight, math}),
            "rule 'ssm_conv_nobias.math=int': ssm_conv_nobias[0]: a convolution sums codes of "
            "several tokens; expected one scale for all, static or a number");
  EXPECT_EQ(
      ErrorOf(*model, {"ssm_in=int8,scale=0.1", "ssm_conv_nobias.weight=int8,per=group:2", math}),
      "rule 'ssm_conv_nobias.math=int': ssm_conv_nobias[0]: per=group: expected per=channel "
      "or per=tensor");
  EXPECT_EQ(ErrorOf(*model, {"ssm_scan.math=int"}),
            "rule 'ssm_scan.math=int': int is of matrix products and convolutions, and 'ssm_scan' "
            "is none");
}

TEST(IntegerRules, ATextInPiecesIsTheText) {
  const auto model = Open("tiny-mamba");
  const std::vector<std::string> rules = {
      "ssm_in=int8,scale=0.05,full=true", "ssm_conv_nobias.weight=int8,per=tensor",
      "ssm_conv_nobias.math=int",         "ssm_conv_silu=int8,scale=0.02,round=nearest-away",
      "ssm_x.weight=int8,per=tensor",     "ssm_x.math=int"};
  const Plan plan = MakePlan(*model, ParseRecipe(rules).value()).value();
  const std::vector<int32_t> tokens = {1, 5, 200, 7, 7, 31, 900, 12};
  const auto last = [&](const std::vector<size_t>& pieces) {
    KvCache cache;
    std::vector<float> out;
    size_t at = 0;
    for (const size_t n : pieces) {
      const auto from = tokens.begin() + static_cast<std::ptrdiff_t>(at);
      const Stream stream{&plan,
                          {from, from + static_cast<std::ptrdiff_t>(n)},
                          &cache,
                          {static_cast<uint32_t>(n - 1)}};
      Evaluate(*model, {&stream, 1}, [&](std::span<const LogitsRow> rows) {
        const float* values = static_cast<const float*>(rows[0].values);
        out.assign(values, values + model->graph().vocabulary);
      });
      at += n;
    }
    return out;
  };
  const std::vector<float> whole = last({8});
  EXPECT_EQ(last({1, 1, 1, 1, 1, 1, 1, 1}), whole);
  EXPECT_EQ(last({5, 1, 2}), whole);
}

TEST(IntegerRules, ANormsWeightIsFolded) {
  for (const char* name : {"tiny-llama", "tiny-qwen2", "tiny-mamba"}) {
    const auto model = Open(name);
    const Plan plain = MakePlan(*model, {}).value(),
               folded = MakePlan(*model, ParseRecipe({"*norm.weight=fold"}).value()).value();
    const std::vector<float> a = Logits(*model, plain), b = Logits(*model, folded);
    double error = 0, size = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      error += std::pow(a[i] - b[i], 2);
      size += std::pow(a[i], 2);
    }
    EXPECT_GT(error, 0) << name;
    EXPECT_LT(std::sqrt(error / size), 1e-5) << name;  // one rounding a weight, and others a norm
    const RuleEffect& effect = Effect(folded, 0);
    uint64_t elements = 0;
    for (size_t i = 0; i < folded.nodes.size(); ++i) {
      const Node& node = model->graph().nodes[i];
      const bool norm = node.op == OpKind::kMultiply && node.site.ends_with("norm");
      EXPECT_EQ(folded.nodes[i].ones, norm) << node.site;
      const bool reads =
          node.op == OpKind::kMatMul &&
          model->graph().nodes[static_cast<size_t>(node.inputs[0])].site.ends_with("norm");
      EXPECT_EQ(folded.nodes[i].folded >= 0, reads) << node.site;
      if (norm || reads)
        elements += static_cast<uint64_t>(
            model->graph().weights[static_cast<size_t>(node.weight)].tensor.Elements());
    }
    EXPECT_EQ(effect.counts.touched, elements) << name;
    EXPECT_GT(effect.counts.changed, elements / 2) << name;
  }
}

TEST(IntegerRules, WhatIsNotFolded) {
  const auto model = Open("tiny-mamba");
  EXPECT_EQ(ErrorOf(*model, {"ssm_skip.weight=fold"}),
            "rule 'ssm_skip.weight=fold': 'blk.0.ssm_d' is no norm's weight");
  EXPECT_EQ(ErrorOf(*model, {"ssm_in.weight=fold"}),
            "rule 'ssm_in.weight=fold': 'blk.0.ssm_in.weight' is no norm's weight");
  EXPECT_NE(ErrorOf(*model, {"attn_norm.weight=fold", "profile=ggml-vecdot"}), "accepted");
  // A later rule on the same weight takes its place.
  const Plan later =
      MakePlan(*model, ParseRecipe({"attn_norm.weight=fold", "attn_norm.weight=bf16"}).value())
          .value();
  const Plan alone = MakePlan(*model, ParseRecipe({"attn_norm.weight=bf16"}).value()).value();
  EXPECT_EQ(later.identity, alone.identity);
}

TEST(IntegerRules, WeightsOfTheScanAndBiases) {
  const auto model = Open("tiny-mamba");
  const std::vector<std::string> rules = {
      "ssm_scan.weight=int8,per=tensor,of=log", "ssm_skip.weight=int8,per=tensor",
      "ssm_dt.weight=int8,per=tensor", "ssm_conv.weight=int8,per=tensor"};
  const Plan plan = MakePlan(*model, ParseRecipe(rules).value()).value();
  const uint64_t sizes[] = {512 * 16, 512, 512, 512};
  const char* const names[] = {"blk.3.ssm_a", "blk.3.ssm_d", "blk.3.ssm_dt.bias",
                               "blk.3.ssm_conv1d.bias"};
  for (size_t r = 0; r < rules.size(); ++r) {
    EXPECT_EQ(plan.rules[r].counts.touched, 6 * sizes[r]) << rules[r];
    EXPECT_GT(plan.rules[r].counts.changed, 5 * sizes[r]) << rules[r];
    EXPECT_EQ(plan.rules[r].sites[3], names[r]);
  }
}

class RecipeFiles : public testing::Test {
 protected:
  RecipeFiles() {
    folder_ = std::filesystem::temp_directory_path() /
              fmt::format("vernier-recipes-{}", testing::UnitTest::GetInstance()->random_seed());
    std::filesystem::create_directories(folder_ / "more");
  }
  ~RecipeFiles() override { std::filesystem::remove_all(folder_); }
  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name) << text;
    return (folder_ / name).string();
  }
  std::filesystem::path folder_;
};

TEST_F(RecipeFiles, IncludeOthers) {
  Write("base.recipe", "# a remark\nffn_norm=bf16\n\ninclude more/last.recipe\n");
  Write("more/last.recipe", "l_out = f16\n");
  const std::string top = Write("more/top.recipe", "embd=f16\ninclude ../base.recipe\nkq=f16\n");
  EXPECT_EQ(ReadRecipeTexts(top).value(),
            (std::vector<std::string>{"embd=f16", "ffn_norm=bf16", "l_out=f16", "kq=f16"}));
  const std::string twice = Write("twice.recipe", "include base.recipe\ninclude base.recipe\n");
  EXPECT_EQ(ReadRecipeTexts(twice).value().size(), 4u);
  const std::string self = Write("self.recipe", "embd=f16\ninclude more/../self.recipe\n");
  EXPECT_NE(ReadRecipe(self).error().message.find("includes itself"), std::string::npos);
  const std::string missing = Write("missing.recipe", "\ninclude none.recipe\n");
  EXPECT_NE(ReadRecipe(missing).error().message.find("missing.recipe:2: "), std::string::npos);
  const std::string wrong = Write("wrong.recipe", "include more/bad.recipe\n");
  Write("more/bad.recipe", "embd\n");
  EXPECT_NE(ReadRecipe(wrong).error().message.find("bad.recipe:1: rule 'embd'"), std::string::npos);
}

TEST(IntegerRules, WhatARecipeReadsOfScales) {
  const auto model = Open("tiny-mamba");
  const auto needs = ListStaticNeeds(
      *model, ParseRecipe({"ssm_in[0].in=int8,scale=static:attn_normed",
                           "ssm_out[1].in=int8,scale=static,rotate=hadamard",
                           "ssm_conv_silu[2]=int8,scale=static,percentile=ema:99.5",
                           "ssm_x[2].in=int8,scale=static:ssm_conv_silu,percentile=ema:99.5"})
                  .value());
  ASSERT_TRUE(needs) << needs.error().message;
  ASSERT_EQ(needs->size(), 3u);
  EXPECT_EQ((*needs)[0].key, "attn_normed[0]");
  EXPECT_EQ((*needs)[1].key, "ssm_out[1].in,rotate=hadamard");
  EXPECT_EQ((*needs)[2].key, "ssm_conv_silu[2]");
  EXPECT_EQ((*needs)[2].percentile, 99.5);
  EXPECT_TRUE((*needs)[2].ema);
}

}  // namespace
}  // namespace vernier
