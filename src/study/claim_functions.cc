#include "study/claim_functions.h"

#include <algorithm>
#include <cmath>

#include "formats/facts.h"
#include "formats/format.h"
#include "measure/statistics.h"
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
    s.correct += t.correct;
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

double FirstTokenMeasure(const std::string& name, std::span<const FirstToken> tokens,
                         std::span<const uint32_t> times) {
  double total = 0, count = 0;
  for (size_t p = 0; p < tokens.size(); ++p) {
    const double rank = static_cast<double>(tokens[p].rank);
    total += times[p] * (name == "first_rank" ? rank : double(rank == 0));
    count += times[p];
  }
  return total / count;
}

double Overhead(const Timing& timing, std::span<const uint32_t> times) {
  std::vector<double> ratios;
  for (size_t i = 0; i < timing.baseline.size(); ++i)
    for (uint32_t n = 0; n < times[i]; ++n)
      ratios.push_back(timing.variant[i] / timing.baseline[i]);
  return Quantile(Sorted(ratios), 0.5) - 1;
}

double SiteMeasureOf(const std::string& name, const SiteSums& sums, const SiteSums& base) {
  const double mean = sums.sum / sums.count;
  if (name == "error") return std::sqrt(sums.error / sums.reference);
  if (name == "truth_error") return std::sqrt(sums.truth_error / sums.truth_reference);
  if (name == "rms") return std::sqrt(sums.squares / sums.count);
  if (name == "mean") return mean;
  if (name == "std") return StandardDeviation(sums);
  if (name == "max_error") return sums.max_error;
  if (name == "beside") return std::sqrt(sums.beside / sums.squares);
  if (name == "beside_max") return sums.beside_max;
  CHECK(name == "drift");
  return (mean - base.sum / base.count) / std::sqrt(base.squares / base.count);
}

std::optional<PairedTest> CompareAccuracy(const StudyData& data_a, size_t a,
                                          const StudyData& data_b, size_t b, int text) {
  size_t first = 0, second = 0;
  if (data_a.chunks.size() != data_b.chunks.size()) return std::nullopt;
  for (size_t c = 0; c < data_a.chunks.size(); ++c) {
    const Chunk &of_a = data_a.chunks[c], &of_b = data_b.chunks[c];
    if (of_a.tokens != of_b.tokens || of_a.scored != of_b.scored) return std::nullopt;
    if (text >= 0 && data_a.text_of_chunk[c] != static_cast<size_t>(text)) continue;
    const auto &x = data_a.scores[a][c].tokens, &y = data_b.scores[b][c].tokens;
    for (size_t i = 0; i < x.size(); ++i) {
      first += x[i].correct && !y[i].correct;
      second += y[i].correct && !x[i].correct;
    }
  }
  return McNemar(first, second);
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
