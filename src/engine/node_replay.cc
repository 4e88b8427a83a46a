#include "engine/node_replay.h"

#include <algorithm>

#include "engine/node_evaluation.h"

namespace vernier {
namespace {

// A row given from outside is known by its content.
ValuePtr MakeValue(const TokenRows& given, size_t width) {
  auto value = std::make_shared<Value>();
  value->type = given.type;
  value->tokens = given.tokens;
  const size_t bytes = width * (given.type == Arithmetic::kF32 ? sizeof(float) : sizeof(double));
  for (const void* row : given.rows)
    value->rows.push_back(
        {row, Combine(HashBytes(row, bytes), static_cast<uint64_t>(given.type) + 1)});
  return value;
}

// All tokens up to the last one wanted.
bool HasFirst(const TokenRows& rows, uint32_t last) {
  if (rows.tokens.size() <= last) return false;
  for (uint32_t t = 0; t <= last; ++t)
    if (rows.tokens[t] != t) return false;
  return true;
}

// The first tokens of a value that has more.
TokenRows Cut(TokenRows rows, size_t count) {
  rows.rows.resize(count);
  rows.tokens.resize(count);
  return rows;
}

}  // namespace

bool CanReplay(const ReplayRequest& request) {
  const Node& node = request.model.graph().nodes[request.node];
  if (request.wanted.empty() || request.wanted.back() >= request.tokens.size() ||
      request.operands.size() != node.inputs.size())
    return false;
  for (size_t operand = 0; operand < request.operands.size(); ++operand) {
    const TokenRows& rows = request.operands[operand];
    if (Info(node.op).ReadsEarlier(operand)) {
      if (!HasFirst(rows, request.wanted.back())) return false;
    } else if (!std::includes(rows.tokens.begin(), rows.tokens.end(), request.wanted.begin(),
                              request.wanted.end())) {
      return false;
    }
  }
  return true;
}

Replayed ReplayNode(const ReplayRequest& request) {
  CHECK(CanReplay(request));
  const Graph& graph = request.model.graph();
  const Node& node = graph.nodes[request.node];
  const size_t seen = request.wanted.back() + size_t{1};  // tokens
  StreamContext context;
  context.start = request.first_position;
  context.tokens.assign(request.tokens.begin(),
                        request.tokens.begin() + static_cast<std::ptrdiff_t>(seen));
  Hash128 history;  // as Evaluate makes it, for random numbers
  for (const int32_t token : context.tokens) {
    history = Combine(history, static_cast<uint64_t>(token) + 1);
    context.rows.push_back(history);
  }
  context.wanted = request.wanted;
  context.MakeIdentity();
  request.model.rope(request.plan.rope_theta).Extend(context.start + seen, request.model.workers());
  NodeRequest inner{request.model, request.node, 0,    {&request.plan.nodes[request.node]},
                    {&context},    {{}},         false};
  for (size_t operand = 0; operand < request.operands.size(); ++operand) {
    const TokenRows& rows = request.operands[operand];
    const size_t width = graph.nodes[static_cast<size_t>(node.inputs[operand])].shape.width;
    inner.inputs[0].push_back(
        MakeValue(Info(node.op).ReadsEarlier(operand) ? Cut(rows, seen) : rows, width));
  }
  EvaluationCost cost;
  const NodeOutput output = EvaluateNode(inner, {{request.wanted}}, &cost)[0];
  Replayed out;
  out.value.type = output.value->type;
  out.value.tokens = request.wanted;
  out.storage = output.value->storage;
  for (const RowRef& row : output.value->rows) out.value.rows.push_back(row.data);
  return out;
}

}  // namespace vernier
