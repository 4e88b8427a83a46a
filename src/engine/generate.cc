#include "engine/generate.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/result.h"

namespace vernier {
namespace {

std::vector<double> AsDoubles(const LogitsRow& row, size_t n) {
  if (row.type == Arithmetic::kF64) {
    const double* v = static_cast<const double*>(row.values);
    return {v, v + n};
  }
  const float* v = static_cast<const float*>(row.values);
  return {v, v + n};
}

// A uniform number in [0, 1) of step `step` of stream `stream`.
double Uniform(uint64_t seed, size_t stream, size_t step) {
  const Hash128 h = Combine(Combine(Combine(HashText("sample"), seed), stream), step);
  return static_cast<double>(h.low >> 11) * 0x1p-53;
}

}  // namespace

template <class T>
double Margin(const T* logits, size_t n) {
  if (n < 2) return std::numeric_limits<double>::infinity();
  const size_t best = ArgMax(logits, n);
  double second = -std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < n; ++i)
    if (i != best && logits[i] > second) second = logits[i];
  return static_cast<double>(logits[best]) - second;
}
template double Margin(const float*, size_t);
template double Margin(const double*, size_t);

int32_t Sample(std::span<const double> logits, const Sampling& sampling, double uniform) {
  if (sampling.temperature <= 0) return static_cast<int32_t>(ArgMax(logits.data(), logits.size()));
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
  });
  if (sampling.top_k > 0 && sampling.top_k < order.size()) order.resize(sampling.top_k);
  const double top = logits[static_cast<size_t>(order[0])];
  std::vector<double> p;
  for (const int32_t id : order)
    p.push_back(std::exp((logits[static_cast<size_t>(id)] - top) / sampling.temperature));
  double total = std::accumulate(p.begin(), p.end(), 0.0);
  // The smallest set of likeliest tokens that holds top_p of the probability.
  double kept = 0;
  size_t count = 0;
  while (count < p.size() && (count == 0 || kept < sampling.top_p * total)) kept += p[count++];
  double rest = uniform * kept;
  for (size_t i = 0; i < count; ++i) {
    if (rest < p[i]) return order[i];
    rest -= p[i];
  }
  return order[count - 1];
}

std::vector<Generated> Generate(Model& model, std::span<const GenerateRequest> requests,
                                const GenerateOptions& options) {
  const size_t n = model.graph().vocabulary;
  std::vector<Generated> results(requests.size());
  std::vector<KvCache> caches(requests.size());
  std::vector<std::vector<int32_t>> next(requests.size());
  std::vector<bool> running(requests.size(), true);
  for (size_t s = 0; s < requests.size(); ++s) {
    CHECK(!requests[s].prompt.empty());
    next[s] = requests[s].prompt;
    results[s].effects.resize(requests[s].plan->rules.size());
  }
  bool stopped = false;
  for (size_t step = 0; step < options.tokens && !stopped; ++step) {
    std::vector<Stream> streams;
    std::vector<size_t> of_stream;
    for (size_t s = 0; s < requests.size(); ++s) {
      if (!running[s]) continue;
      streams.push_back(
          {requests[s].plan, next[s], &caches[s], {static_cast<uint32_t>(next[s].size() - 1)}});
      of_stream.push_back(s);
    }
    if (streams.empty()) break;
    const Evaluation made = Evaluate(model, streams, [&](std::span<const LogitsRow> rows) {
      for (const LogitsRow& row : rows) {
        const size_t s = of_stream[row.stream];
        std::vector<double> logits = AsDoubles(row, n);
        GeneratedStep chosen;
        chosen.token = Sample(logits, options.sampling, Uniform(options.sampling.seed, s, step));
        chosen.logit = logits[static_cast<size_t>(chosen.token)];
        chosen.margin = Margin(logits.data(), n);
        results[s].steps.push_back(chosen);
        next[s] = {chosen.token};
        if (options.stops && options.stops(chosen.token)) running[s] = false;
        if (options.on_token && !options.on_token(s, chosen)) stopped = true;
        if (!options.keep_logits) continue;
        if (step == 0) {
          results[s].prompt_logits = std::move(logits);
        } else {
          results[s].step_logits.push_back(std::move(logits));
        }
      }
    });
    for (size_t i = 0; i < streams.size(); ++i)
      for (size_t rule = 0; rule < made.effects[i].size(); ++rule)
        results[of_stream[i]].effects[rule] += made.effects[i][rule];
  }
  return results;
}

}  // namespace vernier
