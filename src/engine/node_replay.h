// One node evaluated on operands given from outside: what a plan makes, at this node, of values
// that another run or another program computed.
#ifndef VERNIER_ENGINE_NODE_REPLAY_H_
#define VERNIER_ENGINE_NODE_REPLAY_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/model.h"
#include "engine/plan.h"

namespace vernier {

// Rows of a value by token; the rows must outlive their use.
struct TokenRows {
  Arithmetic type = Arithmetic::kF32;
  std::vector<const void*> rows;
  std::vector<uint32_t> tokens;  // ascending: which token each row is
};

struct ReplayRequest {
  Model& model;
  const Plan& plan;
  size_t node = 0;
  const std::vector<int32_t>& tokens;  // of the whole text
  std::vector<TokenRows> operands;     // one for each of the node's inputs, of that node's width
  std::vector<uint32_t> wanted;        // ascending
  size_t first_position = 0;           // of token 0, for rotary nodes
};

struct Replayed {
  TokenRows value;  // a row for each wanted token
  std::vector<std::shared_ptr<const void>> storage;
};

// Whether the operands have the rows that the node reads for `wanted`: those of the tokens
// themselves, and where the op reads earlier tokens all of them from the first on.
bool CanReplay(const ReplayRequest& request);

// Bit for bit what Evaluate computes where its operands have these values. The operand is treated
// (`in`), the weight, the result (`out`) and the points inside the node as the plan says. CHECK:
// CanReplay.
Replayed ReplayNode(const ReplayRequest& request);

}  // namespace vernier

#endif  // VERNIER_ENGINE_NODE_REPLAY_H_
