#include "study/spec.h"

#include "study/study_testing.h"

namespace vernier {
namespace {

// Every key there is.
constexpr const char* kWhole = R"toml(name = "whole"
model = "model"
texts = [ "a.txt", { name = "bee", path = "b.txt" }, { path = "c.d.txt" } ]
context = 64
chunks = 3
seed = 9
noise = 2
truth = true
baseline = ["l_out=f32"]
generate = { prompts = "p.jsonl", tokens = 5, limit = 2 }
first_token = { prompts = "p.jsonl", limit = 3 }
last_words = { passages = "p.jsonl", limit = 7 }
timings = 4
observe = ["l_out", "embd"]
fit_chunks = 2
[[variant]]
name = "v"
rules = ["ffn_norm=bf16", "embd=f16"]
by_layer = true
[[variant]]
name = "w"
rules = ["ffn_norm=bf16"]
correct = { site = "l_out", by = "both" }
[[sweep]]
name = "{site}[{layer}] {format}"
site = ["ffn_norm", "attn_norm"]
layer = "each"
format = ["bf16", "f16"]
[[claim]]
says = "s"
expect = "kld('v') > 0"
[[claim]]
says = "t"
require = "identical('v', 'baseline')"
)toml";

class SpecTest : public testing::Test {
 protected:
  SpecTest() {
    for (const char* name : {"model", "a.txt", "b.txt", "c.d.txt", "p.jsonl", "s.json"})
      folder_.Write(name, "x");
  }
  Result<StudySpec> Read(const std::string& text, const std::vector<std::string>& models = {}) {
    return ReadStudy(folder_.Write("study.toml", text), models);
  }
  // The smallest study with `text` in front of its variant.
  Result<StudySpec> With(const std::string& text) {
    return Read("name = \"n\"\nmodel = \"model\"\ntexts = [\"a.txt\"]\n" + text +
                "\n[[variant]]\nname = \"v\"\nrules = [\"ffn_norm=bf16\"]\n");
  }
  Result<StudySpec> After(const std::string& text) { return With("\n" + text); }
  ScratchFolder folder_;
};

std::string Replace(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

// Two models, a variant for each alone and one for both.
constexpr const char* kTwoModels = R"toml(name = "two"
models = ["model", { name = "y", path = "a.txt" }]
texts = ["b.txt"]
[[variant]]
name = "both"
rules = ["ffn_norm=bf16"]
[[variant]]
name = "first"
rules = ["ffn_norm=f16"]
models = ["model"]
[[sweep]]
name = "{format}"
site = "l_out"
format = ["bf16", "f16"]
models = "y"
)toml";

TEST_F(SpecTest, SeveralModels) {
  const auto spec = Read(kTwoModels);
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->model, "");
  std::vector<StudySpec> parts = SplitByModel(*spec);
  ASSERT_EQ(parts.size(), 2u);
  const auto names = [](StudySpec& part) {
    EXPECT_TRUE(ExpandSweeps(&part, 2));
    std::vector<std::string> all;
    for (const StudyVariant& v : part.variants) all.push_back(v.name);
    return all;
  };
  EXPECT_EQ(names(parts[0]), (std::vector<std::string>{"model: both", "model: first"}));
  EXPECT_EQ(names(parts[1]), (std::vector<std::string>{"y: both", "y: bf16", "y: f16"}));
  EXPECT_TRUE(std::filesystem::equivalent(parts[0].model, folder_ / "model"));
  EXPECT_TRUE(std::filesystem::equivalent(parts[1].model, folder_ / "a.txt"));
  EXPECT_EQ(SplitByModel(*Read(kWhole)).size(), 1u);
}

TEST_F(SpecTest, ModelsWithOtherConstants) {
  const std::string derived =
      Replace(kTwoModels, "path = \"a.txt\" }",
              "path = \"a.txt\" }, { name = \"short\", of = \"y\", rules = [\"model.layers=2\"] }");
  const auto spec = Read(derived, {"y=other"});
  ASSERT_TRUE(spec) << spec.error().message;
  const std::vector<StudySpec> parts = SplitByModel(*spec);
  ASSERT_EQ(parts.size(), 3u);
  EXPECT_EQ(parts[2].model, "other");
  EXPECT_EQ(parts[2].model_rules, std::vector<std::string>{"model.layers=2"});
  EXPECT_TRUE(parts[1].model_rules.empty());
  EXPECT_EQ(parts[2].prefix, "short: ");
  ExpectError(Read(derived, {"short=other"}), "'short' is 'y' with other constants");
  ExpectError(Read(Replace(derived, "of = \"y\"", "of = \"z\"")), "is named 'z'");
  ExpectError(Read(Replace(derived, "[\"model.layers=2\"]", "[]")), "'rules': expected");
  ExpectError(Read(Replace(derived, "of = \"y\",", "of = \"y\", path = \"x\",")), "path");
}

TEST_F(SpecTest, SeveralModelsOverridden) {
  const auto spec = Read(kTwoModels, {"y=other@recipe"});
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->models[1].path, "other@recipe");
  EXPECT_TRUE(std::filesystem::equivalent(spec->models[0].path, folder_ / "model"));
  ExpectError(Read(kTwoModels, {"other"}), "expected NAME=MODEL, NAME one of model, y");
  ExpectError(Read(kTwoModels, {"z=other"}), "is named 'z'");
  ExpectError(Read(kWhole, {"a", "b"}), "a study of one model; found 2");
}

TEST_F(SpecTest, SeveralModelsWrong) {
  ExpectError(Read(Replace(kTwoModels, "models = \"y\"", "models = \"yy\"")), "is named 'yy'");
  ExpectError(Read(Replace(kTwoModels, "name = \"y\"", "name = \"model\"")),
              "two models are named");
  ExpectError(Read(Replace(kTwoModels, "a.txt", "none")), "'none' is not there");
  ExpectError(Read(Replace(kTwoModels, "models = [\"model\", { name = \"y\", path = \"a.txt\" }]",
                           "models = []")),
              "'models': expected a list");
  ExpectError(Read(Replace(kTwoModels, "texts", "model = \"model\"\ntexts")), "not both");
}

TEST_F(SpecTest, Scales) {
  const auto spec = With("scales = \"s.json\"");
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_TRUE(spec->scales.ends_with("s.json"));
  ExpectError(With("scales = \"none.json\""), "'none.json' is not there");
  ExpectError(With("scales = 3"), "'scales': expected a string");
}

TEST_F(SpecTest, EveryKey) {
  const auto spec = Read(kWhole);
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->name, "whole");
  EXPECT_TRUE(std::filesystem::equivalent(spec->model, folder_ / "model"));
  ASSERT_EQ(spec->texts.size(), 3u);
  EXPECT_EQ(spec->texts[0].name, "a");
  EXPECT_EQ(spec->texts[1].name, "bee");
  EXPECT_EQ(spec->texts[2].name, "c.d");
  EXPECT_TRUE(std::filesystem::equivalent(spec->texts[1].path, folder_ / "b.txt"));
  EXPECT_EQ(spec->context, 64u);
  EXPECT_EQ(spec->chunks, 3u);
  EXPECT_EQ(spec->seed, 9u);
  EXPECT_EQ(spec->noise, 2u);
  EXPECT_TRUE(spec->truth);
  EXPECT_EQ(spec->baseline, std::vector<std::string>{"l_out=f32"});
  ASSERT_TRUE(spec->generate);
  EXPECT_EQ(spec->generate->tokens, 5u);
  EXPECT_EQ(spec->generate->limit, 2u);
  ASSERT_TRUE(spec->last_words);
  EXPECT_TRUE(spec->last_words->prompts.ends_with("p.jsonl"));
  EXPECT_EQ(spec->last_words->limit, 7u);
  EXPECT_EQ(spec->timings, 4u);
  EXPECT_EQ(spec->variants.at(0).rules, (std::vector<std::string>{"ffn_norm=bf16", "embd=f16"}));
  EXPECT_TRUE(spec->sweeps.at(0).each_layer);
  EXPECT_FALSE(spec->claims.at(0).required);
  EXPECT_TRUE(spec->claims.at(1).required);
  EXPECT_EQ(spec->claims.at(1).expression, "identical('v', 'baseline')");
}

TEST_F(SpecTest, Defaults) {
  const auto spec = With("");
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->context, 128u);
  EXPECT_EQ(spec->chunks, 0u);
  EXPECT_EQ(spec->seed, 0u);
  EXPECT_EQ(spec->noise, 0u);
  EXPECT_FALSE(spec->truth);
  EXPECT_FALSE(spec->generate);
  EXPECT_TRUE(spec->baseline.empty());
}

TEST_F(SpecTest, ModelOnTheCommandLineWins) {
  const auto spec = Read(Replace(kWhole, "model = \"model\"", "model = \"absent\""), {"other"});
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->model, "other");
}

TEST_F(SpecTest, Mistakes) {
  ExpectError(With("txets = 1"), "study.toml:4: unknown key 'txets'; did you mean 'texts'?");
  ExpectError(With("context = \"128\""), ":4: 'context': expected an integer from 8");
  ExpectError(With("context = 7"), "'context'");
  ExpectError(With("context = 128.0"), "'context'");
  ExpectError(With("chunks = -1"), "'chunks'");
  ExpectError(With("noise = 1001"), "'noise'");
  ExpectError(With("seed = -1"), "'seed'");
  ExpectError(With("truth = 1"), "'truth': expected true or false");
  ExpectError(With("baseline = [1]"), "'baseline': expected a list of strings");
  ExpectError(With("generate = 3"), "'generate'");
  ExpectError(With("generate = { prompts = \"p.jsonl\" }"), "'tokens' is missing");
  ExpectError(With("generate = { prompts = \"p.jsonl\", tokens = 0 }"), "'tokens'");
  ExpectError(With("generate = { prompts = \"q.jsonl\", tokens = 1 }"), "'q.jsonl' is not there");
  ExpectError(With("name = \"again\""), "study.toml:4:");
  ExpectError(With("x = "), "study.toml:4:");
  ExpectError(Read(Replace(kWhole, "\"a.txt\"", "\"none.txt\"")), ":3: 'none.txt' is not there");
  ExpectError(Read(Replace(kWhole, "\"a.txt\"", "\"/none/none.txt\"")), "none.txt");
  ExpectError(Read(Replace(kWhole, "\"a.txt\"", "\"b.txt\", 3")), "texts");
  ExpectError(Read(Replace(kWhole, "\"a.txt\"", "{ name = \"bee\", path = \"a.txt\" }")),
              "two texts are named 'bee'");
  ExpectError(Read(Replace(kWhole, "model = \"model\"", "model = \"nodel\"")), "'nodel'");
  ExpectError(Read(Replace(kWhole, "model = \"model\"", "")), "'model' is missing");
  ExpectError(Read(Replace(kWhole, "name = \"whole\"", "")), "'name' is missing");
  ExpectError(Read(Replace(kWhole, "rules = [\"ffn_norm=bf16\", \"embd=f16\"]", "")),
              ":16: 'rules' is missing");
  ExpectError(Read(Replace(kWhole, "rules = [\"f", "rulez = [\"f")), ":18: unknown key 'rulez'");
  ExpectError(Read("name = \"n\"\nmodel = \"model\"\ntexts = [\"a.txt\"]\n"), "no [[variant]]");
  ExpectError(Read("name = \"n\"\nmodel = \"model\"\ntexts = []\n"), "'texts'");
  ExpectError(Read(Replace(kWhole, "[[claim]]", "[claim]")), "study.toml");
  ExpectError(Read("variant = [1]\nname = \"n\"\nmodel = \"model\"\ntexts = [\"a.txt\"]"),
              "[[variant]]");
  ExpectError(ReadStudy(folder_ / "none.toml", {}), "none.toml");
  ExpectError(ReadStudy(folder_ / ".", {}), "");
}

TEST_F(SpecTest, AClaimHasOneExpression) {
  ExpectError(Read(Replace(kWhole, "says = \"s\"", "says = \"s\"\nrequire = \"1 > 0\"")),
              ":29: a claim has either 'expect' or 'require'");
  ExpectError(Read(Replace(kWhole, "expect = \"kld('v') > 0\"", "")),
              "either 'expect' or 'require'");
  ExpectError(Read(Replace(kWhole, "says = \"s\"", "")), "'says' is missing");
}

TEST_F(SpecTest, SweepsExpand) {
  StudySpec spec = Read(kWhole).value();
  ASSERT_TRUE(ExpandSweeps(&spec, 3));
  ASSERT_EQ(spec.variants.size(), 2u + 2 * 3 * 2 + 3);
  EXPECT_EQ(spec.variants[2].name, "ffn_norm[0] bf16");
  EXPECT_EQ(spec.variants[3].name, "ffn_norm[0] f16");
  EXPECT_EQ(spec.variants[4].name, "ffn_norm[1] bf16");
  EXPECT_EQ(spec.variants[13].name, "attn_norm[2] f16");
  EXPECT_EQ(spec.variants[13].rules, std::vector<std::string>{"attn_norm[2]=f16"});
  EXPECT_EQ(spec.variants[13].layer, 2);
  EXPECT_EQ(spec.variants[13].site, "attn_norm");
  EXPECT_EQ(spec.variants[13].format, "f16");
  EXPECT_EQ(spec.variants[14].name, "v, layer 0 alone");
  EXPECT_TRUE(spec.sweeps.empty());
}

TEST_F(SpecTest, SweepsOfLayersAndTemplates) {
  const std::string sweep =
      "[[sweep]]\nname = \"{format} at {layer}\"\nsite = \"ffn_norm\"\n"
      "layer = [\"0:2\", 4]\nformat = \"bf16\"\nrules = [\"{site}[{layer}]={format}\", "
      "\"embd={format}\"]\n";
  auto spec = After(sweep);
  ASSERT_TRUE(spec) << spec.error().message;
  ASSERT_TRUE(ExpandSweeps(&*spec, 6));
  ASSERT_EQ(spec->variants.size(), 3u);
  EXPECT_EQ(spec->variants[1].name, "bf16 at 0:2");
  EXPECT_EQ(spec->variants[1].rules, (std::vector<std::string>{"ffn_norm[0:2]=bf16", "embd=bf16"}));
  EXPECT_FALSE(spec->variants[1].layer);
  EXPECT_EQ(spec->variants[2].name, "bf16 at 4");

  spec =
      After("[[sweep]]\nname = \"{format}\"\nsite = \"ffn_norm\"\nformat = [\"bf16\", \"f16\"]\n");
  ASSERT_TRUE(spec) << spec.error().message;
  ASSERT_TRUE(ExpandSweeps(&*spec, 6));
  EXPECT_EQ(spec->variants.at(2).rules, std::vector<std::string>{"ffn_norm=f16"});
}

TEST_F(SpecTest, SweepMistakes) {
  const auto sweep = [&](const std::string& rest) {
    return After("[[sweep]]\nsite = \"ffn_norm\"\nformat = \"bf16\"\n" + rest);
  };
  ExpectError(sweep("name = \"{layer}\""), "'{layer}' is no axis of it");
  ExpectError(sweep("name = \"{frmat}\""), "did you mean '{format}'?");
  ExpectError(sweep("name = \"{format\""), "is no axis");
  ExpectError(sweep("name = \"x\"\nrules = [\"{sit}=bf16\"]"), "did you mean '{site}'?");
  ExpectError(sweep("name = \"x\"\nlayer = []"), "'layer': expected at least one");
  ExpectError(sweep("name = \"x\"\nlayer = 1.5"), "'layer'");
  ExpectError(After("[[sweep]]\nname = \"x\"\nsite = []\nformat = \"bf16\""), "'site'");
  ExpectError(After("[[sweep]]\nname = \"x\"\nsite = \"ffn_norm\""), "'format' is missing");
}

TEST_F(SpecTest, NamesAreUsedOnceAndNotReserved) {
  for (const std::string name : {"v", "baseline", "truth"}) {
    auto spec = After("[[variant]]\nname = \"" + name + "\"\nrules = []\n");
    ASSERT_TRUE(spec) << spec.error().message;
    ExpectError(ExpandSweeps(&*spec, 2), "'" + name + "'");
  }
  auto spec =
      After("[[sweep]]\nname = \"same\"\nsite = \"ffn_norm\"\nformat = [\"bf16\", \"f16\"]\n");
  ASSERT_TRUE(spec);
  ExpectError(ExpandSweeps(&*spec, 2), "'same'");
}

TEST_F(SpecTest, LayersAlone) {
  auto spec = After("[[variant]]\nname = \"w\"\nrules = [\"types=q4_0\"]\nby_layer = true\n");
  ASSERT_TRUE(spec) << spec.error().message;
  spec->prefix = "m: ";
  ASSERT_TRUE(ExpandSweeps(&*spec, 3));
  ASSERT_EQ(spec->variants.size(), 5u);
  EXPECT_EQ(spec->variants[0].name, "m: w");
  EXPECT_TRUE(spec->variants[0].of.empty());
  for (int layer = 0; layer < 3; ++layer) {
    const StudyVariant& alone = spec->variants[2 + static_cast<size_t>(layer)];
    EXPECT_EQ(alone.name, fmt::format("m: w, layer {} alone", layer));
    EXPECT_EQ(alone.of, "m: w");
    EXPECT_EQ(alone.layer, layer);
    EXPECT_FALSE(alone.by_layer);
    EXPECT_EQ(alone.rules, std::vector<std::string>{"types=q4_0"});
  }
}

TEST_F(SpecTest, RecipesOfVariants) {
  folder_.Write("r.recipe", "# two rules\n\nffn_norm=bf16\nembd = f16\n");
  const std::string with = "[[variant]]\nname = \"w\"\n";
  const auto spec = After(with + "recipe = \"r.recipe\"\nrules = [\"l_out=f16\"]\n");
  ASSERT_TRUE(spec) << spec.error().message;
  const StudyVariant& v = spec->variants[0];
  EXPECT_EQ(v.rules, (std::vector<std::string>{"ffn_norm=bf16", "embd=f16", "l_out=f16"}));
  EXPECT_TRUE(PlaceOfError(v, "rule 'embd=f16': no").ends_with("r.recipe:4: "));
  EXPECT_EQ(PlaceOfError(v, "rule 'l_out=f16': no"), "");
  EXPECT_EQ(After(with + "recipe = \"r.recipe\"\n")->variants[0].rules.size(), 2u);
  ExpectError(After(with + "recipe = \"s.recipe\"\n"), "study.toml:7: 's.recipe' is not there");
  ExpectError(After(with + "recipe = 1\n"), "'recipe': expected a string");
  ExpectError(After(with), "'rules' is missing");
  folder_.Write("r.recipe", "ffn_norm=bf16\nembd\n");
  ExpectError(After(with + "recipe = \"r.recipe\"\n"), "r.recipe:2: rule 'embd'");
}

TEST_F(SpecTest, VariantsBesideOthers) {
  const std::string with = "[[variant]]\nname = \"w\"\nrules = []\nbeside = ";
  const std::string v = "\n[[variant]]\nname = \"u\"\nrules = []\n";
  auto spec = After(v + with + "\"u\"\n");
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->variants[1].beside, "u");
  EXPECT_TRUE(ExpandSweeps(&*spec, 2));
  for (const char* other : {"v", "w", "x", "baseline"}) {  // v stands after it
    spec = After(v + with + "\"" + other + "\"\n");
    ASSERT_TRUE(spec);
    const Status expanded = ExpandSweeps(&*spec, 2);
    ASSERT_FALSE(expanded) << other;
    EXPECT_NE(expanded.error().message.find("no variant before it is named"), std::string::npos);
  }
  ExpectError(With("last_words = 1"), "a table with passages");
  ExpectError(With("last_words = { limit = 1 }"), "'passages' is missing");
  ExpectError(With("timings = 1001"), "'timings'");
}

TEST_F(SpecTest, CorrectionsAndFirstTokens) {
  const auto spec = Read(kWhole);
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->observe, (std::vector<std::string>{"l_out", "embd"}));
  EXPECT_EQ(spec->fit_chunks, 2u);
  EXPECT_EQ(spec->first_token->limit, 3u);
  EXPECT_TRUE(spec->variants[0].by_layer);
  ASSERT_TRUE(spec->variants[1].correct);
  EXPECT_TRUE(spec->variants[1].correct->scale && spec->variants[1].correct->shift);
  EXPECT_EQ(spec->variants[1].correct->site, "l_out");
  const std::string with = "[[variant]]\nname = \"w\"\nrules = []\n",
                    correct = with + "correct = { site = \"l_out\", by = \"scale\" }\n";
  ExpectError(After(correct), "expected fit_chunks");
  ExpectError(With("fit_chunks = 2"), "'fit_chunks': expected a variant with 'correct'");
  ExpectError(With("fit_chunks = 2\n" + correct), "expected a number of chunks");
  EXPECT_TRUE(With("chunks = 2\nfit_chunks = 2\n" + correct));
  ExpectError(After(with + "correct = { site = \"l_out\", by = \"sale\" }\n"),
              "expected scale, shift or both");
  ExpectError(After(with + "correct = { site = \"l_out\" }\n"), "'by' is missing");
  ExpectError(After(with + "correct = \"l_out\"\n"), "a table with site and by");
  ExpectError(After(correct + "by_layer = true\n"), "not together with by_layer");
  ExpectError(After(with + "by_layer = 1\n"), "'by_layer': expected true or false");
  ExpectError(With("first_token = 3"), "a table with prompts");
  ExpectError(With("first_token = { prompts = \"none\" }"), "'none' is not there");
  ExpectError(With("first_token = { prompts = \"p.jsonl\", tokens = 3 }"), "unknown key 'tokens'");
}

// Reading gives a study or an error that names the file; nothing else.
void ExpectHeld(const Result<StudySpec>& spec, const std::string& path) {
  if (!spec) {
    EXPECT_EQ(spec.error().message.rfind(path, 0), 0u) << spec.error().message;
    EXPECT_LT(spec.error().message.size(), path.size() + 2000);
    return;
  }
  StudySpec copy = *spec;
  if (const Status status = ExpandSweeps(&copy, 4); !status) {
    EXPECT_EQ(status.error().message.rfind(path, 0), 0u) << status.error().message;
  }
}

TEST_F(SpecTest, CutAnywhere) {
  const std::string whole = kWhole, path = folder_ / "study.toml";
  size_t good = 0;
  for (size_t size = 0; size < whole.size(); ++size) {
    const auto spec = Read(whole.substr(0, size));
    good += spec.has_value();
    SCOPED_TRACE(size);
    ExpectHeld(spec, path);
  }
  EXPECT_LT(good, whole.size() / 2);
  EXPECT_GT(good, 0u);
}

TEST_F(SpecTest, AnyByteReplaced) {
  const std::string whole = kWhole, path = folder_ / "study.toml";
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const char byte : {'\0', '\n', '"', '\\', '[', '\xff'}) {
      std::string text = whole;
      text[at] = byte;
      SCOPED_TRACE(fmt::format("byte {} is {:#x}", at, static_cast<unsigned char>(byte)));
      ExpectHeld(Read(text), path);
    }
  }
}

TEST_F(SpecTest, DeepAndLongFilesAreRefusedOrRead) {
  const std::string path = folder_ / "study.toml";
  ExpectHeld(With("x = " + std::string(100000, '[')), path);
  ExpectHeld(With("x = " + std::string(300, '[') + std::string(300, ']')), path);
  std::string dotted = "a";
  for (int i = 0; i < 20000; ++i) dotted += ".a";
  ExpectHeld(With(dotted + " = 1"), path);
  ExpectHeld(With("[" + dotted + "]"), path);
  ExpectHeld(With("\xef\xbb\xbf"), path);
  ExpectHeld(With("seed = 99999999999999999999"), path);
  ExpectHeld(With("seed = 1979-05-27T07:32:00Z"), path);
  ExpectHeld(With("seed = nan"), path);
  ExpectHeld(With("\"a\\nb\" = 1"), path);
}

}  // namespace
}  // namespace vernier
