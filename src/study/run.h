// Running a study: lanes from its variants, scores from the store or computed, free-running tokens,
// timings.
#ifndef VERNIER_STUDY_RUN_H_
#define VERNIER_STUDY_RUN_H_

#include <map>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "engine/model.h"
#include "engine/plan.h"
#include "measure/score.h"
#include "study/spec.h"
#include "study/store.h"

namespace vernier {

// Changes whenever a number that a study stores would: part of every key of the store.
inline constexpr const char* kNumericsVersion = "vernier-numerics-3";
// Changes whenever what is kept of a token or a site does.
inline constexpr const char* kSitesVersion = "site-sums-4";

enum class LaneKind { kBaseline, kVariant, kTruth, kNoise };

struct StudyLane {
  LaneKind kind = LaneKind::kVariant;
  std::string name;
  int variant = -1;  // index into the spec
  size_t own_rules =
      0;  // the plan's rules from here on are the variant's own, those before the baseline's
  Plan plan;
  LayerAlone alone{};  // of a variant in one layer alone: the lane of that variant
  int beside = -1;     // the lane that its sites are compared with, too; -1: none
  std::string key;     // of the store
};

struct StudyPrompt {
  std::string tag, text;
  std::vector<int32_t> ids;
};

// A passage whose last word is guessed.
struct StudyPassage {
  std::string tag, text;
  std::vector<int32_t> ids;
  size_t word = 0;  // the first token of the last word
};

struct StudyData {
  std::vector<StudyLane> lanes;  // the baseline first
  std::vector<Chunk> chunks;     // of all texts, one text after another
  std::vector<size_t> text_of_chunk;
  std::vector<std::vector<ChunkScore>> scores;  // [lane][chunk]
  std::vector<int> sites;  // whose errors were measured: indices into Graph::sites
  std::vector<StudyPrompt> prompts;
  std::vector<std::vector<Continuation>>
      generated;                     // [lane][prompt]; empty for truth and noise lanes
  std::map<size_t, Timing> timings;  // by lane
  std::vector<Chunk> fit_chunks;     // what corrections are fitted on; none of them is scored
  std::vector<StudyPrompt> first_prompts;
  std::vector<std::vector<FirstToken>>
      first_tokens;  // [lane][prompt]; empty for noise lanes and those of one layer alone
  std::vector<StudyPassage> passages;
  std::vector<std::vector<LastWord>>
      last_words;  // [lane][passage]; empty for noise lanes and those of one layer alone
  EvaluationCost cost;
  double seconds = 0;
  bool complete = true;  // false: interrupted; what is done is in the store

  size_t Baseline() const { return 0; }
  int Truth() const;
};

struct RunOptions {
  ProgressSink progress;
  uint64_t memory_budget = uint64_t{2} << 30;
  std::vector<std::string>
      error_sites;  // names of sites that claims ask for in all layers, beside l_out
  std::vector<std::string> error_labels;    // sites that claims ask for: "l_out[3]", "l_out[-1]"
  std::vector<std::string> timed_variants;  // names whose overhead claims ask for
};

// A lane of these rules; `own` in layer `only` alone, where that is not negative.
struct LaneRecipe {
  LaneKind kind = LaneKind::kVariant;
  std::string name;
  std::vector<std::string> before, own;
  uint64_t seed = 0;
  int only = -1;
  std::shared_ptr<const StaticScales> scales;
};
// What is in force in the baseline and every variant: the model's own rules, the baseline's.
std::vector<std::string> BaselineRules(const StudySpec& spec);
Result<StudyLane> MakeLane(Model& model, const LaneRecipe& recipe);

// Compiles the lanes: every rule is checked here, before anything runs.
Result<std::vector<StudyLane>> MakeLanes(const StudySpec& spec, Model& model);

// Lanes, chunks of the texts, prompts and sites: whatever can be wrong with a study's files shows
// here, before a store is made. Errors name the file.
Result<StudyData> ReadInputs(const StudySpec& spec, Model& model, std::vector<StudyLane> lanes,
                             const RunOptions& options);

// What ReadInputs gave, with its numbers.
Result<StudyData> RunStudy(const StudySpec& spec, Model& model, StudyData inputs, Store& store,
                           const RunOptions& options);

// "l_out[-1]" of a model of 6 layers: "l_out[5]". Any other text is itself.
std::string AbsoluteLabel(const std::string& label, int layers);

// What a variant's own rules did, over all chunks.
std::vector<RuleEffect> OwnEffects(const StudyData& data, size_t lane);

// Whether two lanes gave the same bits for every scored token.
bool SameOutput(const StudyData& data, size_t a, size_t b);
// The same of two models' lanes.
bool SameOutput(const StudyData& data_a, size_t a, const StudyData& data_b, size_t b);

// A rule that changed nothing, or an output identical to the baseline's.
bool IsVacuous(const StudyData& data, size_t lane);
// Known before running: a rule on weights alone whose format holds all of them.
bool IsForetold(const StudyLane& lane);

}  // namespace vernier

#endif  // VERNIER_STUDY_RUN_H_
