// vernier calibrate, from the command line: its file is what scale=static reads.
#include <csignal>

#include "cli/cli_testing.h"

namespace vernier {
namespace {

const std::string kShakespeare = kSource + "/data/shakespeare.txt",
                  kGsm8k = kSource + "/data/gsm8k.txt";

class CalibrateCli : public ::testing::Test {
 protected:
  CalibrateCli() : scales_(TempPath("scales.json")) {}
  ~CalibrateCli() override { std::filesystem::remove(scales_); }
  Json Calibrate(const std::string& model, Arguments more) const {
    more.insert(more.begin(), {"calibrate", model, "-o", scales_, "--quiet"});
    return RunJson(more);
  }
  Json File() const { return Json::parse(ReadAll(scales_), nullptr, false); }
  Json Eval(const std::string& model, const Arguments& rules) const {
    Arguments arguments = {"eval",     model, "-f",        kGsm8k, "-c",     "64",
                           "--chunks", "2",   "--against", model,  "--quiet"};
    arguments.insert(arguments.end(), rules.begin(), rules.end());
    return RunJson(arguments);
  }
  // Static scales give what the numbers of the file give as constants.
  void CheckRoundTrip(const std::string& model, const std::string& site, const std::string& form) {
    const Json sites = File().at("sites");
    const std::string options = form == "absmax" ? "" : ",percentile=" + form;
    Arguments by_hand;
    const std::string part = site.ends_with(".in") ? ".in" : "";
    const std::string name = site.substr(0, site.size() - part.size());
    for (int layer = 0; sites.contains(fmt::format("{}[{}]{}", name, layer, part)); ++layer) {
      const std::string label = fmt::format("{}[{}]{}", name, layer, part);
      const Json& entry = sites.at(label);
      const double a = form == "absmax"           ? entry.at("absmax").get<double>()
                       : form.starts_with("ema:") ? entry.at("ema").at(form.substr(4)).get<double>()
                                                  : entry.at("percentiles").at(form).get<double>();
      by_hand.insert(by_hand.end(), {"--rule", fmt::format("{}=int8,scale=absmax:{}", label, a)});
    }
    ASSERT_GE(by_hand.size(), 4u) << site;
    const Json from_file =
        Eval(model, {"--rule", site + "=int8,scale=static" + options, "--scales", scales_});
    const Json constants = Eval(model, by_hand);
    EXPECT_GT(from_file.at("kld").at("mean"), 0.0) << site;
    for (const char* key : {"ppl", "kld", "delta_p", "logits"})
      EXPECT_EQ(from_file.at(key), constants.at(key)) << site << " " << form << " " << key;
  }
  std::string scales_;
};

TEST_F(CalibrateCli, StaticScalesReadIt) {
  Calibrate(kLlama, {"-f", kShakespeare, "-c", "48", "--chunks", "4", "--percentile", "99,99.9"});
  for (const char* site : {"ffn_out.in", "attn_norm", "kqv_out.in"})
    for (const char* form : {"absmax", "99", "ema:99.9"}) CheckRoundTrip(kLlama, site, form);
  Calibrate(kMamba, {"-f", kShakespeare, "-c", "48", "--chunks", "3", "--percentile", "99.95"});
  for (const char* site : {"ssm_out.in", "ssm_conv_silu", "ssm_scan.in"})
    for (const char* form : {"absmax", "ema:99.95"}) CheckRoundTrip(kMamba, site, form);
}

TEST_F(CalibrateCli, RangesAndSharedScales) {
  Calibrate(kLlama, {"-f", kShakespeare, "-c", "48", "--chunks", "2", "--site", "ffn_swiglu",
                     "--site", "ffn_out[1].in", "--site", "kq_soft_max"});
  const Json sites = File().at("sites");
  EXPECT_TRUE(sites.contains("ffn_out[1].in"));
  EXPECT_FALSE(sites.contains("ffn_out[0].in"));
  EXPECT_FALSE(sites.contains("ffn_swiglu[0].in"));
  EXPECT_GT(sites.at("kq_soft_max[0]").at("min"), 0.0);  // the range is widened to 0
  const Json shared =
      Eval(kLlama, {"--rule", "ffn_out.in=int8,scale=static:ffn_swiglu,symmetric=false", "--rule",
                    "kq_soft_max=int8,scale=static,symmetric=false", "--scales", scales_});
  EXPECT_EQ(shared.at("rules").size(), 2u);
  for (const Json& rule : shared.at("rules")) EXPECT_FALSE(rule.at("vacuous"));
}

TEST_F(CalibrateCli, TheFileSaysWhatMadeIt) {
  WriteAll(TempPath("ids.json"), "[5, 6, 7, 8, 9, 10, 11]");
  const Json json =
      Calibrate(kLlama, {"-f", kShakespeare, "-f", kGsm8k, "--tokens", TempPath("ids.json"), "-p",
                         "First Citizen", "-c", "32", "--chunks", "2", "--rule", "ffn_norm=bf16",
                         "--ema", "0.25", "--site", "ffn_norm"});
  std::filesystem::remove(TempPath("ids.json"));
  const Json file = File();
  EXPECT_EQ(file.at("version"), 1);
  EXPECT_TRUE(file.at("made_by").get<std::string>().starts_with("vernier "));
  EXPECT_EQ(file.at("model"), kLlama);
  EXPECT_EQ(file.at("hash"), RunJson({"probe", kLlama, "-p", "a"}).at("hash"));
  EXPECT_EQ(file.at("recipe"), Json::array({"ffn_norm=bf16"}));
  EXPECT_EQ(file.at("factor"), 0.25);
  ASSERT_EQ(file.at("texts").size(), 4u);
  EXPECT_TRUE(file.at("texts")[0].at("file").is_null());
  EXPECT_EQ(file.at("texts")[1].at("file"), kShakespeare);
  EXPECT_EQ(file.at("texts")[1].at("chunks"), 2);
  EXPECT_EQ(file.at("texts")[3].at("tokens"), 7);
  EXPECT_EQ(file.at("chunks"), 6);
  EXPECT_EQ(file.at("tokens"), json.at("tokens"));
  EXPECT_EQ(json.at("sites").size(), file.at("sites").size());
  EXPECT_GT(json.at("rules")[0].at("changed"), 0);
  const Json& site = json.at("sites")[0];
  const Json& entry = file.at("sites").at("ffn_norm[0]");
  EXPECT_EQ(site.at("label"), "ffn_norm[0]");
  for (const char* key :
       {"absmax", "mean", "rms", "percentiles", "ema", "exponents", "approximate"})
    EXPECT_EQ(site.at(key), entry.at(key)) << key;
  uint64_t counted = entry.at("zeros").get<uint64_t>();
  for (const auto& [exponent, count] : entry.at("exponents").items())
    counted += count.get<uint64_t>();
  EXPECT_EQ(counted, entry.at("count").get<uint64_t>());
  EXPECT_EQ(entry.at("count"), file.at("tokens").get<int>() * 256);
}

// One chunk: the numbers `probe` has, and both forms of a percentile the same.
TEST_F(CalibrateCli, OneChunkIsWhatProbeSees) {
  const Json calibrated = Calibrate(kMamba, {"-p", kText, "--percentile", "100"});
  const Json probed = RunJson({"probe", kMamba, "-p", kText});
  std::map<std::string, Json> by_label;
  for (const Json& site : calibrated.at("sites")) by_label[site.at("label")] = site;
  ASSERT_GT(probed.at("sites").size(), 50u);
  for (const Json& site : probed.at("sites")) {
    const Json& is = by_label.at(site.at("label"));
    for (const char* key : {"count", "min", "max", "absmax", "mean", "rms", "zeros", "exponents"})
      EXPECT_EQ(is.at(key), site.at(key)) << site.at("label") << " " << key;
    EXPECT_EQ(is.at("percentiles").at("100"), site.at("absmax"));
    EXPECT_EQ(is.at("ema").at("100"), site.at("absmax"));
  }
}

TEST_F(CalibrateCli, ScalesOfAnotherModelAreRemarkedOn) {
  Calibrate(kLlama, {"-f", kShakespeare, "-c", "32", "--chunks", "1", "--site", "ffn_norm"});
  const Arguments arguments = {"-p",          kText,    "--site",
                               "ffn_norm[0]", "--rule", "ffn_norm[0]=int8,scale=static",
                               "--scales",    scales_};
  for (const std::string& model : {kQwen, kLlama}) {
    Arguments all = {"probe", model};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const Outcome run = Vernier(all);
    EXPECT_EQ(run.status, 0) << run.err;
    EXPECT_EQ(run.err.find("of another model") != std::string::npos, model == kQwen) << run.err;
  }
}

TEST_F(CalibrateCli, TextAndTable) {
  const Outcome run = Vernier({"calibrate", kLlama, "-o", scales_, "-f", kShakespeare, "-c", "32",
                               "--chunks", "2", "--site", "l_out"});
  ASSERT_EQ(run.status, 0) << run.err;
  EXPECT_EQ(run.err, "");
  EXPECT_NE(run.out.find("ema 99.99 %"), std::string::npos) << run.out;
  EXPECT_NE(run.out.find("l_out[3]"), std::string::npos);
  EXPECT_NE(run.out.find("tokens 64, chunks 2, texts 1"), std::string::npos) << run.out;
}

TEST_F(CalibrateCli, TheSameFileWithAnyThreads) {
  std::string first;
  for (const char* threads : {"1", "3"}) {
    Calibrate(kLlama, {"-f", kShakespeare, "-c", "40", "--chunks", "15", "-t", threads});
    if (first.empty()) first = ReadAll(scales_);
    EXPECT_EQ(ReadAll(scales_), first);
  }
}

TEST_F(CalibrateCli, BadInput) {
  const auto refuse = [&](Arguments more, const std::string& part) {
    more.insert(more.begin(), {"calibrate", kLlama, "-o", scales_});
    ExpectRefused(more, part);
    EXPECT_FALSE(std::filesystem::exists(scales_));
  };
  ExpectRefused({"calibrate", kLlama, "-p", "a"}, "-o is required");
  refuse({}, "expected -p TEXT, -f FILE or --tokens FILE");
  refuse({"-f", "/nowhere.txt"}, "/nowhere.txt");
  refuse({"-p", "", "--no-bos"}, "no tokens");
  refuse({"-p", "a", "--site", "ffn_nrom"}, "did you mean 'ffn_norm'?");
  refuse({"-p", "a", "--site", "embd.in"}, "has no such part");
  refuse({"-p", "a", "--site", "ffn_norm[9].in"}, "layers of 'ffn_norm' are 0 to 3");
  refuse({"-p", "a", "--percentile", "0"}, "--percentile: '0': expected a number above 0");
  refuse({"-p", "a", "--percentile", "99,99.0"}, "--percentile: 99 is given twice");
  refuse({"-p", "a", "--percentile", "99,"}, "--percentile: ''");
  refuse({"-p", "a", "--ema", "0"}, "--ema 0: expected a number above 0");
  refuse({"-p", "a", "--ema", "2"}, "--ema");
  refuse({"-p", "a", "--rule", "ffn_norm=int8,scale=static"}, "no scales are given");
  ExpectRefused({"calibrate", kLlama, "-o", "/nowhere/scales.json", "-p", "a"}, "/nowhere");
  ExpectRefused({"calibrate", "/nowhere.gguf", "-o", scales_, "-p", "a"}, "/nowhere.gguf");
}

// A run that is interrupted leaves what was there; so does one that fails.
TEST_F(CalibrateCli, InterruptedLeavesTheFileAsItWas) {
  WriteAll(scales_, "before");
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    execl(VERNIER_BINARY, VERNIER_BINARY, "calibrate", kLlama.c_str(), "-o", scales_.c_str(), "-f",
          kShakespeare.c_str(), "-c", "512", "--quiet", nullptr);
    _exit(127);
  }
  usleep(300000);
  kill(child, SIGINT);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  // Before the guard stands the signal itself ends it.
  EXPECT_TRUE((WIFEXITED(status) && WEXITSTATUS(status) == 130) ||
              (WIFSIGNALED(status) && WTERMSIG(status) == SIGINT))
      << status;
  EXPECT_EQ(ReadAll(scales_), "before");
  const std::filesystem::path folder = std::filesystem::path(scales_).parent_path();
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    EXPECT_FALSE(entry.path() != scales_ && entry.path().string().starts_with(scales_))
        << entry.path();
}

}  // namespace
}  // namespace vernier
