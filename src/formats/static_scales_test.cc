#include "formats/static_scales.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

namespace vernier {
namespace {

constexpr const char* kFile =
    R"({"version": 1, "made_by": "v", "model": "m", "hash": "h", "recipe": [],
  "seed": 0, "texts": [], "chunks": 1, "tokens": 5, "factor": 0.01, "sites": {
  "ffn_norm[3]": {"absmax": 12.5, "percentiles": {"99.9": 8.25, "50": 1}},
  "ffn_norm[4]": {"scale": 0.5},
  "result_norm": {"absmax": 3, "min": -1, "max": 3},
  "ffn_gate[3].in": {"absmax": 7},
  "ffn_out[0].in": {"absmax": 9, "ema": {"99.9": 4.5}, "min": 0.25, "max": 9, "count": 7,
                    "nan": 0, "inf": 0, "zeros": 1, "mean": 1, "rms": 2, "exponents": {"-2": 6},
                    "approximate": []},
  "blk.3.attn_q.weight": {"scale": 1}}})";

StaticScales Scales() {
  auto scales = ParseStaticScales(kFile, "s.json");
  EXPECT_TRUE(scales) << (scales ? "" : scales.error().message);
  return scales.value_or(StaticScales{});
}

Treatment Parse(std::string_view text) {
  auto t = ParseTreatment(text, TreatedThing::kActivation);
  EXPECT_TRUE(t) << (t ? "" : t.error().message);
  return t.value_or(Treatment{});
}

TEST(StaticScales, AreReadFromFiles) {
  const std::string path = testing::TempDir() + "/static_scales_test.json";
  std::ofstream(path) << kFile;
  const auto scales = ReadStaticScales(path);
  std::remove(path.c_str());
  ASSERT_TRUE(scales);
  EXPECT_EQ(scales->model, "m");
  EXPECT_EQ(scales->hash, "h");
  EXPECT_EQ(scales->sites.size(), 6u);
  EXPECT_EQ(scales->sites.at("ffn_out[0].in").ema.at(99.9), 4.5);
  EXPECT_EQ(scales->sites.at("ffn_norm[3]").absmax, 12.5);
  EXPECT_EQ(scales->sites.at("ffn_norm[3]").percentiles.at(99.9), 8.25);
  EXPECT_FALSE(ReadStaticScales(path));
}

TEST(StaticScales, AreResolvedToTreatmentsThatStandAlone) {
  const StaticScales scales = Scales();
  const struct {
    const char *text, *label;
    int layer;
    const char* resolved;
  } cases[] = {
      {"int8,scale=static", "ffn_norm[3]", 3, "int8,scale=absmax:12.5"},
      {"int8,scale=static,percentile=99.9", "ffn_norm[3]", 3, "int8,scale=absmax:8.25"},
      {"int8,scale=static,percentile=ema:99.9", "ffn_out[0].in", 0, "int8,scale=absmax:4.5"},
      // A range is widened to 0.
      {"int8,scale=static,symmetric=false", "ffn_out[0].in", 0,
       "int8,scale=range:0:9,symmetric=false"},
      {"int8,scale=static", "ffn_norm[4]", 4, "int8,scale=0.5"},
      {"int4,scale=static,round=up", "ffn_gate[3].in", 3, "int4,round=up,scale=absmax:7"},
      {"e4m3,scale=static:result_norm", "ffn_norm[4]", 4, "e4m3,scale=absmax:3"},
      {"int8,scale=static:ffn_norm", "attn_norm[4]", 4, "int8,scale=0.5"},
      {"int8,scale=static:ffn_norm[3]", "attn_norm[4]", 4, "int8,scale=absmax:12.5"},
      {"int8,scale=static:ffn_gate.in", "ffn_up[3].in", 3, "int8,scale=absmax:7"},
      {"int8,scale=static:blk.*.attn_q.weight", "Qcur[3]", 3, "int8,scale=none"},
      {"int8,scale=static,symmetric=false", "result_norm", -1,
       "int8,scale=range:-1:3,symmetric=false"},
      {"int8,scale=static,segments=0.25:32/1:127,outliers=keep", "ffn_norm[4]", 4,
       "int8,scale=0.5,segments=0.25:32/1:127,outliers=keep"},
      {"nvfp4,scale=static", "result_norm", -1, "nvfp4,scale=absmax:3"},
      {"bf16", "nowhere", -1, "bf16"},
  };
  for (const auto& c : cases) {
    const auto t = ResolveStatic(Parse(c.text), c.label, c.layer, &scales);
    ASSERT_TRUE(t) << t.error().message;
    EXPECT_EQ(TreatmentText(*t), c.resolved);
    EXPECT_EQ(Parse(TreatmentText(*t)), *t);
  }
}

TEST(StaticScales, ErrorsOfResolving) {
  const StaticScales scales = Scales();
  const struct {
    const char *text, *label, *message;
  } cases[] = {
      {"int8,scale=static", "ffn_norm[5]",
       "scale=static: s.json has no scale of 'ffn_norm[5]'; did you mean 'ffn_norm[3]'?"},
      {"int8,scale=static:ffn_nrom", "ffn_norm[5]",
       "scale=static: s.json has no scale of 'ffn_nrom[5]'; did you mean 'ffn_norm[3]'?"},
      {"int8,scale=static,percentile=99", "ffn_norm[3]",
       "scale=static: s.json has no percentile 99 of 'ffn_norm[3]'"},
      {"int8,scale=static,percentile=ema:99.9", "ffn_norm[3]",
       "scale=static: s.json has no percentile ema:99.9 of 'ffn_norm[3]'"},
      {"int8,scale=static,symmetric=false", "ffn_norm[3]",
       "scale=static: s.json has no 'min' and 'max' of 'ffn_norm[3]', which symmetric=false needs"},
      {"int8,scale=static,symmetric=false", "ffn_norm[4]",
       "scale=static: s.json has no range of 'ffn_norm[4]', which symmetric=false needs"},
  };
  for (const auto& c : cases) {
    const auto t = ResolveStatic(Parse(c.text), c.label, 5, &scales);
    ASSERT_FALSE(t) << c.text;
    EXPECT_EQ(t.error().message, c.message);
  }
  const auto none = ResolveStatic(Parse("int8,scale=static"), "x", 0, nullptr);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().message,
            "scale=static: no scales are given; expected --scales FILE, or scales = \"FILE\" in a "
            "study");
}

TEST(StaticScales, ErrorsOfFiles) {
  const auto file = [](const std::string& entry) {
    return "{\"version\": 1, \"sites\": {\"a[0]\": " + entry + "}}";
  };
  const struct {
    std::string text, message;
  } cases[] = {
      {"{}", "f: expected a file of scales, with \"version\": 1"},
      {"{\"version\": 2, \"sites\": {}}", "f: expected a file of scales, with \"version\": 1"},
      {"{\"version\": 1}", "f: expected \"sites\", an object"},
      {"{\"version\": 1, \"site\": {}}", "f: unknown key \"site\"; did you mean 'sites'?"},
      {"{\"version\": 1, \"hash\": 3, \"sites\": {}}", "f: 'hash': expected a text"},
      {file("3"), "f: site \"a[0]\": expected an object"},
      {file("{}"), "f: site \"a[0]\": expected either 'absmax' or 'scale'"},
      {file(R"({"absmax": 1, "scale": 1})"),
       "f: site \"a[0]\": expected either 'absmax' or 'scale'"},
      {file(R"({"absmx": 1})"), "f: site \"a[0]\": unknown key 'absmx'; did you mean 'absmax'?"},
      {file(R"({"absmax": -1})"), "f: site \"a[0]\": 'absmax': expected a number from 0 to 1e+30"},
      {file(R"({"absmax": "1"})"), "f: site \"a[0]\": 'absmax': expected a number from 0 to 1e+30"},
      {file(R"({"scale": 0})"), "f: site \"a[0]\": 'scale': expected a number from 1e-30 to 1e+30"},
      {file(R"({"absmax": 1, "min": -1})"), "f: site \"a[0]\": 'min' and 'max' stand together"},
      {file(R"({"absmax": 1, "min": 1, "max": 0})"), "f: site \"a[0]\": 'min' is above 'max'"},
      {file(R"({"absmax": 1, "ema": {"5": -1}})"),
       "f: site \"a[0]\": '5': expected a number from 0 to 1e+30"},
      {file(R"({"scale": 1, "ema": {"5": 1}})"), "f: site \"a[0]\": 'scale' stands alone"},
      {file(R"({"scale": 1, "percentiles": {"5": 1}})"), "f: site \"a[0]\": 'scale' stands alone"},
      {file(R"({"absmax": 1, "percentiles": {"x": 1}})"),
       "f: site \"a[0]\": 'percentiles': 'x': expected a number above 0 and up to 100"},
      {file(R"({"absmax": 1, "percentiles": {"5": 1, "5.0": 2}})"),
       "f: site \"a[0]\": 'percentiles': 5 is given twice"},
      {file(R"({"absmax": 1, "percentiles": 3})"),
       "f: site \"a[0]\": 'percentiles': expected an object"},
  };
  for (const auto& c : cases) {
    const auto scales = ParseStaticScales(c.text, "f");
    ASSERT_FALSE(scales) << c.text;
    EXPECT_EQ(scales.error().message, c.message);
  }
  for (const char* bad : {"", "[]", "{", "{\"version\": 1, \"version\": 1, \"sites\": {}}"})
    EXPECT_FALSE(ParseStaticScales(bad, "f")) << bad;
}

}  // namespace
}  // namespace vernier
