// Treatments in plans: static scales put in, widths checked, identities of what is applied.
#include "engine/plan.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "engine/engine_testing.h"

namespace vernier {
namespace {

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
  Refused("ffn_up.math=f16", "'f16' is a format; expected step:f16, fused:f16 or quire:f16");
  Refused("ffn_up.math=f33", "unknown arithmetic 'f33'; did you mean 'f32'?");
  Refused("ffn_up.math=arithmetic",
          "unknown arithmetic 'arithmetic'; expected f32, f64, step:FORMAT, fused:FORMAT, "
          "quire:FORMAT, exact, int, ggml-repack or ggml-vecdot");
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

TEST_F(PlanTest, FormatsAreTheArithmeticOfEveryNode) {
  const Plan plan = Good({"*.math=step:posit32", "*_norm.math=f32", "ffn_up.math=fused:bf16"});
  for (size_t i = 0; i < plan.nodes.size(); ++i) {
    const Node& node = model_->graph().nodes[i];
    const NodePlan& p = plan.nodes[i];
    const bool norm = node.site.ends_with("norm") || node.site.ends_with("normed");
    const bool view = node.op == OpKind::kSlice;
    EXPECT_EQ(p.format.has_value(), !norm && !view) << node.site;
    if (!p.format) continue;
    const bool up = node.site == "ffn_up";
    EXPECT_EQ(FormatMathText(*p.format), up ? "fused:bf16 acc=bf16" : "step:posit32 acc=posit32");
    EXPECT_EQ(p.math, up ? Arithmetic::kF32 : Arithmetic::kF64);
    EXPECT_EQ(p.kept.has_value(), node.op == OpKind::kStore);
  }
  EXPECT_FALSE(plan.weights_only);
  EXPECT_FALSE(plan.ForetoldVacuous());
  EXPECT_FALSE(Good({"ffn_up.math=step:f32"}).ForetoldVacuous());
  EXPECT_NE(Good({"*.math=step:f32"}).identity, Good({}).identity);
  EXPECT_NE(Good({"*.math=step:f32"}).identity, Good({"*.math=fused:f32"}).identity);
  EXPECT_EQ(Good({"*.math=exact"}).identity, Good({"*.math=quire:f32"}).identity);
  EXPECT_EQ(Good({"*.math=step:bf16", "*.math=f32"}).identity, Good({}).identity);
  EXPECT_EQ(Good({"profile=ggml-vecdot", "*.math=step:bf16"}).identity,
            Good({"*.math=step:bf16"}).identity);
  EXPECT_TRUE(Good({"*.math=step:bf16", "profile=ggml-vecdot"}).ggml);
}

TEST_F(PlanTest, SumsRefineTheArithmeticTheyFollow) {
  const auto text = [&](const std::vector<std::string>& rules, const std::string& site) {
    const Plan plan = Good(rules);
    for (size_t i = 0; i < plan.nodes.size(); ++i)
      if (model_->graph().nodes[i].site == site)
        return plan.nodes[i].format ? FormatMathText(*plan.nodes[i].format) : "f32";
    return std::string("no such site");
  };
  EXPECT_EQ(text({"*.acc=f16"}, "ffn_up"), "fused:f32 acc=f16");
  EXPECT_EQ(text({"*.acc=f16"}, "ffn_normed"), "fused:f32 acc=f16");
  EXPECT_EQ(text({"*.acc=f16"}, "kqv_out"), "fused:f32 acc=f16");
  EXPECT_EQ(text({"*.acc=f16"}, "ffn_inp"), "f32");
  EXPECT_EQ(text({"ffn_norm.acc=f16"}, "ffn_normed"), "fused:f32 acc=f16");
  EXPECT_EQ(text({"*.math=step:bf16", "ffn_*.acc=f32,chunk=64"}, "ffn_up"),
            "step:bf16 acc=f32,chunk=64 into=f32");
  EXPECT_EQ(text({"*.math=step:bf16", "*.acc=f32", "ffn_up.math=fused:e4m3"}, "ffn_up"),
            "fused:e4m3 acc=e4m3");
  EXPECT_EQ(text({"*.math=step:bf16", "*.acc=f32", "ffn_up.math=f32"}, "ffn_up"), "f32");
  EXPECT_EQ(text({"*.acc=f32", "*.acc=f16"}, "ffn_up"), "fused:f32 acc=f16");
  EXPECT_NE(Good({"*.acc=f16"}).identity, Good({"*.acc=f16,order=kahan"}).identity);
}

TEST_F(PlanTest, ArithmeticsThatAreRefused) {
  const auto error = [&](const std::vector<std::string>& rules) {
    const auto plan = Make(rules);
    return plan ? "accepted" : plan.error().message;
  };
  Refused("ffn_inp.acc=f16", "'ffn_inp' takes no sums");
  Refused("kq.acc=f16", "'kq' takes no sums");
  Refused("ffn_up.acc=f17", "unknown format 'f17'; did you mean 'f16'?");
  Refused("*.math=stp:bf16", "unknown arithmetic 'stp'; did you mean 'step'?");
  Refused("*.math=step:bf17", "unknown format 'bf17'; did you mean 'bf16'?");
  EXPECT_EQ(error({"*.math=f64", "ffn_up.acc=f16"}),
            "rule 'ffn_up.acc=f16': ffn_up[0] computes in f64, whose sums are its own; .acc is of "
            "f32, step and fused");
  EXPECT_EQ(error({"profile=ggml-vecdot", "ffn_up.acc=f16"}),
            "rule 'ffn_up.acc=f16': ffn_up[0] computes in a profile, whose sums are its own; .acc "
            "is of f32, step and fused");
  EXPECT_EQ(error({"*.math=exact", "ffn_up.acc=f16"}),
            "rule 'ffn_up.acc=f16': quire: sums are exact and have no partial sums; expected step "
            "or fused");
  EXPECT_EQ(error({"*.acc=f16", "*.math=step:bf16"}),
            "rule '*.acc=f16': later rules on .math say all of the arithmetic; expected it after "
            "them");
}

TEST_F(PlanTest, IntegersNeedIntegers) {
  const auto error = [&](const std::vector<std::string>& rules) {
    const auto plan = Make(rules);
    return plan ? "accepted" : plan.error().message;
  };
  const std::string in = "ffn_up.in=int8", weight = "ffn_up.weight=int4,per=group:32";
  const Plan plan = Good({"ffn_up.math=int", in, weight});
  for (size_t i = 0; i < plan.nodes.size(); ++i)
    EXPECT_EQ(plan.nodes[i].integer, model_->graph().nodes[i].site == "ffn_up");
  EXPECT_FALSE(plan.weights_only);
  EXPECT_NE(plan.identity, Good({in, weight}).identity);
  EXPECT_EQ(error({"ffn_up.math=int"}),
            "rule 'ffn_up.math=int': ffn_up[0] has no rule on .in; int needs .in=intN and "
            ".weight=intN");
  EXPECT_EQ(error({"ffn_up.math=int", in}),
            "rule 'ffn_up.math=int': ffn_up[0] has no rule on .weight; int needs .in=intN and "
            ".weight=intN");
  EXPECT_EQ(error({"ffn_up.math=int", "ffn_up.in=bf16", weight}),
            "rule 'ffn_up.math=int': ffn_up[0].in: bf16: int takes intN with N up to 8");
  EXPECT_EQ(error({"ffn_up.math=int", in, "ffn_up.weight=q4_0"}),
            "rule 'ffn_up.math=int': ffn_up[0].weight: q4_0 is no intN; int takes intN with N up "
            "to 8");
  EXPECT_EQ(error({"ffn_up.math=int", in, weight, "ffn_up.acc=f16"}),
            "rule 'ffn_up.acc=f16': ffn_up[0] computes in int, whose sums are its own; .acc is of "
            "f32, step and fused");
  Refused("ffn_norm.math=int",
          "int is of matrix products and convolutions, and 'ffn_norm' is none");
}

}  // namespace
}  // namespace vernier
