// The document of a page: its numbers against the study's own, and what is thinned.
#include "report/page_data.h"

#include <bit>
#include <cmath>

#include "report/page.h"
#include "study/sample.h"
#include "study/study_testing.h"

namespace vernier {
namespace {

using Json = nlohmann::ordered_json;

TEST(ShortNumber, FiveDigits) {
  EXPECT_EQ(ShortNumber(3.14159265), 3.1416);
  EXPECT_EQ(ShortNumber(-1234567.0), -1234600.0);
  EXPECT_EQ(ShortNumber(1.23456789e-12, 3), 1.23e-12);
  EXPECT_TRUE(std::isnan(ShortNumber(std::nan(""))));
  Json json = {{"a", 0.1234567}, {"b", {1, 2.3456789}}, {"c", "0.1234567"}};
  ShortenNumbers(&json, 3);
  EXPECT_EQ(json.dump(), R"({"a":0.123,"b":[1,2.35],"c":"0.1234567"})");
}

// What the page's code reads: 16 bits, the low byte first.
std::vector<double> Read(const std::string& base64) {
  const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  for (size_t i = 0; i < base64.size(); i += 4) {
    uint32_t word = 0;
    size_t n = 3;
    for (size_t k = 0; k < 4; ++k) {
      const size_t digit = digits.find(base64[i + k]);
      if (digit == std::string::npos) --n;
      word = word << 6 | (digit == std::string::npos ? 0 : static_cast<uint32_t>(digit));
    }
    for (size_t k = 0; k < n; ++k) bytes += static_cast<char>(word >> (16 - 8 * k));
  }
  std::vector<double> values;
  for (size_t i = 0; i + 1 < bytes.size(); i += 2) {
    const uint32_t half = static_cast<uint8_t>(bytes[i]) | static_cast<uint8_t>(bytes[i + 1]) << 8;
    values.push_back(static_cast<double>(std::bit_cast<float>(half << 16)));
  }
  return values;
}

TEST(HalvesText, RoundsToNearest) {
  EXPECT_EQ(HalvesText::Bits(1.0), 0x3f80);
  EXPECT_EQ(HalvesText::Bits(-2.0), 0xc000);
  EXPECT_EQ(HalvesText::Bits(1 + 0x1p-8), 0x3f80);  // a tie, to even
  EXPECT_EQ(HalvesText::Bits(1 + 0x1p-8 + 0x1p-16), 0x3f81);
  EXPECT_EQ(HalvesText::Bits(1 + 3 * 0x1p-8), 0x3f82);
  for (size_t n = 0; n < 7; ++n) {
    HalvesText text;
    for (size_t i = 0; i < n; ++i) text.Add(std::ldexp(1.0, static_cast<int>(i) - 3));
    const auto values = Read(text.Base64());
    ASSERT_EQ(values.size(), n);
    for (size_t i = 0; i < n; ++i) EXPECT_EQ(values[i], std::ldexp(1.0, static_cast<int>(i) - 3));
  }
}

TEST(Page, NoTextEndsTheScript) {
  EXPECT_EQ(EscapedForScript(R"({"a":"</script><!--"})"), R"({"a":"\u003c/script>\u003c!--"})");
  const Json document = {{"name", "</script><b>&amp;"}};
  const std::string html = PageHtml({document.dump(), "{}"});
  const size_t from = html.find("{\"studies\":["), to = html.find("</script>", from);
  ASSERT_NE(from, std::string::npos);
  const Json read = Json::parse(html.substr(from, to - from));
  ASSERT_EQ(read["studies"].size(), 2u);
  EXPECT_EQ(read["studies"][0], document);
  EXPECT_EQ(html.find("src=\"http"), std::string::npos);
}

TEST(FormatsJson, FractionBits) {
  const auto bits = [](const Json& formats, const std::string& name, int e) {
    for (const Json& f : formats)
      if (f["name"] == name)
        for (const Json& run : f["precision"])
          if (run[0] <= e && e <= run[1]) return run[2].get<int>();
    return -100;
  };
  const Json formats = FormatsJson({"posit32", "e3m2", "unheard of"});
  EXPECT_EQ(bits(formats, "f16", 15), 10);
  EXPECT_EQ(bits(formats, "f16", 16), -100);
  EXPECT_EQ(bits(formats, "f16", -24), 0);  // the smallest subnormal
  EXPECT_EQ(bits(formats, "f16", -20), 4);
  EXPECT_EQ(bits(formats, "bf16", 127), 7);
  EXPECT_EQ(bits(formats, "posit32", 0), 27);  // 32 - sign - 2 of regime - 2 of exponent
  EXPECT_EQ(bits(formats, "posit32", 4), 26);
  EXPECT_EQ(bits(formats, "int8", 6), 6);
  EXPECT_EQ(bits(formats, "e3m2", 4), 2);
  for (const Json& f : formats)
    EXPECT_EQ(f["named"], f["name"] == "posit32" || f["name"] == "e3m2");
}

constexpr const char* kStudy = R"toml(name = "small </script>"
models = [{ name = "one", path = "MODEL" }, { name = "two", path = "MODEL" }]
texts = ["a.txt", "b.txt"]
context = 32
chunks = 3
noise = 1
generate = { prompts = "p.jsonl", tokens = 6 }
[[variant]]
name = "rough"
rules = ["l_out=e2m1,scale=absmax"]
by_layer = true
[[variant]]
name = "idle"
rules = ["ffn_norm.weight=bf16"]
[[variant]]
name = "broken"
rules = ["l_out=f16,scale=1e-6,overflow=nan"]
models = "two"
[[claim]]
says = "rough is worse"
expect = "kld('one: rough') > kld('one: idle')"
[[claim]]
says = "idle is idle"
require = "vacuous('two: idle')"
)toml";

class PageTest : public testing::Test {
 protected:
  PageTest() : model_(OpenTiny()) {
    std::string text;
    for (int i = 0; i < 80; ++i) text += fmt::format("Line {} of a play: enter {}.\n", i, i * i);
    folder_.Write("a.txt", text);
    folder_.Write("b.txt", "Another one. " + text);
    folder_.Write("p.jsonl", "{\"prompt\": \"First\"}\n{\"prompt\": \"Then\", \"tag\": \"x\"}\n");
    std::string study = kStudy;
    for (size_t at; (at = study.find("MODEL")) != std::string::npos;)
      study.replace(at, 5, kSource + "/models/tiny-qwen2");
    specs_ = SplitByModel(ReadStudy(folder_.Write("study.toml", study), {}).value());
    data_.resize(specs_.size());
    const auto store = Store::Open(folder_ / "out").value();
    std::vector<StudiedModel> models;
    for (size_t m = 0; m < specs_.size(); ++m) {
      EXPECT_TRUE(ExpandSweeps(&specs_[m], model_->graph().layers));
      auto inputs =
          ReadInputs(specs_[m], *model_, MakeLanes(specs_[m], *model_).value(), {}).value();
      data_[m] = RunStudy(specs_[m], *model_, std::move(inputs), *store, {}).value();
      samples_.push_back(SampleStudy(*model_, data_[m], *store, {}).value().value());
      parts_.push_back({&specs_[m], model_.get(), &data_[m],
                        MakeStudyReport(specs_[m], data_[m], model_->graph())});
      models.push_back({&specs_[m], &data_[m], &model_->graph()});
    }
    std::vector<Expression> claims;
    for (const StudyClaim& claim : specs_[0].claims)
      claims.push_back(ParseClaim(claim.expression, specs_).value());
    judged_ = JudgeClaims(specs_[0].claims, claims, models);
  }
  Json Document() {
    const Json results = StudyJson(parts_, judged_);
    return Json::parse(
        PageDocument({parts_, &judged_, &results, samples_, "vernier study x", "name = 1"}).dump());
  }
  ScratchFolder folder_;
  std::unique_ptr<Model> model_;
  std::vector<StudySpec> specs_;
  std::vector<StudyData> data_;
  std::vector<StudyPart> parts_;
  std::vector<Json> samples_;
  std::vector<JudgedClaim> judged_;
};

TEST_F(PageTest, HasWhatTheStudyMeasured) {
  const Json json = Document();
  EXPECT_EQ(json["vernier"], kPageVersion);
  ASSERT_EQ(json["models"].size(), 2u);
  EXPECT_EQ(json["models"][1]["name"], "two");
  EXPECT_EQ(json["models"][0]["model"]["hash"], model_->hash().Hex());
  ASSERT_EQ(json["claims"].size(), 2u);
  EXPECT_EQ(json["claims"][0]["verdict"], "supported");
  const Json& e = json["claims"][0]["estimate"];
  EXPECT_NEAR(e["value"].get<double>(), parts_[0].report.variants[0].divergence.kld.value, 1e-4);
  EXPECT_LT(e["low"], e["value"]);
  EXPECT_GT(e["high"], e["value"]);
  EXPECT_EQ(e["confidence"], 0.975);
  EXPECT_TRUE(json["claims"][1]["estimate"].is_null());

  const Json& two = json["models"][1];
  std::vector<std::string> names;
  for (const Json& v : two["variants"])
    if (!v.contains("alone")) names.push_back(v["name"]);
  EXPECT_EQ(names, (std::vector<std::string>{"rough", "idle", "broken"}));
  EXPECT_EQ(json["models"][0]["variants"].size(), 2u + static_cast<size_t>(model_->graph().layers));
  for (const Json& v : json["models"][0]["variants"]) {
    if (v.contains("alone")) {
      EXPECT_EQ(v["alone"]["of"], "rough");
    }
  }
  const Json& rough = two["variants"][0];
  const DivergenceSummary& d = parts_[1].report.variants[0].divergence;
  EXPECT_EQ(rough["kld"]["mean"].get<double>(), ShortNumber(d.kld.value));
  EXPECT_EQ(rough["sites"]["l2_rel"].size(), two["sites"].size());
  EXPECT_TRUE(rough["sites"].contains("contributed"));
}

TEST_F(PageTest, TokensAreTheStudys) {
  const Json tokens = Document()["models"][0]["tokens"];
  ASSERT_EQ(tokens["chunks"].size(), data_[0].chunks.size());
  EXPECT_TRUE(tokens["note"].is_null());
  EXPECT_TRUE(tokens["lanes"]["idle"].is_null());
  const auto values = Read(tokens["lanes"]["rough"]);
  size_t at = 0, others = 0;
  for (size_t c = 0; c < data_[0].chunks.size(); ++c) {
    EXPECT_EQ(tokens["chunks"][c]["ids"], Json(data_[0].chunks[c].tokens));
    const auto margins = Read(tokens["chunks"][c]["margins"]);
    for (size_t k = 0; k < data_[0].chunks[c].scored.size(); ++k, at += 2) {
      const TokenMeasure& t = data_[0].scores[1][c].tokens[k];
      EXPECT_NEAR(std::abs(values[at]), t.kld, 0x1p-8 * t.kld);
      EXPECT_EQ(std::signbit(values[at]), t.same_top == 0);
      EXPECT_NEAR(values[at + 1], t.delta_p, 0x1p-8 * std::abs(t.delta_p));
      const double margin = static_cast<double>(data_[0].scores[0][c].tokens[k].margin);
      EXPECT_NEAR(margins[k], margin, 0x1p-8 * margin);
      others += t.same_top == 0;
    }
  }
  EXPECT_EQ(at, values.size());
  EXPECT_GT(others, 0u);
  const int32_t id = data_[0].chunks[0].tokens[5];
  EXPECT_EQ(tokens["pieces"][std::to_string(id)], model_->tokenizer().value()->Piece(id));
}

TEST_F(PageTest, LargeStudiesAreThinnedAndSaySo) {
  const size_t scored = data_[0].chunks[0].scored.size();
  // Two variants; room for three chunks.
  const Json tokens = TokensJson(parts_[0], 2 * 3 * scored);
  std::vector<size_t> shown;
  for (const Json& chunk : tokens["chunks"]) shown.push_back(chunk["chunk"]);
  EXPECT_EQ(shown, (std::vector<size_t>{0, 1, 3}));  // two of the first text, one of the second
  EXPECT_NE(tokens["note"].get<std::string>().find("3 of 6 chunks"), std::string::npos);
  EXPECT_EQ(Read(tokens["lanes"]["rough"]).size(), 2 * 3 * scored);
  EXPECT_EQ(TokensJson(parts_[0], 1)["chunks"].size(), 1u);
}

TEST_F(PageTest, FreeTexts) {
  const Json free = Document()["models"][1]["free"];
  ASSERT_EQ(free["prompts"].size(), 2u);
  EXPECT_EQ(free["lanes"]["baseline"][0], Json(data_[1].generated[0][0].tokens));
  EXPECT_TRUE(free["lanes"]["idle"][0].is_null());  // the baseline's
  EXPECT_EQ(free["prompts"][1]["tag"], "x");
}

}  // namespace
}  // namespace vernier
