// One node for many streams: which rows are distinct, computing them, and treating the result. The
// inside of Evaluate.
#ifndef VERNIER_ENGINE_NODE_EVALUATION_H_
#define VERNIER_ENGINE_NODE_EVALUATION_H_

#include <algorithm>
#include <memory>
#include <vector>

#include "engine/evaluate.h"

namespace vernier {

// A node's value in one stream: a row for each token it was computed for. Streams with the same
// rows share one object.
struct Value {
  Arithmetic type = Arithmetic::kF32;
  std::vector<RowRef> rows;
  std::vector<uint32_t> tokens;  // ascending: which token each row is
  std::vector<std::shared_ptr<const void>> storage;
};
using ValuePtr = std::shared_ptr<const Value>;

// Which tokens of a stream a node is wanted for.
struct StreamRows {
  std::vector<uint32_t> tokens;
};

struct StreamContext {
  size_t start = 0;  // tokens before these
  std::vector<int32_t> tokens;
  std::vector<Hash128>
      rows;  // of each token: all tokens up to it, which is what its random numbers depend on
  std::vector<uint32_t> wanted;
  KvCache* cache = nullptr;
  Hash128 identity;  // of all of the above

  void MakeIdentity();
  StreamRows AllRows() const;
  StreamRows WantedRows(size_t first = 0, size_t last = SIZE_MAX) const;
};

// The points inside a node for one token, kept when a tap wants them, as InnerSite says.
struct InnerRow {
  size_t width = 0;
  std::shared_ptr<const void> scores, softmax, state;
};

struct NodeRequest {
  Model& model;
  size_t node = 0;
  size_t causal_index = 0;                     // among the causal nodes, where it is one
  std::vector<const NodePlan*> plans;          // by stream
  std::vector<const StreamContext*> contexts;  // by stream
  std::vector<std::vector<ValuePtr>> inputs;   // by stream, operand
  bool keep_inner = false;
};

struct NodeOutput {
  ValuePtr value;
  std::vector<std::shared_ptr<const InnerRow>> inner;
  TreatmentCounts in, out, scores, softmax, state;
};

// Evaluates the node for rows[stream]; adds to cost. Extends the caches of a causal
// node's streams.
std::vector<NodeOutput> EvaluateNode(const NodeRequest& request,
                                     const std::vector<StreamRows>& rows, EvaluationCost* cost);

}  // namespace vernier

#endif  // VERNIER_ENGINE_NODE_EVALUATION_H_
