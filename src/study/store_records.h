// What a study is about, as plain data for its store: the models, lanes, chunks and prompts whose
// numbers are kept, under the names the study gives them.
#ifndef VERNIER_STUDY_STORE_RECORDS_H_
#define VERNIER_STUDY_STORE_RECORDS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "formats/round.h"

namespace vernier {

struct ClaimRecord {
  std::string says, expression;
  bool required = false;
  std::string verdict, detail;  // empty: not judged yet
};

struct StudyRecord {
  std::string name, path, numerics;
  size_t context = 0, models = 1;
  uint64_t seed = 0;
  bool truth = false;
  std::vector<std::pair<std::string, std::string>> texts;  // name and path
  std::vector<ClaimRecord> claims;
};

struct SiteRecord {
  int number = 0;  // index into Graph::sites
  std::string label, name;
  int layer = -1;
};

struct RuleRecord {
  std::string rule;
  bool rounds = true;
  size_t sites = 0;
  TreatmentCounts weights;  // of weights: counted once
};

// What is known of a lane at the end.
struct LaneOutcome {
  bool vacuous = false, foretold = false;
  std::string same_as;  // empty: none
};

struct LaneRecord {
  std::string key;         // of the store
  std::string kind, name;  // "baseline", "variant", "truth", "noise"
  std::vector<RuleRecord> rules;
  size_t own_rules = 0;  // those from here on are the variant's own
  uint64_t seed = 0;
  int whole = -1, layer = -1;  // of a lane that is another one in this layer alone
  std::string sweep, site, format;
  std::optional<LaneOutcome> outcome;
};

struct ChunkRecord {
  size_t text = 0, number = 0;  // of which text, and which of its chunks
  std::string key;
  const std::vector<int32_t>* tokens = nullptr;
  const std::vector<uint32_t>* scored = nullptr;
};

struct PromptRecord {
  std::string purpose;            // "generate", "first"
  size_t number = 0, length = 0;  // tokens wanted
  std::string tag, text, key;
};

// One of the study's models.
struct ModelRecord {
  size_t number = 0;
  std::string name, path, hash, architecture;
  std::vector<std::string> rules;
  int layers = 0;
  size_t vocabulary = 0;
  std::vector<SiteRecord> sites;
  std::vector<LaneRecord> lanes;
  std::vector<ChunkRecord> chunks;
  std::vector<PromptRecord> prompts;
  std::map<int32_t, std::string> pieces;  // of the tokens that occur: their bytes
};

// Of one run of the program.
struct RunRecord {
  std::string version, git, compiler;
  std::string cpu, instruction_set;
  int threads = 0;
};

}  // namespace vernier

#endif  // VERNIER_STUDY_STORE_RECORDS_H_
