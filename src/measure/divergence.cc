#include "measure/divergence.h"

#include <algorithm>
#include <cmath>

#include "engine/generate.h"
#include "ops/elementary.h"

namespace vernier {
namespace {

// Sum of term(i) by 16 lanes and their tree, as the kernels add.
template <class F>
double LaneSum(size_t n, F term) {
  double lanes[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (size_t l = 0; l < kLanes; ++l) lanes[l] += term(i + l);
  for (size_t l = 0; i < n; ++i, ++l) lanes[l] += term(i);
  for (size_t half = kLanes / 2; half > 0; half /= 2)
    for (size_t l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  return lanes[0];
}

}  // namespace

Distribution MakeDistribution(const LogitsRow& row, size_t n, const Kernels& kernels) {
  Distribution d;
  if (row.type == Arithmetic::kF32) {
    const float* values = static_cast<const float*>(row.values);
    d.logits.assign(values, values + n);
  } else {
    const double* values = static_cast<const double*>(row.values);
    d.logits.assign(values, values + n);
  }
  const TopLogit top = FindTop(d.logits.data(), n);
  d.top = top.index;
  d.max = d.logits[d.top];
  d.margin = top.margin;
  d.log_sum = d.max + Logarithm(kernels.sum_exp_f64(d.logits.data(), n, d.max));
  return d;
}

void WithProbabilities(Distribution* d, const Kernels& kernels) {
  d->p.resize(d->logits.size());
  for (size_t i = 0; i < d->p.size(); ++i) d->p[i] = d->logits[i] - d->log_sum;
  kernels.exp_f64(d->p.data(), d->p.size(), d->p.data());
}

double KlDivergence(const Distribution& a, const Distribution& b) {
  // A token of probability zero adds nothing, whatever b says of it.
  return LaneSum(a.p.size(), [&](size_t i) {
    return a.p[i] == 0 ? 0.0 : a.p[i] * ((a.logits[i] - a.log_sum) - (b.logits[i] - b.log_sum));
  });
}

LogitError LogitDistance(const Distribution& a, const Distribution& b) {
  LogitError e;
  for (size_t i = 0; i < a.logits.size(); ++i)
    e.max_abs = std::max(e.max_abs, std::abs(a.logits[i] - b.logits[i]));
  e.mae = LaneSum(a.logits.size(), [&](size_t i) { return std::abs(a.logits[i] - b.logits[i]); }) /
          static_cast<double>(a.logits.size());
  return e;
}

size_t Rank(const Distribution& d, size_t token) {
  size_t rank = 0;
  for (size_t i = 0; i < d.logits.size(); ++i)
    rank += d.logits[i] > d.logits[token] || (d.logits[i] == d.logits[token] && i < token);
  return rank;
}

TokenMeasure MeasureToken(const Distribution& a, const Distribution& b, const Distribution* truth,
                          size_t next) {
  TokenMeasure m;
  m.nll = -LogProbability(b, next);
  m.kld = KlDivergence(a, b);
  m.delta_p = Exponential(LogProbability(b, next)) - Exponential(LogProbability(a, next));
  if (truth != nullptr) {
    m.kld_truth = KlDivergence(*truth, b);
    m.mae_truth = static_cast<float>(LogitDistance(*truth, b).mae);
  }
  const LogitError e = LogitDistance(a, b);
  m.max_abs = static_cast<float>(e.max_abs);
  m.mae = static_cast<float>(e.mae);
  m.margin = static_cast<float>(b.margin);
  m.same_top = a.top == b.top;
  m.correct = b.top == next;
  return m;
}

}  // namespace vernier
