// Guessing the last word of passages, as LAMBADA does it (Paperno et al. 2016, arXiv 1606.06031):
// a lane is right when each token of the word is its likeliest one after the text before it.
// Passages are the same in all lanes.
#ifndef VERNIER_STUDY_LAST_WORD_H_
#define VERNIER_STUDY_LAST_WORD_H_

#include <span>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "engine/model.h"
#include "measure/mcnemar.h"
#include "study/run.h"
#include "study/store.h"

namespace vernier {

// A JSON-lines file of {"text": ..., "tag": ...}; of each tag the first `limit` (0: all). The last
// word is what stands after the last blank, line end or tab, with the blank before it; its tokens
// are those in which the whole text and the text without it differ. Errors name file and line: no
// object, no text, a text of one word.
Result<std::vector<StudyPassage>> ReadPassages(const std::string& path, size_t limit,
                                               const Tokenizer& tokenizer);

// Fills in data->last_words, from the store where it has them. False: the progress asked to stop.
Result<bool> MeasureLastWords(Model& model, Store& store, const ProgressSink& progress,
                              StudyData* data);

// last_word (the share of passages that are right) or last_word_ppl (exp of the mean nll of a word)
// over the passages, each counted so many times.
double LastWordMeasure(const std::string& name, std::span<const LastWord> words,
                       std::span<const uint32_t> times);
PairedTest CompareLastWords(std::span<const LastWord> a, std::span<const LastWord> b);

}  // namespace vernier

#endif  // VERNIER_STUDY_LAST_WORD_H_
