// One model's tokens scored against another's on the same text, in one pass: no file of logits,
// nothing rounded on the way.
#ifndef VERNIER_MEASURE_SCORE_PAIR_H_
#define VERNIER_MEASURE_SCORE_PAIR_H_

#include <span>
#include <vector>

#include "base/progress.h"
#include "measure/score.h"

namespace vernier {

struct ScoredModel {
  Model* model = nullptr;
  const Plan* plan = nullptr;
};

struct PairRequest {
  ScoredModel scored, base;  // of equal vocabularies (CHECK); may be the same
  std::span<const Chunk> chunks;
  ProgressSink progress;  // may be empty; what it returns is ignored
};

struct PairScore {
  std::vector<TokenMeasure> tokens, base;  // of all chunks in order; base measured against itself
  std::vector<TreatmentCounts> effects;    // by rule of the scored plan
};

PairScore ScorePair(const PairRequest& request);

}  // namespace vernier

#endif  // VERNIER_MEASURE_SCORE_PAIR_H_
