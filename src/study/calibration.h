// Static scales that a study measures itself (`calibrate_chunks`): of the points that its rules
// name, on chunks of its texts that are not scored.
#ifndef VERNIER_STUDY_CALIBRATION_H_
#define VERNIER_STUDY_CALIBRATION_H_

#include <memory>

#include "base/result.h"
#include "engine/model.h"
#include "formats/static_scales.h"
#include "study/spec.h"

namespace vernier {

// The scales that rules of the baseline and of variants read, measured on the model as it is (with
// the rules that say what it is) over spec.calibrate_chunks chunks of each text, those after the
// scored and fitted ones; all their tokens count. Percentiles smoothed over chunks have the factor
// 0.01, as `vernier calibrate`. Errors: a text that is too short, a rule that is wrong, no rule
// that reads scales.
Result<std::shared_ptr<const StaticScales>> CalibrateStudy(const StudySpec& spec, Model& model);

}  // namespace vernier

#endif  // VERNIER_STUDY_CALIBRATION_H_
