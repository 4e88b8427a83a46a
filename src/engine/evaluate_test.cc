// The master test of the machine: numbers against PyTorch's, and the same bits whatever else is
// computed.
#include "engine/evaluate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/generate.h"
#include "engine/node_replay.h"

namespace vernier {
namespace {

const std::string kSource = VERNIER_SOURCE_DIR;

std::unique_ptr<Model> OpenModel(const std::string& name, ModelOptions options = {}) {
  auto model = Model::Open(kSource + "/models/" + name, options);
  EXPECT_TRUE(model) << (model ? "" : model.error().message);
  return model ? std::move(*model) : nullptr;
}

Plan PlanOf(Model& model, const std::vector<std::string>& rules, uint64_t seed = 0) {
  auto plan = MakePlan(model, ParseRecipe(rules).value(), seed);
  EXPECT_TRUE(plan) << (plan ? "" : plan.error().message);
  return plan ? std::move(*plan) : Plan{};
}

nlohmann::json Reference(const std::string& name) {
  std::ifstream in(kSource + "/tests/data/reference/" + name + ".json");
  return nlohmann::json::parse(in);
}

std::vector<uint32_t> AllOf(size_t n) {
  std::vector<uint32_t> all(n);
  for (size_t i = 0; i < n; ++i) all[i] = static_cast<uint32_t>(i);
  return all;
}

// Logits of every wanted token by stream, as bytes.
std::vector<std::vector<std::string>> Bits(Model& model, const std::vector<Stream>& streams) {
  std::vector<std::vector<std::string>> bits(streams.size());
  Evaluate(model, streams, [&](std::span<const LogitsRow> rows) {
    for (const LogitsRow& row : rows) {
      const size_t size = model.graph().vocabulary * (row.type == Arithmetic::kF32 ? 4 : 8);
      EXPECT_EQ(bits[row.stream].size(), row.index);
      bits[row.stream].emplace_back(static_cast<const char*>(row.values), size);
    }
  });
  return bits;
}

class ReferenceTest : public ::testing::TestWithParam<const char*> {};

TEST_P(ReferenceTest, GreedyTokensAndLogits) {
  auto model = OpenModel(GetParam());
  ASSERT_NE(model, nullptr);
  const Plan f32 = PlanOf(*model, {}), f64 = PlanOf(*model, {"*.math=f64"});
  for (const auto& prompt : Reference(GetParam())) {
    const std::vector<int32_t> ids = prompt.at("ids");
    const std::vector<GenerateRequest> requests = {{&f32, ids}, {&f64, ids}};
    GenerateOptions options;
    options.tokens = 24;
    options.keep_logits = true;
    const std::vector<Generated> got = Generate(*model, requests, options);
    const std::vector<int32_t> greedy = prompt.at("greedy");
    for (const Generated& g : got) {
      ASSERT_EQ(g.steps.size(), greedy.size());
      for (size_t i = 0; i < greedy.size(); ++i)
        EXPECT_EQ(g.steps[i].token, greedy[i]) << "step " << i;
    }
    const std::vector<double> right = prompt.at("logits_f64"), torch = prompt.at("logits_f32");
    ASSERT_EQ(got[0].prompt_logits.size(), right.size());
    for (size_t i = 0; i < right.size(); ++i) {
      EXPECT_NEAR(got[1].prompt_logits[i], right[i], 1e-9);
      EXPECT_NEAR(got[0].prompt_logits[i], right[i], 2e-5);
      EXPECT_NEAR(got[0].prompt_logits[i], torch[i], 2e-5);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Zoo, ReferenceTest,
                         ::testing::Values("tiny-llama", "tiny-qwen2", "tiny-mamba", "tiny-mamba2"),
                         [](const auto& test) { return std::string(test.param).substr(5); });

class EvaluateTest : public ::testing::Test {
 protected:
  void SetUp() override { Open("tiny-qwen2"); }
  void Open(const std::string& name) {
    model_ = OpenModel(name);
    ASSERT_NE(model_, nullptr);
    const Tokenizer* tokenizer = model_->tokenizer().value();
    ids_ = tokenizer
               ->Encode(
                   "Question: A robe takes 2 bolts of blue fiber and half that much white fiber. "
                   "How many bolts",
                   {})
               .value();
    other_ = tokenizer->Encode("First Citizen:\nBefore we proceed any further, hear me speak.", {})
                 .value();
  }
  std::unique_ptr<Model> model_;
  std::vector<int32_t> ids_, other_;
};

// Recipes that touch every kind of place of each kind of model.
std::vector<std::vector<std::string>> Recipes(const std::string& model) {
  if (model == "tiny-mamba")
    return {{},
            {"attn_norm=bf16"},
            {"ssm_in_x[2:4]=e4m3"},
            {"ssm_in_z=f16", "ssm_x_b[1]=bf16"},
            {"ssm_x_c[0:2]=bf16"},  // the states stay the same, what is read does not
            {"ssm_x_c[0:2]=bf16", "ssm_x_b[1]=e4m3"},
            {"ssm_state=bf16"},
            {"ssm_state[1:3]=int8"},
            {"ssm_state[3]=bf16,round=stochastic"},
            {"ssm_scan.in=bf16"},
            {"ssm_conv_nobias.in=e5m2"},
            {"*.math=f64"},
            {"ssm_scan[1:].math=f64"},
            {"ssm_x[2].math=f64", "ssm_conv_nobias[4].math=f64"},
            {"blk.*.ssm_a=bf16"},
            {"blk.2.ssm_conv1d.weight=int4"},
            {"ssm_dt_softplus=f16", "ssm_y=bf16"},
            {"l_out=bf16,round=stochastic"},
            {"*.math=step:posit16"},
            {"*[2].math=fused:bf16", "*[2].acc=f32,chunk=32", "ssm_state[2]=f16"},
            {"ssm_*[1].math=step:posit32", "ssm_*[1].in=bf16"},
            {"ssm_scan[3].math=exact", "ssm_conv_nobias[3].math=quire:f16"},
            {"ssm_x.math=int", "ssm_x.in=int8", "ssm_x.weight=int8"},
            {"ssm_scan.order=chunked:4"},
            {"ssm_scan.order=chunked:3", "ssm_scan[2:].math=f64", "ssm_state[3]=int8,every=5"},
            {"ssm_state=int8,every=4"},
            {"ssm_*[1].math=step:f16", "ssm_state[1]=e4m3,every=3"},
            {"result_output=bf16"}};
  if (model == "tiny-mamba2")
    return {{},
            {"attn_norm=bf16"},
            {"ssm_in_xbc[1:3]=e4m3"},
            {"ssm_in_z=f16", "ssm_conv_b[1]=bf16"},
            {"ssm_conv_c[0:2]=bf16"},
            {"ssm_state=bf16"},
            {"ssm_state[1:3]=int8,every=4"},
            {"ssm_state[3]=bf16,round=stochastic"},
            {"ssm_scan.in=bf16"},
            {"*.math=f64"},
            {"ssm_scan.order=chunked:4"},
            {"ssm_scan.order=chunked:3", "ssm_scan[2:].math=f64", "ssm_state[3]=int8,every=5"},
            {"blk.*.ssm_a=bf16"},
            {"blk.1.ssm_d=e4m3"},
            {"ssm_norm=bf16"},
            {"ssm_norm.eps=1e-3"},
            {"ssm_dt_softplus=f16", "ssm_y=bf16"},
            {"l_out=bf16,round=stochastic"},
            {"*.math=step:posit16"},
            {"*[2].math=fused:bf16", "*[2].acc=f32,chunk=32", "ssm_state[2]=f16"},
            {"ssm_scan[3].math=exact", "ssm_conv_nobias[3].math=quire:f16"},
            {"ssm_out.math=int", "ssm_out.in=int8", "ssm_out.weight=int8"},
            {"result_output=bf16"}};
  return {{},
          {"ffn_norm=bf16"},
          {"ffn_norm[2:4]=e4m3"},
          {"kq[1]=f16"},
          {"kq_soft_max=bf16", "kv=e5m2"},
          {"attn_out.in=int8"},
          {"*.math=f64"},
          {"ffn_*.math=f64"},
          {"blk.3.ffn_down.weight=int4"},
          {"attn_norm.weight=e4m3"},
          {"ffn_norm.eps=1e-3"},
          {"l_out=bf16,round=stochastic"},
          {"token_embd.weight=int8"},
          {"*.math=step:posit16"},
          {"*[1].math=fused:bf16", "*[1].acc=f32,chunk=32", "kq[1]=f16", "kv=e5m2"},
          {"*[1].math=step:posit32", "kq_soft_max[1]=bf16"},
          {"kqv_out[-1].math=exact", "Qcur_rope[-1].math=quire:f16", "*_norm[-2].math=step:e8m20"},
          {"*[3].acc=f32,order=kahan"},
          {"kv[2].math=step:e4m3"},
          {"ffn_*[3].math=int", "ffn_*[3].in=int8,symmetric=false",
           "blk.3.ffn_*.weight=int4,per=group:32"},
          {"attn_out.math=int", "attn_out.in=int8,round=stochastic", "attn_out.weight=int8"},
          {"result_output=bf16"}};
}

class EveryModelTest : public EvaluateTest, public ::testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override { Open(GetParam()); }
};

TEST_P(EveryModelTest, TogetherEqualsAlone) {
  // A text that parts from another in its middle goes on from what they share.
  std::vector<int32_t> parting = ids_;
  parting[10] = parting[10] == 5 ? 6 : 5;
  std::vector<Plan> plans;
  for (const auto& rules : Recipes(GetParam())) plans.push_back(PlanOf(*model_, rules, 7));
  std::vector<Stream> streams;
  for (const Plan& plan : plans)
    for (const auto* text : {&ids_, &other_, &parting})
      streams.push_back({&plan, *text, nullptr, AllOf(text->size())});
  const auto together = Bits(*model_, streams);
  for (size_t s = 0; s < streams.size(); ++s)
    EXPECT_EQ(Bits(*model_, {streams[s]})[0], together[s]) << "stream " << s;
  for (size_t s = 3; s < streams.size(); s += 3)
    EXPECT_NE(together[s], together[0]) << "the recipe should matter";
}

// Prefill in one piece, in two, and token by token through the cache; with rows wanted singly.
TEST_P(EveryModelTest, ChunksAndDecodeEqualPrefill) {
  for (const auto& rules : Recipes(GetParam())) {
    const Plan plan = PlanOf(*model_, rules, 7);
    const auto whole = Bits(*model_, {{&plan, ids_, nullptr, AllOf(ids_.size())}})[0];
    for (const size_t step : {size_t{1}, size_t{5}, ids_.size() - 1}) {
      KvCache cache;
      std::vector<std::string> got;
      for (size_t at = 0; at < ids_.size(); at += step) {
        const size_t end = std::min(ids_.size(), at + step);
        const std::vector<int32_t> piece(ids_.begin() + static_cast<long>(at),
                                         ids_.begin() + static_cast<long>(end));
        const auto bits = Bits(*model_, {{&plan, piece, &cache, AllOf(piece.size())}})[0];
        got.insert(got.end(), bits.begin(), bits.end());
      }
      EXPECT_EQ(got, whole) << (rules.empty() ? "baseline" : rules[0]) << " step " << step;
    }
    KvCache cache;  // the first piece wants no logits at all
    const std::vector<int32_t> head(ids_.begin(), ids_.end() - 2), tail(ids_.end() - 2, ids_.end());
    Bits(*model_, {{&plan, head, &cache, {}}});
    EXPECT_EQ(Bits(*model_, {{&plan, tail, &cache, {1}}})[0],
              std::vector<std::string>{whole.back()});
    const auto some = Bits(*model_, {{&plan, ids_, nullptr, {3, 7}}})[0];
    ASSERT_EQ(some.size(), 2u);
    EXPECT_EQ(some[0], whole[3]);
    EXPECT_EQ(some[1], whole[7]);
  }
}

TEST_P(EveryModelTest, ThreadsAndInstructionSetsGiveTheSameBits) {
  model_.reset();  // its workers would limit the others'
  std::vector<std::string> first;
  for (const Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512}) {
    if (KernelsFor(isa) == nullptr) continue;
    for (const int threads : {1, 2, 5}) {
      auto model = OpenModel(GetParam(), {threads, KernelsFor(isa)});
      std::vector<std::string> bits;
      for (const auto& rules : {std::vector<std::string>{}, {"l_out=bf16"}, {"*.math=f64"}}) {
        const Plan plan = PlanOf(*model, rules);
        const auto rows = Bits(*model, {{&plan, other_, nullptr, AllOf(other_.size())}})[0];
        bits.insert(bits.end(), rows.begin(), rows.end());
      }
      if (first.empty()) first = bits;
      EXPECT_EQ(bits, first) << KernelsFor(isa)->name << " " << threads;
    }
  }
}

TEST_P(EveryModelTest, FormatsGiveTheSameBitsEverywhere) {
  model_.reset();
  const std::vector<int32_t> text(other_.begin(), other_.begin() + 12);
  std::vector<std::string> first;
  for (const Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512}) {
    if (KernelsFor(isa) == nullptr) continue;
    for (const int threads : {1, 3}) {
      if (threads == 1 && KernelsFor(isa) != &BestKernels()) continue;
      auto model = OpenModel(GetParam(), {threads, KernelsFor(isa)});
      const Plan plan =
          PlanOf(*model, {"*[0].math=step:posit32", "*[1].math=fused:f16", "*[1].acc=f32",
                          "*[2].math=exact", "*[3:].math=step:posit16"});
      const auto bits = Bits(*model, {{&plan, text, nullptr, AllOf(text.size())}})[0];
      if (first.empty()) first = bits;
      EXPECT_EQ(bits, first) << KernelsFor(isa)->name << " " << threads;
    }
  }
}

// Each node by itself, fed with what the run had, gives what the run gave.
TEST_P(EveryModelTest, ReplayedNodesGiveTheSameBits) {
  const std::vector<std::vector<std::string>> recipes =
      std::string(GetParam()).starts_with("tiny-mamba")
          ? std::vector<std::vector<std::string>>{{"*.math=step:posit16", "ssm_out.in=bf16"},
                                                  {"ssm_*.math=fused:bf16", "ssm_*.acc=f32"},
                                                  {"ssm_scan.order=chunked:4"},
                                                  {"ssm_in.math=int", "ssm_in.in=int8",
                                                   "ssm_in.weight=int8"}}
          : std::vector<std::vector<std::string>>{
                {"*.math=step:posit16", "ffn_up.in=bf16"},
                {"*[1].math=fused:bf16", "*[1].acc=f32"},
                {"ffn_*.math=int", "ffn_*.in=int8", "blk.*.ffn_*.weight=int8"}};
  for (const auto& rules : recipes) {
    const Plan plan = PlanOf(*model_, rules);
    const Graph& graph = model_->graph();
    std::vector<std::vector<std::string>> rows(graph.nodes.size());
    std::vector<Arithmetic> types(graph.nodes.size());
    const Tap tap{[](const Site& site) { return site.inner == InnerSite::kNone; },
                  [&](const SiteTensor& t) {
                    const size_t node = static_cast<size_t>(t.site->node);
                    types[node] = t.type;
                    for (size_t r = 0; r < t.rows.size(); ++r)
                      rows[node].emplace_back(static_cast<const char*>(t.rows[r]),
                                              t.widths[r] * (t.type == Arithmetic::kF32 ? 4 : 8));
                  }};
    const Stream stream{&plan, other_, nullptr, AllOf(other_.size())};
    Evaluate(*model_, {&stream, 1}, nullptr, &tap);
    for (size_t n = 0; n < graph.nodes.size(); ++n) {
      std::vector<TokenRows> operands;
      for (const int input : graph.nodes[n].inputs) {
        const size_t i = static_cast<size_t>(input);
        TokenRows of{types[i], {}, AllOf(other_.size())};
        for (const std::string& row : rows[i]) of.rows.push_back(row.data());
        operands.push_back(of);
      }
      const Replayed got = ReplayNode({*model_, plan, n, other_, operands, AllOf(other_.size())});
      ASSERT_EQ(got.value.type, types[n]) << graph.nodes[n].site;
      for (size_t r = 0; r < rows[n].size(); ++r)
        ASSERT_EQ(std::memcmp(got.value.rows[r], rows[n][r].data(), rows[n][r].size()), 0)
            << rules[0] << " " << graph.nodes[n].site << " row " << r;
    }
  }
}

// Numbers of the format are all that a node in it makes, and float64 rounded at every step is
// float64.
TEST_P(EveryModelTest, FormatsHoldWhatTheirNodesMake) {
  const auto spec = MakeRoundSpec(FindFormat("posit16").value());
  const Plan plan = PlanOf(*model_, {"*.math=step:posit16"}), own = PlanOf(*model_, {"*.math=f64"}),
             step = PlanOf(*model_, {"*.math=step:f64"});
  size_t seen = 0;
  const Tap tap{[](const Site&) { return true; },
                [&](const SiteTensor& t) {
                  ASSERT_EQ(t.type, Arithmetic::kF32);
                  for (size_t r = 0; r < t.rows.size(); ++r)
                    for (size_t i = 0; i < t.widths[r]; ++i) {
                      const float x = static_cast<const float*>(t.rows[r])[i];
                      ASSERT_EQ(RoundValue(spec, x), x) << t.site->Label();
                    }
                  ++seen;
                }};
  const Stream stream{&plan, other_, nullptr, AllOf(other_.size())};
  Evaluate(*model_, {&stream, 1}, nullptr, &tap);
  EXPECT_EQ(seen, model_->graph().sites.size());
  std::vector<std::vector<double>> logits(2);
  const std::vector<Stream> streams = {{&own, other_, nullptr, AllOf(other_.size())},
                                       {&step, other_, nullptr, AllOf(other_.size())}};
  Evaluate(*model_, streams, [&](std::span<const LogitsRow> rows) {
    for (const LogitsRow& row : rows) {
      const double* values = static_cast<const double*>(row.values);
      logits[row.stream].insert(logits[row.stream].end(), values,
                                values + model_->graph().vocabulary);
    }
  });
  ASSERT_EQ(logits[0].size(), logits[1].size());
  for (size_t i = 0; i < logits[0].size(); ++i) ASSERT_NEAR(logits[0][i], logits[1][i], 1e-10);
}

INSTANTIATE_TEST_SUITE_P(Zoo, EveryModelTest,
                         ::testing::Values("tiny-qwen2", "tiny-mamba", "tiny-mamba2", "tiny-llama"),
                         [](const auto& test) { return std::string(test.param).substr(5); });

TEST_F(EvaluateTest, SharesWhatIsEqual) {
  const Plan base = PlanOf(*model_, {}), late = PlanOf(*model_, {"ffn_norm[-1]=bf16"}),
             same = PlanOf(*model_, {"ffn_norm[-1]=e8m7"}),
             idle = PlanOf(*model_, {"ffn_norm=f32"});
  const auto run = [&](std::vector<const Plan*> plans) {
    std::vector<Stream> streams;
    for (const Plan* plan : plans) streams.push_back({plan, ids_, nullptr, AllOf(ids_.size())});
    return Evaluate(*model_, streams, nullptr);
  };
  const uint64_t alone = run({&base}).cost.tensors_evaluated;
  EXPECT_EQ(run({&base, &base, &idle}).cost.tensors_evaluated, alone)
      << "equal lanes and vacuous ones cost nothing";
  const uint64_t forked = run({&base, &late}).cost.tensors_evaluated;
  EXPECT_LT(forked, alone + alone / 8)
      << "a change in the last of six layers costs less than a layer";
  EXPECT_EQ(run({&base, &late, &same}).cost.tensors_evaluated, forked)
      << "the same rounding under another name";
  const Evaluation e = run({&base, &idle, &late});
  EXPECT_EQ(e.effects[1][0].changed, 0u);
  EXPECT_EQ(e.effects[1][0].touched, 6 * ids_.size() * 224);
  EXPECT_EQ(e.effects[2][0].touched, ids_.size() * 224);
  EXPECT_GT(e.effects[2][0].changed, ids_.size() * 200);
}

// What integers give is what their treatments give in float32, but for the order of roundings: the
// logits of equal sums differ by 2e-5 (GreedyTokensAndLogits). Nothing is rounded to a grid after
// the last layer's projection.
TEST_F(EvaluateTest, IntegersAreThoseOfTheTreatments) {
  for (const std::string in : {"int8", "int8,symmetric=false", "int8,per=group:48",
                               "int8,round=stochastic", "int6,scale=percentile:99"})
    for (const std::string weight : {"int8", "int4,per=group:32", "int8,per=tensor"}) {
      const std::vector<std::string> rules = {"ffn_out[-1].in=" + in,
                                              "ffn_out[-1].weight=" + weight};
      const Plan treated = PlanOf(*model_, rules, 3),
                 coded = PlanOf(*model_, {"ffn_out[-1].math=int", rules[0], rules[1]}, 3);
      std::vector<std::vector<float>> logits(2);
      const std::vector<Stream> streams = {{&treated, ids_, nullptr, AllOf(ids_.size())},
                                           {&coded, ids_, nullptr, AllOf(ids_.size())}};
      const Evaluation e = Evaluate(*model_, streams, [&](std::span<const LogitsRow> rows) {
        for (const LogitsRow& row : rows) {
          const float* values = static_cast<const float*>(row.values);
          logits[row.stream].insert(logits[row.stream].end(), values,
                                    values + model_->graph().vocabulary);
        }
      });
      EXPECT_EQ(e.effects[0][0], e.effects[1][1]);
      EXPECT_NE(logits[0], logits[1]) << "another order of roundings should show";
      for (size_t i = 0; i < logits[0].size(); ++i)
        ASSERT_NEAR(logits[0][i], logits[1][i], 5e-5) << in << " " << weight;
    }
}

// Rows before the first changed one are shared: embeddings of one token rounded change nothing
// before it.
TEST_F(EvaluateTest, RowsBeforeTheFirstChangeAreShared) {
  std::vector<int32_t> changed = ids_;
  changed.back() = changed.back() == 5 ? 6 : 5;
  const Plan base = PlanOf(*model_, {});
  const std::vector<Stream> streams = {{&base, ids_, nullptr, AllOf(ids_.size())},
                                       {&base, changed, nullptr, AllOf(ids_.size())}};
  const Evaluation both = Evaluate(*model_, streams, nullptr);
  const Evaluation one = Evaluate(*model_, {streams.data(), 1}, nullptr);
  const uint64_t nodes = model_->graph().nodes.size() - 2 * 6;  // without k_cache and v_cache
  EXPECT_EQ(both.cost.rows_evaluated, one.cost.rows_evaluated + nodes);
}

TEST_F(EvaluateTest, TapsSeeEverySiteOnce) {
  const Plan base = PlanOf(*model_, {}), rounded = PlanOf(*model_, {"kq[0]=bf16"});
  std::map<std::pair<std::string, size_t>, int> seen;
  const Tap tap{[](const Site&) { return true; },
                [&](const SiteTensor& t) {
                  ++seen[{t.site->Label(), t.stream}];
                  EXPECT_EQ(t.rows.size(), ids_.size());
                  if (t.site->name == "kq_soft_max") {
                    for (size_t r = 0; r < t.rows.size(); ++r) {
                      ASSERT_EQ(t.widths[r], 7 * (r + 1));
                      double sum = 0;
                      for (size_t i = 0; i < t.widths[r]; ++i)
                        sum += static_cast<const float*>(t.rows[r])[i];
                      EXPECT_NEAR(sum, 7.0, 1e-5);
                    }
                  }
                }};
  const std::vector<Stream> streams = {{&base, ids_, nullptr, AllOf(ids_.size())},
                                       {&rounded, ids_, nullptr, AllOf(ids_.size())}};
  const auto taps_on = Evaluate(*model_, streams, nullptr, &tap);
  EXPECT_EQ(seen.size(), 2 * model_->graph().sites.size());
  for (const auto& [site, count] : seen) EXPECT_EQ(count, 1) << site.first;
  EXPECT_GT(taps_on.effects[1][0].changed, 0u);
}

class StateSpaceTest : public EvaluateTest {
 protected:
  void SetUp() override { Open("tiny-mamba"); }
  // Rows of a site by label, of the stream's tokens in order.
  std::map<std::string, std::vector<std::vector<float>>> Sites(
      const std::vector<std::string>& rules, KvCache* cache = nullptr) {
    std::map<std::string, std::vector<std::vector<float>>> sites;
    const Plan plan = PlanOf(*model_, rules);
    const Tap tap{[](const Site& site) { return site.layer == 1; },
                  [&](const SiteTensor& t) {
                    for (size_t r = 0; r < t.rows.size(); ++r) {
                      const float* row = static_cast<const float*>(t.rows[r]);
                      sites[t.site->name].emplace_back(row, row + t.widths[r]);
                    }
                  }};
    const Stream stream{&plan, ids_, cache, AllOf(ids_.size())};
    Evaluate(*model_, {&stream, 1}, nullptr, &tap);
    return sites;
  }
};

TEST_F(StateSpaceTest, TapsSeeEverySiteOnce) {
  const Plan base = PlanOf(*model_, {}), rounded = PlanOf(*model_, {"ssm_state[0]=bf16"});
  std::map<std::pair<std::string, size_t>, int> seen;
  const Tap tap{[](const Site&) { return true; },
                [&](const SiteTensor& t) {
                  ++seen[{t.site->Label(), t.stream}];
                  EXPECT_EQ(t.rows.size(), ids_.size());
                  if (t.site->name == "ssm_state") {
                    EXPECT_EQ(t.widths[0], 512u * 16);
                  }
                }};
  const std::vector<Stream> streams = {{&base, ids_, nullptr, AllOf(ids_.size())},
                                       {&rounded, ids_, nullptr, AllOf(ids_.size())}};
  const auto taps_on = Evaluate(*model_, streams, nullptr, &tap);
  EXPECT_EQ(seen.size(), 2 * model_->graph().sites.size());
  for (const auto& [site, count] : seen) EXPECT_EQ(count, 1) << site.first;
  EXPECT_EQ(taps_on.effects[1][0].touched, ids_.size() * 512 * 16);
  EXPECT_GT(taps_on.effects[1][0].changed, ids_.size() * 512 * 15);
}

// The recurrence from the sites' own values, in long double: what is seen at ssm_state is what was
// computed, and a treated state is what is read and carried on.
TEST_F(StateSpaceTest, StateIsWhatTheRecurrenceMakesAndATreatedOneIsCarriedOn) {
  std::vector<double> a(512 * 16);
  const auto stored = model_->checkpoint().Find("backbone.layers.1.mixer.A_log");
  ASSERT_NE(stored, nullptr);
  for (size_t i = 0; i < a.size(); ++i) {
    float value;
    std::memcpy(&value, stored->data.data() + 4 * i, 4);
    a[i] = -std::exp(double{value});
  }
  for (const bool treated : {false, true}) {
    const auto sites =
        Sites(treated ? std::vector<std::string>{"ssm_state=bf16"} : std::vector<std::string>{});
    std::vector<double> before(a.size());
    for (size_t t = 0; t < ids_.size(); ++t) {
      const auto& h = sites.at("ssm_state")[t];
      for (size_t c = 0; c < 512; ++c) {
        long double y = 0, size = 0;
        for (size_t n = 0; n < 16; ++n) {
          const size_t i = c * 16 + n;
          const double dt = sites.at("ssm_dt_softplus")[t][c];
          const double drive = dt * sites.at("ssm_conv_silu")[t][c] * sites.at("ssm_x_b")[t][n];
          const double right = std::exp(dt * a[i]) * before[i] + drive;
          // A few roundings of either term; a treated one has one of 2^-8 more.
          const double units = (treated ? 0x1p-8 : 0) + 8 * 0x1p-24 * (1 + std::abs(dt * a[i]));
          EXPECT_NEAR(h[i], right, units * (std::abs(before[i]) + std::abs(drive)));
          if (treated) {
            uint32_t bits;
            std::memcpy(&bits, &h[i], 4);
            EXPECT_EQ(bits & 0xffff, 0u) << "no BF16 number";
          }
          y += static_cast<long double>(sites.at("ssm_x_c")[t][n]) * h[i];
          size += std::abs(static_cast<long double>(sites.at("ssm_x_c")[t][n]) * h[i]);
          before[i] = h[i];
        }
        EXPECT_NEAR(sites.at("ssm_scan")[t][c], static_cast<double>(y),
                    static_cast<double>(size) * 16 * 0x1p-24);
      }
    }
  }
}

TEST_F(StateSpaceTest, SharesStatesBeforeTheFirstChange) {
  std::vector<int32_t> changed = ids_;
  changed.back() = changed.back() == 5 ? 6 : 5;
  const Plan base = PlanOf(*model_, {});
  const std::vector<Stream> streams = {{&base, ids_, nullptr, AllOf(ids_.size())},
                                       {&base, changed, nullptr, AllOf(ids_.size())}};
  const Evaluation both = Evaluate(*model_, streams, nullptr);
  const Evaluation one = Evaluate(*model_, {streams.data(), 1}, nullptr);
  const uint64_t nodes = model_->graph().nodes.size() - 6 * 6;  // without the views
  EXPECT_EQ(both.cost.rows_evaluated, one.cost.rows_evaluated + nodes);
}

TEST_F(StateSpaceTest, VacuousAndEqualRulesAreFoundOut) {
  const Plan idle = PlanOf(*model_, {"ssm_state=f32"}), base = PlanOf(*model_, {});
  const std::vector<Stream> streams = {{&base, ids_, nullptr, {0, 9}},
                                       {&idle, ids_, nullptr, {0, 9}}};
  const Evaluation e = Evaluate(*model_, streams, nullptr);
  EXPECT_EQ(e.effects[1][0].changed, 0u);
  EXPECT_EQ(e.effects[1][0].touched, 6 * ids_.size() * 512 * 16);
  const auto bits = Bits(*model_, streams);
  EXPECT_EQ(bits[0], bits[1]);
  for (const char* rule : {"ssm_in_x.math=f64", "ssm_in_z.in=bf16", "ssm_state.math=f64",
                           "ssm_state.weight=bf16", "ssm_scan.eps=1"})
    EXPECT_FALSE(MakePlan(*model_, ParseRecipe({rule}).value())) << rule;
}

}  // namespace
}  // namespace vernier
