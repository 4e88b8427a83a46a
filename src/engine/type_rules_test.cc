// Types by rule against files of those types.
#include "engine/type_rules.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "engine/engine_testing.h"
#include "engine/evaluate.h"
#include "engine/plan.h"
#include "engine/quantize.h"

namespace vernier {
namespace {

std::unique_ptr<Model> Opened(const std::string& path) {
  ModelOptions options;
  options.threads = 2;
  auto model = Model::Open(path, options);
  EXPECT_TRUE(model) << (model ? "" : model.error().message);
  return model ? std::move(*model) : nullptr;
}

class Scratch {
 public:
  Scratch() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "vernier-types-XXXXXX").string();
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    path_ = pattern;
  }
  ~Scratch() { std::filesystem::remove_all(path_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  // The model as a file of a type, by the code of `vernier quantize`.
  std::string File(const std::string& model, const std::string& type) const {
    const std::string path = path_ / (type + ".gguf");
    auto checkpoint = OpenCheckpoint(model);
    EXPECT_TRUE(checkpoint);
    QuantizeOptions options;
    options.mixture.file_type = FindFileType(type);
    options.threads = 2;
    const auto report = QuantizeModel(*checkpoint, path, options);
    EXPECT_TRUE(report) << (report ? "" : report.error().message);
    return path;
  }

 private:
  std::filesystem::path path_;
};

// All logits of a text, as bytes.
std::string Bits(Model& model, const std::vector<std::string>& rules) {
  const auto plan = MakePlan(model, ParseRecipe(rules).value());
  EXPECT_TRUE(plan) << (plan ? "" : plan.error().message);
  Stream stream{&*plan, {}, nullptr, {}};
  for (uint32_t i = 0; i < 48; ++i) {
    stream.tokens.push_back(static_cast<int32_t>((37 * i + 5) % 500));
    stream.wanted.push_back(i);
  }
  std::string bits;
  Evaluate(model, {&stream, 1}, [&](std::span<const LogitsRow> rows) {
    for (const LogitsRow& row : rows)
      bits.append(static_cast<const char*>(row.values), 4 * model.graph().vocabulary);
  });
  return bits;
}

// The rule on the F32 file computes, bit for bit, what the file of the type does.
TEST(TypeRules, ComputeWhatTheFileDoes) {
  for (const char* name : {"tiny-llama", "tiny-qwen2", "tiny-mamba", "tiny-mamba2"}) {
    const Scratch scratch;
    const std::string folder = kSource + "/models/" + name;
    const auto exact = Opened(scratch.File(folder, "F32"));
    const std::string untouched = Bits(*exact, {});
    for (const char* type :
         {"Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_K_S", "Q4_0", "Q3_K_M", "Q2_K", "F16"}) {
      SCOPED_TRACE(std::string(name) + " " + type);
      const std::string by_rule = Bits(*exact, {std::string("types=") + type});
      EXPECT_EQ(by_rule, Bits(*Opened(scratch.File(folder, type)), {}));
      if (std::string(type) == "F16") continue;  // BF16 numbers may be F16's
      EXPECT_NE(by_rule, untouched);
    }
  }
}

// From a folder too: the same values, though llama's files have rows of q and k in another order.
TEST(TypeRules, FromAFolder) {
  const Scratch scratch;
  const std::string folder = kSource + "/models/tiny-qwen2";
  EXPECT_EQ(Bits(*Opened(folder), {"types=q4_k_m"}),
            Bits(*Opened(scratch.File(folder, "Q4_K_M")), {}));
}

TEST(TypeRules, OfAFileOfTheTypeChangesNothing) {
  const Scratch scratch;
  const auto model = Opened(scratch.File(kSource + "/models/tiny-llama", "Q4_K_M"));
  const auto plan = MakePlan(*model, ParseRecipe({"types=q4_k_m"}).value());
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->rules[0].counts.changed, 0u);
  EXPECT_EQ(Bits(*model, {"types=q4_k_m"}), Bits(*model, {}));
  EXPECT_EQ(Bits(*model, {"*.weight=int4", "types=q4_k_m"}).size(), Bits(*model, {}).size());
}

TEST(TypeRules, LayersAndLaterRules) {
  const auto model = Opened(kSource + "/models/tiny-llama");
  const auto plan = [&](const std::vector<std::string>& rules) {
    auto made = MakePlan(*model, ParseRecipe(rules).value());
    EXPECT_TRUE(made) << (made ? "" : made.error().message);
    return made ? std::move(*made) : Plan{};
  };
  const Plan two = plan({"types[0,-1]=q8_0"});
  EXPECT_EQ(two.rules[0].sites.size(), 2u * 7);
  for (const std::string& site : two.rules[0].sites)
    EXPECT_TRUE(site.starts_with("blk.0.") || site.starts_with("blk.3.")) << site;
  const Plan all = plan({"types=q4_0"});
  EXPECT_EQ(all.rules[0].sites.size(), 4u * 7 + 2);
  EXPECT_GT(all.rules[0].counts.changed, 0u);
  // The weights of a mixture are those of its rules by name.
  EXPECT_EQ(plan({"types=q4_0", "types[0,-1]=q8_0"}).identity,
            plan({"blk.*.attn_*.weight=q4_0", "blk.*.ffn_*.weight=q4_0", "token_embd.weight=q4_0",
                  "output.weight=q6_k", "blk.*_norm.weight=f32", "blk.0.*.weight=q8_0",
                  "blk.3.*.weight=q8_0", "blk.*_norm.weight=f32"})
                .identity);
  // The type a tensor has puts it back as it is.
  EXPECT_EQ(plan({"types[1]=q4_0", "types[1]=bf16"}).identity, plan({}).identity);
}

TEST(TypeRules, Mistakes) {
  const auto model = Opened(kSource + "/models/tiny-llama");
  const auto refused = [&](const std::string& rule, const std::string& part) {
    const auto plan = MakePlan(*model, ParseRecipe({rule}).value());
    ASSERT_FALSE(plan) << rule;
    EXPECT_NE(plan.error().message.find("rule '" + rule + "'"), std::string::npos)
        << plan.error().message;
    EXPECT_NE(plan.error().message.find(part), std::string::npos) << plan.error().message;
  };
  refused("types=q4_k_mm", "did you mean 'Q4_K_M'?");
  refused("types=bf17", "no type of a file");
  refused("types[7]=q4_0", "layers are 0 to 3");
  refused("types=iq2_xxs", "");
  refused("types=q2_k_s", "importance matrix");
  refused("types.math=f32", "");
}

}  // namespace
}  // namespace vernier
