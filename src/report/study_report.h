// A finished study for people and programs: results.json (docs/studies.md lists its keys),
// results.csv, and the tables a terminal shows.
#ifndef VERNIER_REPORT_STUDY_REPORT_H_
#define VERNIER_REPORT_STUDY_REPORT_H_

#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/model.h"
#include "measure/summary.h"
#include "report/text_width.h"
#include "study/claims.h"
#include "study/recommend.h"
#include "study/run.h"
#include "study/spec.h"

namespace vernier {

// Free-running agreement of a lane with the baseline over prompts.
struct Agreement {
  size_t prompts = 0, tokens = 0;  // compared
  double match_rate = 0;           // positions with the same token / compared
  size_t diverged = 0;             // prompts with any difference
  double first_difference = 0;     // mean first differing step of those
  double margin = 0;               // mean top-2 margin of the baseline there
};

// Passages' last words in a lane.
struct LastWordReport {
  size_t passages = 0;
  ValueError right;          // share
  double ppl = 0;            // of a word
  IntervalValue difference;  // of the share, from the baseline's
  PairedTest test;
};

struct VariantReport {
  std::string name;
  size_t lane = 0;
  bool vacuous = false, foretold = false;
  std::string same_as;  // an earlier variant, or "baseline"; empty: none
  std::vector<RuleEffect> rules;
  Perplexity ppl;
  DivergenceSummary divergence;      // over all texts
  std::vector<Perplexity> text_ppl;  // by text
  std::vector<DivergenceSummary> text_divergence;
  IntervalValue accuracy_difference;  // of next tokens, from the baseline's
  std::vector<IntervalValue> text_accuracy_difference;
  std::optional<LastWordReport> last_word;
  LaneCost cost;
  std::vector<std::pair<std::string, Agreement>>
      agreement;  // by tag, "" for all; empty without generation
};

struct StudyReport {
  Perplexity baseline;
  std::vector<Perplexity> baseline_texts;
  std::optional<DivergenceSummary> noise;  // the noise lanes together against the baseline
  ValueError baseline_truth;               // KL(truth || baseline)
  ValueError baseline_mae_truth;           // of logits
  ValueError baseline_accuracy;            // share of next tokens that are the likeliest
  std::vector<ValueError> baseline_text_accuracy;
  std::optional<LastWordReport> baseline_last_word;
  LaneCost baseline_cost;
  std::vector<VariantReport> variants;
  std::vector<Candidate> candidates;  // empty where all lanes cost the same
};

StudyReport MakeStudyReport(const StudySpec& spec, const StudyData& data, const Graph& graph);

// The study of one model, finished. A study of several models has a part for each.
struct StudyPart {
  const StudySpec* spec;
  Model* model;
  const StudyData* data;
  StudyReport report;
};

nlohmann::ordered_json StudyJson(std::span<const StudyPart> parts,
                                 const std::vector<JudgedClaim>& claims);
std::string StudyCsv(std::span<const StudyPart> parts);  // a line a variant and text
std::string StudyTables(std::span<const StudyPart> parts, const std::vector<JudgedClaim>& claims,
                        const Screen& screen = Screen(180));

// Keys that eval and study share.
nlohmann::ordered_json PerplexityJson(const Perplexity& ppl);
nlohmann::ordered_json KldJson(
    const DivergenceSummary& s);  // mean, uncertainty, max, p99.9 ... min
nlohmann::ordered_json DeltaPJson(const DivergenceSummary& s);  // mean, uncertainty, rms, ...
nlohmann::ordered_json ValueJson(const ValueError& v);          // value, uncertainty

}  // namespace vernier

#endif  // VERNIER_REPORT_STUDY_REPORT_H_
