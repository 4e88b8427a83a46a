// The graph of Mamba from folders and files that differ in their constants; what is refused.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "arch/architecture.h"
#include "arch/convert.h"
#include "arch/numpy_exp.h"
#include "arch/write_model.h"
#include "model/gguf_writer.h"
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
  EXPECT_PART("'falcon_mamba' is not known",
              ErrorOf([](auto& c) { c["model_type"] = "falcon_mamba"; }));
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
  EXPECT_PART("Falcon Mamba",
              FileErrorOf([](auto& m, auto&) { m.Set("mamba.ssm.dt_b_c_rms", MetaBool(true)); }));
  EXPECT_PART("mamba.ssm.state_size",
              FileErrorOf([](auto& m, auto&) { m.Set("mamba.ssm.state_size", MetaUint32(0)); }));
  EXPECT_PART("ssm_x.weight", FileErrorOf([](auto& m, auto&) {
                m.Set("mamba.ssm.time_step_rank", MetaUint32(7));
              }));
  EXPECT_PART("ssm_d", FileErrorOf([](auto&, auto& tensors) {
                std::erase_if(tensors, [](const TensorView& t) { return t.name == "blk.3.ssm_d"; });
              }));
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
