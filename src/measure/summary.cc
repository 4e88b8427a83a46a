#include "measure/summary.h"

#include <algorithm>
#include <cmath>

#include "base/result.h"
#include "ops/elementary.h"

namespace vernier {
namespace {

template <class F>
std::vector<double> Column(std::span<const TokenMeasure> tokens, F field) {
  std::vector<double> column;
  column.reserve(tokens.size());
  for (const TokenMeasure& t : tokens) column.push_back(field(t));
  return column;
}

ValueError MeanOf(std::span<const double> x) {
  const MeanError m = Mean(x);
  return {m.mean, m.error};
}

std::vector<double> Quantiles(std::span<const double> x, std::span<const double> fractions) {
  const std::vector<double> sorted = Sorted(x);
  std::vector<double> q;
  for (const double f : fractions) q.push_back(Quantile(sorted, f));
  return q;
}

// The error of the mean of scale_b * b - scale_a * a: sqrt of var(b) + var(a) - 2 cov(a, b),
// scaled, without the cancellation of writing it so.
MeanError PairedMean(std::span<const double> a, std::span<const double> b, double scale_a,
                     double scale_b) {
  std::vector<double> differences;
  differences.reserve(a.size());
  for (size_t i = 0; i < a.size(); ++i) differences.push_back(scale_b * b[i] - scale_a * a[i]);
  return Mean(differences);
}

void SummarizeRatio(std::span<const double> nll_a, std::span<const double> nll_b,
                    DivergenceSummary* s) {
  const MeanError a = Mean(nll_a), b = Mean(nll_b);
  const double ppl_a = Exponential(a.mean), ppl_b = Exponential(b.mean);
  const MeanError difference = PairedMean(nll_a, nll_b, 1, 1);
  s->log_ratio = {difference.mean, difference.error};
  s->ratio.value = Exponential(s->log_ratio.value);
  s->ratio.error = s->ratio.value * s->log_ratio.error;
  s->difference = {ppl_b - ppl_a, PairedMean(nll_a, nll_b, ppl_a, ppl_b).error};
  s->correlation =
      a.error > 0 && b.error > 0 ? MeanCovariance(nll_a, nll_b) / (a.error * b.error) : 1;
}

}  // namespace

Perplexity SummarizePerplexity(std::span<const double> nll) {
  const MeanError m = Mean(nll);
  const double ppl = Exponential(m.mean);
  return {ppl, ppl * m.error, m.n};
}

DivergenceSummary Summarize(std::span<const TokenMeasure> base,
                            std::span<const TokenMeasure> tokens) {
  CHECK(base.size() == tokens.size());
  DivergenceSummary s;
  s.tokens = tokens.size();
  const std::vector<double> kld = Column(tokens, [](const TokenMeasure& t) { return t.kld; });
  const std::vector<double> delta_p =
      Column(tokens, [](const TokenMeasure& t) { return t.delta_p; });
  s.kld = MeanOf(kld);
  s.kld_quantiles = Quantiles(kld, kKldFractions);
  s.delta_p = MeanOf(delta_p);
  s.delta_p_quantiles = Quantiles(delta_p, kDeltaPFractions);
  const ValueError square =
      MeanOf(Column(tokens, [](const TokenMeasure& t) { return t.delta_p * t.delta_p; }));
  s.rms_delta_p.value = std::sqrt(square.value);
  s.rms_delta_p.error = s.rms_delta_p.value > 0 ? 0.5 / s.rms_delta_p.value * square.error : 0;
  s.same_top =
      MeanOf(Column(tokens, [](const TokenMeasure& t) { return t.same_top != 0 ? 1.0 : 0.0; }));
  s.accuracy =
      MeanOf(Column(tokens, [](const TokenMeasure& t) { return t.correct != 0 ? 1.0 : 0.0; }));
  std::vector<double> gained;
  size_t lost_only = 0, gained_only = 0;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const bool before = base[i].correct != 0, now = tokens[i].correct != 0;
    gained.push_back(double(now) - double(before));
    lost_only += before && !now;
    gained_only += now && !before;
  }
  s.accuracy_difference = MeanOf(gained);
  s.accuracy_test = McNemar(lost_only, gained_only);
  s.kld_truth = MeanOf(Column(tokens, [](const TokenMeasure& t) { return t.kld_truth; }));
  s.mae_truth = MeanOf(Column(tokens, [](const TokenMeasure& t) { return double{t.mae_truth}; }));
  s.mae = MeanOf(Column(tokens, [](const TokenMeasure& t) { return double{t.mae}; })).value;
  for (const TokenMeasure& t : tokens) s.max_abs = std::max(s.max_abs, double{t.max_abs});
  const auto nll = [](const TokenMeasure& t) { return t.nll; };
  SummarizeRatio(Column(base, nll), Column(tokens, nll), &s);
  return s;
}

}  // namespace vernier
