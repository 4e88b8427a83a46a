// Weight matrices as the integers of a treatment (`math=int`), made when first used.
#ifndef VERNIER_ENGINE_INTEGER_WEIGHTS_H_
#define VERNIER_ENGINE_INTEGER_WEIGHTS_H_

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "arch/graph.h"
#include "base/parallel.h"
#include "engine/weights.h"
#include "formats/treat_codes.h"

namespace vernier {

class IntegerWeights {
 public:
  IntegerWeights(const Graph& graph, const WeightStore& weights, Workers& workers)
      : graph_(graph), weights_(weights), workers_(workers) {}
  // The codes and scales whose products are what WeightStore gives for this form, which has a
  // treatment (with rotate=hadamard: of the rotated rows). Safe from one thread at a time.
  std::shared_ptr<const IntegerCodes> Get(int slot, const WeightForm& form);
  // Bytes that are kept for reuse.
  size_t cache_budget = size_t{1} << 31;

 private:
  struct Cached {
    std::shared_ptr<const IntegerCodes> codes;
    uint64_t used = 0;
  };
  IntegerCodes Make(int slot, const WeightForm& form) const;

  const Graph& graph_;
  const WeightStore& weights_;
  Workers& workers_;
  std::map<std::pair<int, std::string>, Cached> cached_;
  uint64_t clock_ = 0;
};

}  // namespace vernier

#endif  // VERNIER_ENGINE_INTEGER_WEIGHTS_H_
