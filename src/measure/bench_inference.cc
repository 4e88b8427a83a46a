#include "measure/bench_inference.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <utility>

#include "engine/evaluate.h"
#include "engine/generate.h"
#include "ops/op.h"

namespace vernier {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// The likeliest token of the last position, the lowest id of equals.
int32_t Likeliest(const LogitsRow& row, size_t vocabulary) {
  if (row.type == Arithmetic::kF64)
    return static_cast<int32_t>(ArgMax(static_cast<const double*>(row.values), vocabulary));
  return static_cast<int32_t>(ArgMax(static_cast<const float*>(row.values), vocabulary));
}

// One run of a lane: the prompt, and `tokens` more.
class LaneRun {
 public:
  LaneRun(Model& model, const InferenceLane& lane) : model_(model), lane_(lane) {}

  // Evaluates the tokens after those before; the next one.
  int32_t Step(std::vector<int32_t> tokens) {
    const Stream stream{lane_.plan, tokens, &cache_, {static_cast<uint32_t>(tokens.size() - 1)}};
    int32_t next = 0;
    const Evaluation made = Evaluate(model_, {&stream, 1}, [&](std::span<const LogitsRow> rows) {
      next = Likeliest(rows[0], model_.graph().vocabulary);
    });
    cost_ += made.cost;
    return next;
  }

  // Of the steps since it was last taken.
  EvaluationCost TakeCost() { return std::exchange(cost_, {}); }

 private:
  Model& model_;
  const InferenceLane& lane_;
  KvCache cache_;
  EvaluationCost cost_;
};

void AddByOp(const EvaluationCost& cost, double share, std::map<std::string, double>* by_op) {
  for (const OpInfo& op : Ops()) {
    const double seconds = cost.seconds[static_cast<size_t>(op.kind)];
    if (seconds > 0) (*by_op)[op.name] += seconds * share;
  }
}

}  // namespace

TokenWork WorkOfToken(const Graph& graph) {
  TokenWork work;
  std::set<int> slots;
  for (const Node& node : graph.nodes) {
    if (node.weight < 0 || node.op == OpKind::kEmbed) continue;
    const TensorView& tensor = graph.weights[static_cast<size_t>(node.weight)].tensor;
    if (slots.insert(node.weight).second) work.bytes += tensor.data.size();
    if (node.op != OpKind::kMatMul) continue;
    uint64_t& weights = &node == &graph.nodes.back() ? work.head_weights : work.layer_weights;
    weights += static_cast<uint64_t>(tensor.Elements());
  }
  return work;
}

std::vector<int32_t> BenchPrompt(size_t count, size_t vocabulary) {
  const size_t low = vocabulary < 1000 ? 0 : 300,
               high =
                   vocabulary < 1000 ? vocabulary : std::min(vocabulary * 3 / 4, vocabulary - 300);
  std::vector<int32_t> ids;
  for (size_t i = 0; i < count; ++i)
    ids.push_back(static_cast<int32_t>(low + (i * 7919 + 13) % (high - low)));
  return ids;
}

Spread SpreadOf(std::vector<double> values) {
  CHECK(!values.empty());
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return {(values[(n - 1) / 2] + values[n / 2]) / 2, values.front(), values.back()};
}

std::vector<LaneTimes> BenchInference(Model& model, const std::vector<InferenceLane>& lanes,
                                      const InferenceOptions& options,
                                      const ProgressSink& progress) {
  CHECK(options.prompt > 0 && options.repetitions > 0);
  const std::vector<int32_t> prompt = BenchPrompt(options.prompt, model.graph().vocabulary);
  std::vector<LaneTimes> times(lanes.size());
  const double total = static_cast<double>((options.repetitions + 1) * lanes.size());
  double done = 0;
  for (size_t repetition = 0; repetition <= options.repetitions; ++repetition)
    for (size_t i = 0; i < lanes.size(); ++i) {
      const bool warm_up = repetition == 0;
      LaneRun run(model, lanes[i]);
      const auto start = Clock::now();
      int32_t next = run.Step(prompt);
      const double prefill = SecondsSince(start);
      const EvaluationCost prefill_cost = run.TakeCost();
      const auto read = Clock::now();
      for (size_t t = 0; t < (warm_up ? std::min<size_t>(options.tokens, 1) : options.tokens); ++t)
        next = run.Step({next});
      const double decode = SecondsSince(read);
      if (warm_up) {
        times[i].first_run = prefill;
      } else {
        times[i].prefill.push_back(prefill);
        times[i].decode.push_back(decode);
        const double share = 1 / static_cast<double>(options.repetitions);
        AddByOp(prefill_cost, share, &times[i].prefill_by_op);
        AddByOp(run.TakeCost(), share, &times[i].decode_by_op);
      }
      const bool go = !progress || progress({"measuring", ++done, total, "runs"});
      if (!go && !times.back().prefill.empty()) return times;
    }
  return times;
}

}  // namespace vernier
