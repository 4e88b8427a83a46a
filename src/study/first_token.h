// The first token after each prompt of a study, in every lane: which one, by what margin, and where
// the baseline's token stands. Prompts are the same in all lanes.
#ifndef VERNIER_STUDY_FIRST_TOKEN_H_
#define VERNIER_STUDY_FIRST_TOKEN_H_

#include "base/result.h"
#include "engine/model.h"
#include "study/run.h"
#include "study/store.h"

namespace vernier {

// Fills in data->first_tokens, from the store where it has them.
Status MeasureFirstTokens(Model& model, Store& store, StudyData* data);

}  // namespace vernier

#endif  // VERNIER_STUDY_FIRST_TOKEN_H_
