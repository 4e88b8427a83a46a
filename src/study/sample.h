// A closer look at a few chunks of a study that is done, for its page (docs/report.md): the error
// of every site in every lane, where magnitudes of values and of errors lie, and the likeliest
// tokens.
#ifndef VERNIER_STUDY_SAMPLE_H_
#define VERNIER_STUDY_SAMPLE_H_

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <vector>

#include "study/run.h"

namespace vernier {

// The first chunk of each of the first texts; in all at most a tenth of the study's chunks, but
// one.
std::vector<size_t> SampledChunks(const StudyData& data);

// Baseline, truth, the first noise lane, and variants (but those of one layer alone), over the
// scored tokens of SampledChunks:
//   chunks    their indices
//   sites     [{name, layer, count, zeros, first, bins}] of all sites: how many of the baseline's
//             elements have floor(log2 |x|) = first, first + 1, ...
//   lanes     [{name, l2_rel[], truth_l2_rel[], errors[], top[]}]: by site the relative l2 error
//             against the baseline, and the truth (null: the site is not run); `errors` by site
//             {equal, first, bins}: how many elements equal the baseline's, and how many of the
//             others differ by floor(log2 |b - a|) = first, ...; `top` by scored token
//             [[id, p], ...], null where the logits are the baseline's
//   notes     what was left out of a large study
// Kept in the store, so that a study that is done computes it once. Nothing when interrupted.
Result<std::optional<nlohmann::ordered_json>> SampleStudy(Model& model, const StudyData& data,
                                                          Store& store, const RunOptions& options);

}  // namespace vernier

#endif  // VERNIER_STUDY_SAMPLE_H_
