#include "engine/generate.h"

#include <algorithm>
#include <array>
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

// The two largest of each of 16 lanes first: loops the compiler makes vectors of.
template <class T>
TopLogit FindTop(const T* logits, size_t n) {
  constexpr size_t kAtOnce = 16;
  constexpr T kLowest = -std::numeric_limits<T>::infinity();
  std::array<T, kAtOnce> best, second;
  best.fill(kLowest);
  second.fill(kLowest);
  const auto see = [&](size_t l, T x) {
    const T rest = x > best[l] ? best[l] : x;
    best[l] = x > best[l] ? x : best[l];
    second[l] = rest > second[l] ? rest : second[l];
  };
  size_t i = 0;
  for (; i + kAtOnce <= n; i += kAtOnce)
    for (size_t l = 0; l < kAtOnce; ++l) see(l, logits[i + l]);
  for (size_t l = 0; i + l < n; ++l) see(l, logits[i + l]);
  for (size_t l = 1; l < kAtOnce; ++l) {
    see(0, best[l]);
    see(0, second[l]);
  }
  TopLogit top;
  top.index = static_cast<size_t>(std::find(logits, logits + n, best[0]) - logits);
  if (top.index == n || logits[0] != logits[0]) top.index = 0;
  top.margin = n < 2 ? std::numeric_limits<double>::infinity()
                     : static_cast<double>(logits[top.index]) - static_cast<double>(second[0]);
  return top;
}
template TopLogit FindTop(const float*, size_t);
template TopLogit FindTop(const double*, size_t);

int32_t Sample(std::span<const double> logits, const Sampling& sampling, double uniform) {
  if (sampling.temperature <= 0)
    return static_cast<int32_t>(FindTop(logits.data(), logits.size()).index);
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const size_t most = sampling.top_k > 0 ? std::min(sampling.top_k, order.size()) : order.size();
  const auto before = [&](int32_t a, int32_t b) {
    const double x = logits[static_cast<size_t>(a)], y = logits[static_cast<size_t>(b)];
    return x > y || (x == y && a < b);
  };
  if (most < order.size()) {
    std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(most), order.end(),
                      before);
  } else {
    std::sort(order.begin(), order.end(), before);
  }
  order.resize(most);
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

namespace {

template <class T>
GeneratedStep Choose(const T* logits, size_t n, const Sampling& sampling, double uniform) {
  const TopLogit top = FindTop(logits, n);
  GeneratedStep chosen{static_cast<int32_t>(top.index), 0, top.margin};
  if (sampling.temperature > 0)
    chosen.token = Sample(std::vector<double>(logits, logits + n), sampling, uniform);
  chosen.logit = static_cast<double>(logits[chosen.token]);
  return chosen;
}

GeneratedStep Choose(const LogitsRow& row, size_t n, const Sampling& sampling, double uniform) {
  return row.type == Arithmetic::kF32
             ? Choose(static_cast<const float*>(row.values), n, sampling, uniform)
             : Choose(static_cast<const double*>(row.values), n, sampling, uniform);
}

}  // namespace

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
        const GeneratedStep chosen =
            Choose(row, n, options.sampling, Uniform(options.sampling.seed, s, step));
        results[s].steps.push_back(chosen);
        next[s] = {chosen.token};
        if (options.stops && options.stops(chosen.token)) running[s] = false;
        if (options.on_token && !options.on_token(s, chosen)) stopped = true;
        if (!options.keep_logits) continue;
        std::vector<double> logits = AsDoubles(row, n);
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
