// Rules on a model's constants, against files that have these constants.
#include "engine/constant_rules.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/engine_testing.h"
#include "engine/evaluate.h"
#include "model/model_testing.h"

namespace vernier {
namespace {

using Json = nlohmann::ordered_json;

std::string ReadBytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// The model without its layers from `layers` on, with other constants: a folder of its own.
std::string WriteChanged(const std::string& name, int layers, double theta, double eps) {
  static const TestFolder folder;  // gone when the tests end
  const std::string from = kSource + "/models/" + name, to = folder / (name + "-changed");
  std::filesystem::create_directories(to);
  std::filesystem::copy_file(from + "/tokenizer.json", to + "/tokenizer.json",
                             std::filesystem::copy_options::overwrite_existing);
  Json config = Json::parse(ReadBytes(from + "/config.json"));
  config["num_hidden_layers"] = layers;
  config["rope_theta"] = theta;
  config["rms_norm_eps"] = eps;
  std::ofstream(to + "/config.json") << config.dump();
  const std::string file = ReadBytes(from + "/model.safetensors");
  uint64_t length = 0;
  std::memcpy(&length, file.data(), 8);
  Json header = Json::parse(file.substr(8, length)), kept;
  std::string data;
  for (const auto& [tensor, info] : header.items()) {
    if (tensor == "__metadata__") continue;
    const std::string prefix = "model.layers.";
    if (tensor.starts_with(prefix) && std::stoi(tensor.substr(prefix.size())) >= layers) continue;
    const size_t first = info["data_offsets"][0], last = info["data_offsets"][1];
    kept[tensor] = info;
    kept[tensor]["data_offsets"] = {data.size(), data.size() + last - first};
    data += file.substr(8 + length + first, last - first);
  }
  const std::string text = kept.dump();
  length = text.size();
  std::ofstream out(to + "/model.safetensors", std::ios::binary);
  out.write(reinterpret_cast<const char*>(&length), 8);
  out << text << data;
  return to;
}

std::unique_ptr<Model> Open(const std::string& path) {
  auto model = Model::Open(path, {.threads = 2});
  EXPECT_TRUE(model) << (model ? "" : model.error().message);
  return model ? std::move(*model) : nullptr;
}

Plan PlanOf(Model& model, const std::vector<std::string>& rules) {
  auto plan = MakePlan(model, ParseRecipe(rules).value());
  EXPECT_TRUE(plan) << (plan ? "" : plan.error().message);
  return plan ? std::move(*plan) : Plan{};
}

// Logits of the last tokens by stream.
std::vector<std::string> Bits(Model& model, const std::vector<Stream>& streams) {
  std::vector<std::string> bits(streams.size());
  Evaluate(model, streams, [&](std::span<const LogitsRow> rows) {
    for (const LogitsRow& row : rows)
      bits[row.stream] += std::string(static_cast<const char*>(row.values),
                                      model.graph().vocabulary * sizeof(float));
  });
  return bits;
}

const std::vector<int32_t> kTokens = {5, 300, 77, 12, 512, 9, 640, 33};

class ConstantRules : public testing::TestWithParam<const char*> {};

TEST_P(ConstantRules, AreThoseOfAFileThatHasThem) {
  const auto changed = Open(WriteChanged(GetParam(), 3, 77777, 1e-4)),
             model = Open(kSource + "/models/" + GetParam());
  ASSERT_TRUE(changed && model);
  const Plan own = PlanOf(*changed, {}), plain = PlanOf(*model, {}),
             ruled = PlanOf(*model, {"rope.theta=77777", "model.layers=3", "*norm.eps=1e-4"}),
             theta = PlanOf(*model, {"rope.theta=77777"});
  const Stream alone{&own, kTokens, nullptr, {0, 7}};
  const std::string expected = Bits(*changed, {alone})[0];
  // Beside lanes of all layers and the model's theta, with which rows are shared.
  const auto together = Bits(*model, {{&plain, kTokens, nullptr, {0, 7}},
                                      {&ruled, kTokens, nullptr, {0, 7}},
                                      {&theta, kTokens, nullptr, {0, 7}}});
  EXPECT_EQ(together[1], expected);
  EXPECT_NE(together[0], expected);
  EXPECT_NE(together[0], together[2]);
  // Token by token.
  KvCache cache;
  std::string stepped;
  for (const int32_t token : kTokens) {
    const auto bits = Bits(*model, {{&ruled, {token}, &cache, {0}}})[0];
    if (cache.tokens == 1 || cache.tokens == kTokens.size()) stepped += bits;
  }
  EXPECT_EQ(stepped, expected);
}

INSTANTIATE_TEST_SUITE_P(Zoo, ConstantRules, testing::Values("tiny-qwen2", "tiny-llama"));

TEST(ConstantRulesTest, LayersThatDoNotRunAreNoSites) {
  const auto model = Open(kSource + "/models/tiny-qwen2");
  const Plan plain = PlanOf(*model, {}), four = PlanOf(*model, {"model.layers=-2"});
  EXPECT_EQ(four.layers, 4);
  EXPECT_EQ(four.identity, PlanOf(*model, {"model.layers=4"}).identity);
  EXPECT_NE(four.identity, plain.identity);
  EXPECT_EQ(PlanOf(*model, {"model.layers=6", "rope.theta=1000000"}).identity, plain.identity);
  std::vector<int> last(2, -1);
  std::vector<std::string> residual(2);
  const Tap tap{[](const Site& site) { return site.name == "l_out"; },
                [&](const SiteTensor& t) {
                  last[t.stream] = t.site->layer;
                  if (t.site->layer == 3)
                    residual[t.stream].assign(static_cast<const char*>(t.rows.back()),
                                              t.widths.back() * sizeof(float));
                }};
  const std::vector<Stream> streams = {{&plain, kTokens, nullptr, {7}},
                                       {&four, kTokens, nullptr, {7}}};
  const Evaluation both = Evaluate(*model, streams, {}, &tap);
  EXPECT_EQ(last, (std::vector<int>{5, 3}));
  EXPECT_EQ(residual[0], residual[1]);
  const Evaluation alone = Evaluate(*model, {streams.data(), 1}, {}, nullptr);
  // The last norm's two nodes and the logits are all that the shorter lane computes for itself, and
  // layer 3's last nodes for tokens that the longer one wants too.
  EXPECT_EQ(both.cost.rows_evaluated, alone.cost.rows_evaluated + 3);
}

TEST(ConstantRulesTest, Mistakes) {
  const auto model = Open(kSource + "/models/tiny-qwen2");
  const auto refused = [&](const std::vector<std::string>& rules, const std::string& part) {
    const auto plan = MakePlan(*model, ParseRecipe(rules).value());
    ASSERT_FALSE(plan) << rules[0];
    EXPECT_NE(plan.error().message.find(part), std::string::npos) << plan.error().message;
  };
  for (const char* rule :
       {"model.layers=0", "model.layers=7", "model.layers=-6", "model.layers=2.5"})
    refused({rule}, "expected 1 to 6, or -1 to -5");
  for (const char* rule : {"rope.theta=0", "rope.theta=-1", "rope.theta=1e999", "rope.theta=x"})
    refused({rule}, "expected a number above 0");
  refused({"model.layer=3"}, "no weight or site");
  refused({"profile=ggml-vecdot", "model.layers=3"}, "model.layers does not go with");
  const auto mamba = Open(kSource + "/models/tiny-mamba");
  EXPECT_FALSE(MakePlan(*mamba, ParseRecipe({"rope.theta=5"}).value()));
  EXPECT_EQ(PlanOf(*mamba, {"model.layers=2"}).layers, 2);
}

}  // namespace
}  // namespace vernier
