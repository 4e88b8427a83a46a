// `compare` with what other programs save: through the command line, with the models that come with
// the project and llama.cpp's own numbers.
#include <cstring>

#include "cli/cli_testing.h"
#include "measure/capture.h"
#include "measure/capture_kld.h"
#include "model/npy.h"
#include "model/zip.h"

namespace vernier {
namespace {

const std::string kGoldenPrompt = "Question: Natalia sold 48 clips";

double RelativeError(const Json& compared, const std::string& label) {
  for (const Json& site : compared.at("sites"))
    if (site.at("label") == label) return site.at("l2_rel");
  ADD_FAILURE() << label;
  return 1;
}

Json Golden(const std::string& file) {
  return Json::parse(ReadAll(kSource + "/tests/data/golden/" + file));
}

// The dump of llama.cpp's that tests/data/golden has: headers and sums, without elements.
std::string DumpOf(const std::string& model) {
  std::string text;
  const Json golden = Golden(model + "-tensors.json");
  for (const Json& t : golden.at("tensors")) {
    std::string shape;
    for (const Json& n : t.at("shape")) shape += (shape.empty() ? "" : ", ") + n.dump();
    text += "common_debug_cb_eval: " + t.at("name").get<std::string>() + " = (f32) " +
            t.at("op").get<std::string>() + "(" + t.at("args").get<std::string>() + ") = {" +
            shape + "}\n    sum = " + t.at("sum").dump() + "\n";
  }
  return text;
}

// llama.cpp's run of the F32 file against ours, at every tensor it printed; and against a file of
// another type, where it first differs.
TEST(CompareCaptures, LlamaDump) {
  for (const auto& [model, sites] :
       {std::pair{std::string("tiny-llama"), 88u}, {"tiny-qwen2", 148u}, {"tiny-mamba", 64u}}) {
    const std::string folder = kSource + "/models/" + model, dump = TempPath(model + ".txt");
    WriteAll(dump, DumpOf(model));
    for (const Arguments& arguments : {Arguments{"compare", folder, dump, "-p", kGoldenPrompt},
                                       {"compare", dump, folder, "-p", kGoldenPrompt}}) {
      const Json json = RunJson(arguments);
      EXPECT_EQ(json.at("partial").size(), sites) << model;
      for (const Json& p : json.at("partial")) EXPECT_EQ(p.at("agrees"), true) << p;
      EXPECT_TRUE(json.at("first_wrong").is_null());
      EXPECT_EQ(json.at("identical"), false);
    }
    const Json changed =
        RunJson({"compare", dump, folder, "-p", kGoldenPrompt, "--rule", "l_out[1]=e4m3"});
    EXPECT_EQ(changed.at("first_wrong"), "l_out[1]");
    const Outcome text =
        Vernier({"compare", dump, folder, "-p", kGoldenPrompt, "--rule", "l_out[1]=e4m3"});
    EXPECT_NE(text.out.find("first wrong site: l_out[1]"), std::string::npos) << text.out;
    EXPECT_NE(text.out.find("partial: "), std::string::npos) << text.out;
    ExpectRefused({"compare", folder, dump}, "has no token ids");
    ExpectRefused({"compare", folder, dump, "-p", "x"}, "of shape");
  }
}

// The logits that llama.cpp computed, in the form llama-debug saves them.
TEST(CompareCaptures, SavedLogits) {
  const Json golden = Golden("tiny-qwen2.json");
  const Json& prompt = golden.at("types").at("F32").at("prompts").at(0);
  const std::vector<float> logits = prompt.at("logits").get<std::vector<float>>();
  const std::vector<int32_t> ids = prompt.at("ids").get<std::vector<int32_t>>();
  const std::string bin = TempPath("llamacpp-qwen.bin");
  WriteAll(bin, {reinterpret_cast<const char*>(logits.data()), 4 * logits.size()});
  WriteAll(TempPath("llamacpp-qwen-tokens.bin"),
           {reinterpret_cast<const char*>(ids.data()), 4 * ids.size()});
  const Json json = RunJson({"compare", kQwen, bin, "--tolerance", "2e-5"});
  EXPECT_EQ(json.at("ids"), Json(ids));
  EXPECT_EQ(json.at("logits").at("positions"), 1);
  EXPECT_LT(json.at("logits").at("max_abs"), 2e-5);
  EXPECT_EQ(Vernier({"compare", kQwen, bin, "--tolerance", "1e-9"}).status, kAnswerIsNo);
}

struct HookOutput {
  std::string module;
  std::vector<size_t> shape;
  std::vector<float> values;
};

// What forward hooks on a Hugging Face model save: [1][tokens][width], heads apart in one.
std::vector<HookOutput> HookOutputs(const Capture& capture, const Json& sites) {
  std::vector<HookOutput> out;
  for (const Json& site : sites) {
    if (!site.at("module").is_string()) continue;
    const CapturedSite& values = *capture.Find(site.at("label").get<std::string>());
    out.push_back({site.at("module"), {1, values.widths.size(), values.widths[0]}, values.f32});
  }
  return out;
}

TEST(CompareCaptures, HookOutputsOfModules) {
  for (const std::string& folder : {kLlama, kQwen, kMamba}) {
    const std::string own = TempPath("own.safetensors"), npz = TempPath("hooks.npz");
    ASSERT_EQ(Vernier({"probe", folder, "-p", kText, "--save", own, "--quiet"}).status, 0);
    const Capture capture = LoadCapture(own).value();
    const auto hooks = HookOutputs(capture, RunJson({"sites", folder}).at("sites"));
    ASSERT_GT(hooks.size(), 20u);
    const auto save = [&](const std::vector<HookOutput>& outputs) {
      ZipWriter zip = ZipWriter::Create(npz).value();
      for (const HookOutput& hook : outputs) {
        const std::string head = NpyHeader("<f4", hook.shape);
        const std::span<const std::byte> pieces[] = {std::as_bytes(std::span(head)),
                                                     std::as_bytes(std::span(hook.values))};
        ASSERT_TRUE(zip.Add(hook.module + ".npy", pieces));
      }
      ASSERT_TRUE(zip.Finish());
    };
    save(hooks);
    const Json json = RunJson({"compare", folder, npz, "-p", kText});
    EXPECT_EQ(json.at("sites").size(), hooks.size());
    EXPECT_EQ(json.at("identical"), true);
    EXPECT_EQ(json.at("logits").at("max_abs"), 0.0);
    EXPECT_TRUE(json.at("unknown").empty());
    EXPECT_TRUE(json.at("first_wrong").is_null());
    EXPECT_EQ(RunJson({"compare", npz, own}).at("identical"), true);

    // One layer's output off: the stretch from the sites before it contributes that.
    auto wrong = hooks;
    std::string module = folder == kMamba ? "backbone.layers.2" : "model.layers.2";
    for (HookOutput& hook : wrong)
      if (hook.module == module)
        for (size_t i = 0; i < hook.values.size(); i += 7) hook.values[i] *= 1.25f;
    save(wrong);
    EXPECT_EQ(RunJson({"compare", folder, npz, "-p", kText}).at("first_wrong"), "l_out[2]");

    // Names of its own, and a map for them.
    const std::string map = TempPath("names");
    for (HookOutput& hook : wrong) hook.module = "my/" + hook.module;
    save({wrong[0], wrong[1]});
    ExpectRefused({"compare", folder, npz, "-p", kText}, "--map FILE");
    WriteAll(map, "my/" + hooks[0].module + " = embd\n");
    EXPECT_EQ(RunJson({"compare", folder, npz, "-p", kText, "--map", map}).at("sites").size(), 1u);
    WriteAll(map, "nothing\n");
    ExpectRefused({"compare", folder, npz, "-p", kText, "--map", map}, "line 1");
    EXPECT_EQ(RunJson({"compare", npz, npz}).at("identical"), true);  // by their own names
  }
}

// A folder keeps q and k in halves, a GGUF file of llama in neighbours: captures say which, and of
// another program's the nearer order is taken.
TEST(CompareCaptures, OrdersOfQAndK) {
  const std::string gguf = TempPath("order.gguf"), own = TempPath("order.npz"),
                    foreign = TempPath("order-foreign.safetensors");
  ASSERT_EQ(Vernier({"quantize", kLlama, gguf, "--type", "bf16", "--quiet"}).status, 0);
  ASSERT_EQ(Vernier({"probe", kLlama, "-p", kText, "--save", own, "--quiet"}).status, 0);
  Capture capture = LoadCapture(own).value();
  ASSERT_TRUE(capture.rope);
  EXPECT_EQ(capture.rope->layout, RopeLayout::kHalves);
  EXPECT_EQ(capture.weights.at("blk.0.attn_q.weight"), "BF16");
  const auto expect_alike = [](const Json& json) {
    EXPECT_LT(json.at("logits").at("max_abs"), 1e-4);
    for (const char* label : {"Qcur[0]", "Kcur_rope[1]", "k_cache[2]"})
      EXPECT_LT(RelativeError(json, label), 1e-5) << label;
    EXPECT_TRUE(json.at("first_wrong").is_null()) << json.at("first_wrong");
  };
  expect_alike(RunJson({"compare", gguf, own}));
  expect_alike(RunJson({"compare", own, gguf}));
  // The same tensors by another program, which does not say.
  std::erase_if(capture.sites, [](const CapturedSite& s) { return s.name.starts_with("kq"); });
  for (CapturedSite& site : capture.sites)
    if (site.name == "l_out") site.label = "model.layers." + std::to_string(site.layer);
  ASSERT_TRUE(SaveCapture(capture, foreign));
  std::string bytes = ReadAll(foreign);
  for (size_t at = 0; (at = bytes.find("\"vernier.", at)) != std::string::npos;)
    bytes.replace(at, 9, "\"another.");
  WriteAll(foreign, bytes);
  const Json json = RunJson({"compare", gguf, foreign, "-p", kText});
  expect_alike(json);
  EXPECT_NE(json.at("notes").dump().find("halves"), std::string::npos);
}

// Base files: ours read back, and refused where they are not of the model.
TEST(CompareCaptures, BaseFilesOfPerplexity) {
  const std::string kld = TempPath("base.kld"), text = kSource + "/data/shakespeare.txt";
  ASSERT_EQ(Vernier({"eval", kQwen, "-f", text, "-c", "64", "--chunks", "3", "--save-logits", kld,
                     "--quiet"})
                .status,
            0);
  // header, tokens, and 31 rows a chunk of scale, least and 1024 codes
  EXPECT_EQ(ReadAll(kld).size(), 20u + 3 * 64 * 4 + 3 * 31 * (8 + 2 * 1024));
  const Json same = RunJson({"compare", kQwen, kld});
  EXPECT_EQ(same.at("logits").at("of"), "log-probabilities");
  EXPECT_EQ(same.at("logits").at("positions"), 93);
  // half a step, where the largest range is 16, and float32's rounding
  EXPECT_LT(same.at("logits").at("max_abs"), 8.0 / 65535 + 1e-5);
  EXPECT_LT(same.at("logits").at("kl_mean"), 1e-7);
  const Json changed = RunJson({"compare", kld, kQwen, "--rule", "ffn_norm=e4m3"});
  EXPECT_GT(changed.at("logits").at("kl_mean"), 1e-6);
  EXPECT_GT(changed.at("rules")[0].at("changed"), 0);
  const Json twice = RunJson({"compare", kld, kld});
  EXPECT_EQ(twice.at("identical"), true);
  EXPECT_EQ(
      Vernier({"compare", kld, kQwen, "--rule", "ffn_norm=e4m3", "--tolerance", "1e-3"}).status,
      kAnswerIsNo);
  ExpectRefused({"compare", kld, kQwen, "-p", "x"}, "brings its own tokens");
  ExpectRefused({"eval", kQwen, "-f", text, "-c", "64", "--save-logits", "x.bin"}, "ends in .kld");
  std::string bytes = ReadAll(kld);
  WriteAll(kld, bytes.substr(0, bytes.size() - 2));
  ExpectRefused({"compare", kQwen, kld}, kld);
  bytes[12] = 1;  // n_vocab 1025
  WriteAll(kld, bytes);
  ExpectRefused({"compare", kQwen, kld}, kld);
}

}  // namespace
}  // namespace vernier
