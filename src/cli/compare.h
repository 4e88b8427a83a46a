// What `compare` found, between the experiment (compare.cc) and its report (compare_report.cc).
#ifndef VERNIER_CLI_COMPARE_H_
#define VERNIER_CLI_COMPARE_H_

#include <optional>
#include <string>
#include <vector>

#include "cli/output.h"
#include "engine/plan.h"
#include "measure/capture_fit.h"
#include "measure/compare_runs.h"

namespace vernier {

struct Compared {
  std::string a, b;                       // as given
  std::vector<int32_t> tokens;            // the stream both were evaluated on
  size_t prompt = 0;                      // of those, the ones given
  std::optional<LogitComparison> logits;  // absent where a capture has none
  CaptureComparison sites;
  std::vector<Contribution> contributions;  // empty: not measured
  // Of a capture of another program:
  std::vector<PartialSite> partial;
  std::vector<std::string> unknown, notes;
  bool log_probabilities = false;  // `logits` are ln p, cut at 16 below the largest
  bool free_ran = false;           // the four below are there
  size_t forced_matches = 0, free_matches = 0, generated = 0;
  std::optional<size_t> first_difference;
  double margin = 0;  // A's top-2 margin there
  std::vector<RuleEffect> effects;

  bool Identical() const;
  const std::string* FirstWrong() const;  // label; null: none
};

OrderedJson CompareJson(const Compared& compared);
std::string CompareText(const Compared& compared, const Screen& screen);

}  // namespace vernier

#endif  // VERNIER_CLI_COMPARE_H_
