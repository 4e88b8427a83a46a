// Orders of the scan, and treatments of its state after some tokens, against plain loops over what
// the scan was given; what is refused.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>

#include "engine/engine_testing.h"
#include "engine/evaluate.h"
#include "formats/round.h"
#include "kernels/reference.h"

namespace vernier {
namespace {

using Row = std::vector<float>;

class ScanOrderTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    auto model = Model::Open(kSource + "/models/" + GetParam(), {});
    ASSERT_TRUE(model) << model.error().message;
    model_ = std::move(*model);
    ids_ = model_->tokenizer()
               .value()
               ->Encode("First Citizen:\nBefore we proceed any further,", {})
               .value();
    for (const Node& node : model_->graph().nodes)
      if (node.op == OpKind::kScan && node.layer == kLayer) scan_ = &node;
    ASSERT_NE(scan_, nullptr);
  }
  Plan PlanOf(const std::vector<std::string>& rules) {
    auto plan = MakePlan(*model_, ParseRecipe(rules).value());
    EXPECT_TRUE(plan) << (plan ? "" : plan.error().message);
    return plan ? std::move(*plan) : Plan{};
  }
  std::string ErrorOf(const std::vector<std::string>& rules) {
    const auto plan = MakePlan(*model_, ParseRecipe(rules).value());
    return plan ? "" : plan.error().message;
  }
  // Rows of layer kLayer's sites in float32, the text in pieces of `step` tokens (0: in one).
  std::map<std::string, std::vector<Row>> Sites(const std::vector<std::string>& rules,
                                                size_t step = 0) {
    std::map<std::string, std::vector<Row>> sites;
    const Plan plan = PlanOf(rules);
    const Tap tap{[](const Site& site) { return site.layer == kLayer; },
                  [&](const SiteTensor& t) {
                    for (size_t r = 0; r < t.rows.size(); ++r) {
                      const float* row = static_cast<const float*>(t.rows[r]);
                      sites[t.site->name].emplace_back(row, row + t.widths[r]);
                    }
                  }};
    KvCache cache;
    step = step == 0 ? ids_.size() : step;
    for (size_t at = 0; at < ids_.size(); at += step) {
      const std::vector<int32_t> piece(
          ids_.begin() + static_cast<long>(at),
          ids_.begin() + static_cast<long>(std::min(at + step, ids_.size())));
      std::vector<uint32_t> all(piece.size());
      for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint32_t>(i);
      const Stream stream{&plan, piece, &cache, all};
      Evaluate(*model_, {&stream, 1}, nullptr, &tap);
    }
    return sites;
  }
  const std::string& InputSite(size_t operand) const {
    return model_->graph().nodes[static_cast<size_t>(scan_->inputs[operand])].site;
  }
  // A as float32, row-major: [width][states], or one a head.
  Row Rates() {
    const Weight& of = *model_->weights().Get(scan_->weight, nullptr, 0);
    const size_t rows = scan_->shape.heads > 0 ? scan_->shape.heads : scan_->shape.width;
    const size_t columns = of.small.k;
    Row rates;
    for (size_t r = 0; r < rows; ++r)
      for (size_t c = 0; c < columns; ++c)
        rates.push_back(of.small.data[(r / kLanes * columns + c) * kLanes + r % kLanes]);
    return rates;
  }
  using Weight = LoadedWeight;
  static constexpr int kLayer = 1;
  std::unique_ptr<Model> model_;
  std::vector<int32_t> ids_;
  const Node* scan_ = nullptr;
};

// docs/numerics.md as a loop in float32: states and what is read, bit for bit; the text whole, in
// pieces of five tokens and token by token.
TEST_P(ScanOrderTest, ChunksAreTheLoopOverTokens) {
  const OpShape& shape = scan_->shape;
  const Row a = Rates();
  for (const size_t chunk : {1, 4, 7, 100}) {
    const std::vector<std::string> rules = {"ssm_scan.order=chunked:" + std::to_string(chunk)};
    const auto sites = Sites(rules);
    for (const size_t step : {1, 5})
      EXPECT_EQ(Sites(rules, step), sites) << "chunked:" << chunk << " by " << step;
    const Row zeros(shape.states);
    std::vector<reference::ChunkedState<float>> states(shape.width, {zeros, zeros, zeros, zeros});
    for (size_t t = 0; t < ids_.size(); ++t) {
      const Row &dt = sites.at(InputSite(0))[t], &x = sites.at(InputSite(1))[t],
                &b = sites.at(InputSite(2))[t], &c = sites.at(InputSite(3))[t];
      for (size_t i = 0; i < shape.width; ++i) {
        const size_t row = shape.heads > 0 ? i / (shape.width / shape.heads) : i,
                     group = i / (shape.width / shape.groups) * shape.states;
        const float y = reference::ChunkedScanStep(
            a.data() + row * (shape.heads > 0 ? 1 : shape.states),
            shape.heads > 0 ? size_t{0} : size_t{1}, dt[row], x[i], b.data() + group,
            c.data() + group, shape.states, t % chunk == 0, &states[i]);
        ASSERT_EQ(y, sites.at("ssm_scan")[t][i]) << "token " << t << " channel " << i;
        ASSERT_EQ(
            std::memcmp(states[i].h.data(), sites.at("ssm_state")[t].data() + i * shape.states,
                        shape.states * sizeof(float)),
            0)
            << "token " << t << " channel " << i;
      }
    }
  }
}

TEST_P(ScanOrderTest, ChunksOfOneTokenAreSequential) {
  EXPECT_EQ(Sites({"ssm_scan.order=chunked:1"}), Sites({}));
  EXPECT_EQ(Sites({"ssm_scan.order=chunked:4", "ssm_scan.order=sequential"}), Sites({}));
  EXPECT_NE(Sites({"ssm_scan.order=chunked:4"}), Sites({}));
  // After every token the chunk begins anew from the rounded state, whatever its length.
  EXPECT_EQ(Sites({"ssm_state=bf16", "ssm_scan.order=chunked:4"}), Sites({"ssm_state=bf16"}));
}

// The state is rounded after the tokens at positions N - 1, 2 N - 1, ... and the rounded one is
// what is read and carried on; in between it is the plain recurrence.
TEST_P(ScanOrderTest, StatesAreTreatedAfterEveryNthToken) {
  const OpShape& shape = scan_->shape;
  const Row a = Rates();
  const RoundSpec bf16 = MakeRoundSpec(FindFormat("bf16").value());
  for (const size_t every : {1, 3, 8}) {
    const std::vector<std::string> rules = {"ssm_state=bf16,every=" + std::to_string(every)};
    const auto sites = Sites(rules);
    for (const size_t step : {1, 5}) EXPECT_EQ(Sites(rules, step), sites) << "every " << every;
    std::vector<Row> states(shape.width, Row(shape.states));
    for (size_t t = 0; t < ids_.size(); ++t) {
      const Row &dt = sites.at(InputSite(0))[t], &x = sites.at(InputSite(1))[t],
                &b = sites.at(InputSite(2))[t], &c = sites.at(InputSite(3))[t];
      for (size_t i = 0; i < shape.width; ++i) {
        const size_t row = shape.heads > 0 ? i / (shape.width / shape.heads) : i,
                     group = i / (shape.width / shape.groups) * shape.states;
        Row& h = states[i];
        reference::ScanStep(a.data() + row * (shape.heads > 0 ? 1 : shape.states), dt[row], x[i],
                            b.data() + group, c.data() + group, shape.states, h.data(),
                            shape.heads > 0 ? size_t{0} : size_t{1});
        if ((t + 1) % every == 0)
          for (float& v : h) v = static_cast<float>(RoundValue(bf16, v));
        const float y = reference::Dot<float>([&](size_t n) { return c[group + n]; },
                                              [&](size_t n) { return h[n]; }, shape.states);
        ASSERT_EQ(y, sites.at("ssm_scan")[t][i]) << "token " << t << " channel " << i;
        ASSERT_EQ(std::memcmp(h.data(), sites.at("ssm_state")[t].data() + i * shape.states,
                              shape.states * sizeof(float)),
                  0);
      }
    }
  }
}

TEST_P(ScanOrderTest, CountsOnlyTheTokensThatAreTreated) {
  const Plan plan = PlanOf({"ssm_state[1]=bf16,every=4"});
  const Stream stream{&plan, ids_, nullptr, {0}};
  const Evaluation e = Evaluate(*model_, {&stream, 1}, nullptr);
  EXPECT_EQ(e.effects[0][0].touched, ids_.size() / 4 * scan_->shape.width * scan_->shape.states);
}

// A cache may be gone on from with another order: from the state that its last token left.
TEST_P(ScanOrderTest, AnotherOrderGoesOnFromTheState) {
  const Plan sequential = PlanOf({}), chunked = PlanOf({"ssm_scan.order=chunked:4"}),
             wide = PlanOf({"ssm_scan.order=chunked:4", "ssm_scan.math=f64"});
  const size_t head = 6;  // inside a chunk
  const std::vector<int32_t> first(ids_.begin(), ids_.begin() + head),
      rest(ids_.begin() + head, ids_.end());
  std::vector<uint32_t> last = {static_cast<uint32_t>(rest.size()) - 1};
  const auto run = [&](const Plan& before, const Plan& after) {
    KvCache cache;
    const Stream one{&before, first, &cache, {}}, two{&after, rest, &cache, last};
    Evaluate(*model_, {&one, 1}, nullptr);
    std::vector<double> logits;
    Evaluate(*model_, {&two, 1}, [&](std::span<const LogitsRow> rows) {
      const float* values = static_cast<const float*>(rows[0].values);
      logits.assign(values, values + model_->graph().vocabulary);
    });
    return logits;
  };
  const std::vector<double> right = run(sequential, sequential);
  for (const auto& [before, after] : {std::pair{&sequential, &chunked},
                                      {&chunked, &sequential},
                                      {&chunked, &wide},
                                      {&wide, &chunked},
                                      {&sequential, &wide}}) {
    const std::vector<double> got = run(*before, *after);
    ASSERT_EQ(got.size(), right.size());
    // Other roundings of float32: the tolerance of float32 logits (ReferenceTest).
    for (size_t i = 0; i < right.size(); ++i) ASSERT_NEAR(got[i], right[i], 4e-5);
  }
}

#define EXPECT_PART(part, text) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST_P(ScanOrderTest, WhatIsRefused) {
  for (const char* value : {"chunked", "chunked:", "chunked:0", "chunked:-1", "chunked:4x",
                            "chunked:2000000", "parallel", "Sequential"})
    EXPECT_PART("expected sequential or chunked:N",
                ErrorOf({std::string("ssm_scan.order=") + value}));
  EXPECT_PART("has no such part", ErrorOf({"ssm_conv.order=chunked:4"}));
  EXPECT_PART("has no such part", ErrorOf({"ssm_state.order=chunked:4"}));
  EXPECT_PART("computes in a format", ErrorOf({"ssm_scan.order=chunked:4", "*.math=step:bf16"}));
  EXPECT_PART("computes in a format", ErrorOf({"ssm_scan.order=chunked:4", "ssm_scan.acc=f16"}));
  EXPECT_NE(ErrorOf({"ssm_scan.order=chunked:4", "profile=ggml-repack"}), "");
  EXPECT_EQ(ErrorOf({"ssm_scan.order=sequential", "*.math=step:bf16"}), "");
  EXPECT_PART("no state that is carried on", ErrorOf({"ssm_y=int8,every=4"}));
  EXPECT_PART("no state that is carried on", ErrorOf({"ssm_scan.in=int8,every=4"}));
  EXPECT_PART("expected every=N", ErrorOf({"ssm_state=int8,every=0"}));
  EXPECT_PART("expected every=N", ErrorOf({"ssm_state=int8,every=often"}));
  EXPECT_PART("given twice", ErrorOf({"ssm_state=int8,every=4,every=4"}));
}

INSTANTIATE_TEST_SUITE_P(Zoo, ScanOrderTest, ::testing::Values("tiny-mamba", "tiny-mamba2"),
                         [](const auto& test) { return std::string(test.param).substr(5); });

}  // namespace
}  // namespace vernier
