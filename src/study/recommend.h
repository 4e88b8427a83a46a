// What a study recommends: of all its lanes, which cost the least and say the same. Costs follow
// from shapes and treatments (measure/lane_cost.h), the rest was measured.
#ifndef VERNIER_STUDY_RECOMMEND_H_
#define VERNIER_STUDY_RECOMMEND_H_

#include <span>
#include <string>
#include <vector>

#include "measure/lane_cost.h"
#include "measure/mcnemar.h"
#include "measure/statistics.h"
#include "study/run.h"
#include "study/spec.h"

namespace vernier {

enum class Standing {
  kRecommended,  // the cheapest on the front that is as good as the baseline
  kAsGood,       // on the front: perplexity and accuracy are the baseline's within their intervals
  kWorse,        // on the front: cheaper than what is better, and worse than the baseline
  kDominated,    // another lane costs no more and is nearer to the baseline, or costs less and is
                 // not farther
  kSame,         // bit for bit another lane's output
  kUnknown       // a text of one chunk gives no interval
};
const char* StandingName(Standing standing);  // "recommended", "as good", "worse" ...

struct IntervalValue {
  double value = 0;
  Interval interval;
};

struct Candidate {
  size_t lane = 0;
  double bytes = 0;         // a token
  IntervalValue kld;        // against the baseline
  IntervalValue log_ratio;  // mean nll - the baseline's
  IntervalValue accuracy;   // the share of right tokens - the baseline's
  PairedTest test;          // of it
  Standing standing = Standing::kUnknown;
  size_t other = 0;  // kDominated, kSame: by, as which lane
};

// The baseline and the variants (those of one layer alone left out), cheapest first; none where all
// cost the same. Intervals are percentile bootstraps over chunks within texts, paired, at 95 % for
// all candidates together (Bonferroni). `costs` by lane.
std::vector<Candidate> Recommend(const StudySpec& spec, const StudyData& data,
                                 std::span<const LaneCost> costs);

// The difference of two lanes' accuracies (b's - a's), in one text or in all (-1), with its
// interval at 95 %.
IntervalValue AccuracyDifference(const StudySpec& spec, const StudyData& data, size_t a, size_t b,
                                 int text);

}  // namespace vernier

#endif  // VERNIER_STUDY_RECOMMEND_H_
