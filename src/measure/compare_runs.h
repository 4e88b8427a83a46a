// Two runs over one token stream: what each says, and how far every site of one is from the same
// site of the other.
#ifndef VERNIER_MEASURE_COMPARE_RUNS_H_
#define VERNIER_MEASURE_COMPARE_RUNS_H_

#include <functional>
#include <optional>
#include <vector>

#include "base/progress.h"
#include "engine/generate.h"
#include "measure/capture.h"
#include "measure/contributed_error.h"
#include "measure/logit_comparison.h"
#include "measure/run_side.h"
#include "measure/tensor_error.h"

namespace vernier {

struct CompareRequest {
  RunSide a, b;                            // models of the same vocabulary size (CHECK)
  const Plan* truth = nullptr;             // of a's model; null: none
  std::vector<int32_t> prompt;             // not empty
  size_t generate = 0;                     // tokens each side goes on with, greedily
  std::function<bool(const Site&)> wants;  // empty: every site
  ProgressSink progress;                   // may be empty
  // Also measure what each node contributes (measure/contributed_error.h), b's fed with a's inputs,
  // where the graphs have the same nodes: all of a's values are kept, and each node of b runs twice
  // or more.
  bool contributions = false;
};

struct RunComparison {
  std::vector<int32_t> stream;  // prompt, and what A went on with: both are evaluated on it
  LogitComparison logits;       // at every position of the stream
  std::vector<GeneratedStep> a_steps, b_steps;  // free-running, from the prompt
  size_t forced_matches = 0;  // steps at which B, given A's tokens before, would say A's token
  CaptureComparison sites;
  std::vector<Contribution> contributions;
  std::vector<TreatmentCounts> effects_b;  // by rule of b's plan, over the stream

  size_t FreeMatches() const;                     // steps with the same token
  std::optional<size_t> FirstDifference() const;  // first step with another token
};

// Elements of q and k that the two models keep in different orders (RopeLayout) are compared with
// each other; indices are those of A. Where both sides have one model they are evaluated together
// and share what is equal. Errors: sites of one name and different shapes; progress asked to stop.
Result<RunComparison> CompareRuns(const CompareRequest& request);

// The sites of one run.
struct CaptureRequest {
  RunSide side;
  std::vector<int32_t> tokens;
  std::function<bool(const Site&)> wants;          // empty: every site
  std::function<void(const SiteTensor&)> receive;  // each site as it is made
  ProgressSink progress;                           // may be empty
};
// Evaluates the tokens and hands over each wanted site; gives the counts by rule. Error when
// progress asked to stop.
Result<std::vector<TreatmentCounts>> ObserveRun(const CaptureRequest& request);

// Positions 0 to n - 1: logits wanted everywhere.
std::vector<uint32_t> AllPositions(size_t n);

}  // namespace vernier

#endif  // VERNIER_MEASURE_COMPARE_RUNS_H_
