// What observing and rounding cost: a text evaluated plainly, and alternately with a rule, and with
// statistics of every site. Where the time of the plain evaluation goes, by op.
#ifndef VERNIER_MEASURE_BENCH_OVERHEAD_H_
#define VERNIER_MEASURE_BENCH_OVERHEAD_H_

#include <array>
#include <string>
#include <vector>

#include "base/progress.h"
#include "engine/model.h"
#include "engine/plan.h"

namespace vernier {

struct OverheadOptions {
  size_t tokens = 512;  // of the text, drawn at random; logits of the last one are computed
  size_t pairs = 7;
};

// Of the pairs of a plain run and one with something more: how much longer it took, 0.01 being 1 %.
// The runs of a pair follow each other, so that what else the machine does weighs on both.
struct Overhead {
  double median = 0, least = 0, most = 0;
  double low = 0, high = 0;  // where the median of all such pairs lies, in 19 of 20 cases
};

struct OverheadBench {
  double seconds = 0;                    // of a plain run, the median
  std::array<double, kOpKinds> by_op{};  // of the plain runs, a run's mean
  Overhead rule, statistics;
  uint64_t elements = 0;  // that the statistics have seen
  // What a run spends in the statistics' own code, as a part of a plain run: steadier than the
  // pairs, but without what keeping points inside attention costs.
  double in_statistics = 0;
};

// Plans are of the model. Error when progress asked to stop.
Result<OverheadBench> BenchOverhead(Model& model, const Plan& plain, const Plan& ruled,
                                    const OverheadOptions& options, const ProgressSink& progress);

}  // namespace vernier

#endif  // VERNIER_MEASURE_BENCH_OVERHEAD_H_
