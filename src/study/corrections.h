// Scale and bias corrections: one factor and one summand for each layer's site, so that a variant's
// site has the rms, or the mean, or spread and mean, that the baseline's has there. The constants
// are measured on chunks of the study's texts that are not scored, layer by layer: those of a layer
// with the corrections before it in force.
#ifndef VERNIER_STUDY_CORRECTIONS_H_
#define VERNIER_STUDY_CORRECTIONS_H_

#include <string>

#include "base/progress.h"
#include "base/result.h"
#include "engine/model.h"
#include "study/run.h"
#include "study/spec.h"
#include "study/store.h"

namespace vernier {

// The rule that turns a site's moments into others: times 1 and plus 0 are left out; empty when
// both are. With `shift` the means become equal, with `scale` the rms (or, with shift too, the
// standard deviations).
struct SiteMoments {
  double mean = 0, rms = 0;
};
std::string CorrectionRule(const std::string& label, const StudyCorrection& correction,
                           const SiteMoments& from, const SiteMoments& to);

// Puts the fitted rules into the plans of the variants that have `correct`. False: the progress
// asked to stop.
Result<bool> FitCorrections(const StudySpec& spec, Model& model, Store& store,
                            const ProgressSink& progress, StudyData* data);

}  // namespace vernier

#endif  // VERNIER_STUDY_CORRECTIONS_H_
