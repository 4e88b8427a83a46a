// The program from end to end: JSON keys, exit statuses, one-line errors.
#include <cmath>

#include "cli/cli_testing.h"

namespace vernier {
namespace {

Json FindSite(const Json& sites, const std::string& label) {
  for (const Json& site : sites)
    if (site.at("label") == label) return site;
  ADD_FAILURE() << "no site " << label;
  return {};
}

TEST(Cli, HelpAndVersion) {
  for (const Arguments& arguments :
       {Arguments{}, Arguments{"--help"}, Arguments{"help"}, Arguments{"help", "run"},
        Arguments{"compare", "--help"}, Arguments{"--version"}}) {
    const Outcome outcome = Vernier(arguments);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_NE(outcome.out, "");
  }
  const std::string help = Vernier({}).out, manual = ReadAll(kSource + "/docs/commands.md");
  for (const Verb& verb : Verbs()) {
    EXPECT_NE(help.find("\n   " + std::string(verb.name) + " "), std::string::npos) << verb.name;
    EXPECT_NE(Vernier({verb.name, "--help"}).out, "") << verb.name;
    EXPECT_NE(manual.find(std::string("## ") + verb.name), std::string::npos) << verb.name;
  }
}

TEST(Cli, StaticScalesComeFromAFile) {
  const std::string path = TempPath("scales.json");
  WriteAll(path, R"({"version": 1, "sites": {"ffn_norm[0]": {"absmax": 3}}})");
  const Arguments start = {"eval",     kQwen, "-f",       kSource + "/data/gsm8k.txt",
                           "-c",       "32",  "--chunks", "1",
                           "--scales", path};
  Arguments by_file = start, by_number = start;
  by_file.insert(by_file.end(), {"--rule", "ffn_norm[0]=int8,scale=static"});
  by_number.resize(by_number.size() - 2);  // it reads no file of scales
  by_number.insert(by_number.end(), {"--rule", "ffn_norm[0]=int8,scale=absmax:3"});
  const Json a = RunJson(by_file), b = RunJson(by_number);
  EXPECT_EQ(a.at("ppl"), b.at("ppl"));
  EXPECT_GT(a.at("rules").at(0).at("changed"), 0);
  Arguments missing = start;
  missing.insert(missing.end(), {"--rule", "ffn_norm[1]=int8,scale=static"});
  ExpectRefused(missing, "did you mean 'ffn_norm[0]'?");
  ExpectRefused(start, "no rule has scale=static");
  Arguments unread = start, by_base = start;
  unread.insert(unread.end(), {"--rule", "ffn_norm=int8", "--against", kQwen});
  ExpectRefused(unread, "no rule has scale=static");
  const std::string recipe = TempPath("static.recipe");
  WriteAll(recipe, "ffn_norm[0] = int8, scale=static\n");
  by_base.insert(by_base.end(), {"--against", kQwen + "@" + recipe});
  EXPECT_GT(RunJson(by_base).at("kld").at("mean"), 0);
  std::filesystem::remove(recipe);
  std::filesystem::remove(path);
}

TEST(Cli, MistakesAreOneLine) {
  ExpectRefused({"prob"}, "unknown verb 'prob'; did you mean 'probe'?");
  ExpectRefused({"help", "rum"}, "'run'");
  ExpectRefused({"run", kQwen, "-p", "x", "--temprature", "1"}, "did you mean '--temperature'?");
  ExpectRefused({"run", "--jsn"}, "did you mean '--json'?");
  ExpectRefused({"run", kQwen, "-p", "x", "y"}, "unexpected argument 'y'");
  ExpectRefused({"run"}, "MODEL");
  ExpectRefused({"run", kQwen}, "expected one of -p TEXT");
  ExpectRefused({"run", kQwen, "-p", "x", "-n", "-4"}, "-n");
  ExpectRefused({"run", kQwen, "-p", "x", "-n", "many"}, "-n");
  ExpectRefused({"run", kQwen, "-p", "x", "-t", "0"}, "-t");
  ExpectRefused({"run", kQwen, "-p", "x", "--top-k", "4"}, "--temperature");
  ExpectRefused({"run", kQwen, "-p", "x", "--logits"}, "--json");
  ExpectRefused({"run", kQwen, "-p", kText, "-c", "3"}, "more than the context of 3");
  ExpectRefused({"run", kSource + "/models/none", "-p", "x"}, "models/none");
  ExpectRefused({"run", kQwen + "@none.recipe", "-p", "x"}, "none.recipe");
  ExpectRefused({"run", kQwen, "-f", "none.txt"}, "none.txt");
  ExpectRefused({"run", kQwen, "-p", "x", "--rule", "ffn_nrm=bf16"}, "did you mean 'ffn_norm'?");
  ExpectRefused({"run", kQwen, "-p", "x", "--rule", "ffn_norm=bf17"}, "did you mean 'bf16'?");
  ExpectRefused({"run", kQwen, "-p", "x", "--rule", "ffn_norm[9]=bf16"}, "ffn_norm");
  ExpectRefused({"run", kQwen, "-p", "x", "--rule", "ffn_norm=q4_k"}, "whole blocks of 256");
  ExpectRefused({"run", kQwen, "-p", "x", "--rule", "ffn_norm=int8,scale=static"}, "--scales FILE");
  ExpectRefused({"run", kQwen, "-p", "x", "--scales", "none.json"}, "none.json");
  ExpectRefused({"probe", kQwen, "-p", "x", "--site", "ffn_nrm"}, "did you mean 'ffn_norm'?");
  ExpectRefused({"probe", kQwen, "-p", "x", "--site", "ffn_norm[6]"}, "0 to 5");
  ExpectRefused({"probe", kQwen, "-p", "x", "--save", "here"}, ".safetensors");
  ExpectRefused({"inspect", kQwen, "--exact", "bf17"}, "did you mean 'bf16'?");
  ExpectRefused({"inspect", kQwen, "--exact", "int8"}, "scale");
  ExpectRefused({"sites", kSource + "/data/gsm8k.txt"}, "gsm8k.txt");
  ExpectRefused({"tokenize", kQwen}, "-p TEXT");
  ExpectRefused({"compare", kQwen, "-p", "x"}, "expected B, or rules");
  ExpectRefused({"compare", kQwen, "none.safetensors"}, "none.safetensors");
  ExpectRefused({"compare", kQwen, kLlama, "-p", "x"}, "site 'embd'");
  ExpectRefused({"tokenize", kQwen, "-p", "x", "-o", "/none/here"}, "/none/here");
}

TEST(Cli, TokensFile) {
  const std::string path = TempPath("ids.json");
  WriteAll(path, "[0, 627, 284, 112]");
  EXPECT_EQ(RunJson({"run", kQwen, "--tokens", path, "-n", "2"}).at("generated"),
            RunJson({"run", kQwen, "-p", "Hello", "-n", "2"}).at("generated"));
  for (const auto& [text, part] :
       {std::pair{"[0, 1024]", "element 1: expected a token id from 0 to 1023, found 1024"},
        {"[-1]", "element 0"},
        {"[1.5]", "1.5"},
        {"{}", "array"},
        {"[]", "no tokens"},
        {"[0", path.c_str()}}) {
    WriteAll(path, text);
    ExpectRefused({"run", kQwen, "--tokens", path}, part);
  }
}

TEST(Cli, InspectSitesTokenize) {
  const Json inspected = RunJson({"inspect", kLlama, "--exact", "bf16,e4m3"});
  EXPECT_EQ(inspected.at("architecture"), "llama");
  EXPECT_EQ(inspected.at("hyperparameters").at("layers"), 4);
  EXPECT_EQ(inspected.at("hash").get<std::string>().size(), 32u);
  EXPECT_EQ(inspected.at("metadata").at("rms_norm_eps"), 1e-5);
  uint64_t elements = 0;
  for (const Json& tensor : inspected.at("tensors")) {
    uint64_t product = 1;
    for (const Json& size : tensor.at("shape")) product *= size.get<uint64_t>();
    elements += product;
    EXPECT_EQ(tensor.at("exact").at("bf16"), 1.0);
    EXPECT_LT(tensor.at("exact").at("e4m3"), 0.5);
    EXPECT_EQ(tensor.at("rounded").at("bf16").at("max_error"), 0.0);
    EXPECT_GT(tensor.at("rounded").at("e4m3").at("l2_rel"), 0.01);
    EXPECT_LT(tensor.at("rounded").at("e4m3").at("sqnr_db"), 40);
    EXPECT_TRUE(tensor.at("holds_all") == "bf16" || tensor.at("holds_all") == "f16");
    if (tensor.contains("layout")) {
      EXPECT_NE(tensor.at("layout").at("verdict"), "swapped");
    }
  }
  EXPECT_TRUE(inspected.at("layout_error").is_null());
  EXPECT_EQ(inspected.at("parameters"), elements);
  EXPECT_EQ(inspected.at("types").at("BF16").at("elements"), elements);
  EXPECT_FALSE(RunJson({"inspect", kLlama}).at("tensors").at(0).contains("exact"));
  const Outcome text = Vernier({"inspect", kLlama, "--exact", "e4m3,posit16"});
  for (const char* part :
       {"held by", "error if rounded", "posit16 max", "layout: 30 matrices checked"})
    EXPECT_NE(text.out.find(part), std::string::npos) << part;

  const Json sites = RunJson({"sites", kQwen}).at("sites");
  const Json norm = FindSite(sites, "ffn_norm[3]");
  EXPECT_EQ(norm.at("site"), "ffn_norm");
  EXPECT_EQ(norm.at("layer"), 3);
  EXPECT_EQ(norm.at("width"), 224);
  EXPECT_EQ(norm.at("llama_name"), "ffn_norm-3");
  EXPECT_EQ(norm.at("module"), "model.layers.3.post_attention_layernorm");
  EXPECT_EQ(norm.at("weight"), "blk.3.ffn_norm.weight");
  EXPECT_EQ(FindSite(sites, "kq[0]").at("heads"), 7);
  EXPECT_TRUE(FindSite(sites, "embd").at("layer").is_null());

  EXPECT_EQ(RunJson({"tokenize", kQwen, "-p", "Hello"}).at("ids"), Json({0, 627, 284, 112}));
  EXPECT_EQ(RunJson({"tokenize", kQwen, "-p", "Hello", "--no-bos"}).at("ids"),
            Json({627, 284, 112}));
  EXPECT_EQ(RunJson({"tokenize", kQwen, "-p", "<|endoftext|>", "--special", "--no-bos"}).at("ids"),
            Json({0}));
}

TEST(Cli, RunAgreesWithTheReference) {
  for (const std::string name : {"tiny-llama", "tiny-qwen2", "tiny-mamba"}) {
    std::ifstream in(kSource + "/tests/data/reference/" + name + ".json");
    for (const Json& prompt : Json::parse(in)) {
      const Json ran = RunJson(
          {"run", kSource + "/models/" + name, "-p", prompt.at("prompt"), "-n", "24", "--logits"});
      EXPECT_EQ(ran.at("ids"), prompt.at("ids"));
      EXPECT_EQ(ran.at("generated"), prompt.at("greedy"));
      ASSERT_EQ(ran.at("logits").size(), 24u);
      ASSERT_EQ(ran.at("steps").size(), 24u);
      const std::vector<double> right = prompt.at("logits_f64"), got = ran.at("logits").at(0);
      ASSERT_EQ(got.size(), right.size());
      for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], right[i], 2e-5);
      const size_t first = ran.at("generated").at(0);
      EXPECT_EQ(ran.at("steps").at(0).at("logit").get<double>(), got[first]);
      const Outcome text = Vernier(
          {"run", kSource + "/models/" + name, "-p", prompt.at("prompt"), "-n", "24", "--quiet"});
      EXPECT_EQ(text.out, ran.at("text").get<std::string>() + "\n");
      EXPECT_EQ(text.err, "");
    }
  }
}

TEST(Cli, RunSamplesAndReportsRules) {
  const Arguments drawn = {"run", kQwen, "-p", kText, "-n", "12", "--temperature", "1"};
  const auto with_seed = [&](const std::string& seed) {
    Arguments arguments = drawn;
    arguments.insert(arguments.end(), {"--seed", seed});
    return RunJson(arguments).at("generated");
  };
  EXPECT_EQ(with_seed("1"), with_seed("1"));
  EXPECT_NE(with_seed("1"), with_seed("2"));

  const std::string recipe = TempPath("recipe");
  WriteAll(recipe, "# a comment\nffn_norm=f32\n");
  const Json rules =
      RunJson({"run", kQwen + "@" + recipe, "-p", kText, "-n", "2", "--rule", "l_out=e4m3"})
          .at("rules");
  ASSERT_EQ(rules.size(), 2u);
  EXPECT_EQ(rules[0].at("rule"), "ffn_norm=f32");
  EXPECT_EQ(rules[0].at("vacuous"), true);
  EXPECT_EQ(rules[0].at("sites"), 6);
  EXPECT_EQ(rules[0].at("changed"), 0);
  // 15 rows of the prompt and 1 generated; in the last layer only the two that give logits.
  EXPECT_EQ(rules[0].at("elements"), (5 * 16 + 2) * 224);
  EXPECT_EQ(rules[1].at("vacuous"), false);
  EXPECT_GT(rules[1].at("changed"), 0);

  const std::string path = TempPath("text");
  EXPECT_EQ(Vernier({"run", kQwen, "-p", kText, "-n", "4", "-o", path, "--quiet"}).out, "");
  EXPECT_EQ(ReadAll(path), Vernier({"run", kQwen, "-p", kText, "-n", "4", "--quiet"}).out);
}

TEST(Cli, ProbeAndItsCaptureAgree) {
  const std::string path = TempPath("capture.safetensors");
  const Json run = RunJson({"probe", kQwen, "-p", kText, "--save", path});
  const Json again = RunJson({"probe", path});
  EXPECT_EQ(run.at("sites"), again.at("sites"));
  EXPECT_EQ(run.at("ids"), again.at("ids"));
  EXPECT_EQ(run.at("hash"), again.at("hash"));
  EXPECT_EQ(run.at("sites").size(), RunJson({"sites", kQwen}).at("sites").size());
  const Json norm = FindSite(run.at("sites"), "ffn_normed[3]");
  EXPECT_EQ(norm.at("shape"), Json({15, 224}));
  EXPECT_NEAR(norm.at("rms").get<double>(), 1, 1e-4);  // that is what it is for
  const Json softmax = FindSite(run.at("sites"), "kq_soft_max[0]");
  EXPECT_EQ(softmax.at("count"), 7 * 15 * 16 / 2);
  EXPECT_EQ(softmax.at("ragged"), true);
  const Json last = FindSite(run.at("sites"), "l_out[5]"),
             before = FindSite(run.at("sites"), "l_out[4]");
  EXPECT_EQ(last.at("growth").get<double>(),
            last.at("rms").get<double>() / before.at("rms").get<double>());
  EXPECT_EQ(FindSite(run.at("sites"), "result_output").at("shape"), Json({15, 1024}));
  EXPECT_EQ(RunJson({"probe", path, "--site", "l_out[-2:]"}).at("sites").size(), 2u);
  ExpectRefused({"probe", path, "--site", "l_ot"}, "did you mean 'l_out'?");

  const Json compared = RunJson({"compare", kQwen, path});
  EXPECT_EQ(compared.at("identical"), true);
  EXPECT_EQ(compared.at("logits").at("max_abs"), 0.0);
  EXPECT_EQ(RunJson({"compare", path, path}).at("identical"), true);
  const Json changed = RunJson({"compare", path, kQwen, "--rule", "ffn_norm=bf16"});
  EXPECT_EQ(changed.at("identical"), false);
  EXPECT_GT(changed.at("rules").at(0).at("changed"), 0);

  const std::string bytes = ReadAll(path), cut = TempPath("cut.safetensors");
  for (const size_t size :
       {size_t{0}, size_t{4}, size_t{100}, bytes.size() / 2, bytes.size() - 1}) {
    WriteAll(cut, bytes.substr(0, size));
    ExpectRefused({"probe", cut}, cut);
    ExpectRefused({"compare", cut, kQwen}, cut);
  }
}

TEST(Cli, AModelEqualsItself) {
  const std::string copy = TempPath("copy");  // another path: evaluated apart
  std::filesystem::remove(copy);
  std::filesystem::create_directory_symlink(kQwen, copy);
  for (const std::string& b : {kQwen, copy}) {
    const Json json = RunJson(
        {"compare", kQwen, b, "-p", kText, "-n", "8", "--truth", "--tolerance", "0", "--strict"});
    EXPECT_EQ(json.at("identical"), true);
    for (const char* key : {"mae", "max_abs", "kl_mean"}) EXPECT_EQ(json.at("logits").at(key), 0.0);
    EXPECT_EQ(json.at("logits").at("top1_agreement"), 1.0);
    EXPECT_EQ(json.at("logits").at("positions"), 23);
    EXPECT_EQ(json.at("teacher_forced").at("match_rate"), 1.0);
    EXPECT_EQ(json.at("teacher_forced").at("scored"), 8);
    EXPECT_EQ(json.at("free_running").at("match_rate"), 1.0);
    EXPECT_TRUE(json.at("free_running").at("first_difference").is_null());
    EXPECT_EQ(json.at("nearer"), "equal");
    for (const Json& site : json.at("sites")) {
      EXPECT_EQ(site.at("equal_bits"), 1.0) << site.at("label");
      EXPECT_EQ(site.at("max_abs"), 0.0);
      EXPECT_EQ(site.at("cosine"), 1.0);
      EXPECT_TRUE(site.at("sqnr_db").is_null());  // infinite
    }
  }
  std::filesystem::remove(copy);
}

// A GGUF file of llama keeps q and k in another order: element is compared with element.
TEST(Cli, AFolderAndItsGgufAreNear) {
  for (const std::string& model : {kLlama, kQwen, kMamba}) {
    const std::string gguf = TempPath("model.gguf");
    ASSERT_EQ(Vernier({"quantize", model, gguf, "--type", "f32", "--quiet"}).status, 0);
    for (const auto& [a, b] : {std::pair{model, gguf}, {gguf, model}}) {
      const Json json = RunJson({"compare", a, b, "-p", kText, "--tolerance", "1e-4"});
      EXPECT_TRUE(json.at("only_a").empty() && json.at("only_b").empty());
      for (const Json& site : json.at("sites"))
        EXPECT_LT(site.at("l2_rel"), 1e-5) << site.at("label") << " of " << a << " and " << b;
    }
    std::filesystem::remove(gguf);
  }
}

TEST(Cli, StateSpaces) {
  const Json constants = RunJson({"inspect", kMamba}).at("hyperparameters");
  EXPECT_EQ(constants.at("inner"), 512);
  EXPECT_EQ(constants.at("states"), 16);
  const Json sites = RunJson({"sites", kMamba}).at("sites");
  const Json state = FindSite(sites, "ssm_state[3]");
  EXPECT_EQ(state.at("op"), "scan");
  EXPECT_EQ(state.at("width"), 512 * 16);
  EXPECT_TRUE(state.at("heads").is_null() && state.at("llama_name").is_null());
  EXPECT_EQ(FindSite(sites, "ssm_out[3]").at("module"), "backbone.layers.3.mixer.out_proj");
  EXPECT_EQ(FindSite(sites, "ssm_scan[0]").at("weight"), "blk.0.ssm_a");

  const std::string path = TempPath("mamba.safetensors");
  const Json probe = RunJson({"probe", kMamba, "-p", kText, "--save", path});
  EXPECT_EQ(probe.at("sites").size(), sites.size());
  EXPECT_EQ(FindSite(probe.at("sites"), "ssm_state[3]").at("shape"), Json({15, 512 * 16}));
  EXPECT_EQ(FindSite(probe.at("sites"), "ssm_x_c[0]").at("shape"), Json({15, 16}));
  EXPECT_EQ(RunJson({"probe", path}).at("sites"), probe.at("sites"));
  EXPECT_EQ(RunJson({"compare", kMamba, path}).at("identical"), true);
  std::filesystem::remove(path);

  const Json json = RunJson(
      {"compare", kMamba, "-p", kText, "--truth", "--rule", "ssm_state[2]=bf16", "--strict"});
  EXPECT_EQ(json.at("nearer"), "a");
  EXPECT_EQ(json.at("rules").at(0).at("elements"), 15 * 512 * 16);
  EXPECT_EQ(FindSite(json.at("sites"), "ssm_x[2]").at("equal_bits"), 1.0);
  EXPECT_LT(FindSite(json.at("sites"), "ssm_state[2]").at("equal_bits"), 0.1);
  EXPECT_LT(FindSite(json.at("sites"), "ssm_scan[2]").at("equal_bits"), 0.1);
}

TEST(Cli, CompareWithRules) {
  const Arguments rough = {"compare", kQwen,     "-p",     kText,           "-n",
                           "24",      "--truth", "--rule", "l_out[2:]=int4"};
  const Json json = RunJson(rough);
  EXPECT_EQ(json.at("nearer"), "a");
  EXPECT_GT(json.at("truth").at("b").at("l2_rel"), json.at("truth").at("a").at("l2_rel"));
  EXPECT_GT(json.at("logits").at("kl_mean"), 0.0);
  EXPECT_EQ(FindSite(json.at("sites"), "ffn_out[2]").at("equal_bits"), 1.0);
  EXPECT_LT(FindSite(json.at("sites"), "l_out[2]").at("equal_bits"), 0.5);
  EXPECT_EQ(json.at("rules").at(0).at("sites"), 4);
  // What each run says alone is what the comparison says of both.
  const Json a = RunJson({"run", kQwen, "-p", kText, "-n", "24"}),
             b = RunJson({"run", kQwen, "-p", kText, "-n", "24", "--rule", "l_out[2:]=int4"});
  size_t first = 0, same = 0;
  for (size_t i = 24; i-- > 0;)
    if (a.at("generated").at(i) != b.at("generated").at(i)) first = i;
  for (size_t i = 0; i < 24; ++i) same += a.at("generated").at(i) == b.at("generated").at(i);
  ASSERT_LT(same, 24u);
  EXPECT_EQ(json.at("free_running").at("first_difference"), first);
  EXPECT_EQ(json.at("free_running").at("match_rate"), static_cast<double>(same) / 24);
  EXPECT_EQ(json.at("free_running").at("margin"), a.at("steps").at(first).at("margin"));
  EXPECT_LT(json.at("teacher_forced").at("match_rate"), 1.0);

  Arguments tolerant = rough;
  tolerant.insert(tolerant.end(), {"--tolerance", "1e9"});
  EXPECT_EQ(Vernier(tolerant).status, 0);
  tolerant.back() = "1e-6";
  EXPECT_EQ(Vernier(tolerant).status, 1);
}

TEST(Cli, VacuousRules) {
  const Arguments idle = {"compare", kQwen, "-p", kText, "--rule", "*_norm.weight=bf16"};
  const Json json = RunJson(idle);
  EXPECT_EQ(json.at("identical"), true);
  EXPECT_EQ(json.at("rules").at(0).at("vacuous"), true);
  EXPECT_EQ(json.at("rules").at(0).at("changed"), 0);
  EXPECT_GT(json.at("rules").at(0).at("elements"), 0);
  Arguments strict = idle;
  strict.push_back("--strict");
  const Outcome outcome = Vernier(strict);
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.out.find("VACUOUS"), std::string::npos);
}

}  // namespace
}  // namespace vernier
