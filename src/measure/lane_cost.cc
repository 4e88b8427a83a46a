#include "measure/lane_cost.h"

#include <algorithm>
#include <cmath>
#include <compare>
#include <set>
#include <vector>

namespace vernier {
namespace {

constexpr double kScaleBits = 32;  // of a scale that comes from the data

// How the elements of a row are stored: bits of each, and of the scales that go with `per` of them.
struct Form {
  double bits = 32;
  double scales = 0;  // a row
  size_t group = 0;   // elements that share one; 0: none but those of the row
  double RowBytes(size_t width) const {
    const double groups = group == 0 ? 0 : std::ceil(static_cast<double>(width) / double(group));
    return (bits * static_cast<double>(width) + kScaleBits * (scales + groups)) / 8;
  }
  auto operator<=>(const Form&) const = default;
};

Form FormOf(const Treatment& t, double host) {
  Form form{ElementBits(t, host), 0, 0};
  if (!ScaleFromData(t) || (t.block != nullptr && !t.IsNvfp4()))
    return form;  // in the block's bits
  if (t.per == Granularity::kGroup)
    form.group = static_cast<size_t>(t.group);
  else if (t.per == Granularity::kRow)
    form.scales = 1;
  return form;
}

bool IsElementwise(OpKind op) {
  return op == OpKind::kBias || op == OpKind::kMultiply || op == OpKind::kAdd ||
         op == OpKind::kSwiGlu || op == OpKind::kSilu || op == OpKind::kSoftplus ||
         op == OpKind::kClamp;
}

class Counter {
 public:
  Counter(const Graph& graph, const Plan& plan, size_t seen)
      : graph_(graph), plan_(plan), seen_(static_cast<double>(seen)), readers_(graph.nodes.size()) {
    for (size_t i = 0; i < graph.nodes.size(); ++i)
      if (plan.Runs(graph.nodes[i]))
        for (const int input : graph.nodes[i].inputs) readers_[Source(input)].push_back(i);
  }

  LaneCost Count() {
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      if (!plan_.Runs(graph_.nodes[i])) continue;
      CountWeight(i);
      CountOperations(i);
      CountConversions(i);
      CountReads(i);
      if (graph_.nodes[i].op == OpKind::kSlice) continue;  // part of another value
      if (InRegisters(i)) continue;
      std::set<Written> written;
      CollectForms(i, 0, &written);
      for (const Written& w : written) cost_.activation_bytes += w.form.RowBytes(w.width);
    }
    return cost_;
  }

 private:
  const Node& At(size_t i) const { return graph_.nodes[i]; }
  const NodePlan& PlanAt(size_t i) const { return plan_.nodes[i]; }
  size_t Width(size_t i) const { return At(i).shape.width; }
  // The node whose value stands where `input` is named.
  size_t Source(int input) const {
    return plan_.source.empty() ? static_cast<size_t>(input)
                                : static_cast<size_t>(plan_.source[static_cast<size_t>(input)]);
  }
  // The value that a slice is part of.
  size_t Whole(size_t i) const {
    return At(i).op == OpKind::kSlice ? Whole(Source(At(i).inputs[0])) : i;
  }
  double HostBits(size_t i) const {
    const NodePlan& of = PlanAt(i);
    if (of.format) return of.format->values.format.bits;
    if (At(i).op == OpKind::kSlice && !At(i).inputs.empty())
      return HostBits(Source(At(i).inputs[0]));
    return of.math == Arithmetic::kF64 ? 64 : 32;
  }
  // As the value is when nobody says how it is read. A part has the form of the whole.
  Form OwnForm(size_t i) const {
    const auto& kept = PlanAt(i).kept;
    const auto& place = PlanAt(i).out ? PlanAt(i).out : kept;
    if (place && place->heads.All()) return FormOf(place->treatment, HostBits(i));
    if (At(i).op == OpKind::kSlice) return OwnForm(Source(At(i).inputs[0]));
    return {HostBits(i), 0, 0};
  }
  Form FormRead(size_t value, size_t reader) const {
    const auto& in = PlanAt(reader).in;
    if (in && in->heads.All()) return FormOf(in->treatment, HostBits(value));
    return OwnForm(value);
  }
  bool InRegisters(size_t i) const {
    if (readers_[i].size() != 1 || At(i).op == OpKind::kSlice) return false;
    const Node& reader = At(readers_[i][0]);
    if (!IsElementwise(reader.op)) return false;
    return std::all_of(reader.inputs.begin(), reader.inputs.end(),
                       [&](int input) { return Whole(Source(input)) <= i; });
  }

  // A value, or a slice of it, in one form.
  struct Written {
    size_t offset, width;
    Form form;
    auto operator<=>(const Written&) const = default;
  };
  void CollectForms(size_t i, size_t offset, std::set<Written>* written) const {
    if (readers_[i].empty()) written->insert({offset, Width(i), OwnForm(i)});
    for (const size_t reader : readers_[i]) {
      if (At(reader).op == OpKind::kSlice) {
        CollectForms(reader, offset + At(reader).shape.offset, written);
      } else {
        written->insert({offset, Width(i), FormRead(i, reader)});
      }
    }
  }

  void CountWeight(size_t i) {
    const Node& node = At(i);
    if (node.weight < 0 || PlanAt(i).ones) return;  // folded into the matrices after it
    const TensorView& tensor = graph_.weights[static_cast<size_t>(node.weight)].tensor;
    const double rows = node.op == OpKind::kEmbed ? 1 : static_cast<double>(tensor.Rows());
    const auto& place = PlanAt(i).weight;
    if (!place) {
      cost_.weight_bytes += rows * static_cast<double>(tensor.RowBytes());
      return;
    }
    const Form form = FormOf(place->treatment, 32);
    cost_.weight_bytes += rows * form.RowBytes(static_cast<size_t>(tensor.Columns()));
    if (place->treatment.per == Granularity::kTensor) cost_.weight_bytes += kScaleBits / 8;
  }

  void CountOperations(size_t i) {
    const Node& node = At(i);
    const OpShape& s = node.shape;
    const double n = static_cast<double>(s.width);
    double macs = 0, operations = 0;
    switch (node.op) {
      case OpKind::kEmbed:
      case OpKind::kSlice:
      case OpKind::kStore:
        break;
      case OpKind::kMatMul:
        macs = n * static_cast<double>(s.in_width);
        break;
      case OpKind::kConvolve:
        macs = n * static_cast<double>(s.taps);
        break;
      case OpKind::kNormalise:  // squares; times the root's inverse; mean, root and quotient
        macs = n;
        operations = n + 3;
        break;
      case OpKind::kRope:  // a pair: four products, two sums
        operations = 3 * n;
        break;
      case OpKind::kAttention: {  // scores and what they weigh; scale, largest, exp, sum, quotient
        const double scores = static_cast<double>(s.heads) * seen_;
        macs = 2 * scores * static_cast<double>(s.head_dim);
        operations = 5 * scores;
        break;
      }
      case OpKind::kSilu:  // minus, exp, plus one, quotient
      case OpKind::kSoftplus:
        operations = 4 * n;
        break;
      case OpKind::kSwiGlu:
        operations = 5 * n;
        break;
      case OpKind::kScan: {  // the state's step and its reading; dt x, dt A, exp, u B
        const double states = n * static_cast<double>(s.states);
        const auto& rates = graph_.weights[static_cast<size_t>(node.weight)].tensor;
        macs = 2 * states;
        operations = n + states + 2 * static_cast<double>(rates.Elements());
        break;
      }
      default:  // kMultiply, kBias, kAdd and their like: one for each element
        operations = n;
    }
    if (PlanAt(i).ones) operations = 0;
    for (const auto* place : {&PlanAt(i).in, &PlanAt(i).out}) {
      if (!*place || !(*place)->treatment.hadamard) continue;  // sums and differences, log2 n times
      const double m = place == &PlanAt(i).out ? n : static_cast<double>(s.in_width);
      operations += m * std::ceil(std::log2(m));
    }
    (PlanAt(i).integer ? cost_.integer_macs : cost_.float_macs) += macs;
    cost_.float_operations += operations;
  }

  void CountConversions(size_t i) {
    const NodePlan& of = PlanAt(i);
    if (of.in)
      for (const int input : At(i).inputs)
        cost_.conversions += static_cast<double>(Width(Source(input)));
    if (of.out) cost_.conversions += static_cast<double>(Width(i));
    if (of.integer) cost_.conversions += static_cast<double>(Width(i));
    if (of.state)
      cost_.conversions +=
          static_cast<double>(Width(i) * At(i).shape.states) / static_cast<double>(of.state->every);
    const double scores = static_cast<double>(At(i).shape.heads) * seen_;
    if (of.scores) cost_.conversions += scores;
    if (of.softmax) cost_.conversions += scores;
  }

  void CountReads(size_t i) {
    const Node& node = At(i);
    if (node.op == OpKind::kSlice) return;
    for (size_t k = 0; k < node.inputs.size(); ++k) {
      const size_t value = Source(node.inputs[k]);
      if (InRegisters(value) && IsElementwise(node.op)) continue;
      const double rows = node.op == OpKind::kConvolve             ? double(node.shape.taps)
                          : node.op == OpKind::kAttention && k > 0 ? seen_
                                                                   : 1;
      cost_.activation_bytes += rows * FormRead(value, i).RowBytes(Width(value));
    }
    if (node.op != OpKind::kScan) return;
    const auto& state = PlanAt(i).state;
    // Between the tokens after which it is treated a state has the host's numbers.
    const Form form = state && state->every == 1 ? FormOf(state->treatment, HostBits(i))
                                                 : Form{HostBits(i), 0, 0};
    cost_.activation_bytes += 2 * form.RowBytes(Width(i) * node.shape.states);
  }

  const Graph& graph_;
  const Plan& plan_;
  double seen_;
  std::vector<std::vector<size_t>> readers_;  // by node
  LaneCost cost_;
};

}  // namespace

double ElementBits(const Treatment& t, double host) {
  if (t.block != nullptr) return t.block->bits_per_weight;
  if (t.outliers == Outliers::kKeep) return host;
  double bits = t.format.bits;
  if (!t.segments.empty()) {
    double points = 0;  // above zero
    for (const Segment& s : t.segments)
      points +=
          s.logarithmic ? std::log2((s.end - s.start) / s.step) + 1 : (s.end - s.start) / s.step;
    bits = std::ceil(std::log2(2 * points + 1));
  }
  return bits + (t.outliers == Outliers::kSecond ? 1 : 0);
}

LaneCost CostOfLane(const Graph& graph, const Plan& plan, size_t seen) {
  return Counter(graph, plan, seen).Count();
}

}  // namespace vernier
