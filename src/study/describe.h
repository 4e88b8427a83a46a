// A study in its store's terms (store_records.h): from its file, its lanes and what came of them.
#ifndef VERNIER_STUDY_DESCRIBE_H_
#define VERNIER_STUDY_DESCRIBE_H_

#include <vector>

#include "engine/model.h"
#include "study/claims.h"
#include "study/run.h"
#include "study/spec.h"
#include "study/store_records.h"

namespace vernier {

// Keys of the store.
std::string ChunkKey(const Chunk& chunk);
std::string PromptKey(const StudyPrompt& prompt);
std::string PassageKey(const StudyPassage& passage);

// `judged`: empty before the claims are.
StudyRecord DescribeStudy(const StudySpec& spec, const std::vector<JudgedClaim>& judged = {});

// Of one of its models; what came of the lanes is there when `data` has their scores. The record
// speaks of tokens that `data` keeps.
ModelRecord DescribeModel(const StudySpec& spec, Model& model, const StudyData& data);

// This program on this machine.
RunRecord DescribeRun(Model& model);

}  // namespace vernier

#endif  // VERNIER_STUDY_DESCRIBE_H_
