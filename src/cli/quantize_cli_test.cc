// vernier quantize, from the command line.
#include "cli/cli_testing.h"

namespace vernier {
namespace {

class QuantizeCli : public ::testing::Test {
 protected:
  QuantizeCli() : f32_(TempPath("f32.gguf")), out_(TempPath("out.gguf")) {
    EXPECT_EQ(Vernier({"quantize", kQwen, f32_, "--type", "F32", "--quiet"}).status, 0);
  }
  ~QuantizeCli() override {
    std::filesystem::remove(f32_);
    std::filesystem::remove(out_);
  }
  std::string Refusal(Arguments arguments) const {
    arguments.insert(arguments.begin(), {"quantize", f32_, out_});
    const Outcome run = Vernier(arguments);
    EXPECT_EQ(run.status, 2);
    EXPECT_EQ(std::count(run.err.begin(), run.err.end(), '\n'), 1) << run.err;
    EXPECT_FALSE(std::filesystem::exists(out_));
    return run.err;
  }
  std::string f32_, out_;
};

TEST_F(QuantizeCli, JsonSaysWhatEachTensorBecame) {
  const Json json = RunJson({"quantize", f32_, out_, "--type", "q4_k", "--plan", [] {
                               WriteAll(TempPath("plan"), "# v\nattn_v=q8_0\nblk.0.ffn_up=q5_1\n");
                               return TempPath("plan");
                             }()});
  std::filesystem::remove(TempPath("plan"));
  EXPECT_EQ(json.at("type"), "Q4_K_M");
  EXPECT_FALSE(json.at("copied"));
  EXPECT_TRUE(json.at("rules").empty());
  const Json inspected = RunJson({"inspect", out_});
  uint64_t bytes = 0, elements = 0;
  ASSERT_EQ(json.at("tensors").size(), inspected.at("tensors").size());
  for (size_t i = 0; i < json.at("tensors").size(); ++i) {
    const Json &t = json.at("tensors")[i], &is = inspected.at("tensors")[i];
    const std::string name = t.at("name");
    EXPECT_EQ(t.at("name"), is.at("name"));
    EXPECT_EQ(t.at("to"), is.at("type"));
    EXPECT_EQ(t.at("shape"), is.at("shape"));
    EXPECT_EQ(t.at("bytes"), is.at("bytes"));
    EXPECT_EQ(t.at("from"), "F32");
    bytes += t.at("bytes").get<uint64_t>();
    elements += t.at("source_bytes").get<uint64_t>() / 4;
    if (name.find("attn_v.weight") != std::string::npos) {
      EXPECT_EQ(t.at("to"), "Q8_0");
    }
    if (name == "blk.0.ffn_up.weight") {
      EXPECT_EQ(t.at("to"), "Q5_1");
    }
    if (name == "blk.1.ffn_up.weight") {
      EXPECT_EQ(t.at("wanted"), "Q4_K");
      EXPECT_EQ(t.at("to"), "Q5_0");
      EXPECT_GT(t.at("l2_rel"), 0.03);
      EXPECT_LT(t.at("l2_rel"), 0.06);
    }
    if (name.find("norm") != std::string::npos) {
      EXPECT_EQ(t.at("l2_rel"), 0.0);
    }
  }
  EXPECT_EQ(json.at("bytes"), bytes);
  EXPECT_EQ(json.at("elements"), elements);
  EXPECT_EQ(json.at("bits_per_weight"),
            static_cast<double>(bytes) * 8 / static_cast<double>(elements));
}

TEST_F(QuantizeCli, ReportAndTotals) {
  const Outcome run = Vernier({"quantize", f32_, out_, "--type", "Q4_0", "--report", "--quiet"});
  ASSERT_EQ(run.status, 0) << run.err;
  EXPECT_EQ(run.err, "");
  EXPECT_NE(run.out.find("blk.0.ffn_up.weight"), std::string::npos);
  EXPECT_NE(run.out.find("bits a weight"), std::string::npos);
  EXPECT_GE(std::count(run.out.begin(), run.out.end(), '\n'), 74 + 2);
}

TEST_F(QuantizeCli, WithoutATypeItIsACopy) {
  for (const Arguments& type : {Arguments{}, Arguments{"--type", "copy"}}) {
    Arguments arguments = {"quantize", f32_, out_};
    arguments.insert(arguments.end(), type.begin(), type.end());
    EXPECT_TRUE(RunJson(arguments).at("copied"));
    EXPECT_TRUE(ReadAll(out_) == ReadAll(f32_));
  }
}

TEST_F(QuantizeCli, RulesAndStrict) {
  const Arguments vacuous = {"quantize", f32_, out_, "--rule",
                             "blk.*.ffn_norm.weight=bf16,round=toward-zero"};
  const Outcome run = Vernier(vacuous);
  EXPECT_EQ(run.status, 0);
  EXPECT_NE(run.out.find("VACUOUS: all 1 344 elements of 6 weights (stored as F32) are numbers of "
                         "that format already\n"),
            std::string::npos)
      << run.out;
  Arguments strict = vacuous;
  strict.push_back("--strict");
  EXPECT_EQ(Vernier(strict).status, 1);
  const Json json = RunJson(vacuous);
  EXPECT_TRUE(json.at("type").is_null());
  EXPECT_TRUE(json.at("rules")[0].at("vacuous"));
  EXPECT_EQ(json.at("rules")[0].at("sites"), 6);

  // A model with a recipe writes what the model with that recipe is.
  const std::string recipe = TempPath("recipe"), rule = "blk.*.ffn_*.weight=e4m3";
  WriteAll(recipe, rule + "\n");
  EXPECT_EQ(Vernier({"quantize", f32_ + "@" + recipe, out_}).status, 0);
  const Json compared = RunJson({"compare", f32_, out_, "-p", kText});
  EXPECT_FALSE(compared.at("identical"));
  EXPECT_TRUE(RunJson({"compare", f32_ + "@" + recipe, out_, "-p", kText}).at("identical"));
  std::filesystem::remove(recipe);
}

TEST_F(QuantizeCli, Refusals) {
  EXPECT_NE(Refusal({"--type", "q4_k_n"}).find("--type: expected a file type, found 'q4_k_n'"),
            std::string::npos);
  EXPECT_NE(Refusal({"--type", "q8_0", "--output-tensor-type", "q8"}).find("--output-tensor-type"),
            std::string::npos);
  EXPECT_NE(Refusal({"--pure"}).find("--pure: expected a --type"), std::string::npos);
  EXPECT_NE(Refusal({"--leave-output-tensor"}).find("expected a --type"), std::string::npos);
  EXPECT_NE(Refusal({"--type", "q8_0", "--leave-output-tensor"}).find("no output.weight"),
            std::string::npos);
  EXPECT_NE(Refusal({"--output-tensor-type", "q8_0"}).find("no output.weight"), std::string::npos);
  EXPECT_NE(Refusal({"--type", "q8_0", "-o", out_}).find("-o " + out_ + ": is OUT"),
            std::string::npos);
  EXPECT_NE(Refusal({"--scales", "s.json"}).find("unknown option '--scales'"), std::string::npos);
  EXPECT_NE(Refusal({"--tensor-type", "attn_v"}).find("PATTERN=TYPE"), std::string::npos);
  EXPECT_NE(Refusal({"--plan", "/nowhere/plan"}).find("/nowhere/plan"), std::string::npos);
  EXPECT_NE(Refusal({"--type", "q4_0", "--imatrix", f32_}).find("not an importance matrix"),
            std::string::npos);
  EXPECT_NE(Refusal({"--rule", "blk.*.fnn_norm.weight=bf16"}).find("did you mean"),
            std::string::npos);
  EXPECT_NE(Refusal({"--rule", "ffn_norm=bf16"}).find("weights only"), std::string::npos);
  const Outcome itself = Vernier({"quantize", f32_, f32_, "--type", "q8_0"});
  EXPECT_EQ(itself.status, 2);
  EXPECT_NE(itself.err.find("is read from"), std::string::npos);
  EXPECT_EQ(Vernier({"quantize", f32_, "/nowhere/out.gguf", "--type", "q8_0"}).status, 2);
}

}  // namespace
}  // namespace vernier
