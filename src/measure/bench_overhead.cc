#include "measure/bench_overhead.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "engine/evaluate.h"
#include "measure/site_statistics.h"

namespace vernier {
namespace {

class Runner {
 public:
  Runner(Model& model, size_t tokens) : model_(model) {
    uint64_t state = 1;
    for (size_t i = 0; i < tokens; ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;  // Knuth's MMIX generator
      tokens_.push_back(static_cast<int32_t>((state >> 33) % model.graph().vocabulary));
    }
  }

  // Seconds of one evaluation.
  double Run(const Plan& plan, const Tap* tap, EvaluationCost* cost) {
    const Stream stream{&plan, tokens_, nullptr, {static_cast<uint32_t>(tokens_.size() - 1)}};
    const auto start = std::chrono::steady_clock::now();
    *cost += Evaluate(model_, {&stream, 1}, nullptr, tap).cost;
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

 private:
  Model& model_;
  std::vector<int32_t> tokens_;
};

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

// How many of n fair coins show heads: the largest l with P(fewer than l) at most 2.5 %. The median
// of what samples are drawn from lies between the l-th from below and the l-th from above in 95 %
// of cases, however they are distributed.
size_t OrderOfMedian(size_t n) {
  double term = std::ldexp(1.0, -static_cast<int>(n)), below = 0;
  size_t l = 0;
  for (; below + term <= 0.025; ++l) {
    below += term;
    term *= static_cast<double>(n - l) / static_cast<double>(l + 1);
  }
  return l;
}

Overhead Summary(std::vector<double> ratios) {
  std::sort(ratios.begin(), ratios.end());
  const size_t edge = std::max<size_t>(OrderOfMedian(ratios.size()), 1);  // too few: all of them
  return {Median(ratios) - 1, ratios.front() - 1, ratios.back() - 1, ratios[edge - 1] - 1,
          ratios[ratios.size() - edge] - 1};
}

}  // namespace

Result<OverheadBench> BenchOverhead(Model& model, const Plan& plain, const Plan& ruled,
                                    const OverheadOptions& options, const ProgressSink& progress) {
  OverheadBench bench;
  double in_statistics = 0;
  const Tap tap{
      [](const Site&) { return true; },
      [&](const SiteTensor& site) {
        const auto start = std::chrono::steady_clock::now();
        bench.elements += MeasureSite({site.type, site.rows, site.widths}, &model.workers()).count;
        in_statistics +=
            std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      }};
  Runner runner(model, options.tokens);
  EvaluationCost cost, ignored;
  runner.Run(plain, nullptr, &ignored);  // reads the weights
  std::vector<double> seconds, rule, statistics;
  for (size_t pair = 0; pair < options.pairs; ++pair) {
    // Each variant next to a plain run of its own, in turn before and after it.
    for (const bool observe : {false, true}) {
      const Plan& plan = observe ? plain : ruled;
      double plain_time = 0, time = 0;
      for (const bool first : {true, false}) {
        if (first == (pair % 2 == 0)) {
          plain_time = runner.Run(plain, nullptr, &cost);
        } else {
          time = runner.Run(plan, observe ? &tap : nullptr, &ignored);
        }
      }
      seconds.push_back(plain_time);
      (observe ? statistics : rule).push_back(time / plain_time);
    }
    if (progress && !progress({"measuring", static_cast<double>(pair + 1),
                               static_cast<double>(options.pairs), "pairs"}))
      return Fail("interrupted");
  }
  bench.seconds = Median(seconds);
  bench.rule = Summary(rule);
  bench.statistics = Summary(statistics);
  bench.elements /= options.pairs;
  bench.in_statistics = in_statistics / static_cast<double>(options.pairs) / bench.seconds;
  for (size_t op = 0; op < kOpKinds; ++op)
    bench.by_op[op] = cost.seconds[op] / static_cast<double>(seconds.size());
  return bench;
}

}  // namespace vernier
