// Treatments of some heads.
#include "engine/head_rules.h"

#include <gtest/gtest.h>

#include <map>

#include "engine/engine_testing.h"
#include "engine/evaluate.h"

namespace vernier {
namespace {

const std::vector<int32_t> kTokens = {5, 300, 77, 12, 512, 9, 640, 33};

class HeadRules : public testing::Test {
 protected:
  HeadRules() : model_(Model::Open(kSource + "/models/tiny-llama", {.threads = 2}).value()) {}
  Result<Plan> Make(const std::string& rule) {
    return MakePlan(*model_, ParseRecipe({rule}).value());
  }
  // The last token's row of the site in layer 0.
  std::vector<float> Row(const std::string& rule, const std::string& site) {
    const Plan plan = rule.empty() ? MakePlan(*model_, {}).value() : Make(rule).value();
    std::vector<float> row;
    const Tap tap{[&](const Site& s) { return s.name == site && s.layer == 0; },
                  [&](const SiteTensor& t) {
                    const float* values = static_cast<const float*>(t.rows.back());
                    row.assign(values, values + t.widths.back());
                  }};
    const Stream stream{&plan, kTokens, nullptr, {7}};
    Evaluate(*model_, {&stream, 1}, {}, &tap);
    return row;
  }
  std::unique_ptr<Model> model_;
};

TEST_F(HeadRules, TreatTheElementsOfTheHeads) {
  // 8 heads of 32 elements, 2 of K and V; scores of a head are those of its 8 tokens.
  const std::map<std::string, size_t> heads = {
      {"Qcur", 8},    {"Qcur_rope", 8}, {"Kcur", 2}, {"Kcur_rope", 2},   {"Vcur", 2},
      {"k_cache", 2}, {"v_cache", 2},   {"kq", 8},   {"kq_soft_max", 8}, {"kqv_out", 8}};
  for (const auto& [site, count] : heads) {
    SCOPED_TRACE(site);
    const std::vector<float> before = Row("", site), whole = Row(site + "[0]=e4m3", site);
    ASSERT_EQ(before.size() % count, 0u);
    const size_t width = before.size() / count;
    for (const size_t head : {size_t{0}, count - 1}) {
      const std::vector<float> some = Row(fmt::format("{}[0]=e4m3,heads={}", site, head), site);
      for (size_t i = 0; i < some.size(); ++i)
        ASSERT_EQ(some[i], i / width == head ? whole[i] : before[i]) << i;
      EXPECT_NE(some, before);
    }
  }
  EXPECT_EQ(Row("kv=e4m3,heads=1", "k_cache"), Row("k_cache=e4m3,heads=-1:", "k_cache"));
  EXPECT_EQ(Row("Qcur=e4m3,heads=:", "Qcur"), Row("Qcur=e4m3", "Qcur"));
  // A scale from the data is that of the heads' elements.
  const std::vector<float> scaled = Row("Vcur[0]=int8,heads=1", "Vcur"), plain = Row("", "Vcur");
  const size_t half = plain.size() / 2;
  std::vector<float> alone(plain.begin() + static_cast<std::ptrdiff_t>(half), plain.end());
  TreatRow(ParseTreatment("int8", TreatedThing::kActivation).value(), alone.data(), half, 0);
  EXPECT_TRUE(
      std::equal(alone.begin(), alone.end(), scaled.begin() + static_cast<std::ptrdiff_t>(half)));
}

TEST_F(HeadRules, ArePartOfTheIdentity) {
  EXPECT_NE(Make("Qcur=bf16,heads=0")->identity, Make("Qcur=bf16,heads=1")->identity);
  EXPECT_NE(Make("kq=bf16,heads=0")->identity, Make("kq=bf16,heads=1")->identity);
  EXPECT_EQ(Make("Qcur=bf16,heads=0:8")->identity, Make("Qcur=bf16")->identity);
  EXPECT_EQ(Make("Qcur=heads=0,bf16")->identity, Make("Qcur=bf16,heads=0")->identity);
}

TEST_F(HeadRules, Mistakes) {
  const auto refused = [&](const std::string& rule, const std::string& part) {
    const auto plan = Make(rule);
    ASSERT_FALSE(plan) << rule;
    EXPECT_NE(plan.error().message.find(part), std::string::npos) << plan.error().message;
  };
  refused("ffn_norm=bf16,heads=0", "ffn_norm has no heads");
  refused("attn_out=bf16,heads=0", "attn_out has no heads");
  refused("Qcur.in=bf16,heads=0", "Qcur.in has no heads");
  refused("Qcur=bf16,heads=8", "Qcur has heads 0 to 7");
  refused("Kcur=bf16,heads=0:3", "Kcur has heads 0 to 1");
  refused("Qcur=bf16,heads=3:3", "Qcur has heads 0 to 7");
  refused("Qcur=bf16,heads=x", "expected heads=N or heads=A:B");
  refused("Qcur=bf16,heads=", "expected heads=N or heads=A:B");
  refused("Qcur=bf16,heads=0,heads=1", "given twice");
  refused("Qcur.weight=bf16,heads=0", "heads");
  refused("Vcur=q4_0,heads=0:1,heads=1", "given twice");
}

}  // namespace
}  // namespace vernier
