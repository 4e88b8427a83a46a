#include "report/study_report.h"

#include <algorithm>

#include "report/rule_effects.h"
#include "study/claim_functions.h"
#include "study/last_word.h"

namespace vernier {
namespace {

// The tokens of a lane, of one text or of all (-1).
std::vector<TokenMeasure> TokensOf(const StudyData& data, size_t lane, int text) {
  std::vector<TokenMeasure> tokens;
  for (size_t c = 0; c < data.chunks.size(); ++c) {
    if (text >= 0 && data.text_of_chunk[c] != static_cast<size_t>(text)) continue;
    const auto& of = data.scores[lane][c].tokens;
    tokens.insert(tokens.end(), of.begin(), of.end());
  }
  return tokens;
}

Perplexity PerplexityOf(const std::vector<TokenMeasure>& tokens) {
  std::vector<double> nll;
  for (const TokenMeasure& t : tokens) nll.push_back(t.nll);
  return SummarizePerplexity(nll);
}

Agreement AgreementOf(const StudyData& data, size_t lane, const std::string& tag) {
  Agreement a;
  size_t same = 0;
  double steps = 0, margins = 0;
  const std::vector<FreeRun> runs = FreeRunsOf(data, lane);
  for (size_t p = 0; p < runs.size(); ++p) {
    if (!tag.empty() && data.prompts[p].tag != tag) continue;
    ++a.prompts;
    a.tokens += runs[p].compared;
    same += runs[p].same;
    if (!runs[p].parts) continue;
    ++a.diverged;
    steps += static_cast<double>(runs[p].agreed);
    margins += runs[p].margin;
  }
  a.match_rate = a.tokens == 0 ? 1 : static_cast<double>(same) / static_cast<double>(a.tokens);
  if (a.diverged > 0) {
    a.first_difference = steps / static_cast<double>(a.diverged);
    a.margin = margins / static_cast<double>(a.diverged);
  }
  return a;
}

std::optional<LastWordReport> LastWordsOf(const StudySpec& spec, const StudyData& data,
                                          size_t lane) {
  if (data.passages.empty() || data.last_words[lane].empty()) return std::nullopt;
  const auto &base = data.last_words[data.Baseline()], &words = data.last_words[lane];
  LastWordReport report;
  report.passages = words.size();
  std::vector<double> right;
  for (const LastWord& word : words) right.push_back(word.right ? 1 : 0);
  const MeanError mean = Mean(right);
  report.right = {mean.mean, mean.error};
  const std::vector<uint32_t> once(words.size(), 1);
  report.ppl = LastWordMeasure("last_word_ppl", words, once);
  const auto difference = [&](std::span<const uint32_t> times) {
    return LastWordMeasure("last_word", words, times) - LastWordMeasure("last_word", base, times);
  };
  const size_t strata[] = {words.size()};
  report.difference = {difference(once), Bootstrap(strata, 2000, spec.seed, 0.05, difference)};
  report.test = CompareLastWords(base, words);
  return report;
}

VariantReport MakeVariant(const StudySpec& spec, const StudyData& data, size_t lane) {
  VariantReport v;
  v.name = data.lanes[lane].name;
  v.lane = lane;
  v.vacuous = IsVacuous(data, lane);
  v.foretold = IsForetold(data.lanes[lane]);
  v.rules = OwnEffects(data, lane);
  for (size_t other = 0; other < lane && v.same_as.empty(); ++other)
    if (SameOutput(data, other, lane)) v.same_as = data.lanes[other].name;
  const auto base = TokensOf(data, data.Baseline(), -1), tokens = TokensOf(data, lane, -1);
  v.ppl = PerplexityOf(tokens);
  v.divergence = Summarize(base, tokens);
  v.accuracy_difference = AccuracyDifference(spec, data, data.Baseline(), lane, -1);
  v.last_word = LastWordsOf(spec, data, lane);
  for (size_t t = 0; t < spec.texts.size(); ++t) {
    const auto text_tokens = TokensOf(data, lane, static_cast<int>(t));
    v.text_ppl.push_back(PerplexityOf(text_tokens));
    v.text_divergence.push_back(
        Summarize(TokensOf(data, data.Baseline(), static_cast<int>(t)), text_tokens));
    v.text_accuracy_difference.push_back(
        AccuracyDifference(spec, data, data.Baseline(), lane, static_cast<int>(t)));
  }
  if (data.lanes[lane].alone.whole >= 0) return v;  // nothing is generated there
  if (data.prompts.empty() || data.generated[lane].empty()) return v;
  std::vector<std::string> tags = {""};
  for (const StudyPrompt& prompt : data.prompts)
    if (std::find(tags.begin(), tags.end(), prompt.tag) == tags.end()) tags.push_back(prompt.tag);
  for (const std::string& tag : tags) v.agreement.emplace_back(tag, AgreementOf(data, lane, tag));
  return v;
}

}  // namespace

StudyReport MakeStudyReport(const StudySpec& spec, const StudyData& data, const Graph& graph) {
  StudyReport report;
  const auto base = TokensOf(data, data.Baseline(), -1);
  report.baseline = PerplexityOf(base);
  report.baseline_truth = Summarize(base, base).kld_truth;
  report.baseline_mae_truth = Summarize(base, base).mae_truth;
  report.baseline_accuracy = Summarize(base, base).accuracy;
  report.baseline_last_word = LastWordsOf(spec, data, data.Baseline());
  for (size_t t = 0; t < spec.texts.size(); ++t) {
    const auto tokens = TokensOf(data, data.Baseline(), static_cast<int>(t));
    report.baseline_texts.push_back(PerplexityOf(tokens));
    report.baseline_text_accuracy.push_back(Summarize(tokens, tokens).accuracy);
  }
  std::vector<LaneCost> costs;
  for (const StudyLane& lane : data.lanes)
    costs.push_back(CostOfLane(graph, lane.plan, spec.context));
  report.baseline_cost = costs[data.Baseline()];
  std::vector<TokenMeasure> noise_base, noise;
  for (size_t l = 0; l < data.lanes.size(); ++l) {
    if (data.lanes[l].kind == LaneKind::kVariant)
      report.variants.push_back(MakeVariant(spec, data, l));
    if (data.lanes[l].kind == LaneKind::kVariant) report.variants.back().cost = costs[l];
    if (data.lanes[l].kind != LaneKind::kNoise) continue;
    const auto tokens = TokensOf(data, l, -1);
    noise.insert(noise.end(), tokens.begin(), tokens.end());
    noise_base.insert(noise_base.end(), base.begin(), base.end());
  }
  if (!noise.empty()) report.noise = Summarize(noise_base, noise);
  report.candidates = Recommend(spec, data, costs);
  return report;
}

}  // namespace vernier
