// vernier bench, run as a program. Speeds are not tested.
#include <filesystem>
#include <set>

#include "cli/cli_testing.h"

namespace vernier {
namespace {

TEST(BenchCli, LinesOfFormats) {
  const Json json = RunJson({"bench", "formats", "--format", "bf16,posit16", "--mode",
                             "nearest-even,odd", "--memory", "8"});
  EXPECT_EQ(json["subject"], "formats");
  EXPECT_EQ(json["memory_bytes"], 8 << 20);
  ASSERT_EQ(json["lines"].size(), 4u);
  EXPECT_EQ(json["lines"][1]["format"], "bf16");
  EXPECT_EQ(json["lines"][1]["mode"], "odd");
  EXPECT_GT(json["lines"][0]["bitwise"], 0.0);
  EXPECT_TRUE(json["lines"][1]["bitwise"].is_null());
}

TEST(BenchCli, Mistakes) {
  ExpectRefused({"bench"}, "expected a subject: ");
  ExpectRefused({"bench", "format"}, "unknown subject 'format'; did you mean 'formats'?");
  ExpectRefused({"bench", "formats", "--format", "bf17"}, "--format: unknown format 'bf17'");
  ExpectRefused({"bench", "formats", "--format", "int8"}, "'int8' needs a scale");
  ExpectRefused({"bench", "formats", "--mode", "odd,evn"}, "--mode: unknown mode 'evn'");
}

TEST(BenchCli, WritesAShapeThatRuns) {
  const std::string path = TempPath("bench_tiny.gguf");
  const Json json = RunJson({"bench", "--shape", "tiny", "--type", "q4_0", "--write", path});
  EXPECT_EQ(json["subject"], "write");
  EXPECT_EQ(json["shape"], "tiny");
  EXPECT_EQ(json["type"], "Q4_0");
  EXPECT_EQ(json["parameters"], 2032896);
  EXPECT_EQ(json["types"].size(), 3u);  // F32 norms, Q4_0, and Q6_K for the output
  const Json run = RunJson({"run", path, "-p", "the king said", "-n", "8", "--ignore-eos"});
  ASSERT_EQ(run["steps"].size(), 8u);
  std::set<int> generated;
  for (const Json& step : run["steps"]) {
    EXPECT_TRUE(step["logit"].is_number());
    generated.insert(step["id"].get<int>());
  }
  EXPECT_GT(generated.size(), 3u);
  const Json bench = RunJson({"bench", "inference", path, "--prompt", "16", "-n", "2", "--repeat",
                              "2", "--no-bounds", "-t", "1"});
  EXPECT_EQ(bench["model"], path);
  EXPECT_TRUE(bench["shape"].is_null());
  EXPECT_TRUE(bench["bounds"].is_null());
  EXPECT_TRUE(bench["lanes"][0]["prefill"]["of_fma"].is_null());
  std::filesystem::remove(path);
}

TEST(BenchCli, InferenceBesideItsBounds) {
  const Json json = RunJson({"bench", "--shape", "tiny", "--prompt", "16", "-n", "2", "--repeat",
                             "2", "-t", "2", "--rule", "ffn_norm=bf16", "--pairs"});
  EXPECT_EQ(json["subject"], "inference");
  EXPECT_EQ(json["type"], "Q4_K_M");
  EXPECT_EQ(json["threads"], 2);
  ASSERT_EQ(json["lanes"].size(), 2u);
  EXPECT_EQ(json["lanes"][0]["rules"], Json::array());
  EXPECT_EQ(json["lanes"][1]["rules"], Json::array({"ffn_norm=bf16"}));
  const Json& bounds = json["bounds"];
  for (const char* key : {"fma_f32", "fma_f64", "dot_i8", "read"})
    EXPECT_GT(bounds[key]["all"], 0.0) << key;
  for (const Json& lane : json["lanes"]) {
    const Json& speed = lane["prefill"]["tokens_per_second"];
    EXPECT_LE(speed["least"], speed["median"]);
    EXPECT_LE(speed["median"], speed["most"]);
    EXPECT_EQ(lane["decode"]["seconds"].size(), 2u);
    EXPECT_GT(lane["decode"]["by_op"]["matmul"], 0.0);
    EXPECT_NEAR(lane["prefill"]["of_fma"].get<double>(),
                lane["prefill"]["flops"].get<double>() / bounds["fma_f32"]["all"].get<double>(),
                1e-9);
  }
}

TEST(BenchCli, Arithmetics) {
  const Json json = RunJson({"bench", "arithmetic", "--math",
                             "step:posit32; fused:bf16+acc=f32,chunk=8; exact", "--size", "32"});
  EXPECT_EQ(json["subject"], "arithmetic");
  EXPECT_EQ(json["threads"], 1);
  EXPECT_EQ(json["size"], 32);
  ASSERT_EQ(json["lines"].size(), 4u);
  EXPECT_FALSE(json["lines"][2]["core"]);
  EXPECT_TRUE(json["lines"][3]["core"]);
  EXPECT_EQ(json["lines"][0]["host"], "f64");
  EXPECT_EQ(json["lines"][1]["math"], "fused:bf16+acc=f32,chunk=8");
  for (const Json& line : json["lines"]) {
    EXPECT_GT(line["rate"], 0.0);
    EXPECT_EQ(line["rows"], 32);
    EXPECT_GT(line["of_fma"], 0.0);
  }
  ExpectRefused({"bench", "arithmetic", "--math", "step:posit3x"}, "--math: ");
  ExpectRefused({"bench", "arithmetic", "--size", "3"}, "--size");
}

TEST(BenchCli, Products) {
  const Json json = RunJson({"bench", "matmul", "--type", "q4_k,f32", "--rows", "1,3", "--outputs",
                             "128", "--inputs", "256", "-t", "1"});
  EXPECT_EQ(json["subject"], "matmul");
  ASSERT_EQ(json["lines"].size(), 4u);
  EXPECT_EQ(json["lines"][0]["type"], "Q4_K");
  EXPECT_EQ(json["lines"][1]["rows"], 3);
  EXPECT_EQ(json["lines"][2]["type"], "F32");
  for (const Json& line : json["lines"]) {
    EXPECT_GT(line["of_fma"], 0.0);
    // 2 operations a weight and row, 4 bytes a weight in F32
    if (line["type"] == "F32") {
      EXPECT_NEAR(line["flops"].get<double>() / line["bytes"].get<double>(),
                  line["rows"].get<double>() / 2, 1e-9);
    }
  }
  ExpectRefused({"bench", "matmul", "--rows", "1,x"}, "--rows: expected numbers");
  ExpectRefused({"bench", "matmul", "--type", "q4_kk"}, "--type: expected file types");
  ExpectRefused({"bench", "matmul", "--inputs", "100"}, "multiples of 64 and of 256");
}

TEST(BenchCli, MistakesOfInference) {
  ExpectRefused({"bench", "inference"}, "expected a MODEL or --shape, found none");
  ExpectRefused({"bench", "inference", "x.gguf", "--shape", "tiny"}, "found both");
  ExpectRefused({"bench", "inference", "x.gguf", "--write", "y.gguf"},
                "--write: expected --shape as well");
  ExpectRefused({"bench", "--shape", "tinny", "--write", "x.gguf"},
                "unknown shape 'tinny'; did you mean 'tiny'?");
  ExpectRefused({"bench", "--shape", "tiny", "--type", "q4_9", "--write", "x.gguf"},
                "--type: expected a file type, found 'q4_9'; did you mean");
  ExpectRefused({"bench", "--shape", "tiny", "--pairs"}, "--pairs: expected a rule");
  ExpectRefused({"bench", "--shape", "tiny", "--rule", "nowhere=bf16"}, "nowhere");
}

}  // namespace
}  // namespace vernier
