// Studies and perplexities from end to end.
#include <cmath>

#include "cli/cli_testing.h"

namespace vernier {
namespace {

// A folder for one study: its file, and the folder its results go to.
class StudyVerb : public testing::Test {
 protected:
  StudyVerb() : folder_(TempPath("study")) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  ~StudyVerb() override { std::filesystem::remove_all(folder_); }

  // A study of two chunks a text of tiny-qwen2 with `rest`, its variants and claims.
  Arguments Study(const std::string& rest, const std::string& top = "") {
    WriteAll(folder_ + "/s.toml", "name = \"s\"\nmodel = \"" + kQwen + "\"\ntexts = [\"" + kSource +
                                      "/data/shakespeare.txt\"]\ncontext = 64\nchunks = 2\n" + top +
                                      "\n" + rest);
    return {"study", folder_ + "/s.toml", "-o", folder_ + "/out"};
  }
  static std::string Variant(const std::string& name, const std::string& rule) {
    return "[[variant]]\nname = \"" + name + "\"\nrules = [\"" + rule + "\"]\n";
  }
  Json Results() {
    Json json = Json::parse(ReadAll(folder_ + "/out/results.json"), nullptr, false);
    EXPECT_TRUE(json.is_object());
    return json;
  }
  bool LeftNothing() const { return !std::filesystem::exists(folder_ + "/out"); }
  std::string folder_;
};

TEST_F(StudyVerb, WrongRulesAreOneLineAndLeaveNothing) {
  for (const auto& [rule, part] : {std::pair{"ffn_norm[99]=bf16", "0 to 5"},
                                   {"fn_norm=bf16", "did you mean 'ffn_norm'?"},
                                   {"ffn_norm=bf17", "did you mean 'bf16'?"}}) {
    ExpectRefused(Study(Variant("good", "ffn_norm=bf16") + Variant("bad", rule)), part);
    ExpectRefused(Study(Variant("good", "ffn_norm=bf16") + Variant("bad", rule)), "variant 'bad'");
    EXPECT_TRUE(LeftNothing()) << rule;
  }
}

TEST_F(StudyVerb, WrongFilesAreOneLineAndLeaveNothing) {
  const std::string text = folder_ + "/text.txt", good = Variant("v", "ffn_norm=bf16");
  const auto of_text = [&] {
    Study("");
    WriteAll(folder_ + "/s.toml",
             "name = \"s\"\nmodel = \"" + kQwen + "\"\ntexts = [\"text.txt\"]\n" + good);
    return Arguments{"study", folder_ + "/s.toml", "-o", folder_ + "/out"};
  };
  ExpectRefused(of_text(), "'text.txt' is not there");
  for (const auto& [content, part] :
       {std::pair{std::string(), "the text has 1 tokens"},
        {std::string("too short"), "expected at least twice the context"},
        {std::string(5000, '\xff'), "not UTF-8"}}) {
    WriteAll(text, content);
    ExpectRefused(of_text(), part);
    ExpectRefused(of_text(), "text.txt");
  }
  std::filesystem::remove(text);
  std::filesystem::create_directory(text);
  ExpectRefused(of_text(), "text.txt");
  const std::string prompts = folder_ + "/p.jsonl",
                    generate = "generate = { prompts = \"p.jsonl\", tokens = 2 }";
  for (const std::string& content :
       {std::string(), std::string("{"), std::string("{\"prompt\": 1}"),
        std::string("{\"prompt\": \"\xff\"}")}) {
    WriteAll(prompts, content);
    ExpectRefused(Study(good, generate), "p.jsonl");
  }
  ExpectRefused(Study(good + "[[claim]]\nsays = \"x\"\nexpect = \"kld('w') > 0\"\n"),
                "no variant is named 'w'");
  ExpectRefused(Study(good + "[[claim]]\nsays = \"x\"\nexpect = \"error('v', 'l_out[7]') > 0\"\n"),
                "l_out[7]");
  WriteAll(folder_ + "/s.json", R"({"version": 1, "sites": {}})");
  ExpectRefused(Study(good, "scales = \"s.json\""), "no rule has scale=static");
  EXPECT_TRUE(LeftNothing());
  ExpectRefused({"study", folder_ + "/none.toml"}, "none.toml");
  ExpectRefused({"study", folder_ + "/s.toml", "--strikt"}, "did you mean '--strict'?");
}

TEST_F(StudyVerb, VacuousIsForetold) {
  Arguments arguments =
      Study(Variant("weights", "ffn_norm.weight=bf16") + Variant("v", "ffn_norm=bf16"));
  const Outcome outcome = Vernier(arguments);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const std::string said =
      "variant 'weights' is VACUOUS, foretold: ffn_norm.weight=bf16: all 1 344 elements of 6 "
      "weights "
      "(stored as BF16) are numbers of that format already";
  EXPECT_NE(outcome.err.find(said), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.out.find("VACUOUS (foretold)"), std::string::npos);
  const Json variants = Results().at("variants");
  EXPECT_EQ(variants.at(0).at("vacuous"), true);
  EXPECT_EQ(variants.at(0).at("foretold"), true);
  EXPECT_EQ(variants.at(0).at("same_as"), "baseline");
  EXPECT_EQ(variants.at(0).at("kld").at("max"), 0.0);
  EXPECT_EQ(variants.at(0).at("rules").at(0).at("changed"), 0);
  EXPECT_EQ(variants.at(0).at("rules").at(0).at("vacuous"), true);
  EXPECT_EQ(variants.at(1).at("vacuous"), false);
  EXPECT_EQ(variants.at(1).at("foretold"), false);
  EXPECT_TRUE(variants.at(1).at("same_as").is_null());
  EXPECT_GT(variants.at(1).at("kld").at("mean"), 0.0);
  arguments.push_back("--strict");
  EXPECT_EQ(Vernier(arguments).status, 1);
}

TEST_F(StudyVerb, SeveralModels) {
  Arguments arguments = Study("");
  WriteAll(
      folder_ + "/s.toml",
      "name = \"s\"\nmodels = [\"" + kQwen + "\", { name = \"other\", path = \"" + kQwen +
          "\" }]\ntexts = [\"" + kSource + "/data/shakespeare.txt\"]\ncontext = 64\nchunks = 2\n" +
          Variant("v", "ffn_norm=bf16") + Variant("w", "l_out[0]=bf16") + "models = \"other\"\n" +
          "[[claim]]\nsays = \"one file under two names\"\nrequire = \"identical('tiny-qwen2: "
          "v', 'other: v')\"\n");
  const std::string llama = "other=" + kSource + "/models/tiny-llama";
  EXPECT_EQ(Vernier(arguments).status, 0);
  const Json results = Results();
  ASSERT_EQ(results.at("models").size(), 2u);
  EXPECT_EQ(results.at("models").at(1).at("name"), "other");
  EXPECT_EQ(results.at("models").at(0).at("baseline"), results.at("models").at(1).at("baseline"));
  ASSERT_EQ(results.at("variants").size(), 3u);
  EXPECT_EQ(results.at("variants").at(2).at("name"), "other: w");
  EXPECT_EQ(results.at("variants").at(2).at("model"), "other");
  EXPECT_EQ(results.at("variants").at(0).at("kld"), results.at("variants").at(1).at("kld"));
  EXPECT_EQ(results.at("claims").at(0).at("verdict"), "supported");
  arguments.insert(arguments.end(), {"--model", llama});
  EXPECT_EQ(Vernier(arguments).status, 1);
  EXPECT_EQ(Results().at("models").at(1).at("model").at("path"), llama.substr(6));
}

TEST_F(StudyVerb, StrictWithoutVacuousVariants) {
  Arguments arguments = Study(Variant("v", "ffn_norm=bf16"));
  arguments.push_back("--strict");
  EXPECT_EQ(Vernier(arguments).status, 0);
}

TEST_F(StudyVerb, EqualVariantsAreSaidToBe) {
  EXPECT_EQ(Vernier(Study(Variant("a", "ffn_norm=bf16") + Variant("b", "ffn_norm=f16") +
                          Variant("c", "ffn_norm=e8m7")))
                .status,
            0);
  const Json variants = Results().at("variants");
  EXPECT_TRUE(variants.at(0).at("same_as").is_null());
  EXPECT_TRUE(variants.at(1).at("same_as").is_null());
  EXPECT_EQ(variants.at(2).at("same_as"), "a");
  EXPECT_EQ(variants.at(2).at("vacuous"), false);
  EXPECT_EQ(variants.at(2).at("kld"), variants.at(0).at("kld"));
}

TEST_F(StudyVerb, RequiredClaims) {
  const auto with = [&](const std::string& claim) {
    return Vernier(Study(Variant("v", "ffn_norm=bf16") + "[[claim]]\nsays = \"it is\"\n" + claim))
        .status;
  };
  EXPECT_EQ(with("require = \"identical('v', 'v')\""), 0);
  EXPECT_EQ(with("require = \"identical('v', 'baseline')\""), 1);
  EXPECT_EQ(with("expect = \"identical('v', 'baseline')\""), 0) << "a hypothesis may be wrong";
  EXPECT_EQ(with("require = \"kld('v') > 0\""), 0);
  EXPECT_EQ(with("require = \"kld('v') > 1\""), 1);
  const Json claim = Results().at("claims").at(0);
  EXPECT_EQ(claim.at("says"), "it is");
  EXPECT_EQ(claim.at("require"), "kld('v') > 1");
  EXPECT_EQ(claim.at("verdict"), "refuted");
  EXPECT_NE(claim.at("detail"), "");
}

// Fields of each line; quotes doubled inside quotes.
std::vector<std::vector<std::string>> ParseCsv(const std::string& text) {
  std::vector<std::vector<std::string>> lines(1, {""});
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted && c == '"' && i + 1 < text.size() && text[i + 1] == '"') {
      lines.back().back() += text[++i];
    } else if (c == '"') {
      quoted = !quoted;
    } else if (!quoted && c == ',') {
      lines.back().emplace_back();
    } else if (!quoted && c == '\n') {
      lines.push_back({""});
    } else if (quoted || c != '\r') {
      lines.back().back() += c;
    }
  }
  lines.pop_back();
  return lines;
}

TEST_F(StudyVerb, ResultsHaveTheirKeys) {
  const std::string claims = "[[claim]]\nsays = \"c\"\nexpect = \"kld('v') < 1\"\n";
  Arguments arguments = Study("[[variant]]\nname = 'v, \"q\"'\nrules = [\"ffn_norm=e4m3\"]\n" +
                                  Variant("v", "ffn_norm=bf16") + claims,
                              "truth = true\nnoise = 1\n");
  const Json printed = RunJson(arguments);
  const Json json = Results();
  EXPECT_EQ(printed, json);
  for (const Json& v : json.at("variants")) {
    for (const char* key : {"vacuous", "foretold"}) EXPECT_TRUE(v.at(key).is_boolean());
    EXPECT_TRUE(v.at("name").is_string() && v.contains("same_as") && v.at("rules").is_array());
    for (const char* key : {"mean", "uncertainty"})
      EXPECT_TRUE(v.at("ppl").at(key).is_number()) << key;
    for (const char* key : {"mean", "uncertainty", "max", "p99.9", "p99", "median", "min"})
      EXPECT_TRUE(v.at("kld").at(key).is_number()) << key;
    for (const char* key : {"mean", "rms"}) EXPECT_TRUE(v.at("delta_p").at(key).is_number()) << key;
    EXPECT_TRUE(v.contains("same_top_p") && v.contains("kld_truth"));
    for (const char* key :
         {"value", "uncertainty", "difference", "low", "high", "b", "c", "p_value"})
      for (const Json* of : {&v, &v.at("texts").at(0)})
        EXPECT_TRUE(of->at("accuracy").at(key).is_number()) << key;
    for (const char* key : {"bytes", "weight_bytes", "activation_bytes", "integer_macs",
                            "float_macs", "float_operations", "conversions"})
      EXPECT_TRUE(v.at("cost").at(key).is_number()) << key;
    const Json& site = v.at("sites").at(0);
    EXPECT_EQ(site.at("shape"), (Json{62, 224}));
    EXPECT_EQ(site.at("first").size(), 5u);
    for (const char* key : {"std", "min", "max", "max_error"})
      EXPECT_TRUE(site.at(key).is_number()) << key;
    EXPECT_EQ(v.at("tokens"), 62);
    EXPECT_LE(v.at("kld").at("median"), v.at("kld").at("p99"));
  }
  for (const char* key : {"says", "verdict", "detail"})
    EXPECT_TRUE(json.at("claims").at(0).at(key).is_string());
  EXPECT_GT(json.at("baseline").at("accuracy").at("value"), 0.0);
  ASSERT_EQ(json.at("recommendation").size(), 3u);
  for (const Json& c : json.at("recommendation")) {
    for (const char* key : {"bytes", "p_value"}) EXPECT_TRUE(c.at(key).is_number()) << key;
    for (const char* key : {"kld", "ln_ppl_ratio", "accuracy_difference"})
      EXPECT_TRUE(c.at(key).at("low") <= c.at(key).at("high")) << key;
    EXPECT_TRUE(c.at("standing").is_string() && c.contains("other"));
  }
  for (const char* key : {"tensors_naive", "tensors_evaluated", "seconds"})
    EXPECT_GT(json.at("cost").at(key), 0) << key;

  const auto csv = ParseCsv(ReadAll(folder_ + "/out/results.csv"));
  ASSERT_EQ(csv.size(), 1u + 2 * 2);
  for (const auto& line : csv) ASSERT_EQ(line.size(), csv[0].size());
  EXPECT_EQ(csv[0][0], "variant");
  EXPECT_EQ(csv[1][0], "v, \"q\"");
  EXPECT_EQ(csv[1][1], "");
  EXPECT_EQ(csv[2][1], "shakespeare");
  EXPECT_EQ(csv[0][5], "kld");
  EXPECT_EQ(std::stod(csv[1][5]), json.at("variants").at(0).at("kld").at("mean").get<double>());

  Json again = RunJson(arguments);  // nothing is computed, nothing changes
  EXPECT_EQ(again, json);
}

// The study of quantisation types, on two chunks a text: every table and key it promises.
TEST_F(StudyVerb, QuantisationTypes) {
  std::string study = ReadAll(kSource + "/studies/quantisation-types.toml");
  const auto replace = [&](const std::string& from, const std::string& to) {
    ASSERT_NE(study.find(from), std::string::npos) << from;
    study.replace(study.find(from), from.size(), to);
  };
  replace("chunks = 24", "chunks = 2");
  replace("fit_chunks = 8", "fit_chunks = 1");
  replace("context = 128", "context = 32");
  replace("limit = 16", "limit = 1");
  for (const char* path :
       {"models/tiny-llama", "data/shakespeare.txt", "data/gsm8k.txt", "data/prompts.jsonl"})
    replace(path, kSource + "/" + path);
  WriteAll(folder_ + "/s.toml", study);
  const Outcome outcome = Vernier({"study", folder_ + "/s.toml", "-o", folder_ + "/out"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  for (const char* said :
       {"First token after each prompt", "l_out: rms, and growth from the layer before",
        "ffn_swiglu: mean, and its drift", "l_out: relative l2 error against the truth (float64)",
        "inherited from layers before + contributed by the layer",
        "KL to the baseline of each layer alone", "4 bits are too few for this depth"})
    EXPECT_NE(outcome.out.find(said), std::string::npos) << said;
  EXPECT_EQ(outcome.out.find("alone     "), std::string::npos) << "a layer is no row of variants";
  const Json json = Results();
  ASSERT_EQ(json.at("variants").size(), 11u + 6 * 4);
  EXPECT_EQ(json.at("first_prompts").size(), 2u);
  const Json& q4 = json.at("variants").at(4);
  EXPECT_EQ(q4.at("name"), "Q4_0");
  EXPECT_EQ(q4.at("first_token").size(), 2u);
  for (const char* key : {"token", "text", "logit", "margin", "rank", "kld"})
    EXPECT_TRUE(q4.at("first_token").at(1).contains(key)) << key;
  size_t layers = 0;
  for (const Json& site : q4.at("sites")) {
    for (const char* key : {"l2_rel", "rms", "mean", "drift", "truth_l2_rel"})
      EXPECT_TRUE(site.at(key).is_number()) << key;
    if (site.at("site") == "embd") continue;
    EXPECT_GT(site.at("contributed"), 0.0);
    // Vectors: no longer than the sum of the parts, no shorter than their difference.
    const double whole = site.at("l2_rel"), own = site.at("contributed"),
                 before = site.at("inherited");
    EXPECT_LE(whole, 1.0000001 * (own + before));
    EXPECT_GE(whole, 0.9999999 * std::abs(own - before));
    ++layers;
  }
  EXPECT_EQ(layers, 2u * 4);
  const Json& alone = json.at("variants").at(11);
  EXPECT_EQ(alone.at("name"), "Q8_0, layer 0 alone");
  EXPECT_EQ(alone.at("alone").at("of"), "Q8_0");
  EXPECT_EQ(alone.at("alone").at("layer"), 0);
  EXPECT_FALSE(alone.contains("first_token"));
  // The corrections' constants are rules that anyone can use.
  EXPECT_EQ(json.at("variants").at(8).at("rules").size(), 5u);
  for (const Json& claim : json.at("claims")) EXPECT_NE(claim.at("detail"), "");
}

// The study of posit32, on two chunks a text of the least length.
TEST_F(StudyVerb, Posit32) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "a dozen arithmetics of three models, and nothing new is read";
#endif
  std::string study = ReadAll(kSource + "/studies/posit32-qwen-and-llama.toml");
  const auto replace = [&](const std::string& from, const std::string& to) {
    ASSERT_NE(study.find(from), std::string::npos) << from;
    study.replace(study.find(from), from.size(), to);
  };
  replace("context = 64", "context = 8");
  replace("chunks = 8", "chunks = 2");
  replace("tokens = 24, limit = 8", "tokens = 2, limit = 1");
  for (const char* path : {"models/tiny-qwen2", "models/tiny-llama", "data/shakespeare.txt",
                           "data/gsm8k.txt", "data/prompts.jsonl"})
    replace("\"" + std::string(path), "\"" + kSource + "/" + path);
  WriteAll(folder_ + "/s.toml", study);
  const Outcome outcome = Vernier({"study", folder_ + "/s.toml", "-o", folder_ + "/out"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const Json json = Results();
  const auto variant = [&](const std::string& name) -> const Json& {
    for (const Json& v : json.at("variants"))
      if (v.at("name") == name) return v;
    ADD_FAILURE() << name;
    return json;
  };
  EXPECT_EQ(json.at("models").at(2).at("model").at("rules"), Json::array({"*norm.eps=1e-5"}));
  const auto far = [&](const std::string& name) {
    return variant(name).at("mae_truth").at("value").get<double>();
  };
  for (const std::string model : {"qwen", "llama"}) {
    EXPECT_LT(far(model + ": posit64"), 1e-12);
    EXPECT_LT(far(model + ": posit32"), 1e-5);
    EXPECT_GT(far(model + ": posit32"), 1e-10);
    EXPECT_GT(far(model + ": BF16"), far(model + ": FP16"));
    EXPECT_TRUE(variant(model + ": weights in posit32").at("vacuous").get<bool>() ||
                far(model + ": weights in posit32") == 0);
    EXPECT_FALSE(variant(model + ": keys of a KV head").at("vacuous").get<bool>());
    for (const char* name : {"posit32 fused", "posit32 quire", "activations in posit32",
                             "accumulators in posit32", "posit32, norms in FP32"})
      EXPECT_LT(far(model + ": " + name), 1e-5) << name;
  }
  size_t decided = 0;
  for (const Json& claim : json.at("claims")) {
    EXPECT_NE(claim.at("detail"), "");
    decided += claim.at("verdict") != "undecided";
  }
  EXPECT_GT(decided, 10u);  // two chunks a text leave wide intervals
}

// A study of tiny-mamba with recipes of INT8 modes, as small as can be.
class Int8Modes : public StudyVerb {
 protected:
  Arguments Modes(const std::string& rest) {
    WriteAll(folder_ + "/s.toml",
             "name = \"m\"\nmodel = \"" + kSource + "/models/tiny-mamba\"\ntexts = [\"" + kSource +
                 "/data/gsm8k.txt\"]\ncontext = 32\nchunks = 2\ncalibrate_chunks = 3\n" + rest);
    return {"study", folder_ + "/s.toml", "-o", folder_ + "/out"};
  }
  static std::string Mode(const std::string& name, const std::string& more = "") {
    return "[[variant]]\nname = \"" + name + "\"\nrecipe = \"" + kSource + "/recipes/quamba/" +
           name + ".recipe\"\n" + more;
  }
  static inline const std::string kPromise =
      "[[claim]]\nsays = \"2-0 equals 0\"\nrequire = \"identical('2-0', '0')\"\n";
};

// The promise that two modes are the same holds; broken on purpose it is a failure, loudly.
TEST_F(Int8Modes, ABrokenPromiseIsExitStatusOne) {
  Outcome outcome = Vernier(Modes(Mode("0") + Mode("2-0") + kPromise));
  EXPECT_EQ(outcome.status, 0) << outcome.err << outcome.out;
  EXPECT_EQ(Results().at("variants").at(1).at("same_as"), "0");
  EXPECT_EQ(Results().at("claims").at(0).at("verdict"), "supported");
  outcome = Vernier(
      Modes(Mode("0") + Mode("2-0", "rules = [\"ssm_conv_x[1]=int8,scale=0.02\"]\n") + kPromise));
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.out.find("refuted    2-0 equals 0 (required)"), std::string::npos)
      << outcome.out;
  EXPECT_EQ(Results().at("claims").at(0).at("verdict"), "refuted");
  EXPECT_TRUE(Results().at("variants").at(1).at("same_as").is_null());
}

TEST_F(Int8Modes, BesideAndLastWordsAndTimings) {
  WriteAll(folder_ + "/w.jsonl",
           "{\"text\": \"The answer is the\"}\n{\"text\": \"She eats three eggs\"}\n");
  const Outcome outcome = Vernier(
      Modes("last_words = { passages = \"w.jsonl\" }\ntimings = 2\nobserve = [\"ssm_y\"]\n" +
            Mode("0") + Mode("2-0", "beside = \"0\"\n") + Mode("5-1", "beside = \"0\"\n")));
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  for (const char* said : {"last words of 2 passages", "Recommendation",
                           "ssm_y[0]: 30 tokens of 512", "seconds / baseline's", "same as '0'"})
    EXPECT_NE(outcome.out.find(said), std::string::npos) << said << outcome.out;
  const Json json = Results();
  EXPECT_EQ(json.at("baseline").at("last_word").at("passages"), 2);
  for (const Json& v : json.at("variants")) {
    for (const char* key : {"value", "ppl", "difference", "low", "high", "b", "c", "p_value"})
      EXPECT_TRUE(v.at("last_word").at(key).is_number()) << key;
    EXPECT_EQ(v.at("seconds_alone").at("variant").size(), 2u);
    EXPECT_GT(v.at("cost").at("seconds"), 0.0);
    EXPECT_GT(v.at("cost").at("integer_macs"), 0.0);
    EXPECT_NE(v.at("recipe").get<std::string>().find("recipes/quamba/"), std::string::npos);
  }
  EXPECT_EQ(json.at("variants").at(2).at("beside"), "0");
  for (const Json& site : json.at("variants").at(1).at("sites"))
    EXPECT_EQ(site.at("beside").at("max_abs"), 0.0);
  EXPECT_GT(json.at("variants").at(2).at("sites").at(0).at("beside").at("max_abs"), 0.0);
}

TEST_F(Int8Modes, Mistakes) {
  WriteAll(folder_ + "/r.recipe", "# one\nssm_conv_silu=int8\nssm_conv_y=int8\n");
  const std::string bad = "[[variant]]\nname = \"bad\"\nrecipe = \"r.recipe\"\n";
  ExpectRefused(Modes(Mode("0") + bad), "r.recipe:3: rule 'ssm_conv_y=int8': no site is named");
  // Of a model without a state space: which rule of which recipe does not fit.
  Arguments arguments = Modes(Mode("0"));
  arguments.insert(arguments.end(), {"--model", kQwen});
  ExpectRefused(arguments, "variant '0'");
  ExpectRefused(arguments, "no site is named 'ssm_");
  ExpectRefused(arguments, ".recipe:");
  ExpectRefused(Modes("[[variant]]\nname = \"v\"\nrules = [\"l_out=bf16\"]\n"),
                "'calibrate_chunks': no rule has scale=static");
  EXPECT_TRUE(LeftNothing());
}

// The study of the modes, on two chunks a text: its promises hold, its claims are judged.
TEST_F(Int8Modes, TheStudy) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "two dozen lanes, and nothing new is read";
#endif
  std::string study = ReadAll(kSource + "/studies/mamba-int8-modes.toml");
  const auto replace = [&](const std::string& from, const std::string& to) {
    size_t at = study.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    for (; at != std::string::npos; at = study.find(from, at + to.size()))
      study.replace(at, from.size(), to);
  };
  replace("chunks = 24 ", "chunks = 2 ");
  replace("calibrate_chunks = 16 ", "calibrate_chunks = 4 ");
  replace("context = 128", "context = 32");
  replace("limit = 40", "limit = 1");
  replace("timings = 3", "timings = 1");
  for (const char* path : {"models/tiny-mamba", "data/", "recipes/quamba/"})
    replace("\"" + std::string(path), "\"" + kSource + "/" + path);
  WriteAll(folder_ + "/s.toml", study);
  const Outcome outcome = Vernier({"study", folder_ + "/s.toml", "-o", folder_ + "/out"});
  const Json json = Results();
  for (const Json& claim : json.at("claims")) {
    EXPECT_NE(claim.at("detail"), "");
    // Two chunks leave wide intervals; what is exact is judged on any number of them.
    const std::string promise = claim.value("require", "");
    if (promise.starts_with("identical")) {
      EXPECT_EQ(claim.at("verdict"), "supported") << promise << claim.at("detail");
    }
  }
  EXPECT_LE(outcome.status, 1) << outcome.err;
  EXPECT_EQ(json.at("variants").size(), 23u);
  for (const Json& v : json.at("variants")) {
    EXPECT_GT(v.at("kld").at("mean"), 0.0) << v.at("name");
    EXPECT_EQ(v.at("sites").size(), 7u * 6) << v.at("name");
  }
}

// eval says of one recipe what a study says of its variant.
TEST_F(StudyVerb, EvalAgreesWithTheStudy) {
  EXPECT_EQ(Vernier(Study(Variant("v", "ffn_norm=e4m3"))).status, 0);
  const Json variant = Results().at("variants").at(0);
  const Json eval = RunJson({"eval", kQwen, "-f", kSource + "/data/shakespeare.txt", "-c", "64",
                             "--chunks", "2", "--rule", "ffn_norm=e4m3", "--against", kQwen});
  for (const char* key : {"ppl", "kld", "delta_p", "same_top_p", "ln_ppl_ratio", "logits"})
    EXPECT_EQ(eval.at(key), variant.at(key)) << key;
}

TEST(Eval, PerplexityOfLlamaCpp) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "six whole texts take minutes under the sanitizers, and read nothing new";
#endif
  for (const std::string model : {"tiny-llama", "tiny-qwen2", "tiny-mamba"}) {
    for (const Json& golden :
         Json::parse(ReadAll(kSource + "/tests/data/golden/" + model + "-perplexity.json"))) {
      const std::string text =
          std::filesystem::path(golden.at("text").get<std::string>()).filename();
      SCOPED_TRACE(model + " " + text);
      const Json ours =
          RunJson({"eval", kSource + "/models/" + model, "-f", kSource + "/data/" + text, "-c",
                   std::to_string(golden.at("context").get<int>())});
      const double ppl = golden.at("base").at("ppl"),
                   uncertainty = golden.at("base").at("uncertainty");
      EXPECT_NEAR(ours.at("ppl").at("mean").get<double>(), ppl, 1e-4 * ppl);
      EXPECT_NEAR(ours.at("ppl").at("uncertainty").get<double>(), uncertainty, 1e-4 * uncertainty);
      if (std::getenv("VERNIER_TEST_ALL") == nullptr) break;  // one text a model
    }
  }
}

TEST(Eval, AgainstItselfAndItsGguf) {
  for (const std::string& model : {kQwen, kLlama, kMamba}) {
    const Arguments arguments = {
        "eval", model, "-f", kSource + "/data/gsm8k.txt", "-c", "64", "--chunks", "3", "--against"};
    Arguments itself = arguments;
    itself.push_back(model);
    const Json same = RunJson(itself);
    EXPECT_EQ(same.at("kld").at("mean"), 0.0);
    EXPECT_EQ(same.at("kld").at("max"), 0.0);
    EXPECT_EQ(same.at("same_top_p"), 1.0);
    EXPECT_EQ(same.at("ppl"), same.at("ppl_base"));
    EXPECT_EQ(same.at("delta_p").at("rms"), 0.0);

    const std::string gguf = TempPath("eval.gguf");
    ASSERT_EQ(Vernier({"quantize", model, gguf, "--type", "f32", "--quiet"}).status, 0);
    Arguments converted = arguments;
    converted.push_back(gguf);
    EXPECT_LT(std::abs(RunJson(converted).at("kld").at("mean").get<double>()), 1e-9);
    std::filesystem::remove(gguf);
  }
}

TEST(Eval, Mistakes) {
  const std::string text = TempPath("short.txt");
  WriteAll(text, "short");
  ExpectRefused({"eval", kQwen, "-f", text}, "short.txt: the text has");
  ExpectRefused({"eval", kQwen, "-p", "x", "-c", "16"}, "the text of -p");
  ExpectRefused({"eval", kQwen, "-f", kSource + "/data/gsm8k.txt", "-c", "4"}, "context 4");
  ExpectRefused({"eval", kQwen}, "-f FILE");
  ExpectRefused({"eval", kQwen, "-f", kSource + "/data/gsm8k.txt", "--against", "none"}, "none");
}

}  // namespace
}  // namespace vernier
