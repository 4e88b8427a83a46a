// Where a study keeps what it has computed: one SQLite file, keyed by content, so that a study run
// again does only what is missing and an interrupted one goes on. A score belongs to (lane, chunk);
// both keys are hashes of all that the numbers depend on.
#ifndef VERNIER_STUDY_STORE_H_
#define VERNIER_STUDY_STORE_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "measure/score.h"

namespace vernier {

class Store {
 public:
  // Opens or makes FOLDER/study.sqlite. Error when the file is something else, or of a later
  // version.
  static Result<std::unique_ptr<Store>> Open(const std::string& folder);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  Result<bool> HasScore(const std::string& lane, const std::string& chunk);
  Result<std::optional<ChunkScore>> GetScore(const std::string& lane, const std::string& chunk);
  // All lanes of one chunk in one transaction: after a crash they are all there or none is.
  Status PutScores(const std::vector<std::string>& lanes, const std::string& chunk,
                   const std::vector<ChunkScore>& scores);

  // Small values by key: free-running tokens, timings, costs.
  Result<std::optional<std::string>> GetValue(const std::string& key);
  Status PutValue(const std::string& key, const std::string& value);

 private:
  struct Database;
  explicit Store(std::unique_ptr<Database> database);
  std::unique_ptr<Database> database_;
};

}  // namespace vernier

#endif  // VERNIER_STUDY_STORE_H_
