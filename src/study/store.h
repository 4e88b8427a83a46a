// Where a study keeps what it has computed: one SQLite file, keyed by content, so that a study run
// again does only what is missing and an interrupted one goes on. A score belongs to (lane, chunk);
// both keys are hashes of all that the numbers depend on. docs/store.md lists tables and columns.
//
// What is put in is there whole or not at all, whenever the process is killed. Several processes
// may use one store: what two of them compute is the same, and the first one's stays.
//
// Numbers come back with the bits they had, but for the sign of zero, which is lost, and NaN, of
// which there is one.
#ifndef VERNIER_STUDY_STORE_H_
#define VERNIER_STUDY_STORE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/evaluate.h"
#include "measure/score.h"
#include "study/store_records.h"

namespace vernier {

// One prompt continued freely in one lane.
struct Continuation {
  std::vector<int32_t> tokens;
  std::vector<double> margins;
};

// The first token of a prompt in one lane.
struct FirstToken {
  int32_t token = 0;
  double logit = 0, margin = 0;  // the largest logit; minus the second
  uint64_t rank = 0;             // of the baseline's token here; 0: the same token
  double kld = 0;                // KL(baseline || this)
};

// What one lane makes of a passage whose last word is guessed.
struct LastWord {
  bool right = false;  // each token of the word is the likeliest
  double nll = 0;      // of the word: the sum over its tokens
};

// Wall times of the same work alone, taken alternately.
struct Timing {
  std::vector<double> baseline, variant;  // seconds
};

// Whose scores they are: a chunk's key, the positions of its scored tokens, the indices of the
// sites measured; both ascending.
struct ScoredChunk {
  std::string key;
  std::span<const uint32_t> positions;
  std::span<const int> sites;
};

// One prompt in one lane, and how many tokens were wanted.
struct ContinuationKey {
  std::string lane, prompt;
  size_t length = 0;
};

class Store {
 public:
  // Opens or makes FOLDER/study.sqlite. Error when the file is something else, of another version,
  // damaged, or cannot be written.
  static Result<std::unique_ptr<Store>> Open(const std::string& folder);
  ~Store();  // leaves one file, unless another process uses it
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // The study's names for what is stored: replaces those of the models given, and of the study.
  Status Describe(const StudyRecord& study, std::span<const ModelRecord> models);

  Result<bool> HasScore(const std::string& lane, const std::string& chunk);
  // Error when it is damaged.
  Result<std::optional<ChunkScore>> GetScore(const std::string& lane, const std::string& chunk);
  // All lanes of one chunk in one transaction: after a crash they are all there or none is. Scores
  // that are there already stay.
  Status PutScores(const std::vector<std::string>& lanes, const ScoredChunk& chunk,
                   const std::vector<ChunkScore>& scores);

  // Of these, what is damaged is as if it were not there.
  Result<std::optional<Continuation>> GetContinuation(const ContinuationKey& key);
  Status PutContinuations(std::span<const ContinuationKey> keys,
                          std::span<const Continuation> continuations);
  Result<std::optional<FirstToken>> GetFirstToken(const std::string& lane,
                                                  const std::string& prompt);
  Status PutFirstTokens(const std::vector<std::string>& lanes, const std::string& prompt,
                        std::span<const FirstToken> tokens);
  Result<std::optional<LastWord>> GetLastWord(const std::string& lane, const std::string& passage);
  Status PutLastWords(const std::vector<std::string>& lanes, const std::string& passage,
                      std::span<const LastWord> words);
  Result<std::optional<std::vector<std::string>>> GetFit(const std::string& key);
  Status PutFit(const std::string& key, const std::vector<std::string>& rules);

  // Of a run: times and costs, which are not the same twice.
  Status BeginRun(const RunRecord& run);
  Status EndRun(bool complete);
  Result<Timing> GetTiming(const std::string& lane);  // empty: none yet
  Status PutTiming(const std::string& lane, const Timing& timing);
  // Adds to what the model, under its own rules, has cost in all runs so far; gives the sum.
  struct Cost {
    EvaluationCost evaluation;
    double seconds = 0;
  };
  Result<Cost> AddCost(const std::string& model, const std::vector<std::string>& rules,
                       const Cost& more);

  // Documents by name: what is made of the results ("page").
  Result<std::optional<std::string>> GetValue(const std::string& name);
  Status PutValue(const std::string& name, const std::string& text);

  struct State;  // for the parts of this class (store_state.h)

 private:
  explicit Store(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace vernier

#endif  // VERNIER_STUDY_STORE_H_
