// Free-running generation: the tokens a recipe goes on with.
#ifndef VERNIER_ENGINE_GENERATE_H_
#define VERNIER_ENGINE_GENERATE_H_

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "engine/evaluate.h"
#include "engine/model.h"
#include "engine/plan.h"

namespace vernier {

struct Sampling {
  double temperature = 0;  // 0: greedy, ties to the lowest id
  size_t top_k = 0;        // 0: all
  double top_p = 1;
  uint64_t seed = 0;  // step i of stream s draws from (seed, s, i) alone
};

struct GeneratedStep {
  int32_t token = 0;
  double logit = 0;
  double margin = 0;  // between the two highest logits, whichever token was drawn
};

struct Generated {
  std::vector<GeneratedStep> steps;
  std::vector<double> prompt_logits;  // of the last prompt position
  std::vector<std::vector<double>>
      step_logits;                       // after each token but the last; both only when asked for
  std::vector<TreatmentCounts> effects;  // by rule of the plan: what it did to activations
};

struct GenerateRequest {
  const Plan* plan = nullptr;
  std::vector<int32_t> prompt;  // not empty
};

struct GenerateOptions {
  size_t tokens = 0;
  Sampling sampling;
  bool keep_logits = false;
  std::function<bool(int32_t)> stops;  // an end-of-generation token ends its stream; may be empty
  std::function<bool(size_t stream, const GeneratedStep&)>
      on_token;  // may be empty; false stops all
};

// Streams run in lock step and share what they can. An entry a request.
std::vector<Generated> Generate(Model& model, std::span<const GenerateRequest> requests,
                                const GenerateOptions& options);

// The largest of n logits, float or double: its index (the lowest of equals; NaN is never larger
// than a number) and by how much it is larger than the second largest.
struct TopLogit {
  size_t index = 0;
  double margin = 0;
};
template <class T>
TopLogit FindTop(const T* logits, size_t n);
template <class T>
size_t ArgMax(const T* logits, size_t n) {
  return FindTop(logits, n).index;
}

// The token drawn from the logits with a uniform number in [0, 1).
int32_t Sample(std::span<const double> logits, const Sampling& sampling, double uniform);

}  // namespace vernier

#endif  // VERNIER_ENGINE_GENERATE_H_
