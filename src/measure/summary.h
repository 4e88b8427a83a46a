// Perplexity and divergence over many tokens, with llama-perplexity's names and definitions
// (tools/perplexity/perplexity.cpp of ggml-org/llama.cpp), except that nothing is stored in 16 bits
// on the way: KL is exact to double rounding.
#ifndef VERNIER_MEASURE_SUMMARY_H_
#define VERNIER_MEASURE_SUMMARY_H_

#include <span>
#include <vector>

#include "measure/divergence.h"
#include "measure/mcnemar.h"
#include "measure/statistics.h"

namespace vernier {

struct ValueError {
  double value = 0, error = 0;
};

struct Perplexity {
  double mean = 0;         // exp(mean nll)
  double uncertainty = 0;  // mean * standard error of the mean nll
  size_t tokens = 0;
};
Perplexity SummarizePerplexity(std::span<const double> nll);

// b against the baseline a.
struct DivergenceSummary {
  size_t tokens = 0;
  ValueError kld;                         // nats
  std::vector<double> kld_quantiles;      // at kKldFractions
  ValueError delta_p, rms_delta_p;        // of the correct token's probability
  std::vector<double> delta_p_quantiles;  // at kDeltaPFractions
  ValueError same_top;                    // share of tokens with the same likeliest token
  ValueError accuracy;                    // share of tokens whose likeliest is the text's next
  ValueError accuracy_difference;         // b's - a's, paired
  PairedTest accuracy_test;               // b: right in a alone; c: in b alone
  ValueError log_ratio;                   // mean nll_b - mean nll_a, paired
  ValueError ratio;                       // exp of it: PPL(b) / PPL(a)
  ValueError difference;                  // PPL(b) - PPL(a)
  double correlation = 0;                 // of the tokens' nll
  double max_abs = 0, mae = 0;            // of logits: the largest, and the mean
  ValueError kld_truth;                   // KL(truth || b)
  ValueError mae_truth;                   // of logits, against the truth
};

inline constexpr double kKldFractions[] = {1,   0.999, 0.99, 0.95,  0.9, 0.5,
                                           0.1, 0.05,  0.01, 0.001, 0};
inline constexpr double kDeltaPFractions[] = {1,    0.999, 0.99, 0.95, 0.9,   0.75, 0.5,
                                              0.25, 0.1,   0.05, 0.01, 0.001, 0};

// `base` and `tokens` are the same tokens in the two lanes.
DivergenceSummary Summarize(std::span<const TokenMeasure> base,
                            std::span<const TokenMeasure> tokens);

}  // namespace vernier

#endif  // VERNIER_MEASURE_SUMMARY_H_
