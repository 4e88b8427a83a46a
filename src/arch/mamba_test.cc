// The graph of Mamba from folders and files that differ in their constants; what is refused.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "arch/architecture.h"
#include "arch/convert.h"
#include "arch/numpy_exp.h"
#include "arch/write_model.h"
#include "model/gguf_writer.h"
#include "model/json.h"
#include "model/model_testing.h"

namespace vernier {
namespace {

const std::string kModel = std::string(VERNIER_SOURCE_DIR) + "/models/tiny-mamba";

// What a change of config.json leads to: an error's text, or nothing.
class MambaTest : public ::testing::Test {
 protected:
  MambaTest() {
    std::filesystem::create_directory(scratch_ / "m");
    for (const char* name : {"model.safetensors", "tokenizer.json"})
      std::filesystem::create_symlink(kModel + "/" + name,
                                      scratch_ / "m" + ("/" + std::string(name)));
  }
  Result<Checkpoint> Changed(const std::function<void(nlohmann::json&)>& change) {
    auto config = nlohmann::json::parse(Get(kModel + "/config.json"));
    change(config);
    Put(scratch_ / "m" + "/config.json", config.dump());
    return OpenCheckpoint(scratch_ / "m");
  }
  std::string ErrorOf(const std::function<void(nlohmann::json&)>& change) {
    auto checkpoint = Changed(change);
    EXPECT_TRUE(checkpoint);
    const auto graph = BuildGraph(*checkpoint);
    return graph ? "" : graph.error().message;
  }
  // The folder as a GGUF file.
  static void Write(const Checkpoint& folder, const std::string& path) {
    const auto form = MakeGgufForm(folder);
    ASSERT_TRUE(form);
    std::vector<TensorJob> jobs;
    for (const GgufTensor& t : form->tensors) {
      TensorJob job;
      job.name = t.name;
      job.source = t.tensor;
      job.type = t.type;
      job.transform = t.transform;
      jobs.push_back(std::move(job));
    }
    Workers workers(1);
    EXPECT_TRUE(WriteModel(path, form->metadata, jobs, {}, workers, nullptr));
  }
  // The converted file with its keys and tensors changed.
  std::string FileErrorOf(const std::function<void(Metadata&, std::vector<TensorView>&)>& change) {
    const std::string path = scratch_ / "a.gguf", other = scratch_ / "b.gguf";
    auto folder = OpenCheckpoint(kModel);
    Write(*folder, path);
    auto file = OpenCheckpoint(path);
    Metadata metadata = file->metadata;
    std::vector<TensorView> tensors = file->tensors;
    change(metadata, tensors);
    EXPECT_TRUE(WriteGguf(other, metadata, tensors));
    auto changed = OpenCheckpoint(other);
    EXPECT_TRUE(changed);
    const auto graph = BuildGraph(*changed);
    if (graph) nodes_ = graph->nodes.size();
    return graph ? "" : graph.error().message;
  }
  TestFolder scratch_;
  size_t nodes_ = 0;
};

#define EXPECT_PART(part, text) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST_F(MambaTest, ConstantsOfAFolder) {
  EXPECT_EQ(ErrorOf([](auto&) {}), "");
  EXPECT_EQ(ErrorOf([](auto& c) { c["time_step_rank"] = "auto"; }), "");  // 256 / 16
  EXPECT_EQ(ErrorOf([](auto& c) { c.erase("intermediate_size"); }), "");  // expand
  EXPECT_EQ(ErrorOf([](auto& c) { c.erase("max_position_embeddings"); }), "");
  EXPECT_PART("mixer.in_proj.weight", ErrorOf([](auto& c) { c["intermediate_size"] = 256; }));
  EXPECT_PART("mixer.x_proj.weight", ErrorOf([](auto& c) { c["state_size"] = 8; }));
  EXPECT_PART("mixer.conv1d.weight", ErrorOf([](auto& c) { c["conv_kernel"] = 3; }));
  EXPECT_PART("conv1d.bias' has no place", ErrorOf([](auto& c) { c["use_conv_bias"] = false; }));
  EXPECT_PART("'use_bias'", ErrorOf([](auto& c) { c["use_bias"] = true; }));
  EXPECT_PART("expected silu", ErrorOf([](auto& c) { c["hidden_act"] = "gelu"; }));
  EXPECT_PART("'layer_norm_epsilon'", ErrorOf([](auto& c) { c["layer_norm_epsilon"] = 0; }));
  for (const char* key : {"state_size", "conv_kernel", "time_step_rank", "layer_norm_epsilon"}) {
    const std::string message = ErrorOf([&](auto& c) { c.erase(key); });
    EXPECT_PART(key, message);
    EXPECT_PART("config.json", message);
    EXPECT_PART(key, ErrorOf([&](auto& c) { c[key] = -1; }));
  }
  EXPECT_PART("'mixer_rms_eps'", ErrorOf([](auto& c) { c["model_type"] = "falcon_mamba"; }));
}

TEST_F(MambaTest, ConstantsOfAFile) {
  EXPECT_EQ(FileErrorOf([](auto&, auto&) {}), "");
  const size_t nodes = nodes_;
  // Without the convolution's biases their nodes are gone.
  EXPECT_EQ(FileErrorOf([](auto&, auto& tensors) {
              std::erase_if(
                  tensors, [](const TensorView& t) { return t.name.ends_with("ssm_conv1d.bias"); });
            }),
            "");
  EXPECT_EQ(nodes_, nodes - 6);
  // Falcon Mamba: three norms a layer.
  EXPECT_EQ(FileErrorOf([](auto& m, auto&) { m.Set("mamba.ssm.dt_b_c_rms", MetaBool(true)); }), "");
  EXPECT_EQ(nodes_, nodes + 3 * 6);
  EXPECT_PART("mamba.ssm.state_size",
              FileErrorOf([](auto& m, auto&) { m.Set("mamba.ssm.state_size", MetaUint32(0)); }));
  EXPECT_PART("ssm_x.weight", FileErrorOf([](auto& m, auto&) {
                m.Set("mamba.ssm.time_step_rank", MetaUint32(7));
              }));
  EXPECT_PART("ssm_d", FileErrorOf([](auto&, auto& tensors) {
                std::erase_if(tensors, [](const TensorView& t) { return t.name == "blk.3.ssm_d"; });
              }));
}

// A folder of Falcon Mamba as a file: GGUF has one eps.
TEST_F(MambaTest, FalconAsAFile) {
  const auto form = [&](double eps) {
    const auto folder = Changed([&](auto& c) {
      c["model_type"] = "falcon_mamba";
      c["mixer_rms_eps"] = eps;
    });
    return MakeGgufForm(*folder);
  };
  EXPECT_PART("one constant for both", form(1e-6).error().message);
  const auto same = form(1e-5);
  ASSERT_TRUE(same) << same.error().message;
  EXPECT_EQ(same->metadata.String("general.architecture").value(), "mamba");
  EXPECT_TRUE(same->metadata.Bool("mamba.ssm.dt_b_c_rms").value());
}

// Mamba 2's constants, from a folder and as a file.
class Mamba2Test : public ::testing::Test {
 protected:
  static Result<Checkpoint> Changed(const TestFolder& scratch,
                                    const std::function<void(nlohmann::json&)>& change) {
    const std::string source = std::string(VERNIER_SOURCE_DIR) + "/models/tiny-mamba2";
    const std::string folder = scratch / "m2";
    std::filesystem::create_directory(folder);
    auto config = nlohmann::json::parse(WithoutInfinity(Get(source + "/config.json")));
    change(config);
    Put(folder + "/config.json", config.dump());
    std::error_code exists;
    std::filesystem::create_symlink(source + "/model.safetensors", folder + "/model.safetensors",
                                    exists);
    return OpenCheckpoint(folder);
  }
  std::string ErrorOf(const std::function<void(nlohmann::json&)>& change) {
    auto checkpoint = Changed(scratch_, change);
    EXPECT_TRUE(checkpoint);
    const auto graph = BuildGraph(*checkpoint);
    if (graph) nodes_ = graph->nodes.size();
    return graph ? "" : graph.error().message;
  }
  TestFolder scratch_;
  size_t nodes_ = 0;
};

TEST_F(Mamba2Test, ConstantsOfAFolder) {
  EXPECT_EQ(ErrorOf([](auto&) {}), "");
  const size_t nodes = nodes_;
  EXPECT_EQ(ErrorOf([](auto& c) { c.erase("time_step_limit"); }), "");
  EXPECT_EQ(nodes_, nodes);
  EXPECT_EQ(ErrorOf([](auto& c) { c["time_step_limit"] = {0.01, 0.1}; }), "");
  EXPECT_EQ(nodes_, nodes + 4);  // a clamp a layer
  EXPECT_PART("time_step_limit", ErrorOf([](auto& c) { c["time_step_limit"] = {0.1, 0.01}; }));
  EXPECT_PART("time_step_limit", ErrorOf([](auto& c) { c["time_step_limit"] = 3; }));
  EXPECT_PART("are not the inner size", ErrorOf([](auto& c) { c["head_dim"] = 64; }));
  EXPECT_PART("in_proj.weight", ErrorOf([](auto& c) { c["state_size"] = 16; }));
  EXPECT_PART("in_proj.weight", ErrorOf([](auto& c) { c["n_groups"] = 1; }));
  EXPECT_PART("6 heads in 4 groups", ErrorOf([](auto& c) { c["n_groups"] = 4; }));
  EXPECT_PART("'rms_norm'", ErrorOf([](auto& c) { c["rms_norm"] = false; }));
  EXPECT_PART("'norm_before_gate'", ErrorOf([](auto& c) { c["norm_before_gate"] = true; }));
  for (const char* key : {"num_heads", "n_groups", "head_dim", "state_size", "expand"})
    EXPECT_PART(key, ErrorOf([&](auto& c) { c.erase(key); }));
}

// The keys and shapes that conversion/mamba.py of ggml-org/llama.cpp writes.
TEST_F(Mamba2Test, AsAFile) {
  const auto folder = Changed(scratch_, [](auto&) {});
  const auto form = MakeGgufForm(*folder);
  ASSERT_TRUE(form) << form.error().message;
  const Metadata& m = form->metadata;
  EXPECT_EQ(m.String("general.architecture").value(), "mamba2");
  EXPECT_EQ(m.Int("mamba2.ssm.time_step_rank").value(), 6);
  EXPECT_EQ(m.Int("mamba2.ssm.group_count").value(), 2);
  EXPECT_EQ(m.Int("mamba2.ssm.inner_size").value(), 192);
  EXPECT_EQ(m.Int("mamba2.ssm.state_size").value(), 32);
  EXPECT_EQ(m.Int("mamba2.ssm.conv_kernel").value(), 4);
  EXPECT_FALSE(m.Has("mamba2.ssm.dt_b_c_rms"));
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const GgufTensor& t : form->tensors) shapes[t.name] = t.tensor.shape;
  const std::map<std::string, std::vector<int64_t>> expected = {
      {"attn_norm.weight", {96}}, {"ssm_in.weight", {518, 96}}, {"ssm_conv1d.weight", {320, 4}},
      {"ssm_conv1d.bias", {320}}, {"ssm_dt.bias", {6}},         {"ssm_a", {6, 1}},
      {"ssm_d", {6, 1}},          {"ssm_norm.weight", {2, 96}}, {"ssm_out.weight", {96, 192}}};
  for (const auto& [name, shape] : expected) EXPECT_EQ(shapes["blk.3." + name], shape) << name;
  EXPECT_EQ(shapes.size(), 4 * expected.size() + 2);
  const auto limited = Changed(scratch_, [](auto& c) { c["time_step_limit"] = {0.01, 0.1}; });
  EXPECT_PART("GGUF has no key", MakeGgufForm(*limited).error().message);
}

// Its bits are held to NumPy's by the hashes of ssm_a in the golden files (tests/convert_test.cc).
TEST(NumpyExp, IsNearTheExponential) {
  EXPECT_EQ(NumpyExp(0), 1);
  EXPECT_EQ(NumpyExp(INFINITY), INFINITY);
  EXPECT_EQ(NumpyExp(-INFINITY), 0);
  EXPECT_EQ(NumpyExp(89), INFINITY);
  EXPECT_EQ(NumpyExp(-104), 0);
  EXPECT_TRUE(std::isnan(NumpyExp(NAN)));
  for (int i = -8700; i <= 8870; ++i) {
    const float x = static_cast<float>(i) / 100;
    const double right = std::exp(double{x});
    const double ulp = std::ldexp(1, std::ilogb(right) - 23);
    EXPECT_NEAR(double{NumpyExp(x)}, right, 2.6 * ulp) << x;
  }
}

}  // namespace
}  // namespace vernier
