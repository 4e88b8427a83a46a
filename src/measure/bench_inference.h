// How fast a model reads a prompt and writes tokens after it: whole evaluations as `run` makes
// them, repeated, under several recipes in turns.
#ifndef VERNIER_MEASURE_BENCH_INFERENCE_H_
#define VERNIER_MEASURE_BENCH_INFERENCE_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "engine/model.h"
#include "engine/plan.h"

namespace vernier {

// What a token costs at least, whatever computes it; attention, which grows with the text, apart.
struct TokenWork {
  uint64_t layer_weights = 0;  // that each token meets in matrix products
  uint64_t head_weights = 0;  // of the last product, which only tokens whose logits are wanted meet
  uint64_t bytes = 0;         // as the file stores all weights of nodes, embeddings apart
};
TokenWork WorkOfToken(const Graph& graph);

// Ids spread over the vocabulary, those of its ends left out, where special tokens are.
std::vector<int32_t> BenchPrompt(size_t count, size_t vocabulary);

// What is measured beside each other.
struct InferenceLane {
  std::string name;
  const Plan* plan = nullptr;
};

struct InferenceOptions {
  size_t prompt = 512, tokens = 64;  // tokens may be 0
  size_t repetitions = 5;
};

// Seconds, one entry a repetition.
struct LaneTimes {
  double first_run = 0;         // the prompt once, before all, with weights being read
  std::vector<double> prefill;  // until the token after the prompt is known
  std::vector<double> decode;   // of all further tokens together
  // By op, with the rules there; means of a repetition.
  std::map<std::string, double> prefill_by_op, decode_by_op;
};

struct Spread {
  double median = 0, least = 0, most = 0;
};
Spread SpreadOf(std::vector<double> values);  // CHECK: there is one

// An entry a lane. Every lane runs once before anything is timed (weights are read then), then the
// lanes take turns. Stops early, with fewer repetitions but at least one, when progress asks for
// it.
std::vector<LaneTimes> BenchInference(Model& model, const std::vector<InferenceLane>& lanes,
                                      const InferenceOptions& options,
                                      const ProgressSink& progress);

}  // namespace vernier

#endif  // VERNIER_MEASURE_BENCH_INFERENCE_H_
