#include "engine/evaluate.h"

#include <algorithm>
#include <chrono>

#include "base/result.h"
#include "engine/node_evaluation.h"

namespace vernier {
namespace {

// Which nodes must have a row for every token: those whose rows a causal node reads for later
// tokens (K and V of attention, what goes into a state), and what they are made from. The others
// only serve the logits, and run for wanted tokens alone.
std::vector<bool> NodesForEveryToken(const Graph& graph) {
  std::vector<bool> every(graph.nodes.size());
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    const Node& node = graph.nodes[i];
    for (size_t operand = 0; operand < node.inputs.size(); ++operand) {
      if (every[i] || Info(node.op).ReadsEarlier(operand))
        every[static_cast<size_t>(node.inputs[operand])] = true;
    }
  }
  return every;
}

class Evaluator {
 public:
  Evaluator(Model& model, std::span<const Stream> streams,
            const std::function<void(std::span<const LogitsRow>)>& logits, const Tap* tap)
      : model_(model),
        graph_(model.graph()),
        streams_(streams),
        logits_(logits),
        tap_(tap),
        values_(graph_.nodes.size()) {}

  Evaluation Run();

 private:
  void Prepare();
  void KeepSources(std::vector<int>* last_reader) const;
  void DropRead(size_t node, const std::vector<int>& last_reader);
  void RunNode(size_t node);
  void RunLogits(size_t node);
  void Report(size_t node, const std::vector<size_t>& running,
              const std::vector<NodeOutput>& outputs, const std::vector<StreamRows>& rows);
  void Account(size_t node, const std::vector<size_t>& running,
               const std::vector<NodeOutput>& outputs);
  // Which streams run the node: of some, only the first layers do.
  std::vector<size_t> Running(size_t node) const;
  NodeRequest Request(size_t node, const std::vector<size_t>& running);
  std::vector<NodeOutput> TimedNode(const NodeRequest& request, const std::vector<StreamRows>& rows,
                                    EvaluationCost* cost);

  Model& model_;
  const Graph& graph_;
  std::span<const Stream> streams_;
  const std::function<void(std::span<const LogitsRow>)>& logits_;
  const Tap* tap_;
  std::vector<bool> every_token_;
  std::vector<size_t> causal_index_;              // [node]
  std::vector<std::vector<const Site*>> tapped_;  // [node]: the sites that the tap wants
  std::vector<StreamContext> contexts_;
  std::vector<std::vector<ValuePtr>> values_;  // [node][stream]
  Evaluation result_;
};

void Evaluator::Prepare() {
  every_token_ = NodesForEveryToken(graph_);
  size_t longest = 0, causal_nodes = 0;
  for (const Node& node : graph_.nodes) {
    causal_index_.push_back(causal_nodes);
    causal_nodes += Info(node.op).causal();
  }
  tapped_.resize(graph_.nodes.size());
  if (tap_ != nullptr)
    for (const Site& site : graph_.sites)
      if (tap_->wants(site)) tapped_[static_cast<size_t>(site.node)].push_back(&site);
  for (const Stream& s : streams_) {
    CHECK(s.plan != nullptr && s.plan->nodes.size() == graph_.nodes.size());
    StreamContext context;
    context.start = s.cache ? s.cache->tokens : 0;
    Hash128 history = s.cache ? s.cache->context : Hash128{};
    for (const int32_t token : s.tokens) {
      CHECK(token >= 0 && static_cast<size_t>(token) < graph_.vocabulary);
      history = Combine(history, static_cast<uint64_t>(token) + 1);
      context.rows.push_back(history);
    }
    context.tokens = s.tokens;
    context.wanted = s.wanted;
    if (s.cache) {
      s.cache->layers.resize(causal_nodes);
      context.cache = s.cache;
    }
    context.MakeIdentity();
    contexts_.push_back(std::move(context));
    longest = std::max(longest, contexts_.back().start + s.tokens.size());
    result_.effects.emplace_back(s.plan->rules.size());
  }
  for (const Stream& s : streams_)
    model_.rope(s.plan->rope_theta).Extend(longest, model_.workers());
  if (std::any_of(streams_.begin(), streams_.end(), [](const Stream& s) { return s.plan->ggml; }))
    model_.ggml_rope().Extend(longest);
}

std::vector<size_t> Evaluator::Running(size_t node) const {
  std::vector<size_t> running;
  for (size_t s = 0; s < streams_.size(); ++s)
    if (streams_[s].plan->Runs(graph_.nodes[node])) running.push_back(s);
  return running;
}

NodeRequest Evaluator::Request(size_t node, const std::vector<size_t>& running) {
  NodeRequest request{model_, node, causal_index_[node], {}, {}, {}, false};
  for (const size_t s : running) {
    const Plan& plan = *streams_[s].plan;
    request.plans.push_back(&plan.nodes[node]);
    request.contexts.push_back(&contexts_[s]);
    std::vector<ValuePtr> inputs;
    for (const int input : graph_.nodes[node].inputs)
      inputs.push_back(values_[static_cast<size_t>(plan.source[static_cast<size_t>(input)])][s]);
    request.inputs.push_back(std::move(inputs));
  }
  for (const Site* site : tapped_[node]) request.keep_inner |= site->inner != InnerSite::kNone;
  return request;
}

void Evaluator::Account(size_t node, const std::vector<size_t>& running,
                        const std::vector<NodeOutput>& outputs) {
  for (size_t at = 0; at < running.size(); ++at) {
    const size_t s = running[at];
    if (result_.effects[s].empty()) continue;  // no rules
    const NodePlan& plan = streams_[s].plan->nodes[node];
    const auto add = [&](const std::optional<PlacedTreatment>& place,
                         const TreatmentCounts& counts) {
      if (place) result_.effects[s][static_cast<size_t>(place->rule)] += counts;
    };
    add(plan.in, outputs[at].in);
    add(plan.out, outputs[at].out);
    add(plan.scores, outputs[at].scores);
    add(plan.softmax, outputs[at].softmax);
    add(plan.state, outputs[at].state);
  }
}

// Hands the node's sites to the tap: the inner ones first.
void Evaluator::Report(size_t node, const std::vector<size_t>& running,
                       const std::vector<NodeOutput>& outputs,
                       const std::vector<StreamRows>& rows) {
  for (const Site* wanted : tapped_[node]) {
    const Site& site = *wanted;
    for (size_t at = 0; at < running.size(); ++at) {
      const NodeOutput& output = outputs[at];
      SiteTensor tensor{&site, running[at], output.value->type, {}, {}, rows[at].tokens};
      const size_t width = graph_.nodes[node].shape.width;
      for (size_t r = 0; r < rows[at].tokens.size(); ++r) {
        if (site.inner == InnerSite::kNone) {
          tensor.rows.push_back(output.value->rows[r].data);
          tensor.widths.push_back(width);
        } else {
          const InnerRow& inner = *output.inner[r];
          tensor.rows.push_back(site.inner == InnerSite::kScores    ? inner.scores.get()
                                : site.inner == InnerSite::kSoftmax ? inner.softmax.get()
                                                                    : inner.state.get());
          tensor.widths.push_back(inner.width);
        }
      }
      tap_->receive(tensor);
    }
  }
}

std::vector<NodeOutput> Evaluator::TimedNode(const NodeRequest& request,
                                             const std::vector<StreamRows>& rows,
                                             EvaluationCost* cost) {
  const auto start = std::chrono::steady_clock::now();
  std::vector<NodeOutput> outputs = EvaluateNode(request, rows, cost);
  cost->seconds[static_cast<size_t>(graph_.nodes[request.node].op)] +=
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return outputs;
}

void Evaluator::RunNode(size_t node) {
  const std::vector<size_t> running = Running(node);
  if (running.empty()) return;
  NodeRequest request = Request(node, running);
  std::vector<StreamRows> rows;
  for (const size_t s : running)
    rows.push_back(every_token_[node] ? contexts_[s].AllRows() : contexts_[s].WantedRows());
  const std::vector<NodeOutput> outputs = TimedNode(request, rows, &result_.cost);
  Account(node, running, outputs);
  Report(node, running, outputs, rows);
  values_[node].resize(streams_.size());
  for (size_t at = 0; at < running.size(); ++at) values_[node][running[at]] = outputs[at].value;
}

// The last node, whose rows are long: in blocks of indices into `wanted`, each dropped when it has
// been handed over.
void Evaluator::RunLogits(size_t node) {
  constexpr size_t kBlockBytes = size_t{64} << 20;
  size_t most = 0, total = 0;
  for (const Stream& s : streams_) {
    most = std::max(most, s.wanted.size());
    total += s.wanted.size();
  }
  const size_t row_bytes =
      graph_.nodes[node].shape.width * sizeof(double) * std::max<size_t>(1, streams_.size());
  const bool whole = !tapped_[node].empty();
  const size_t block =
      whole ? std::max<size_t>(most, 1) : std::max<size_t>(1, kBlockBytes / row_bytes);
  const std::vector<size_t> running = Running(node);  // all: the node is of no layer
  const NodeRequest request = Request(node, running);
  for (size_t first = 0; first < most; first += block) {
    std::vector<StreamRows> rows;
    for (const StreamContext& context : contexts_)
      rows.push_back(context.WantedRows(first, first + block));
    EvaluationCost cost;
    const std::vector<NodeOutput> outputs = TimedNode(request, rows, &cost);
    if (first > 0)
      cost.tensors_naive = cost.tensors_evaluated = 0;  // one tensor, however many blocks
    result_.cost += cost;
    Account(node, running, outputs);
    Report(node, running, outputs, rows);
    std::vector<LogitsRow> out;
    for (size_t s = 0; s < streams_.size(); ++s)
      for (size_t r = 0; r < outputs[s].value->rows.size(); ++r)
        out.push_back({s, first + r, outputs[s].value->type, outputs[s].value->rows[r].data,
                       outputs[s].value->rows[r].id});
    if (logits_) logits_(out);
  }
}

// Where layers are left out, a node's value is read by others than the graph says.
void Evaluator::KeepSources(std::vector<int>* last_reader) const {
  for (const Stream& s : streams_)
    for (size_t input = 0; input < graph_.nodes.size(); ++input) {
      int& last = (*last_reader)[static_cast<size_t>(s.plan->source[input])];
      last = std::max(last, (*last_reader)[input]);
    }
}

// Values that nobody reads after the node.
void Evaluator::DropRead(size_t node, const std::vector<int>& last_reader) {
  const auto drop = [&](int value) {
    if (last_reader[static_cast<size_t>(value)] == static_cast<int>(node))
      values_[static_cast<size_t>(value)].clear();
  };
  for (const int input : graph_.nodes[node].inputs) {
    drop(input);
    for (const Stream& s : streams_) drop(s.plan->source[static_cast<size_t>(input)]);
  }
}

Evaluation Evaluator::Run() {
  Prepare();
  std::vector<int> last_reader = LastReaders(graph_);
  KeepSources(&last_reader);
  for (size_t node = 0; node < graph_.nodes.size(); ++node) {
    if (node + 1 == graph_.nodes.size()) {
      RunLogits(node);
    } else {
      RunNode(node);
    }
    DropRead(node, last_reader);
  }
  for (size_t s = 0; s < streams_.size(); ++s) {
    if (streams_[s].cache == nullptr) continue;
    streams_[s].cache->tokens += streams_[s].tokens.size();
    if (!contexts_[s].rows.empty()) streams_[s].cache->context = contexts_[s].rows.back();
  }
  return std::move(result_);
}

}  // namespace

EvaluationCost& EvaluationCost::operator+=(const EvaluationCost& other) {
  tensors_naive += other.tensors_naive;
  tensors_evaluated += other.tensors_evaluated;
  rows_naive += other.rows_naive;
  rows_evaluated += other.rows_evaluated;
  for (size_t op = 0; op < kOpKinds; ++op) seconds[op] += other.seconds[op];
  return *this;
}

Evaluation Evaluate(Model& model, std::span<const Stream> streams,
                    const std::function<void(std::span<const LogitsRow>)>& logits, const Tap* tap) {
  return Evaluator(model, streams, logits, tap).Run();
}

uint64_t EvaluationBytes(const Graph& graph, uint64_t rows) {
  // The widest moment: all values alive at one node, each perhaps beside its treated form, in
  // double.
  const std::vector<int> last_reader = LastReaders(graph);
  uint64_t most = 0;
  for (size_t node = 0; node + 1 < graph.nodes.size(); ++node) {
    uint64_t width = graph.nodes[node].shape.width;
    for (size_t i = 0; i < node; ++i)
      if (last_reader[i] >= static_cast<int>(node)) width += graph.nodes[i].shape.width;
    most = std::max(most, width);
  }
  return rows * (most * 2 * sizeof(double) + 256);
}

}  // namespace vernier
