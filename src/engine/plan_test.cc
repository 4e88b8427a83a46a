// Treatments in plans: static scales put in, widths checked, identities of what is applied.
#include "engine/plan.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace vernier {
namespace {

const std::string kSource = VERNIER_SOURCE_DIR;

std::shared_ptr<const StaticScales> Scales(const std::string& sites) {
  auto scales = ParseStaticScales("{\"version\": 1, \"sites\": {" + sites + "}}", "s.json");
  EXPECT_TRUE(scales) << (scales ? "" : scales.error().message);
  return scales ? std::make_shared<const StaticScales>(std::move(*scales)) : nullptr;
}

class PlanTest : public testing::Test {
 protected:
  PlanTest() {
    ModelOptions options;
    options.threads = 2;
    auto model = Model::Open(kSource + "/models/tiny-qwen2", options);
    EXPECT_TRUE(model);
    model_ = std::move(*model);
  }
  Result<Plan> Make(const std::vector<std::string>& rules,
                    std::shared_ptr<const StaticScales> scales = nullptr) {
    Recipe recipe = ParseRecipe(rules).value();
    recipe.scales = std::move(scales);
    return MakePlan(*model_, recipe);
  }
  Plan Good(const std::vector<std::string>& rules,
            std::shared_ptr<const StaticScales> scales = nullptr) {
    auto plan = Make(rules, std::move(scales));
    EXPECT_TRUE(plan) << (plan ? "" : plan.error().message);
    return plan ? std::move(*plan) : Plan{};
  }
  void Refused(const std::string& rule, const std::string& message,
               std::shared_ptr<const StaticScales> scales = nullptr) {
    const auto plan = Make({rule}, std::move(scales));
    ASSERT_FALSE(plan) << rule;
    EXPECT_EQ(plan.error().message, "rule '" + rule + "': " + message);
  }
  std::unique_ptr<Model> model_;
};

TEST_F(PlanTest, StaticScalesArePartOfTheIdentity) {
  const std::string other = R"("ffn_norm[1]": {"absmax": 9})";
  const auto three = Scales(R"("ffn_norm[0]": {"absmax": 3}, )" + other),
             four = Scales(R"("ffn_norm[0]": {"absmax": 4})"),
             three_again = Scales(R"("ffn_norm[0]": {"absmax": 3})");
  const std::string rule = "ffn_norm[0]=int8,scale=static";
  EXPECT_EQ(Good({rule}, three).identity, Good({rule}, three_again).identity);
  EXPECT_NE(Good({rule}, three).identity, Good({rule}, four).identity);
  EXPECT_EQ(Good({rule}, three).identity, Good({"ffn_norm[0]=int8,scale=absmax:3"}).identity);
}

TEST_F(PlanTest, EverySiteHasItsOwnScaleOrAnothers) {
  const auto scales = Scales(
      R"("ffn_norm[0]": {"absmax": 3}, "ffn_norm[1]": {"scale": 0.5}, "ffn_gate[1].in": {"absmax": 7},
         "blk.0.ffn_up.weight": {"absmax": 2})");
  const Plan plan =
      Good({"ffn_norm[0:2]=int8,scale=static", "ffn_up[1].in=int8,scale=static:ffn_gate.in",
            "attn_norm[0:2]=int8,scale=static:ffn_norm", "blk.0.ffn_up.weight=int8,scale=static"},
           scales);
  std::vector<std::string> found;
  for (size_t i = 0; i < plan.nodes.size(); ++i) {
    const Node& node = model_->graph().nodes[i];
    const NodePlan& p = plan.nodes[i];
    for (const auto* place : {&p.in, &p.out, &p.weight})
      if (*place)
        found.push_back(
            fmt::format("{}[{}] {}", node.site, node.layer, TreatmentText((*place)->treatment)));
  }
  std::sort(found.begin(), found.end());
  EXPECT_EQ(found, (std::vector<std::string>{
                       "attn_norm[0] int8,scale=absmax:3", "attn_norm[1] int8,scale=0.5",
                       "ffn_norm[0] int8,scale=absmax:3", "ffn_norm[1] int8,scale=0.5",
                       "ffn_up[0] int8,scale=absmax:2", "ffn_up[1] int8,scale=absmax:7"}));
}

TEST_F(PlanTest, ErrorsNameRuleAndSite) {
  Refused("ffn_norm=int8,scale=static",
          "scale=static: no scales are given; expected --scales FILE, or scales = \"FILE\" in a "
          "study");
  Refused("ffn_norm=int8,scale=static",
          "scale=static: s.json has no scale of 'ffn_norm[1]'; did you mean 'ffn_norm[0]'?",
          Scales(R"("ffn_norm[0]": {"absmax": 3})"));
  Refused("ffn_norm=q4_k", "ffn_norm[0]: q4_k: a row of 224 elements is not whole blocks of 256");
  Refused("ffn_gate.in=q4_k",
          "ffn_gate[0].in: q4_k: a row of 224 elements is not whole blocks of 256");
  Refused("blk.*.attn_q.weight=q6_k",
          "blk.0.attn_q.weight: q6_k: a row of 224 elements is not whole blocks of 256");
  Refused("kq=q8_0", "kq[0]: q8_0 has whole blocks, and these rows grow with the tokens seen");
  Good({"blk.*.ffn_down.weight=q4_k", "ffn_norm=q8_0", "kv=q8_0", "ffn_swiglu=q4_k",
        "kq=mxfp8_e4m3"});
}

TEST_F(PlanTest, AStateHasItsOwnWidth) {
  auto model = Model::Open(kSource + "/models/tiny-mamba", {});
  ASSERT_TRUE(model);
  const OpShape* shape = nullptr;
  for (const Node& node : (*model)->graph().nodes)
    if (node.op == OpKind::kScan) shape = &node.shape;
  ASSERT_NE(shape, nullptr);
  ASSERT_EQ(shape->width * shape->states % 256, 0u);
  EXPECT_TRUE(MakePlan(**model, ParseRecipe({"ssm_state=q4_k"}).value()));
}

TEST_F(PlanTest, BlockFormatsOfWeightsAreCounted) {
  const Plan plan = Good({"blk.*.ffn_up.weight=q4_0", "blk.*.ffn_down.weight=nvfp4"});
  for (const RuleEffect& rule : plan.rules) {
    EXPECT_EQ(rule.sites.size(), 6u);
    EXPECT_EQ(rule.counts.touched, 6u * 224 * 768);
    EXPECT_GT(rule.counts.changed, rule.counts.touched / 2);
  }
}

TEST_F(PlanTest, ProfilesAreTheArithmeticOfEveryNode) {
  const Plan plan = Good({"profile=ggml-vecdot,rows=7", "*_norm.math=f32"});
  EXPECT_TRUE(plan.ggml);
  size_t selected = 0;
  for (size_t i = 0; i < plan.nodes.size(); ++i) {
    const Node& node = model_->graph().nodes[i];
    const bool norm = node.site.ends_with("norm") || node.site.ends_with("normed");
    EXPECT_EQ(plan.nodes[i].ggml.has_value(), !norm) << node.site;
    if (norm) continue;
    EXPECT_FALSE(plan.nodes[i].ggml->repack);
    EXPECT_EQ(plan.nodes[i].ggml->prompt, 7u);
    selected += plan.nodes[i].selected;
    if (node.site == "attn_out") {
      EXPECT_FALSE(plan.nodes[i].selected);
    }
    if (node.site == "result_output" || (node.site == "ffn_gate" && node.layer == 5)) {
      EXPECT_TRUE(plan.nodes[i].selected);
    }
  }
  // The last layer's residual additions, its FFN (gate, up, activation, down) and the logits.
  EXPECT_EQ(selected, 7u);
  EXPECT_FALSE(Good({"profile=ggml-repack", "*.math=f64"}).ggml);
  EXPECT_FALSE(Good({"profile=ggml-repack"}).ForetoldVacuous());
  EXPECT_NE(Good({"profile=ggml-repack"}).identity, Good({}).identity);
  EXPECT_NE(Good({"profile=ggml-repack"}).identity, Good({"profile=ggml-vecdot"}).identity);
  EXPECT_NE(Good({"profile=ggml-repack,rows=one"}).identity,
            Good({"profile=ggml-repack,rows=9"}).identity);
  EXPECT_EQ(Good({"profile=ggml-repack"}).identity,
            Good({"*.math=ggml-repack,rows=many"}).identity);
}

TEST_F(PlanTest, ProfilesThatAreRefused) {
  Refused("profile=ggml", "unknown profile 'ggml'; expected ggml-repack or ggml-vecdot");
  Refused("profile=f64", "unknown profile 'f64'; expected ggml-repack or ggml-vecdot");
  Refused("ffn_up.math=f16",
          "unknown arithmetic 'f16'; expected f32, f64, ggml-repack or ggml-vecdot");
  for (const std::string rows : {"rows=0", "rows=", "rows=x", "rows=3x", "n=3", "rows=-1"})
    Refused("profile=ggml-repack," + rows,
            "'" + rows + "': expected rows=many, rows=one or rows=N, the tokens of the prompt");
  const auto treated = Make({"profile=ggml-repack", "blk.2.ffn_up.weight=int8"});
  ASSERT_FALSE(treated);
  EXPECT_EQ(treated.error().message,
            "rule 'profile=ggml-repack': 'blk.2.ffn_up.weight' is treated by a rule, and the"
            " profiles read weights as the file stores them; write the treated model with"
            " 'vernier quantize --rule'");
}

TEST_F(PlanTest, HalfCachesAreKnownToAttention) {
  const Plan half = Good({"profile=ggml-repack", "kv=f16"}),
             keys = Good({"profile=ggml-repack", "k_cache=f16"}),
             other = Good({"profile=ggml-repack", "kv=bf16"});
  for (size_t i = 0; i < half.nodes.size(); ++i) {
    const bool attention = model_->graph().nodes[i].op == OpKind::kAttention;
    EXPECT_EQ(half.nodes[i].half_keys && half.nodes[i].half_values, attention);
    EXPECT_EQ(keys.nodes[i].half_keys, attention);
    EXPECT_FALSE(keys.nodes[i].half_values || other.nodes[i].half_keys);
  }
}

}  // namespace
}  // namespace vernier
