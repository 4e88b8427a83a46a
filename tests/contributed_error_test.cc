// Contributed error on real models: replaying a node is what the evaluation did, and what rules and
// types change shows where they are and nowhere else.
#include "measure/contributed_error.h"

#include <cstring>
#include <map>

#include "e2e_testing.h"
#include "measure/compare_runs.h"

namespace vernier {
namespace {

const std::vector<int32_t> kIds = {0, 627, 284, 112, 300, 17, 5};

std::map<std::string, CapturedSite> Sites(Model& model, const Plan& plan) {
  std::map<std::string, CapturedSite> sites;
  CaptureRequest request{{&model, &plan}, kIds, {}, {}, {}};
  request.receive = [&](const SiteTensor& t) { sites[t.site->Label()] = CaptureSite(t); };
  EXPECT_TRUE(ObserveRun(request));
  return sites;
}

TokenRows RowsOfSite(const CapturedSite& site) {
  const CapturedRows rows(site);
  return {site.type, {rows.view().rows.begin(), rows.view().rows.end()}, site.tokens};
}

class ContributedError : public ::testing::TestWithParam<const char*> {};

// Every node, fed with what the run computed, computes what the run did, bit for bit: of all tokens
// and of the last ones alone, with and without rules.
TEST_P(ContributedError, ReplayIsTheEvaluation) {
  auto model = OpenModel(TinyFolder(GetParam()));
  const Graph& graph = model->graph();
  for (const std::vector<std::string>& rules :
       {std::vector<std::string>{}, {"*=bf16,round=stochastic", "*.weight=e4m3"}, {"*.math=f64"}}) {
    const Plan plan = PlanOf(*model, rules);
    const auto sites = Sites(*model, plan);
    const auto site_of = [&](size_t n) -> const CapturedSite& {
      return sites.at(Site{graph.nodes[n].site, graph.nodes[n].layer}.Label());
    };
    for (const std::vector<uint32_t>& wanted :
         {std::vector<uint32_t>{0, 1, 2, 3, 4, 5, 6}, {4, 6}, {2}})
      for (size_t n = 0; n < graph.nodes.size(); ++n) {
        ReplayRequest request{*model, plan, n, kIds, {}, wanted, 0};
        for (const int input : graph.nodes[n].inputs)
          request.operands.push_back(RowsOfSite(site_of(static_cast<size_t>(input))));
        ASSERT_TRUE(CanReplay(request));
        const Replayed replayed = ReplayNode(request);
        const CapturedSite right = RowsOf(site_of(n), wanted);
        ASSERT_EQ(replayed.value.type, right.type);
        const CapturedRows rows(right);
        const size_t bytes = graph.nodes[n].shape.width * (right.type == Arithmetic::kF32 ? 4 : 8);
        for (size_t r = 0; r < wanted.size(); ++r)
          ASSERT_EQ(std::memcmp(replayed.value.rows[r], rows.view().rows[r], bytes), 0)
              << right.label << " row " << r;
      }
  }
}

// A rule at one site: all of its error is contributed there, and nothing anywhere else.
TEST_P(ContributedError, ARuleContributesWhereItIs) {
  auto model = OpenModel(TinyFolder(GetParam()));
  const Plan a = PlanOf(*model, {}), b = PlanOf(*model, {"attn_norm[2]=e4m3"});
  const auto all = MeasureContributions({{model.get(), &a}, {model.get(), &b}, kIds, {}, true});
  ASSERT_TRUE(all) << all.error().message;
  EXPECT_EQ(all->size(), model->graph().nodes.size());
  bool seen = false;
  for (const Contribution& c : *all) {
    if (c.label == "attn_norm[2]") {
      seen = true;
      EXPECT_GT(c.contributed.l2_rel, 0.01);
      EXPECT_EQ(c.inherited.l2_rel, 0);
      EXPECT_EQ(c.total.l2_rel, c.contributed.l2_rel);
    } else {
      EXPECT_EQ(c.contributed.l2_rel, 0) << c.label;
      EXPECT_EQ(c.inherited.l2_rel, c.total.l2_rel) << c.label;
      EXPECT_EQ(c.total.l2_rel > 0, seen) << c.label;
    }
    EXPECT_FALSE(c.beyond) << c.label;
  }
  EXPECT_TRUE(seen);
}

// Files of one model in two types: nothing is beyond what the types cost, whichever leads, and the
// cost found is the error that is there.
TEST_P(ContributedError, TypesCostWhatTheyCost) {
  if (std::string(GetParam()) == "tiny-qwen2") GTEST_SKIP() << "rows are no whole super-blocks";
  ScratchFolder folder;
  Convert(TinyFolder(GetParam()), folder / "a.gguf", TensorType::kF32);
  Convert(TinyFolder(GetParam()), folder / "b.gguf", TensorType::kQ4_0);
  auto a = OpenModel(folder / "a.gguf"), b = OpenModel(folder / "b.gguf");
  const Plan plan_a = PlanOf(*a, {}), plan_b = PlanOf(*b, {});
  for (const bool swapped : {false, true}) {
    const RunSide left{a.get(), &plan_a}, right{b.get(), &plan_b};
    const auto all =
        MeasureContributions({swapped ? right : left, swapped ? left : right, kIds, {}, true});
    ASSERT_TRUE(all) << all.error().message;
    size_t products = 0;
    for (const Contribution& c : *all) {
      EXPECT_FALSE(c.beyond) << c.label << " " << c.contributed.l2_rel << " " << c.cost.l2_rel;
      if (c.op != OpKind::kMatMul || c.contributed.l2_rel < 1e-3) continue;
      ++products;
      EXPECT_NEAR(c.cost.l2_rel / c.contributed.l2_rel, 1, 0.01) << c.label;
      EXPECT_LT(c.contributed.l2_rel, 0.3) << c.label;
    }
    EXPECT_GT(products, 10u);
  }
}

INSTANTIATE_TEST_SUITE_P(Zoo, ContributedError,
                         ::testing::Values("tiny-llama", "tiny-qwen2", "tiny-mamba"),
                         [](const auto& test) { return std::string(test.param).substr(5); });

// A source that has few sites: the error belongs to the stretch since the last of them.
TEST(ContributedErrorOfFewSites, CoversTheStretch) {
  auto model = OpenModel(TinyFolder("tiny-llama"));
  const Plan plan = PlanOf(*model, {}), wrong = PlanOf(*model, {"ffn_gate[1]=int8"});
  auto source = Sites(*model, wrong);
  std::erase_if(source, [](const auto& s) { return s.second.name != "l_out"; });
  ContributionRequest request;
  request.replayed = {model.get(), &plan};
  request.source_is_b = true;
  request.tokens = kIds;
  request.source_layout = model->graph().rope.layout;
  request.source_site = [&](const std::string& label) -> const CapturedSite* {
    const auto found = source.find(label);
    return found == source.end() ? nullptr : &found->second;
  };
  ContributionMeter meter(request);
  const auto ours = Sites(*model, plan);
  for (const Site& site : model->graph().sites) {
    if (site.inner != InnerSite::kNone) continue;
    const TokenRows rows = RowsOfSite(ours.at(site.Label()));
    meter.Take({&site, 0, rows.type, rows.rows, ours.at(site.Label()).widths, rows.tokens});
  }
  ASSERT_EQ(meter.results().size(), 4u);
  EXPECT_EQ(meter.results()[0].contributed.l2_rel, 0);
  EXPECT_TRUE(meter.results()[1].beyond);
  EXPECT_EQ(meter.results()[1].since, std::vector<std::string>{"l_out[0]"});
  EXPECT_EQ(meter.results()[2].contributed.l2_rel, 0);
  EXPECT_GT(meter.results()[2].inherited.l2_rel, 0);
  EXPECT_EQ(FirstBeyond(meter.results())->label, "l_out[1]");
}

}  // namespace
}  // namespace vernier
