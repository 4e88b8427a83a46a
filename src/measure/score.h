// Scoring texts under many recipes at once, teacher-forced: every lane sees the same tokens, and
// what a token's logits say in each lane is measured against the baseline lane and, where there is
// one, the truth.
#ifndef VERNIER_MEASURE_SCORE_H_
#define VERNIER_MEASURE_SCORE_H_

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "engine/evaluate.h"
#include "measure/divergence.h"

namespace vernier {

// A piece of text that stands alone. Row i predicts tokens[i + 1]; the rows in `scored` count.
struct Chunk {
  std::vector<int32_t> tokens;
  std::vector<uint32_t> scored;  // ascending
  bool IsScored(uint32_t token) const;
};

// The pieces llama-perplexity makes of a text's tokens (tools/perplexity/perplexity.cpp): floor(n /
// context) chunks of `context` tokens, the first of each replaced by BOS where the model adds one,
// rows context/2 .. context-2 scored. Error when the text has fewer than 2 * context tokens, or
// context is below 8. At most `most` chunks (0: all).
Result<std::vector<Chunk>> PerplexityChunks(const std::vector<int32_t>& tokens, size_t context,
                                            bool add_bos, int32_t bos, size_t most = 0);

// What a lane's site is over one chunk, its scored tokens (the last layer is evaluated for no
// others): b the lane's value, a the baseline's, t the truth's. Sums, so that those of several
// chunks add up.
struct SiteSums {
  double error = 0, reference = 0;              // (b - a)^2, a^2
  double truth_error = 0, truth_reference = 0;  // (b - t)^2, t^2; 0 without a truth
  double count = 0, sum = 0, squares = 0;       // 1, b, b^2
  double low = 0, high = 0;                     // of b, where count > 0
  double max_error = 0;                         // |b - a|
  std::array<double, 5> first{};      // the first elements of the first token, as many as there are
  double beside = 0, beside_max = 0;  // (b - o)^2 and |b - o|, o the value in the lane beside
  // Of a lane that is another one in this layer alone: (c - b)^2, c the value in that other lane,
  // whose layers before err too. What c has inherited: b has what the layer itself contributed.
  double inherited = 0;
  // `times` is how often the other counts: a whole number.
  SiteSums& Add(const SiteSums& other, double times);
};

// Of the population: sqrt(mean(b^2) - mean(b)^2), at least 0.
double StandardDeviation(const SiteSums& sums);

// What one chunk gives in one lane.
struct ChunkScore {
  std::vector<TokenMeasure> tokens;  // one a scored row
  Hash128 fingerprint;               // of all logits' bits: equal fingerprints, identical output
  std::vector<TreatmentCounts> effects;  // by rule of the lane's plan: its activations
  std::vector<SiteSums> sites;           // by the sites asked for
};

// A lane whose recipe is that of lane `whole` in one layer and the baseline's elsewhere.
struct LayerAlone {
  int whole = -1;  // index of a lane; -1: not such a lane
  int layer = -1;
};

struct ScoreRequest {
  std::vector<const Plan*> plans;  // the lanes
  std::vector<LayerAlone> alone;   // by lane; empty: none is such a lane
  std::vector<int> beside;  // by lane, another that its sites are compared with, too (-1: none), in
                            // no circle; empty: no lane has one
  size_t baseline = 0;      // index of the lane all are compared with
  int truth = -1;           // index of the lane that is right; -1: none
  std::vector<const Chunk*> chunks;
  std::vector<int> sites;  // indices into Graph::sites whose error is wanted
  uint64_t memory_budget = uint64_t{2} << 30;
};

// Called with one chunk's scores, by lane in the order of the request, as soon as they are known;
// chunks come in order. False stops.
using ScoreSink = std::function<bool(size_t chunk, std::vector<ChunkScore> lanes)>;

// Lanes go through together, in waves of as many chunks, or of as few lanes, as the budget allows;
// no number depends on the waves. False when the sink or the progress asked to stop.
bool Score(Model& model, const ScoreRequest& request, const ScoreSink& sink,
           const ProgressSink& progress, EvaluationCost* cost);

}  // namespace vernier

#endif  // VERNIER_MEASURE_SCORE_H_
