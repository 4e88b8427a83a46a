// Studies run, interrupted and run again.
#include "study/run.h"

#include <cmath>
#include <cstring>

#include "engine/generate.h"
#include "study/corrections.h"
#include "study/store_dump_testing.h"
#include "study/study_testing.h"

namespace vernier {
namespace {

constexpr const char* kStudy = R"(name = "small"
model = "MODEL"
texts = ["a.txt", "b.txt"]
context = 32
chunks = 2
truth = true
noise = 1
generate = { prompts = "p.jsonl", tokens = 4 }
[[variant]]
name = "rounded"
rules = ["ffn_norm=bf16"]
[[variant]]
name = "same"
rules = ["ffn_norm=e8m7"]
[[variant]]
name = "idle"
rules = ["ffn_norm.weight=bf16"]
generate = false
)";

bool SameBits(double a, double b) { return std::memcmp(&a, &b, sizeof a) == 0; }

void ExpectSame(const StudyData& a, const StudyData& b) {
  ASSERT_EQ(a.scores.size(), b.scores.size());
  for (size_t l = 0; l < a.scores.size(); ++l) {
    EXPECT_EQ(a.lanes[l].key, b.lanes[l].key);
    ASSERT_EQ(a.scores[l].size(), b.scores[l].size());
    for (size_t c = 0; c < a.scores[l].size(); ++c) {
      EXPECT_EQ(a.scores[l][c].fingerprint, b.scores[l][c].fingerprint);
      for (size_t i = 0; i < a.scores[l][c].tokens.size(); ++i) {
        EXPECT_TRUE(SameBits(a.scores[l][c].tokens[i].nll, b.scores[l][c].tokens[i].nll));
        EXPECT_TRUE(SameBits(a.scores[l][c].tokens[i].kld, b.scores[l][c].tokens[i].kld));
      }
      for (size_t s = 0; s < a.scores[l][c].sites.size(); ++s)
        EXPECT_TRUE(SameBits(a.scores[l][c].sites[s].error, b.scores[l][c].sites[s].error));
    }
  }
  ASSERT_EQ(a.generated.size(), b.generated.size());
  for (size_t l = 0; l < a.generated.size(); ++l) {
    ASSERT_EQ(a.generated[l].size(), b.generated[l].size());
    for (size_t p = 0; p < a.generated[l].size(); ++p) {
      EXPECT_EQ(a.generated[l][p].tokens, b.generated[l][p].tokens);
      EXPECT_EQ(a.generated[l][p].margins, b.generated[l][p].margins);
    }
  }
}

class RunTest : public testing::Test {
 protected:
  RunTest() : model_(OpenTiny()) {
    std::string text;
    for (int i = 0; i < 60; ++i) text += fmt::format("Line {} of a play: enter {}.\n", i, i * i);
    folder_.Write("a.txt", text);
    folder_.Write("b.txt", "Another one. " + text);
    folder_.Write("p.jsonl", "{\"prompt\": \"First\"}\n\n{\"prompt\": \"Then\", \"tag\": \"x\"}\n");
    SetStudy(kStudy);
  }
  void SetStudy(std::string text) {
    text.replace(text.find("MODEL"), 5, kSource + "/models/tiny-qwen2");
    spec_ = ReadStudy(folder_.Write("study.toml", text), {}).value();
    ASSERT_TRUE(ExpandSweeps(&spec_, model_->graph().layers));
  }
  Result<StudyData> Run(const std::string& store_folder, const RunOptions& options = {}) {
    ASSIGN_OR_RETURN(auto lanes, MakeLanes(spec_, *model_));
    ASSIGN_OR_RETURN(auto inputs, ReadInputs(spec_, *model_, std::move(lanes), options));
    ASSIGN_OR_RETURN(const auto store, Store::Open(folder_ / store_folder));
    return RunStudy(spec_, *model_, std::move(inputs), *store, options);
  }
  ScratchFolder folder_;
  std::unique_ptr<Model> model_;
  StudySpec spec_;
};

TEST_F(RunTest, LanesAndWhatTheyAreWorth) {
  const auto data = Run("out");
  ASSERT_TRUE(data) << data.error().message;
  ASSERT_EQ(data->lanes.size(), 6u);  // baseline, three variants, truth, noise
  EXPECT_EQ(data->Truth(), 4);
  EXPECT_EQ(data->chunks.size(), 4u);
  EXPECT_EQ(data->text_of_chunk, (std::vector<size_t>{0, 0, 1, 1}));
  EXPECT_EQ(data->prompts.size(), 2u);
  EXPECT_TRUE(SameOutput(*data, 1, 2));
  EXPECT_FALSE(SameOutput(*data, 0, 1));
  EXPECT_TRUE(SameOutput(*data, 0, 3));
  EXPECT_FALSE(IsVacuous(*data, 1));
  EXPECT_TRUE(IsVacuous(*data, 3));
  EXPECT_TRUE(IsForetold(data->lanes[3]));
  EXPECT_FALSE(IsForetold(data->lanes[1]));
  EXPECT_FALSE(SameOutput(*data, 0, 5)) << "noise is not the baseline";
  EXPECT_GT(OwnEffects(*data, 1)[0].counts.changed, 0u);
  EXPECT_EQ(data->generated[2].size(), 2u);
  EXPECT_TRUE(data->generated[3].empty());
}

// A model's own rules are in force in all lanes, the truth's too.
TEST_F(RunTest, TheTruthOfAShorterModel) {
  spec_.model_rules = {"model.layers=2", "*norm.eps=1e-5"};
  spec_.variants[0].rules = {"*.math=f64"};
  const auto data = Run("out");
  ASSERT_TRUE(data) << data.error().message;
  const size_t truth = static_cast<size_t>(data->Truth());
  EXPECT_TRUE(SameOutput(*data, 1, truth));
  for (const StudyLane& lane : data->lanes) EXPECT_EQ(lane.plan.layers, 2) << lane.name;
  EXPECT_GT(data->scores[0][0].tokens[0].mae_truth, 0);
  EXPECT_LT(data->scores[0][0].tokens[0].mae_truth, 1e-4);
  EXPECT_EQ(data->scores[1][0].tokens[0].mae_truth, 0);
  // Against a longer model's baseline, sites of layers that one lane alone runs have no error.
  spec_.model_rules.clear();
  spec_.variants[0].rules = {"model.layers=2"};
  const auto mixed = Run("mixed");
  ASSERT_TRUE(mixed) << mixed.error().message;
  const auto& sites = mixed->scores[1][0].sites;  // l_out of six layers
  ASSERT_EQ(sites.size(), 6u);
  EXPECT_EQ(sites[1].error, 0);
  EXPECT_GT(sites[1].reference, 0);
  EXPECT_EQ(sites[2].count, 0);
  EXPECT_GT(mixed->scores[0][0].sites[2].count, 0);
}

TEST_F(RunTest, AgainComputesNothing) {
  const auto first = Run("out"), second = Run("out");
  ASSERT_TRUE(first && second);
  EXPECT_GT(first->cost.tensors_evaluated, 0u);
  EXPECT_EQ(first->cost.tensors_naive, second->cost.tensors_naive);
  EXPECT_EQ(first->cost.tensors_evaluated, second->cost.tensors_evaluated);
  EXPECT_EQ(first->seconds, second->seconds);
  ExpectSame(*first, *second);
}

TEST_F(RunTest, InterruptedAnywhereItGoesOn) {
  const auto whole = Run("whole");
  ASSERT_TRUE(whole);
  int calls = 0;
  RunOptions counting;
  counting.memory_budget = 0;  // one chunk and few lanes at a time: many places to stop
  counting.progress = [&](const Progress&) { return ++calls > 0; };
  ASSERT_TRUE(Run("counted", counting));
  ASSERT_GT(calls, 6);
  for (const int stop : {1, 2, calls / 2, calls}) {
    const std::string out = fmt::format("stopped {}", stop);
    int call = 0;
    RunOptions stopping = counting;
    stopping.progress = [&](const Progress&) { return ++call != stop; };
    const auto part = Run(out, stopping);
    ASSERT_TRUE(part) << part.error().message;
    EXPECT_FALSE(part->complete);
    const auto rest = Run(out);
    ASSERT_TRUE(rest) << rest.error().message;
    EXPECT_TRUE(rest->complete);
    ExpectSame(*whole, *rest);
  }
}

// One chunk a round until it is done: what was done is never done again.
TEST_F(RunTest, EveryInterruptionKeepsFinishedChunks) {
  int rounds = 0;
  for (bool complete = false; !complete && rounds < 50; ++rounds) {
    int call = 0;
    RunOptions stopping;
    stopping.memory_budget = uint64_t{40} * 32 * EvaluationBytes(model_->graph(), 1) / 4;
    stopping.progress = [&](const Progress&) { return ++call < 3; };
    const auto part = Run("out", stopping);
    ASSERT_TRUE(part) << part.error().message;
    complete = part->complete;
  }
  EXPECT_LT(rounds, 50);
  ExpectSame(Run("whole").value(), Run("out").value());
}

TEST_F(RunTest, ANewVariantIsAllThatIsComputed) {
  const auto before = Run("out");
  std::string more = kStudy;
  SetStudy(more + "[[variant]]\nname = \"more\"\nrules = [\"result_output=bf16\"]\n");
  const auto after = Run("out");
  ASSERT_TRUE(before && after);
  // The baseline and the truth go along: three of seven lanes.
  EXPECT_EQ(2 * (after->cost.tensors_naive - before->cost.tensors_naive),
            before->cost.tensors_naive);
  ExpectSame(Run("fresh").value(), *after);
}

TEST_F(RunTest, TimesAreKept) {
  RunOptions timed;
  timed.timed_variants = {"rounded"};
  const auto first = Run("out", timed), second = Run("out", timed);
  ASSERT_TRUE(first && second);
  ASSERT_EQ(first->timings.at(1).variant.size(), 25u);
  EXPECT_EQ(first->timings.at(1).baseline, second->timings.at(1).baseline);
  EXPECT_EQ(first->timings.at(1).variant, second->timings.at(1).variant);
}

// Content keys: an interrupted store ends with the rows of an uninterrupted one.
TEST_F(RunTest, InterruptedStoresEndTheSame) {
  SetStudy(kStudy);
  ASSERT_TRUE(Run("whole"));
  int calls = 0;
  RunOptions stopping;
  stopping.memory_budget = 0;
  for (const int stop : {1, 3, 7}) {
    calls = 0;
    stopping.progress = [&](const Progress&) { return ++calls != stop; };
    ASSERT_TRUE(Run("parts", stopping));
  }
  ASSERT_TRUE(Run("parts"));
  ExpectSameStores(folder_ / "whole", folder_ / "parts");
}

TEST_F(RunTest, WrongFiles) {
  const auto refused = [&](const std::string& part) { ExpectError(Run("never"), part); };
  const std::string text = "A text that is long enough. ";
  folder_.Write("a.txt", "short");
  refused("a.txt: the text has");
  folder_.Write("a.txt", "");
  refused("a.txt: the text has 1 tokens");
  folder_.Write("a.txt", text + "\xff\xfe" + text);
  refused("a.txt: byte 28: not UTF-8");
  std::filesystem::remove(folder_ / "a.txt");
  refused("a.txt");
  std::filesystem::create_directory(folder_ / "a.txt");
  refused("a.txt");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "never"));
}

TEST_F(RunTest, WrongPrompts) {
  const auto refused = [&](const std::string& prompts, const std::string& part) {
    folder_.Write("p.jsonl", prompts);
    ExpectError(Run("never"), part);
  };
  refused("", "p.jsonl: no prompts");
  refused("\n\r\n", "p.jsonl: no prompts");
  refused("{\"prompt\": \"x\"}\n{\"prompt\": 3}\n", "p.jsonl:2: expected an object with 'prompt'");
  refused("{\"prompt\": \"x\", \"tag\": 1}", "p.jsonl:1:");
  refused("[]", "p.jsonl:1:");
  refused("{\"prompt\": \"\xff\"}", "p.jsonl:1:");
  refused("{\"prompt\": \"x\"", "p.jsonl:1:");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "never"));
}

TEST_F(RunTest, ClaimsOfSitesThatAreNot) {
  RunOptions options;
  options.error_sites = {"l_ot"};
  ExpectError(Run("never", options), "did you mean 'l_out'?");
  options.error_sites = {"l_out"};
  options.error_labels = {"l_out[6]"};
  ExpectError(Run("never", options), "site 'l_out[6]'");
  options.error_labels = {"l_out"};  // of which layer?
  ExpectError(Run("never", options), "site 'l_out'");
  options.error_labels = {"l_out[5]"};
  EXPECT_TRUE(Run("out", options));
}

constexpr const char* kLayers = R"(name = "layers"
model = "MODEL"
texts = ["a.txt", "b.txt"]
context = 32
chunks = 2
fit_chunks = 2
truth = true
observe = ["ffn_swiglu"]
first_token = { prompts = "p.jsonl" }
[[variant]]
name = "q4"
rules = ["types=q4_0"]
by_layer = true
[[variant]]
name = "rms"
rules = ["types=q4_0"]
correct = { site = "l_out", by = "scale" }
[[variant]]
name = "mean"
rules = ["types=q4_0"]
correct = { site = "ffn_swiglu", by = "shift" }
[[variant]]
name = "both"
rules = ["types=q4_0"]
correct = { site = "l_out", by = "both" }
[[variant]]
name = "the same"
rules = ["ffn_norm.weight=bf16"]
correct = { site = "l_out", by = "both" }
)";

TEST_F(RunTest, LayersAlone) {
  SetStudy(kLayers);
  const auto data = Run("out");
  ASSERT_TRUE(data) << data.error().message;
  size_t alone = 0;
  for (size_t l = 0; l < data->lanes.size(); ++l) {
    const StudyLane& lane = data->lanes[l];
    if (lane.alone.whole < 0) continue;
    ++alone;
    EXPECT_EQ(data->lanes[static_cast<size_t>(lane.alone.whole)].name, "q4");
    EXPECT_FALSE(IsVacuous(*data, l));
    EXPECT_FALSE(SameOutput(*data, l, 1));
    // What a rule says by itself.
    const auto plan =
        MakePlan(*model_, ParseRecipe({fmt::format("types[{}]=q4_0", lane.alone.layer)}).value());
    EXPECT_EQ(plan->identity, lane.plan.identity);
    for (size_t s = 0; s < data->sites.size(); ++s) {
      const Site& site = model_->graph().sites[static_cast<size_t>(data->sites[s])];
      const SiteSums& sums = data->scores[l][0].sites[s];
      EXPECT_EQ(sums.error == 0, site.layer < lane.alone.layer) << site.Label();
      EXPECT_EQ(sums.inherited > 0, site.layer == lane.alone.layer) << site.Label();
    }
  }
  EXPECT_EQ(alone, 6u);
}

// A site of a lane over all fitting chunks.
SiteSums Moments(Model& model, const StudyData& data, size_t lane, const std::string& label) {
  SiteSums sums;
  for (const Chunk& chunk : data.fit_chunks) {
    const Stream stream{&data.lanes[lane].plan, chunk.tokens, nullptr, chunk.scored};
    const Tap tap{[&](const Site& site) { return site.Label() == label; },
                  [&](const SiteTensor& t) {
                    for (size_t r = 0; r < t.rows.size(); ++r)
                      for (size_t i = 0; chunk.IsScored(t.tokens[r]) && i < t.widths[r]; ++i) {
                        const double x = double{static_cast<const float*>(t.rows[r])[i]};
                        sums.count += 1;
                        sums.sum += x;
                        sums.squares += x * x;
                      }
                  }};
    Evaluate(
        model, {&stream, 1}, [](std::span<const LogitsRow>) {}, &tap);
  }
  EXPECT_GT(sums.count, 0);
  return sums;
}

// In force, every layer's site has the baseline's moments, up to float32's rounding (2^-24 an
// element, of values that are some units of the rms).
TEST_F(RunTest, CorrectionsDoWhatTheySay) {
  SetStudy(kLayers);
  const auto data = Run("out");
  ASSERT_TRUE(data) << data.error().message;
  EXPECT_EQ(data->chunks.size(), 4u);
  ASSERT_EQ(data->fit_chunks.size(), 4u);
  for (const Chunk& fitted : data->fit_chunks)
    for (const Chunk& scored : data->chunks) EXPECT_NE(fitted.tokens, scored.tokens);
  const auto lane = [&](const std::string& name) {
    size_t l = 0;
    while (data->lanes[l].name != name) ++l;
    return l;
  };
  for (int layer = 0; layer < model_->graph().layers; ++layer) {
    SCOPED_TRACE(layer);
    const std::string out = fmt::format("l_out[{}]", layer),
                      swiglu = fmt::format("ffn_swiglu[{}]", layer);
    const SiteSums base = Moments(*model_, *data, 0, out),
                   base_swiglu = Moments(*model_, *data, 0, swiglu);
    const SiteSums plain = Moments(*model_, *data, lane("q4"), out);
    const SiteSums rms = Moments(*model_, *data, lane("rms"), out),
                   both = Moments(*model_, *data, lane("both"), out),
                   mean = Moments(*model_, *data, lane("mean"), swiglu);
    EXPECT_GT(std::abs(plain.squares / base.squares - 1), 1e-5);
    EXPECT_NEAR(rms.squares / base.squares, 1, 1e-6);
    EXPECT_NEAR(both.squares / base.squares, 1, 1e-6);
    EXPECT_NEAR(both.sum, base.sum, 1e-6 * std::sqrt(base.squares * base.count));
    EXPECT_NEAR(mean.sum, base_swiglu.sum,
                1e-6 * std::sqrt(base_swiglu.squares * base_swiglu.count));
  }
  EXPECT_EQ(data->lanes[lane("rms")].plan.rules.size(), 7u) << "a rule of its own, six fitted";
  EXPECT_EQ(data->lanes[lane("the same")].plan.rules.size(), 1u) << "nothing to correct";
  EXPECT_TRUE(SameOutput(*data, 0, lane("the same")));
  const auto again = Run("out");
  ASSERT_TRUE(again);
  ExpectSame(*data, *again);
  ExpectSame(Run("fresh").value(), *again);
}

TEST(Corrections, Rules) {
  const auto rule = [](bool scale, bool shift, SiteMoments from, SiteMoments to) {
    return CorrectionRule("l_out[2]", {"l_out", scale, shift}, from, to);
  };
  EXPECT_EQ(rule(true, false, {0, 2}, {0, 3}), "l_out[2]=f64,times=1.5");
  EXPECT_EQ(rule(false, true, {0.25, 2}, {-0.25, 3}), "l_out[2]=f64,plus=-0.5");
  EXPECT_EQ(rule(true, true, {3, 5}, {1, std::sqrt(5)}), "l_out[2]=f64,times=0.5,plus=-0.5");
  EXPECT_EQ(rule(true, true, {0.5, 2}, {0.5, 2}), "");
  EXPECT_EQ(rule(true, false, {0, 0}, {0, 1}), "") << "what is zero has no scale";
}

TEST_F(RunTest, FirstTokens) {
  SetStudy(kLayers);
  const auto data = Run("out");
  ASSERT_TRUE(data) << data.error().message;
  ASSERT_EQ(data->first_prompts.size(), 2u);
  for (size_t l = 0; l < data->lanes.size(); ++l) {
    if (data->lanes[l].alone.whole >= 0) {
      EXPECT_TRUE(data->first_tokens[l].empty());
      continue;
    }
    ASSERT_EQ(data->first_tokens[l].size(), 2u) << data->lanes[l].name;
    for (size_t p = 0; p < 2; ++p) {
      // What free-running generation says.
      GenerateOptions options;
      options.tokens = 1;
      options.keep_logits = true;
      const GenerateRequest request{&data->lanes[l].plan, data->first_prompts[p].ids};
      const Generated generated = Generate(*model_, {&request, 1}, options)[0];
      const FirstToken& t = data->first_tokens[l][p];
      EXPECT_EQ(t.token, generated.steps[0].token);
      EXPECT_EQ(t.logit, generated.steps[0].logit);
      EXPECT_EQ(t.margin, generated.steps[0].margin);
      const int32_t base = data->first_tokens[0][p].token;
      size_t rank = 0;
      for (size_t i = 0; i < generated.prompt_logits.size(); ++i)
        rank += generated.prompt_logits[i] > generated.prompt_logits[static_cast<size_t>(base)];
      EXPECT_EQ(t.rank, rank);
      EXPECT_EQ(t.rank == 0, t.token == base);
      EXPECT_EQ(t.kld == 0, l == 0 || data->lanes[l].name == "the same");
    }
  }
  const auto again = Run("out");
  for (size_t l = 0; l < data->lanes.size(); ++l)
    for (size_t p = 0; p < data->first_tokens[l].size(); ++p) {
      EXPECT_EQ(again->first_tokens[l][p].kld, data->first_tokens[l][p].kld);
      EXPECT_EQ(again->first_tokens[l][p].rank, data->first_tokens[l][p].rank);
    }
}

TEST_F(RunTest, ObservedAndCorrectedSitesThatAreNot) {
  std::string study = kLayers;
  study.replace(study.find("[\"ffn_swiglu\"]"), 14, "[\"ffn_swigl\"]");
  SetStudy(study);
  ExpectError(Run("never"), "'observe': no site is named 'ffn_swigl'; did you mean 'ffn_swiglu'?");
  study = kLayers;
  study.replace(study.find("site = \"l_out\""), 14, "site = \"embd\" ");
  SetStudy(study);
  ExpectError(Run("never"), "variant 'rms': 'correct': no layer has a site 'embd'");
  study = kLayers;
  study.replace(study.find("fit_chunks = 2"), 14, "fit_chunks = 9999");
  SetStudy(study);
  ExpectError(Run("never"), "9999 to fit corrections on");
}

TEST(Labels, FromTheEnd) {
  EXPECT_EQ(AbsoluteLabel("l_out[-1]", 6), "l_out[5]");
  EXPECT_EQ(AbsoluteLabel("l_out[-6]", 6), "l_out[0]");
  for (const char* label : {"l_out[-7]", "l_out[3]", "embd", "l_out[-x]", "l_out[-", "l_out[-0]"})
    EXPECT_EQ(AbsoluteLabel(label, 6), label);
}

}  // namespace
}  // namespace vernier
