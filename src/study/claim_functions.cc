#include "study/claim_functions.h"

#include <algorithm>
#include <cmath>

#include "formats/facts.h"
#include "formats/format.h"
#include "ops/elementary.h"

namespace vernier {

ChunkSums SumsOf(const ChunkScore& score) {
  ChunkSums s;
  for (const TokenMeasure& t : score.tokens) {
    s.tokens += 1;
    s.nll += t.nll;
    s.kld += t.kld;
    s.delta_p += t.delta_p;
    s.delta_p_squared += t.delta_p * t.delta_p;
    s.same_top += t.same_top;
    s.mae += double{t.mae};
    s.mae_truth += double{t.mae_truth};
    s.truth += t.kld_truth;
    s.max_abs = std::max(s.max_abs, double{t.max_abs});
    if (2 * s.tokens <= static_cast<double>(score.tokens.size())) continue;
    s.late_tokens += 1;
    s.late_mae += double{t.mae};
  }
  return s;
}

std::vector<FreeRun> FreeRunsOf(const StudyData& data, size_t lane) {
  std::vector<FreeRun> runs;
  for (size_t p = 0; p < data.generated[lane].size(); ++p) {
    const Continuation& base = data.generated[data.Baseline()][p];
    const Continuation& other = data.generated[lane][p];
    FreeRun run;
    run.compared = std::min(base.tokens.size(), other.tokens.size());
    for (size_t i = 0; i < run.compared; ++i) {
      const bool same = base.tokens[i] == other.tokens[i];
      run.same += same;
      if (same || run.parts) continue;
      run.parts = true;
      run.agreed = i;
      run.margin = base.margins[i];
    }
    if (!run.parts) run.agreed = run.compared;
    runs.push_back(run);
  }
  return runs;
}

double FreeRunMeasure(const std::string& name, std::span<const FreeRun> runs,
                      std::span<const uint32_t> times) {
  double total = 0, count = 0;
  for (size_t p = 0; p < runs.size(); ++p) {
    const FreeRun& run = runs[p];
    if (name == "match") {
      total += times[p] * static_cast<double>(run.same);
      count += times[p] * static_cast<double>(run.compared);
    } else if (name == "parting_margin") {
      total += run.parts ? times[p] * run.margin : 0;
      count += run.parts ? times[p] : 0;
    } else {
      total += times[p] * (name == "parted" ? double(run.parts) : static_cast<double>(run.agreed));
      count += times[p];
    }
  }
  return total / count;
}

double DepthExponent(std::span<const LayerError> errors) {
  double x_mean = 0, y_mean = 0;
  std::vector<double> x, y;
  for (const LayerError& e : errors) {
    if (!(e.error > 0)) return std::nan("");
    x.push_back(Logarithm(e.layer + 1));
    y.push_back(Logarithm(e.error));
    x_mean += x.back();
    y_mean += y.back();
  }
  const double n = static_cast<double>(errors.size());
  x_mean /= n;
  y_mean /= n;
  double xy = 0, xx = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    xy += (x[i] - x_mean) * (y[i] - y_mean);
    xx += (x[i] - x_mean) * (x[i] - x_mean);
  }
  return xy / xx;  // 0 / 0 for one layer, or none
}

Result<double> FormatFact(const std::string& name, const std::string& format, double x) {
  ASSIGN_OR_RETURN(const Format of, FindFormat(format));
  if (name == "fraction_bits") {
    const auto bits =
        x == 0 || !std::isfinite(x)
            ? std::nullopt
            : FractionBitsAt(of, static_cast<int>(std::floor(std::log2(std::abs(x)))));
    if (!bits) return Fail("{} has no numbers about {}", of.name, x);
    return static_cast<double>(*bits);
  }
  const FormatFacts facts = ComputeFacts(of);
  return ToDouble(name == "format_max" ? facts.largest : facts.smallest);
}

}  // namespace vernier
