#include "measure/lane_cost.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace vernier {
namespace {

std::unique_ptr<Model> Open(const std::string& name) {
  ModelOptions options;
  options.threads = 1;
  return Model::Open(std::string(VERNIER_SOURCE_DIR) + "/models/" + name, options).value();
}

LaneCost CostOf(Model& model, std::vector<std::string> rules, size_t seen) {
  const Plan plan = MakePlan(model, ParseRecipe(rules).value(), 0).value();
  return CostOfLane(model.graph(), plan, seen);
}

// One layer: a model of two layers minus one of one.
LaneCost LayerOf(Model& model, const std::vector<std::string>& rules, size_t seen = 100) {
  auto with = [&](const char* layers) {
    std::vector<std::string> all = rules;
    all.push_back(layers);
    return CostOf(model, all, seen);
  };
  const LaneCost two = with("model.layers=2"), one = with("model.layers=1");
  return {two.weight_bytes - one.weight_bytes,         two.activation_bytes - one.activation_bytes,
          two.integer_macs - one.integer_macs,         two.float_macs - one.float_macs,
          two.float_operations - one.float_operations, two.conversions - one.conversions};
}

// tiny-mamba: 256 wide, 512 inside, 16 states a channel, 4 taps, rank 16. In float32, by hand.
TEST(LaneCostTest, ALayerOfMamba) {
  const auto model = Open("tiny-mamba");
  const LaneCost c = LayerOf(*model, {});
  // norm, in_proj, convolution and its bias, x_proj, dt_proj and its bias, A, D, out_proj
  const double weights =
      256 + 1024 * 256 + 512 * 4 + 512 + 48 * 512 + 512 * 16 + 512 + 512 * 16 + 512 + 256 * 512;
  EXPECT_EQ(c.weight_bytes, 4 * weights);
  EXPECT_EQ(c.integer_macs, 0);
  // the norm's squares; the matrices and the convolution; the states' step and reading
  EXPECT_EQ(c.float_macs,
            256 + 1024 * 256 + 512 * 4 + 48 * 512 + 512 * 16 + 2 * 512 * 16 + 256 * 512);
  // norm (a product an element, mean, root, quotient) and its weight; two biases; SiLU, softplus;
  // the scan's dt x, u B, and dt A and its exp; D x, their sum, the gate, the residual
  EXPECT_EQ(c.float_operations, 256 + 3 + 256 + 2 * 512 + 2 * 4 * 512 +
                                    (512 + 512 * 16 + 2 * 512 * 16) + 512 + 512 + 5 * 512 + 256);
  EXPECT_EQ(c.conversions, 0);
  // Written: the residual stream, the norm, x, z, the convolution, x_proj's result, dt, the scan,
  // what is gated. (Biases, activations, D x and its sum, out_proj's result stay in registers.)
  const double written = 256 + 256 + 512 + 512 + 512 + 48 + 512 + 512 + 512;
  // Read: by norm and residual; by in_proj; x of four tokens; z; the convolution by x_proj, scan
  // and D; x_proj's result; dt; the scan; what is gated.
  const double read = 256 + 256 + 256 + 4 * 512 + 512 + 3 * 512 + 48 + 512 + 512 + 512;
  const double state = 512 * 16;
  EXPECT_EQ(c.activation_bytes, 4 * (written + read + 2 * state));
  EXPECT_EQ(c.Bytes(), c.weight_bytes + c.activation_bytes);
}

TEST(LaneCostTest, TreatmentsChangeWidths) {
  const auto model = Open("tiny-mamba");
  const LaneCost f32 = LayerOf(*model, {});
  const LaneCost c =
      LayerOf(*model, {"ssm_in.weight=int8,per=tensor", "ssm_in.in=int8", "ssm_in.math=int",
                       "ssm_conv_silu=bf16", "ssm_state=int8,scale=0.1"});
  const double in_proj = 1024 * 256;
  EXPECT_EQ(c.weight_bytes, f32.weight_bytes - 3 * in_proj + 4);  // one scale
  EXPECT_EQ(c.integer_macs, in_proj);
  EXPECT_EQ(c.float_macs, f32.float_macs - in_proj);
  // The norm written and read as bytes with a row's scale, the convolution written and read thrice
  // in two bytes, states in one.
  EXPECT_EQ(c.activation_bytes,
            f32.activation_bytes - 2 * (4 * 256 - (256 + 4)) - 4 * 2 * 512 - 2 * 3 * 512 * 16);
  // in_proj's operand, its sums, the convolution, the states
  EXPECT_EQ(c.conversions, 256 + 1024 + 512 + 512 * 16);
  EXPECT_EQ(c.float_operations, f32.float_operations);
}

// Two readers that want different forms: a value is written in both.
TEST(LaneCostTest, AFormForEachReader) {
  const auto model = Open("tiny-mamba");
  const LaneCost f32 = LayerOf(*model, {}), c = LayerOf(*model, {"ssm_x.in=int8,scale=0.1"});
  EXPECT_EQ(c.activation_bytes,
            f32.activation_bytes + 512 - 3 * 512);  // written too; read as bytes
  EXPECT_EQ(c.conversions, 512);
}

// What attention reads grows with the tokens seen: K and V of each, scores of each head.
TEST(LaneCostTest, AttentionReadsAllTokens) {
  const auto model = Open("tiny-llama");
  const Graph& graph = model->graph();
  OpShape shape;
  for (const Node& node : graph.nodes)
    if (node.op == OpKind::kAttention) shape = node.shape;
  const double kept = 2 * static_cast<double>(shape.kv_heads * shape.head_dim),
               heads = static_cast<double>(shape.heads);
  const LaneCost few = LayerOf(*model, {}, 10), many = LayerOf(*model, {}, 11);
  EXPECT_EQ(many.activation_bytes - few.activation_bytes, 4 * kept);
  EXPECT_EQ(many.float_macs - few.float_macs, 2 * heads * static_cast<double>(shape.head_dim));
  EXPECT_EQ(many.float_operations - few.float_operations, 5 * heads);
  EXPECT_EQ(many.weight_bytes, few.weight_bytes);
  const LaneCost e4m3 = LayerOf(*model, {"kv=e4m3"}, 11),
                 e4m3_few = LayerOf(*model, {"kv=e4m3"}, 10);
  EXPECT_EQ(e4m3.activation_bytes - e4m3_few.activation_bytes, kept);
}

TEST(LaneCostTest, BitsOfAnElement) {
  const auto bits = [](const std::string& text) {
    return ElementBits(ParseTreatment(text, TreatedThing::kActivation).value(), 32);
  };
  EXPECT_EQ(bits("int8"), 8);
  EXPECT_EQ(bits("bf16"), 16);
  EXPECT_EQ(bits("posit24"), 24);
  EXPECT_EQ(bits("f64"), 64);
  EXPECT_EQ(bits("mxfp4"), 4.25);                            // 4 bits and a byte for 32
  EXPECT_EQ(bits("q8_0"), 8.5);                              // a byte and 2 for 32
  EXPECT_EQ(bits("int8,scale=0.1,outliers=keep"), 32);       // codes cannot hold them
  EXPECT_EQ(bits("int8,scale=0.1,outliers=second"), 9);      // which scale
  EXPECT_EQ(bits("int8,segments=0.25:8"), 7);                // 32 points of either sign and zero
  EXPECT_EQ(bits("int8,segments=0.25:8/log:0.25:255"), 10);  // 32 and 256 of either sign
}

}  // namespace
}  // namespace vernier
