// How far the logits of one token are from another run's. Definitions as in docs/measures.md:
// probabilities are the softmax of the logits, computed in double from the stored numbers; natural
// logarithms; ties of the largest logit go to the lowest id.
#ifndef VERNIER_MEASURE_DIVERGENCE_H_
#define VERNIER_MEASURE_DIVERGENCE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/evaluate.h"
#include "kernels/kernels.h"

namespace vernier {

// A token's logits seen as a distribution.
struct Distribution {
  std::vector<double> logits;
  double max = 0;
  double log_sum = 0;     // ln sum exp(logits): ln p(i) = logits[i] - log_sum
  size_t top = 0;         // the likeliest token
  double margin = 0;      // largest logit minus second largest
  std::vector<double> p;  // filled by WithProbabilities
};

Distribution MakeDistribution(const LogitsRow& row, size_t n, const Kernels& kernels);
void WithProbabilities(Distribution* d, const Kernels& kernels);

inline double LogProbability(const Distribution& d, size_t token) {
  return d.logits[token] - d.log_sum;
}

// KL(a || b) = sum p_a (ln p_a - ln p_b) in nats; a with its probabilities. At least 0 up to
// rounding.
double KlDivergence(const Distribution& a, const Distribution& b);

struct LogitError {
  double max_abs = 0;  // largest |a_i - b_i|
  double mae = 0;      // mean |a_i - b_i|
};
LogitError LogitDistance(const Distribution& a, const Distribution& b);

// Number of tokens with a larger logit, or an equal one and a lower id.
size_t Rank(const Distribution& d, size_t token);

// What one scored token says of a lane: b against baseline a, and against the truth t where there
// is one.
struct TokenMeasure {
  double nll = 0;              // -ln p_b(next)
  double kld = 0;              // KL(a || b)
  double delta_p = 0;          // p_b(next) - p_a(next)
  double kld_truth = 0;        // KL(t || b); 0 without a truth
  float max_abs = 0, mae = 0;  // of logits, against a
  float mae_truth = 0;         // against t; 0 without a truth
  float margin = 0;            // of b
  uint8_t same_top = 1;        // whether a's likeliest token is b's
  uint8_t correct = 0;         // whether b's likeliest token is the next one of the text
};

TokenMeasure MeasureToken(const Distribution& a, const Distribution& b, const Distribution* truth,
                          size_t next);

}  // namespace vernier

#endif  // VERNIER_MEASURE_DIVERGENCE_H_
