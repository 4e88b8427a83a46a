// What claims compute: sums of tokens' measures, agreement of free-running texts, the law by which
// errors grow over depth, facts about formats. docs/studies.md and docs/measures.md define them.
#ifndef VERNIER_STUDY_CLAIM_FUNCTIONS_H_
#define VERNIER_STUDY_CLAIM_FUNCTIONS_H_

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "measure/mcnemar.h"
#include "study/run.h"

namespace vernier {

// Sums over one chunk of one lane, from which every measure of any set of chunks follows.
struct ChunkSums {
  double tokens = 0, nll = 0, kld = 0, delta_p = 0, delta_p_squared = 0, same_top = 0, mae = 0,
         mae_truth = 0, truth = 0, correct = 0;
  double late_tokens = 0, late_mae = 0;  // of the second half of the scored tokens
  double max_abs = 0;                    // the largest
};
ChunkSums SumsOf(const ChunkScore& score);

// One prompt continued in a lane and in the baseline.
struct FreeRun {
  size_t compared = 0, same = 0;  // tokens: in both texts, and equal
  size_t agreed = 0;              // before the first difference; all where there is none
  bool parts = false;
  double margin = 0;  // where they part: the baseline's largest logit minus the second
};
std::vector<FreeRun> FreeRunsOf(const StudyData& data, size_t lane);  // by prompt

// match, agreed, parted or parting_margin over the runs, each counted so many times; NaN where
// nothing is to be counted.
double FreeRunMeasure(const std::string& name, std::span<const FreeRun> runs,
                      std::span<const uint32_t> times);

// first_token (the share with the baseline's) or first_rank over prompts, each counted so many
// times.
double FirstTokenMeasure(const std::string& name, std::span<const FirstToken> tokens,
                         std::span<const uint32_t> times);

// Medians over rounds: a pause of the machine in one of them says nothing of the rule.
double Overhead(const Timing& timing, std::span<const uint32_t> times);

// error, truth_error, rms, mean, std, drift, max_error, beside, beside_max of a site; `base` is the
// baseline's.
double SiteMeasureOf(const std::string& name, const SiteSums& sums, const SiteSums& base);

// Which of two lanes guesses more of the text's next tokens: of text `text`, of all where it is -1.
// Nothing where their tokens are not the same.
std::optional<PairedTest> CompareAccuracy(const StudyData& data_a, size_t a,
                                          const StudyData& data_b, size_t b, int text);

// The slope of the straight line through (ln(layer + 1), ln error) by least squares: error grows as
// (layer + 1)^slope. NaN for fewer than two layers, or where an error is not above 0.
struct LayerError {
  int layer = 0;
  double error = 0;
};
double DepthExponent(std::span<const LayerError> errors);

// fraction_bits (of numbers about x), format_max, format_min (the smallest above zero). Errors: no
// such format; fraction_bits beyond its range.
Result<double> FormatFact(const std::string& name, const std::string& format, double x);

}  // namespace vernier

#endif  // VERNIER_STUDY_CLAIM_FUNCTIONS_H_
