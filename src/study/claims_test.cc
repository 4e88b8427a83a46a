#include "study/claims.h"

#include "study/study_testing.h"

namespace vernier {
namespace {

using Kind = Expression::Kind;

// Variants "a" and "b", a sweep of ffn_norm bf16 over three layers, texts "t" and "u".
StudySpec Spec() {
  StudySpec spec;
  spec.path = "s.toml";
  spec.texts = {{"t", "t.txt"}, {"u", "u.txt"}};
  spec.truth = true;
  spec.noise = 1;
  spec.generate.emplace();
  spec.variants.resize(5);
  spec.variants[0].name = "a";
  spec.variants[1].name = "b";
  spec.variants[1].beside = "a";
  spec.last_words.emplace();
  for (int layer = 0; layer < 3; ++layer) {
    StudyVariant& v = spec.variants[2 + static_cast<size_t>(layer)];
    v.name = fmt::format("layer {}", layer);
    v.sweep = "layer {layer}";
    v.site = "ffn_norm";
    v.format = "bf16";
    v.layer = layer;
    v.generate = false;
  }
  return spec;
}

const std::vector<StudySpec>& Specs() {
  static const std::vector<StudySpec> specs = {Spec()};
  return specs;
}

Expression Parsed(const std::string& text) {
  auto parsed = ParseClaim(text, Specs());
  EXPECT_TRUE(parsed) << text << ": " << (parsed ? "" : parsed.error().message);
  return parsed ? *parsed : Expression{};
}

double Evaluated(const Expression& e) {
  switch (e.kind) {
    case Kind::kNumber:
      return e.number;
    case Kind::kNegate:
      return -Evaluated(e.parts[0]);
    case Kind::kAdd:
      return Evaluated(e.parts[0]) + Evaluated(e.parts[1]);
    case Kind::kSubtract:
      return Evaluated(e.parts[0]) - Evaluated(e.parts[1]);
    case Kind::kMultiply:
      return Evaluated(e.parts[0]) * Evaluated(e.parts[1]);
    default:
      return Evaluated(e.parts[0]) / Evaluated(e.parts[1]);
  }
}

TEST(ClaimParser, Precedence) {
  for (const auto& [text, value] : {std::pair{"1 + 2 * 3", 7.0},
                                    {"(1 + 2) * 3", 9},
                                    {"10 - 2 - 3", 5},
                                    {"16 / 4 / 2", 2},
                                    {"-2 * -3", 6},
                                    {"- (1 - 4)", 3},
                                    {"1e-3 * 2.5", 0.0025},
                                    {".5+.5", 1}}) {
    const Expression e = Parsed(std::string(text) + "<=0");
    ASSERT_EQ(e.kind, Kind::kLessEqual);
    EXPECT_DOUBLE_EQ(Evaluated(e.parts[0]), value) << text;
  }
  EXPECT_EQ(Parsed("kld('a') > kld(\"b\", 'u')").kind, Kind::kGreater);
  EXPECT_EQ(Parsed(" error ( 'a' , 'l_out[2]' ) >= 0 ").kind, Kind::kGreaterEqual);
  EXPECT_EQ(Parsed("identical('a','baseline')").text, "identical");
}

TEST(ClaimParser, Accepted) {
  for (const char* text :
       {"ppl('a') - ppl('baseline') < 0.001 * ppl('baseline')",
        "truth('a', 't') < 1",
        "noise() < 1",
        "noise('u') < 1",
        "overhead('b') < 0.1",
        "rms_delta_p('a') + delta_p('a') >= mae('b')",
        "same_top('a') > 0.9",
        "nll('a') > nll('b')",
        "vacuous('a')",
        "increasing(kld, layer)",
        "decreasing(ppl, layer, 'ffn_norm bf16')",
        "monotone(error('a', 'l_out'), layer)",
        "abs(rms('a', 'l_out[-1]') - 1) < 0.1",
        "max(growth('a', 'l_out'), growth('a', 'l_out[1]'), 2) < min(3, 4)",
        "drift('a', 'l_out') > mean('a', 'l_out[0]')",
        "truth_error('a', 'l_out[1]') < 1",
        "abs(depth_exponent('a', 'l_out') - 0.5) < 0.1",
        "max_abs('a') / mae_truth('a', 't') < late_mae('a') + noise_mae()",
        "match('a') + parted('b') < agreed('a') * parting_margin('a')",
        "increasing(mae_truth, layer)",
        "fraction_bits('posit32', -1e-6) < format_max('f16') - format_min('bf16')",
        "accuracy('a') - accuracy('b', 'u') < 0.01",
        "p_value('a', 'baseline') + p_value('a', 'b', 'u') < 0.05",
        "last_word('a') < last_word_ppl('b') + last_word_p('a', 'b')",
        "std('a', 'l_out[0]') + max_error('a', 'l_out[-1]') < 1",
        "beside('b', 'l_out[0]') + beside_max('b', 'l_out[1]') < 1",
        "increasing(beside('b', 'l_out'), layer)",
        "increasing(accuracy, layer)",
        "largest(kld, layer, '0,-1')",
        "largest(kld, layer, 'ffn_norm bf16', '0:2')",
        "largest(truth_error('a', 'l_out'), layer, '0')",
        "anomalous(kld, layer)",
        "anomalous(kld, layer, 'ffn_norm bf16', -1)",
        "anomalous(growth('a', 'l_out'), layer, 2)"})
    EXPECT_TRUE(ParseClaim(text, Specs())) << text;
}

TEST(ClaimParser, Mistakes) {
  const auto refused = [](const std::string& text, const std::string& part) {
    const auto parsed = ParseClaim(text, Specs());
    ExpectError(parsed, "s.toml: claim \"" + text + "\": ");
    ExpectError(parsed, part);
  };
  refused("", "expected a number, a measure or '('");
  refused("1", "expected a comparison");
  refused("kld('a')", "expected a comparison");
  refused("kld('a') > ", "at character 12");
  refused("kld('a') > 1 > 0", "expected the end");
  refused("kld('a') == 1", "expected the end");
  refused("(1 < 2)", "')'");
  refused("klt('a') > 1", "unknown measure 'klt'; did you mean 'kld'?");
  refused("kld('aa') > 1", "no variant is named 'aa'; did you mean 'a'?");
  refused("kld('basline') > 1", "did you mean 'baseline'?");
  refused("kld('a', 'v') > 1", "no text is named 'v'");
  refused("kld(a) > 1", "'kld' takes quoted names");
  refused("kld(1) > 1", "'kld' takes quoted names");
  refused("kld() > 1", "arguments");
  refused("kld('a','t','u') > 1", "arguments");
  refused("kld('a' 't') > 1", "',' or ')'");
  refused("kld('a' > 1", "',' or ')'");
  refused("kld('a > 1", "closing quote");
  refused("'a' > 1", "stands where a number is expected");
  refused("layer > 1", "stands where a number is expected");
  refused("identical('a','b') > 1", "is no number");
  refused("identical('a')", "arguments");
  refused("vacuous('c')", "no variant");
  refused("error('a') > 1", "a variant and a site");
  refused("accuracy('c') > 1", "no variant is named 'c'");
  refused("p_value('a') > 1", "arguments");
  refused("p_value('a', 't') > 1", "no variant is named 't'");
  refused("p_value('a', 'b', 'v') > 1", "no text is named 'v'");
  refused("last_word('a', 't') > 1", "arguments");
  refused("beside('a', 'l_out[0]') > 1", "needs beside = \"VARIANT\" in variant 'a'");
  refused("increasing(kld, layers)", "the word layer");
  refused("increasing('kld', layer)", "first argument");
  refused("increasing(identical, layer)", "first argument");
  refused("increasing(error, layer)", "first argument");
  refused("rms('a') > 1", "a variant and a site");
  refused("depth_exponent('a', 'l_out[1]') > 1", "its name alone");
  refused("depth_exponent('a') > 1", "a variant and a site");
  refused("fraction_bits('posit32') > 1", "arguments");
  refused("fraction_bits('posit32', 'x') > 1", "takes a quoted format and a number");
  refused("fraction_bits('posit32', 1e40) > 1", "has no numbers about");
  refused("format_max(posit32) > 1", "takes a quoted format");
  refused("format_max('posit3x') > 1", "unknown format");
  refused("increasing(match, layer)", "first argument");
  refused("match('layer 0') > 1", "'layer 0' has generate = false");
  refused("abs('a') > 1", "stands where a number is expected");
  refused("abs(1, 2) > 1", "arguments");
  refused("max(1) > 1", "arguments");
  refused("first_token('a') > 0", "'first_token' needs first_token in the study");
  refused("contributed('a', 'l_out[1]') > 0", "needs by_layer = true in variant 'a'");
  refused("largest(kld, layer)", "arguments");
  refused("largest(kld, layer, 'x')", "such as '0,-1'");
  refused("largest(kld, layer, 3)", "such as '0,-1'");
  refused("largest(kld, layer, 'nosweep', '0')", "no sweep over layers is 'nosweep'");
  refused("largest(error('a', 'l_out'), layer, 'ffn_norm bf16', '0')", "takes no sweep");
  refused("anomalous(kld, layer, 'nosweep')", "no sweep over layers is 'nosweep'");
  refused("anomalous(kld, layer, 'ffn_norm bf16', 'ffn_norm bf16')", "takes one sweep");
  refused("anomalous(error('c', 'l_out'), layer)", "no variant is named 'c'");
  refused("anomalous(overhead, layer)", "first argument");
  refused("largest(kld, layer, '0') > 1", "is no number");
  refused("increasing(kld, layer, 'ffn_norm bf17')", "did you mean 'ffn_norm bf16'?");
  refused("1e999 < 2", "a number");
  refused("nan < 2", "");
  refused(std::string(5000, '(') + "1", "fewer parentheses");
  refused(std::string(5000, '-') + "1 < 2", "fewer parentheses");
}

TEST(ClaimParser, LongSumsAreRefused) {
  std::string text = "1";
  for (int i = 0; i < 200000; ++i) text += "+1";
  ExpectError(ParseClaim(text + " > 0", Specs()), "1000 operations");
}

TEST(ClaimParser, NeedsWhatTheStudyMeasures) {
  StudySpec spec = Spec();
  spec.truth = false;
  spec.noise = 0;
  spec.generate.reset();
  ExpectError(ParseClaim("truth('a') > 0", {&spec, 1}), "truth = true");
  ExpectError(ParseClaim("mae_truth('a') > 0", {&spec, 1}), "truth = true");
  ExpectError(ParseClaim("depth_exponent('a', 'l_out') > 0", {&spec, 1}), "truth = true");
  ExpectError(ParseClaim("noise() > 0", {&spec, 1}), "noise = N");
  ExpectError(ParseClaim("noise_mae() > 0", {&spec, 1}), "noise = N");
  ExpectError(ParseClaim("match('a') > 0", {&spec, 1}), "'match' needs generate");
  spec.last_words.reset();
  ExpectError(ParseClaim("last_word('a') > 0", {&spec, 1}), "'last_word' needs last_words");
  spec.variants.resize(2);
  ExpectError(ParseClaim("increasing(kld, layer)", {&spec, 1}), "0 sweeps");
}

TEST(ClaimParser, AnyCutOfAClaim) {
  const std::string text =
      "increasing(error('a', 'l_out'), layer) kld('a', 't') * -(1e-3 + 2) <= noise('u')";
  for (size_t first = 0; first < text.size(); ++first)
    for (size_t last = first; last <= text.size(); ++last) {
      const auto parsed = ParseClaim(text.substr(first, last - first), Specs());
      if (parsed) continue;
      ASSERT_EQ(parsed.error().message.rfind("s.toml: claim", 0), 0u);
    }
}

TEST(ClaimParser, CollectsNeeds) {
  RunOptions options;
  CollectNeeds(Parsed("error('a', 'ffn_out[2]') + 1 > overhead('b')"), Spec(), &options);
  CollectNeeds(Parsed("increasing(error('a', 'attn_out'), layer)"), Spec(), &options);
  EXPECT_EQ(options.error_sites, (std::vector<std::string>{"ffn_out", "attn_out"}));
  EXPECT_EQ(options.error_labels, std::vector<std::string>{"ffn_out[2]"});
  EXPECT_EQ(options.timed_variants, std::vector<std::string>{"b"});
}

// A study's data made by hand: chunks of ten tokens, kld of lane and chunk as told.
class JudgeTest : public testing::Test {
 protected:
  JudgeTest() : spec_(Spec()) {
    graph_.layers = 3;
    for (int layer = 0; layer < 3; ++layer) graph_.sites.push_back({"l_out", layer, 0, {}});
    data_.sites = {0, 1, 2};
    Lane(LaneKind::kBaseline, "baseline", -1);
    for (size_t v = 0; v < spec_.variants.size(); ++v)
      Lane(LaneKind::kVariant, spec_.variants[v].name, static_cast<int>(v));
    Lane(LaneKind::kNoise, "noise 1", -1);
    SetTexts({6, 6});
  }
  void Lane(LaneKind kind, const std::string& name, int variant) {
    StudyLane lane;
    lane.kind = kind;
    lane.name = name;
    lane.variant = variant;
    data_.lanes.push_back(std::move(lane));
  }
  void SetTexts(const std::vector<size_t>& chunks) {
    data_.chunks.clear();
    data_.text_of_chunk.clear();
    for (size_t t = 0; t < chunks.size(); ++t)
      for (size_t c = 0; c < chunks[t]; ++c) {
        data_.chunks.emplace_back();
        data_.text_of_chunk.push_back(t);
      }
    data_.scores.assign(data_.lanes.size(), {});
    for (auto& lane : data_.scores)
      for (size_t c = 0; c < data_.chunks.size(); ++c) {
        ChunkScore score;
        score.tokens.resize(10);
        SiteSums sums;
        sums.error = 1;
        sums.reference = 100;
        score.sites.assign(3, sums);
        lane.push_back(std::move(score));
      }
  }
  // kld of the lane's chunks: value + spread * (-1, 0, 1, -1, ...).
  void Set(const std::string& name, double value, double spread) {
    for (size_t l = 0; l < data_.lanes.size(); ++l) {
      if (data_.lanes[l].name != name) continue;
      for (size_t c = 0; c < data_.chunks.size(); ++c) {
        ChunkScore& score = data_.scores[l][c];
        score.fingerprint = HashText(fmt::format("{} {} {}", value, spread, c));
        for (TokenMeasure& t : score.tokens)
          t.kld = value + spread * (static_cast<double>(c % 3) - 1);
      }
    }
  }
  JudgedClaim Judge(const std::string& text, size_t copies = 1) {
    const Expression e = Parsed(text);
    spec_.claims.assign(copies, {"says", text, false});
    const StudiedModel model{&spec_, &data_, &graph_};
    return JudgeClaims(spec_.claims, std::vector<Expression>(copies, e), {&model, 1})[0];
  }
  void Expect(const std::string& text, Verdict verdict) {
    const JudgedClaim claim = Judge(text);
    EXPECT_STREQ(VerdictName(claim.verdict), VerdictName(verdict)) << text << ": " << claim.detail;
    EXPECT_NE(claim.detail, "");
  }
  StudySpec spec_;
  StudyData data_;
  Graph graph_;
};

TEST_F(JudgeTest, Comparisons) {
  Set("a", 2, 0.1);
  Set("b", 1, 0.1);
  Expect("kld('a') > kld('b')", Verdict::kSupported);
  Expect("kld('a') < kld('b')", Verdict::kRefuted);
  Expect("kld('a') >= kld('b')", Verdict::kSupported);
  Expect("kld('a') <= kld('b')", Verdict::kRefuted);
  Expect("kld('b') < kld('a')", Verdict::kSupported);
  Expect("kld('a') > 1.5 * kld('b') + 0.2", Verdict::kSupported);
  Expect("kld('a', 't') > kld('b', 'u')", Verdict::kSupported);
  Expect("1 < 2", Verdict::kSupported);
  Expect("2 < 1", Verdict::kRefuted);
  const JudgedClaim claim = Judge("kld('a') - kld('b') > 0.5");
  EXPECT_NE(claim.detail.find("left - right = 0.5"), std::string::npos) << claim.detail;
  EXPECT_NE(claim.detail.find("95 %"), std::string::npos) << claim.detail;
  EXPECT_NE(claim.detail.find("120 tokens in 12 chunks"), std::string::npos) << claim.detail;
}

// Lane 1 is "a": the mae of its tokens is 1 in the first half of a chunk, 3 in the second.
TEST_F(JudgeTest, LogitErrors) {
  for (size_t c = 0; c < data_.chunks.size(); ++c)
    for (size_t i = 0; i < 10; ++i) {
      TokenMeasure& t = data_.scores[1][c].tokens[i];
      t.mae = i < 5 ? 1 : 3;
      t.mae_truth = 0.5;
      t.max_abs = static_cast<float>(c);
      data_.scores.back()[c].tokens[i].mae = 0.25;  // the noise lane
    }
  Expect("abs(mae('a') - 2) <= 0", Verdict::kSupported);
  Expect("abs(late_mae('a') - 3) <= 0", Verdict::kSupported);
  Expect("abs(mae_truth('a', 'u') - 0.5) <= 0", Verdict::kSupported);
  Expect("max_abs('a') <= 11", Verdict::kSupported);
  Expect("max_abs('a', 't') < 5.5", Verdict::kSupported);
  Expect("abs(noise_mae() - 0.25) <= 0", Verdict::kSupported);
  Expect("format_max('posit32') > 1e36", Verdict::kSupported);
  Expect("fraction_bits('posit32', 1) > 30", Verdict::kRefuted);
}

// Of each chunk's ten tokens the baseline has five right, "a" (lane 1) four of them, "b" (lane 2)
// the same as the baseline and one more.
TEST_F(JudgeTest, NextWords) {
  for (size_t c = 0; c < data_.chunks.size(); ++c)
    for (size_t i = 0; i < 10; ++i) {
      data_.scores[0][c].tokens[i].correct = i < 5;
      data_.scores[1][c].tokens[i].correct = i < 4;
      data_.scores[2][c].tokens[i].correct = i < 6;
    }
  Expect("abs(accuracy('a') - 0.4) < 1e-12", Verdict::kSupported);
  Expect("accuracy('b', 'u') > accuracy('baseline', 'u')", Verdict::kSupported);
  // Twelve tokens lost, none gained: 2 / 2^12. In one text: 2 / 2^6.
  Expect("abs(p_value('baseline', 'a') - 2 / 4096) < 1e-15", Verdict::kSupported);
  Expect("abs(p_value('a', 'baseline', 't') - 2 / 64) < 1e-15", Verdict::kSupported);
  Expect("p_value('a', 'a') >= 1", Verdict::kSupported);
}

TEST_F(JudgeTest, LastWords) {
  data_.passages.resize(8);
  data_.last_words.assign(data_.lanes.size(), std::vector<LastWord>(8, {true, 2}));
  for (size_t p = 0; p < 6; ++p) data_.last_words[1][p] = {false, 4};
  Expect("abs(last_word('a') - 0.25) < 1e-12", Verdict::kUndecided);  // its interval is wide
  Expect("last_word('a') < 0.9", Verdict::kSupported);
  Expect("last_word('b') >= 1", Verdict::kSupported);
  Expect("abs(last_word_ppl('b') - 7.38905609893065) < 1e-12", Verdict::kSupported);
  Expect("last_word_ppl('a') > last_word_ppl('b')", Verdict::kSupported);
  Expect("abs(last_word_p('a', 'b') - 2 / 64) < 1e-15", Verdict::kSupported);
  EXPECT_NE(Judge("last_word('a') < 0.9").detail.find("n = 8 passages"), std::string::npos);
}

TEST_F(JudgeTest, ErrorsOverDepth) {
  for (size_t c = 0; c < data_.chunks.size(); ++c)
    for (size_t s = 0; s < 3; ++s) {
      SiteSums& sums = data_.scores[1][c].sites[s];
      sums.truth_error = static_cast<double>(s + 1) * (1 + 0.01 * static_cast<double>(c % 2));
      sums.truth_reference = 1e14;
    }
  Expect("abs(depth_exponent('a', 'l_out') - 0.5) < 0.001", Verdict::kSupported);
  Expect("depth_exponent('a', 'l_out') > 0.6", Verdict::kRefuted);
  Expect("depth_exponent('b', 'l_out') > 0", Verdict::kUndecided);  // of no error
}

TEST_F(JudgeTest, FreeRunningTexts) {
  data_.prompts.resize(10);
  data_.generated.assign(data_.lanes.size(), {});
  for (size_t p = 0; p < 10; ++p) {
    data_.generated[0].push_back({{1, 2, 3, 4}, {.1, .2, .3, .4}});
    data_.generated[1].push_back({{1, 2, p < 9 ? 3 : 5, 4}, {.1, .2, .3, .4}});
    data_.generated[2].push_back({{7, 8, 9, 9}, {.1, .2, .3, .4}});
  }
  Expect("match('a') > 0.5", Verdict::kSupported);
  Expect("match('b') > 0.5", Verdict::kRefuted);
  Expect("parted('b') >= 1", Verdict::kSupported);
  Expect("agreed('a') > agreed('b')", Verdict::kSupported);
  Expect("abs(parting_margin('b') - 0.1) < 1e-12", Verdict::kSupported);
  EXPECT_NE(Judge("match('a') > 0.5").detail.find("n = 10 prompts"), std::string::npos);
}

TEST_F(JudgeTest, WithinTheIntervalIsUndecided) {
  Set("a", 1.05, 3);
  Set("b", 1, 0);
  Expect("kld('a') > kld('b')", Verdict::kUndecided);
  Expect("kld('a') < kld('b')", Verdict::kUndecided);
  // Paired: the same spread in both cancels.
  Set("b", 1, 3);
  Expect("kld('a') > kld('b')", Verdict::kSupported);
}

TEST_F(JudgeTest, ManyClaimsWidenTheInterval) {
  Set("a", 1, 1);
  // Standard error of the mean over 12 chunks is 0.24: 1.96 of them at 95 %, more for 400 claims.
  Expect("kld('a') > 0.45", Verdict::kSupported);
  const JudgedClaim one_of_many = Judge("kld('a') > 0.45", 400);
  EXPECT_EQ(one_of_many.verdict, Verdict::kUndecided) << one_of_many.detail;
}

TEST_F(JudgeTest, EqualInEveryChunkIsExact) {
  Set("a", 1, 0.5);
  Set("b", 1, 0.5);
  Expect("kld('a') >= kld('b')", Verdict::kSupported);
  Expect("kld('a') <= kld('b')", Verdict::kSupported);
  Expect("kld('a') > kld('b')", Verdict::kRefuted);
  Expect("kld('a') < kld('b')", Verdict::kRefuted);
}

TEST_F(JudgeTest, OneChunkGivesNoInterval) {
  SetTexts({1, 1});
  Set("a", 2, 0.1);
  Set("b", 1, 0.1);
  Expect("kld('a') > kld('b')", Verdict::kUndecided);
  Expect("kld('baseline') <= 0", Verdict::kSupported);  // equal is exact
  Expect("increasing(kld, layer)", Verdict::kUndecided);
}

TEST_F(JudgeTest, OneTextOfOneChunkGivesNoIntervalForItself) {
  SetTexts({1, 6});
  Set("a", 2, 0.1);
  Set("b", 1, 0.1);
  Expect("kld('a', 'u') > kld('b', 'u')", Verdict::kSupported);
  Expect("kld('a', 't') > 0.5", Verdict::kUndecided);
  Expect("kld('a', 't') > kld('b', 'u')", Verdict::kUndecided);
}

TEST_F(JudgeTest, TimingsGiveNoIntervalToOneChunk) {
  SetTexts({1, 1});
  Set("a", 2, 0.1);
  Timing timing;
  for (int i = 0; i < 25; ++i) {
    timing.baseline.push_back(1 + 0.01 * (i % 5));
    timing.variant.push_back(1.5 * timing.baseline.back() + 0.001 * (i % 3));
  }
  data_.timings[1] = timing;
  Expect("overhead('a') > 0.4", Verdict::kSupported);
  Expect("overhead('a') < 0.1", Verdict::kRefuted);
  Expect("kld('a') > 0.5", Verdict::kUndecided);
}

TEST_F(JudgeTest, SeriesOverLayers) {
  for (int layer = 0; layer < 3; ++layer) Set(fmt::format("layer {}", layer), layer + 1, 0.1);
  Expect("increasing(kld, layer)", Verdict::kSupported);
  Expect("decreasing(kld, layer)", Verdict::kRefuted);
  Expect("monotone(kld, layer, 'ffn_norm bf16')", Verdict::kSupported);
  Set("layer 1", 5, 0.1);
  Expect("increasing(kld, layer)", Verdict::kRefuted);
  Expect("monotone(kld, layer)", Verdict::kRefuted);
  for (int layer = 0; layer < 3; ++layer) Set(fmt::format("layer {}", layer), 1, 0.1);
  Expect("increasing(kld, layer)", Verdict::kUndecided);
  Expect("monotone(kld, layer)", Verdict::kUndecided);
}

TEST_F(JudgeTest, SeriesOfASitesError) {
  for (auto& score : data_.scores[1])
    for (size_t s = 0; s < 3; ++s) score.sites[s].error = static_cast<double>(s + 1);
  Expect("increasing(error('a', 'l_out'), layer)", Verdict::kSupported);
  Expect("decreasing(error('a', 'l_out'), layer)", Verdict::kRefuted);
  Expect("error('a', 'l_out[2]') > error('a', 'l_out[0]')", Verdict::kSupported);
  Expect("error('a', 'l_out[2]') < 0.1", Verdict::kRefuted);  // sqrt(3 / 100)
}

TEST_F(JudgeTest, LargestLayers) {
  for (int layer = 0; layer < 3; ++layer)
    Set(fmt::format("layer {}", layer), layer == 1 ? 1 : 2 + layer, 0.1);
  Expect("largest(kld, layer, '0,-1')", Verdict::kSupported);
  Expect("largest(kld, layer, '-1')", Verdict::kSupported);
  Expect("largest(kld, layer, '1:')", Verdict::kRefuted);
  Expect("largest(kld, layer, '0:')", Verdict::kUndecided);  // nothing else
  Expect("largest(kld, layer, '7')", Verdict::kUndecided);
  Set("layer 1", 2, 0.1);
  Expect("largest(kld, layer, '0,-1')", Verdict::kUndecided);
}

// Values of a site by layer, with moments that vary from chunk to chunk.
TEST_F(JudgeTest, ValuesOfSites) {
  for (size_t lane = 0; lane < data_.lanes.size(); ++lane)
    for (size_t c = 0; c < data_.chunks.size(); ++c)
      for (size_t s = 0; s < 3; ++s) {
        SiteSums& sums = data_.scores[lane][c].sites[s];
        const double rms = static_cast<double>(s + 1) * (lane == 1 ? 1.01 : 1);
        sums.count = 10 + static_cast<double>(c % 2);
        sums.squares = sums.count * rms * rms;
        sums.sum = sums.count * (lane == 1 ? 0.2 : 0.1);
        sums.truth_error = 4;
        sums.truth_reference = 400;
      }
  Expect("abs(rms('a', 'l_out[-1]') - 3.03) < 1e-9", Verdict::kSupported);
  Expect("abs(mean('a', 'l_out[0]') - 0.2) < 1e-9", Verdict::kSupported);
  Expect("abs(growth('a', 'l_out[1]') - 2) < 1e-9", Verdict::kSupported);
  Expect("abs(growth('a', 'l_out') - 3) < 1e-9", Verdict::kSupported);
  Expect("growth('a', 'l_out[0]') > 0", Verdict::kUndecided);  // nothing before it was measured
  Expect("abs(drift('a', 'l_out[1]') - 0.05) < 1e-9", Verdict::kSupported);
  Expect("abs(drift('baseline', 'l_out')) <= 0", Verdict::kSupported);
  // Root of the mean square of 0.1, 0.05 and 0.1 / 3.
  Expect("abs(drift('a', 'l_out') - 0.06735753) < 1e-7", Verdict::kSupported);
  Expect("abs(truth_error('b', 'l_out[0]') - 0.1) < 1e-9", Verdict::kSupported);
  Expect("max(rms('a', 'l_out[0]'), rms('b', 'l_out[2]'), 1) >= 3", Verdict::kSupported);
  Expect("min(rms('a', 'l_out[0]'), rms('b', 'l_out[2]')) > 2", Verdict::kRefuted);
  Expect("increasing(rms('a', 'l_out'), layer)", Verdict::kSupported);
  Expect("increasing(growth('a', 'l_out'), layer)", Verdict::kRefuted);  // 2, then 1.5
}

// Eight layers about a line over depth, with a little noise from chunk to chunk.
class AnomalyTest : public JudgeTest {
 protected:
  AnomalyTest() {
    graph_.sites.clear();
    data_.sites.clear();
    for (int layer = 0; layer < 8; ++layer) {
      graph_.sites.push_back({"l_out", layer, 0, {}});
      data_.sites.push_back(layer);
    }
    graph_.layers = 8;
    for (auto& lane : data_.scores)
      for (ChunkScore& score : lane) score.sites.assign(8, {});
  }
  // Squared errors: exp(2 (0.1 layer + scatter)), that of layer 5 times `factor`.
  void SetErrors(double factor) {
    for (size_t c = 0; c < data_.chunks.size(); ++c)
      for (size_t s = 0; s < 8; ++s) {
        const double scatter = 0.02 * std::sin(3.0 * static_cast<double>(s + 1)) +
                               0.001 * std::sin(static_cast<double>(7 * c + 5 * s));
        SiteSums& sums = data_.scores[1][c].sites[s];
        sums.reference = 100;
        sums.error = std::exp(2 * (0.1 * static_cast<double>(s) + scatter)) * (s == 5 ? factor : 1);
      }
  }
};

TEST_F(AnomalyTest, OneLayerApart) {
  SetErrors(4);  // twice the error
  Expect("anomalous(error('a', 'l_out'), layer)", Verdict::kSupported);
  Expect("anomalous(error('a', 'l_out'), layer, 5)", Verdict::kSupported);
  Expect("anomalous(error('a', 'l_out'), layer, -3)", Verdict::kSupported);
  Expect("anomalous(error('a', 'l_out'), layer, 2)", Verdict::kRefuted);
  Expect("anomalous(error('a', 'l_out'), layer, 9)", Verdict::kUndecided);
  EXPECT_NE(Judge("anomalous(error('a', 'l_out'), layer)").detail.find("|t| of layer 5 = "),
            std::string::npos);
  SetErrors(1.02);
  Expect("anomalous(error('a', 'l_out'), layer)", Verdict::kRefuted);
  Expect("anomalous(error('a', 'l_out'), layer, 5)", Verdict::kRefuted);
}

TEST_F(JudgeTest, ExtremesOfSites) {
  for (size_t c = 0; c < data_.chunks.size(); ++c) {
    SiteSums& sums = data_.scores[2][c].sites[1];
    sums.count = 4;
    sums.sum = 8;
    sums.squares = 32;
    sums.max_error = static_cast<double>(c);
    sums.beside = 8;
    sums.beside_max = 0.5;
  }
  Expect("abs(std('b', 'l_out[1]') - 2) <= 0", Verdict::kSupported);
  Expect("max_error('b', 'l_out[1]') <= 11", Verdict::kSupported);
  Expect("max_error('b', 'l_out[1]') > 5", Verdict::kSupported);
  Expect("abs(beside('b', 'l_out[1]') - 0.5) <= 0", Verdict::kSupported);
  Expect("abs(beside_max('b', 'l_out[1]') - 0.5) <= 0", Verdict::kSupported);
}

TEST_F(JudgeTest, FewLayersHaveNoOutlier) {
  for (int layer = 0; layer < 3; ++layer) Set(fmt::format("layer {}", layer), 1 + 100 * layer, 0.1);
  Expect("anomalous(kld, layer)", Verdict::kUndecided);
}

TEST_F(JudgeTest, FirstTokens) {
  spec_.first_token = StudyPrompts{};
  data_.first_prompts.resize(40);
  data_.first_tokens.assign(data_.lanes.size(), std::vector<FirstToken>(40));
  for (size_t p = 0; p < 40; p += 2) data_.first_tokens[1][p].rank = 5;
  const std::vector<StudySpec> specs = {spec_};
  const auto judge = [&](const std::string& text) {
    const auto parsed = ParseClaim(text, specs);
    EXPECT_TRUE(parsed) << text;
    const StudiedModel model{&spec_, &data_, &graph_};
    return JudgeClaims({{"says", text, false}}, {*parsed}, {&model, 1})[0];
  };
  EXPECT_EQ(judge("first_token('a') < 0.8").verdict, Verdict::kSupported);
  EXPECT_EQ(judge("first_token('b') >= 1").verdict, Verdict::kSupported);
  EXPECT_EQ(judge("first_token('a') < 0.5").verdict, Verdict::kUndecided);
  EXPECT_EQ(judge("first_rank('a') > 1").verdict, Verdict::kSupported);
  const std::string detail = judge("first_rank('a') > 2.4").detail;
  EXPECT_NE(detail.find("left - right = 0.1 ["), std::string::npos) << detail;
  EXPECT_NE(detail.find("n = 40 prompts"), std::string::npos) << detail;
}

TEST_F(JudgeTest, Predicates) {
  Set("a", 1, 0.5);
  Set("b", 1, 0.5);
  Set("layer 0", 2, 0);
  Expect("identical('a', 'b')", Verdict::kSupported);
  Expect("identical('a', 'layer 0')", Verdict::kRefuted);
  Expect("vacuous('a')", Verdict::kRefuted);
  Set("baseline", 1, 0.5);
  Expect("vacuous('a')", Verdict::kSupported);
}

// 0 / 0 in some draws, or everywhere, is no number and no crash.
TEST_F(JudgeTest, NotANumberIsUndecided) {
  Expect("kld('a') / kld('b') > 1", Verdict::kUndecided);
  data_.scores[2][3].tokens[0].kld = 1;
  Expect("kld('b') / kld('b') > 0.5", Verdict::kUndecided);
  for (TokenMeasure& t : data_.scores[1][0].tokens) t.kld = std::nan("");
  Expect("kld('a') > 0", Verdict::kUndecided);
  Expect("noise() / 0 > 0", Verdict::kUndecided);
}

// Two models, "x" and "y", each with the variants of Spec().
std::vector<StudySpec> TwoSpecs() {
  std::vector<StudySpec> specs(2, Spec());
  for (size_t m = 0; m < 2; ++m) {
    specs[m].models = {{"x", "x.gguf"}, {"y", "y.gguf"}};
    specs[m].prefix = specs[m].models[m].name + ": ";
    for (StudyVariant& v : specs[m].variants) v.name = specs[m].prefix + v.name;
  }
  return specs;
}

TEST(ClaimParser, SeveralModels) {
  const std::vector<StudySpec> specs = TwoSpecs();
  for (const char* text :
       {"kld('x: a') > kld('y: a', 't')", "noise('x') < noise('y', 'u')",
        "increasing(kld, layer, 'y: ffn_norm bf16')", "identical('x: a', 'x: baseline')"})
    EXPECT_TRUE(ParseClaim(text, specs)) << text;
  ExpectError(ParseClaim("kld('a') > 0", specs), "no variant is named 'a'");
  ExpectError(ParseClaim("kld('x: aa') > 0", specs), "did you mean 'x: a'");
  ExpectError(ParseClaim("noise() > 0", specs), "'noise' takes a model, and perhaps a text");
  ExpectError(ParseClaim("noise('z') > 0", specs), "no model is named 'z'");
  ExpectError(ParseClaim("increasing(kld, layer)", specs), "2 sweeps");
  RunOptions x, y;
  const auto parsed = ParseClaim("error('y: a', 'ffn_out[2]') > overhead('x: b')", specs);
  ASSERT_TRUE(parsed);
  CollectNeeds(*parsed, specs[0], &x);
  CollectNeeds(*parsed, specs[1], &y);
  EXPECT_EQ(x.timed_variants, std::vector<std::string>{"x: b"});
  EXPECT_TRUE(x.error_sites.empty());
  EXPECT_EQ(y.error_labels, std::vector<std::string>{"ffn_out[2]"});
}

class TwoModelsTest : public JudgeTest {
 protected:
  // The second model: the first one's data under other names, its chunks of tokens of its own.
  JudgedClaim JudgeBoth(const std::string& text, bool same_tokens, double spread) {
    const std::vector<StudySpec> specs = TwoSpecs();
    std::vector<StudyData> data;
    for (size_t m = 0; m < 2; ++m) {
      Set("a", m == 0 ? 1.05 : 1, spread);
      for (size_t c = 0; c < data_.chunks.size(); ++c)
        data_.chunks[c].tokens = {static_cast<int32_t>(c), same_tokens ? 0 : static_cast<int>(m)};
      data.push_back(data_);
      for (StudyLane& lane : data.back().lanes) lane.name = specs[m].prefix + lane.name;
    }
    const std::vector<StudiedModel> models = {{&specs[0], &data[0], &graph_},
                                              {&specs[1], &data[1], &graph_}};
    const auto parsed = ParseClaim(text, specs);
    EXPECT_TRUE(parsed) << (parsed ? "" : parsed.error().message);
    return JudgeClaims({{"says", text, false}}, {*parsed}, models)[0];
  }
};

TEST_F(TwoModelsTest, SameTokensArePaired) {
  const JudgedClaim paired = JudgeBoth("kld('x: a') > kld('y: a')", true, 3);
  EXPECT_EQ(paired.verdict, Verdict::kSupported) << paired.detail;
  EXPECT_NE(paired.detail.find("120 tokens in 12 chunks"), std::string::npos) << paired.detail;
  const JudgedClaim apart = JudgeBoth("kld('x: a') > kld('y: a')", false, 3);
  EXPECT_EQ(apart.verdict, Verdict::kUndecided) << apart.detail;
  EXPECT_NE(apart.detail.find("240 tokens in 24 chunks"), std::string::npos) << apart.detail;
  const JudgedClaim clear = JudgeBoth("kld('x: a') > kld('y: a')", false, 0.001);
  EXPECT_EQ(clear.verdict, Verdict::kSupported) << clear.detail;
  EXPECT_EQ(JudgeBoth("kld('x: a', 't') > kld('y: a', 'u')", true, 0.001).verdict,
            Verdict::kSupported);
}

}  // namespace
}  // namespace vernier
