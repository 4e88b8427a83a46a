#include "measure/contributed_error.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "formats/decode.h"
#include "measure/compare_runs.h"
#include "measure/rope_order.h"

namespace vernier {
namespace {

constexpr double kBeyond = 3, kOtherOrder = 8;  // as the header says
constexpr double kAgrees = 0.1;  // an explanation leaves less than this share of the error
constexpr size_t kTransposedRows = 4;

// A value that is fed, in the replayed model's order of elements.
struct Fed {
  TokenRows rows;
  std::vector<std::shared_ptr<const void>> storage;
  std::vector<std::string> since;  // the source's sites it came from
  bool own = true;                 // it is the source's own value
};

std::string LabelOf(const Node& node) { return Site{node.site, node.layer}.Label(); }

double At(const TokenRows& rows, size_t r, size_t i) {
  return rows.type == Arithmetic::kF32 ? double{static_cast<const float*>(rows.rows[r])[i]}
                                       : static_cast<const double*>(rows.rows[r])[i];
}

// The rows of these tokens, which it has among others.
TokenRows Select(const TokenRows& from, const std::vector<uint32_t>& tokens) {
  TokenRows out{from.type, {}, tokens};
  size_t at = 0;
  for (const uint32_t token : tokens) {
    while (from.tokens[at] != token) ++at;
    out.rows.push_back(from.rows[at]);
  }
  return out;
}

// Sum of (a - b)^2; of a^2 where b is null.
double Squares(const TokenRows& a, const TokenRows* b, size_t width) {
  double sum = 0;
  for (size_t r = 0; r < a.rows.size(); ++r)
    for (size_t i = 0; i < width; ++i) {
      const double d = At(a, r, i) - (b == nullptr ? 0 : At(*b, r, i));
      sum += d * d;
    }
  return sum;
}

std::vector<uint32_t> Common(const std::vector<uint32_t>& a, const std::vector<uint32_t>& b) {
  std::vector<uint32_t> out;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
  return out;
}

// The tokens a node can be replayed for.
std::vector<uint32_t> Available(const Node& node, const std::vector<TokenRows>& operands,
                                size_t tokens) {
  std::vector<uint32_t> out(tokens);
  std::iota(out.begin(), out.end(), 0u);
  for (size_t o = 0; o < operands.size(); ++o) {
    if (!Info(node.op).ReadsEarlier(o)) {
      out = Common(out, operands[o].tokens);
      continue;
    }
    size_t prefix = 0;
    while (prefix < operands[o].tokens.size() && operands[o].tokens[prefix] == prefix) ++prefix;
    std::erase_if(out, [&](uint32_t token) { return token >= prefix; });
  }
  return out;
}

// The treatment that stores a weight as this type; empty where it holds all float32 numbers. Error:
// the type cannot be encoded, or the rows are no whole blocks of it.
Result<std::optional<Treatment>> AsStored(TensorType type, const TensorView& weight) {
  if (type == TensorType::kF32 || type == TensorType::kF64) return std::nullopt;
  const TensorTypeInfo& info = Info(type);
  std::string name = info.name;
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (info.block_elements > 1) {
    if (weight.Columns() % info.block_elements != 0) return Fail("no whole blocks");
    name = "ggml:" + name;
  }
  ASSIGN_OR_RETURN(Treatment treatment, ParseTreatment(name, TreatedThing::kWeight));
  return treatment;
}

// The node without another engine's arithmetic, whose products read the file's own weights.
NodePlan OwnArithmetic(const NodePlan& planned) {
  NodePlan own;
  own.math = planned.math;
  own.eps = planned.eps;
  own.in = planned.in;
  own.out = planned.out;
  own.weight = planned.weight;
  own.scores = planned.scores;
  own.softmax = planned.softmax;
  own.state = planned.state;
  own.order = planned.order;
  return own;
}

ErrorSize SizeOf(double squares, double reference, double count) {
  return {std::sqrt(squares / count), squares == 0 ? 0 : std::sqrt(squares / reference)};
}

}  // namespace

struct ContributionMeter::State {
  ContributionRequest request;
  Plan plain;                         // the replayed side's plan, changed at one node at a time
  Plan source_plain;                  // the source's, likewise
  std::optional<Plan> source_recipe;  // the source's recipe on the replayed model
  std::map<size_t, Fed> derived;      // replayed for want of the source's own
  std::vector<int> last_reader;
  std::vector<Contribution> results;

  explicit State(ContributionRequest r);
  const Graph& graph() const { return request.replayed.model->graph(); }
  const Node& node(size_t n) const { return graph().nodes[n]; }
  std::optional<Fed> Own(size_t n) const;
  Fed Fetch(size_t n);
  std::vector<Fed> Operands(size_t n);
  void Take(size_t n, const TokenRows& replayed);
  Replayed Replay(const RunSide& side, const Plan& plan, size_t n,
                  const std::vector<TokenRows>& operands, const std::vector<uint32_t>& wanted,
                  size_t position = 0) const;
  void Judge(size_t n, const std::vector<TokenRows>& operands, const TokenRows& source,
             const TokenRows& result, Contribution* out);
  double CostOfTypes(size_t n, const std::vector<TokenRows>& operands, const TokenRows& result,
                     bool* known);
  double CostInSource(size_t n, const std::vector<uint32_t>& wanted, TensorType type, bool* known);
  std::optional<int> FindShift(size_t n, const TokenRows& operand, const TokenRows& source,
                               double contributed) const;
  bool LooksTransposed(size_t n, const TokenRows& operand, const TokenRows& source,
                       const TokenRows& result) const;
};

ContributionMeter::State::State(ContributionRequest r)
    : request(std::move(r)),
      plain(*request.replayed.plan),
      last_reader(LastReaders(request.replayed.model->graph())) {
  const Plan* other = request.source.plan;
  if (other == nullptr) return;
  source_plain = *other;
  if (request.source.model == request.replayed.model) {
    source_recipe = *other;
  } else if (auto plan = MakePlan(*request.replayed.model, other->recipe, other->seed)) {
    source_recipe = std::move(*plan);
  }
}

// The source's own value at a node, in the replayed model's order.
std::optional<Fed> ContributionMeter::State::Own(size_t n) const {
  const CapturedSite* site = request.source_site(LabelOf(node(n)));
  const size_t width = node(n).shape.width;
  if (site == nullptr || site->widths.empty() ||
      std::any_of(site->widths.begin(), site->widths.end(), [&](size_t w) { return w != width; }) ||
      !std::is_sorted(site->tokens.begin(), site->tokens.end(), std::less_equal<uint32_t>()))
    return std::nullopt;
  Fed out;
  out.since = {site->label};
  const std::vector<size_t> order =
      ElementOrder(graph().rope.layout, request.source_layout, graph(),
                   {node(n).site, node(n).layer, static_cast<int>(n)});
  const CapturedSite* values = site;
  if (!order.empty()) {
    auto copy = std::make_shared<CapturedSite>(*site);
    Reorder(order, &copy->f32);
    Reorder(order, &copy->f64);
    values = copy.get();
    out.storage.push_back(copy);
  }
  const CapturedRows rows(*values);
  out.rows = {values->type, {rows.view().rows.begin(), rows.view().rows.end()}, values->tokens};
  return out;
}

Replayed ContributionMeter::State::Replay(const RunSide& side, const Plan& plan, size_t n,
                                          const std::vector<TokenRows>& operands,
                                          const std::vector<uint32_t>& wanted,
                                          size_t position) const {
  return ReplayNode({*side.model, plan, n, request.tokens, operands, wanted, position});
}

std::vector<Fed> ContributionMeter::State::Operands(size_t n) {
  std::vector<Fed> out;
  for (const int input : node(n).inputs) out.push_back(Fetch(static_cast<size_t>(input)));
  return out;
}

Fed ContributionMeter::State::Fetch(size_t n) {
  if (auto own = Own(n)) return *own;
  if (const auto found = derived.find(n); found != derived.end()) return found->second;
  Fed out;
  out.own = false;
  std::vector<TokenRows> operands;
  std::set<std::string> since;
  const bool view = node(n).op == OpKind::kStore || node(n).op == OpKind::kSlice;
  for (const Fed& operand : Operands(n)) {
    operands.push_back(operand.rows);
    since.insert(operand.since.begin(), operand.since.end());
    if (view) out.storage = operand.storage;  // its rows are the operand's
  }
  out.since.assign(since.begin(), since.end());
  const std::vector<uint32_t> wanted = Available(node(n), operands, request.tokens.size());
  if (!wanted.empty()) {
    Replayed replayed = Replay(request.replayed, *request.replayed.plan, n, operands, wanted);
    out.rows = std::move(replayed.value);
    out.storage.insert(out.storage.end(), replayed.storage.begin(), replayed.storage.end());
  }
  derived[n] = out;
  return out;
}

// Sum of squares of what the replayed side's weight type, stored in the source's, would change, and
// the other way round.
double ContributionMeter::State::CostOfTypes(size_t n, const std::vector<TokenRows>& operands,
                                             const TokenRows& result, bool* known) {
  if (node(n).weight < 0 || request.source.model == request.replayed.model) return 0;
  const WeightSlot& slot = graph().weights[static_cast<size_t>(node(n).weight)];
  const TensorView& here = slot.tensor;
  TensorType there = here.type;
  double squares = 0;
  if (request.source.model != nullptr) {
    const Graph& of = request.source.model->graph();
    there = of.weights[static_cast<size_t>(of.nodes[n].weight)].tensor.type;
    if (there != here.type) squares = CostInSource(n, result.tokens, here.type, known);
  } else if (const auto said = request.source_types.find(slot.name);
             said != request.source_types.end()) {
    there = FindTensorType(said->second)->type;
    // What the replayed side's type costs cannot be known without the source's weights, unless it
    // is a plain one.
    if (there != here.type) {
      const double step = here.type == TensorType::kF16    ? 0x1p-11
                          : here.type == TensorType::kBF16 ? 0x1p-8
                                                           : 0;
      squares = step * step * Squares(result, nullptr, node(n).shape.width);
      if (Info(here.type).block_elements > 1) *known = false;
    }
  }
  if (there == here.type) return 0;
  const auto stored = AsStored(there, here);
  if (!stored) {
    *known = false;
  } else if (*stored) {
    plain.nodes[n] = OwnArithmetic(request.replayed.plan->nodes[n]);
    const Replayed as_is = Replay(request.replayed, plain, n, operands, result.tokens);
    plain.nodes[n].weight = PlacedTreatment{**stored, 0, 0, {}};
    const Replayed other = Replay(request.replayed, plain, n, operands, result.tokens);
    squares += Squares(other.value, &as_is.value, node(n).shape.width);
    plain.nodes[n] = request.replayed.plan->nodes[n];
  }
  return squares;
}

// The source's node on its own inputs with its weight in `type`, against the same with its weight
// as it is. Inputs as the source has them, in its own order of elements.
double ContributionMeter::State::CostInSource(size_t n, const std::vector<uint32_t>& wanted,
                                              TensorType type, bool* known) {
  const Graph& of = request.source.model->graph();
  const auto stored = AsStored(type, of.weights[static_cast<size_t>(of.nodes[n].weight)].tensor);
  if (!stored) *known = false;
  if (!stored || !*stored) return 0;
  std::vector<CapturedRows> views;
  std::vector<TokenRows> operands;
  for (const int input : of.nodes[n].inputs) {
    const CapturedSite* site = request.source_site(LabelOf(of.nodes[static_cast<size_t>(input)]));
    if (site == nullptr) return 0;
    views.emplace_back(*site);
    operands.push_back({site->type,
                        {views.back().view().rows.begin(), views.back().view().rows.end()},
                        site->tokens});
  }
  if (Available(of.nodes[n], operands, request.tokens.size()) != wanted) return 0;
  source_plain.nodes[n] = OwnArithmetic(request.source.plan->nodes[n]);
  const Replayed as_is = Replay(request.source, source_plain, n, operands, wanted);
  source_plain.nodes[n].weight = PlacedTreatment{**stored, 0, 0, {}};
  const Replayed other = Replay(request.source, source_plain, n, operands, wanted);
  source_plain.nodes[n] = request.source.plan->nodes[n];
  return Squares(other.value, &as_is.value, of.nodes[n].shape.width);
}

// At which shift of the positions the rotation would make the source's value.
std::optional<int> ContributionMeter::State::FindShift(size_t n, const TokenRows& operand,
                                                       const TokenRows& source,
                                                       double contributed) const {
  for (const int shift : {1, -1, 2, -2}) {
    // Token t at position t + shift. Below zero, the first tokens are left out, and the others are
    // replayed as tokens that come sooner.
    const auto skip = static_cast<uint32_t>(std::max(0, -shift));
    std::vector<uint32_t> tokens = Common(operand.tokens, source.tokens), moved;
    std::erase_if(tokens, [&](uint32_t t) { return t < skip; });
    if (tokens.empty()) continue;
    for (const uint32_t t : tokens) moved.push_back(t - skip);
    TokenRows rows = Select(operand, tokens);
    rows.tokens = moved;
    const Replayed at = Replay(request.replayed, *request.replayed.plan, n, {rows}, moved,
                               static_cast<size_t>(std::max(0, shift)));
    TokenRows value = at.value;
    const TokenRows right = Select(source, tokens);
    if (Squares(value, &right, node(n).shape.width) < kAgrees * kAgrees * contributed) return shift;
  }
  return std::nullopt;
}

// Whether the weight's elements, taken at i * outputs + o for (o, i), make the source's value.
bool ContributionMeter::State::LooksTransposed(size_t n, const TokenRows& operand,
                                               const TokenRows& source,
                                               const TokenRows& result) const {
  const TensorView& weight = graph().weights[static_cast<size_t>(node(n).weight)].tensor;
  const size_t inputs = static_cast<size_t>(weight.Columns()),
               outputs = static_cast<size_t>(weight.Rows());
  std::vector<float> values(inputs * outputs);
  DecodeToFloat(weight.type, weight.data, values);
  double with = 0, without = 0;
  for (size_t r = 0; r < std::min(kTransposedRows, source.rows.size()); ++r) {
    const size_t of = static_cast<size_t>(
        std::find(operand.tokens.begin(), operand.tokens.end(), source.tokens[r]) -
        operand.tokens.begin());
    std::vector<double> y(outputs);
    for (size_t i = 0; i < inputs; ++i) {
      const double x = At(operand, of, i);
      for (size_t o = 0; o < outputs; ++o) y[o] += x * double{values[i * outputs + o]};
    }
    for (size_t o = 0; o < outputs; ++o) {
      const double right = At(source, r, o);
      with += (y[o] - right) * (y[o] - right);
      without += (At(result, r, o) - right) * (At(result, r, o) - right);
    }
  }
  return with < kAgrees * kAgrees * without;
}

void ContributionMeter::State::Judge(size_t n, const std::vector<TokenRows>& operands,
                                     const TokenRows& source, const TokenRows& result,
                                     Contribution* out) {
  const size_t width = node(n).shape.width;
  const double contributed = Squares(result, &source, width),
               value = Squares(source, nullptr, width),
               a = request.source_is_b ? Squares(result, nullptr, width) : value;
  if (contributed == 0) return;
  double cost = CostOfTypes(n, operands, result, &out->has_cost);
  if (source_recipe) {
    const Replayed other = Replay(request.replayed, *source_recipe, n, operands, result.tokens);
    cost += Squares(other.value, &result, width);
  }
  const NodePlan& planned = request.replayed.plan->nodes[n];
  NodePlan exact_node = OwnArithmetic(planned);
  exact_node.math = Arithmetic::kF64;
  plain.nodes[n] = std::move(exact_node);
  const Replayed exact = Replay(request.replayed, plain, n, operands, result.tokens);
  plain.nodes[n] = planned;
  const double rounding = Squares(exact.value, &result, width);
  const CapturedSite* captured = request.source_site(out->label);
  const double step = captured == nullptr ? 0 : captured->step;
  const double allowed =
      std::sqrt(cost) + kOtherOrder * std::sqrt(rounding) + step * std::sqrt(value);
  out->cost = SizeOf(allowed * allowed, a, static_cast<double>(result.rows.size() * width));
  out->has_cost = out->has_cost || std::sqrt(contributed) <= kBeyond * allowed;
  out->beyond = out->has_cost && !(std::sqrt(contributed) <= kBeyond * allowed);
  if (!out->beyond || operands.empty()) return;
  if (node(n).op == OpKind::kRope)
    out->position_shift = FindShift(n, operands[0], source, contributed);
  if (node(n).op == OpKind::kMatMul)
    out->transposed = LooksTransposed(n, operands[0], source, result);
}

void ContributionMeter::State::Take(size_t n, const TokenRows& replayed) {
  const std::optional<Fed> source = Own(n);
  if (source) {
    const std::vector<Fed> fed = Operands(n);
    std::vector<TokenRows> operands;
    for (const Fed& operand : fed) operands.push_back(operand.rows);
    const std::vector<uint32_t> wanted =
        Common(Common(Available(node(n), operands, request.tokens.size()), source->rows.tokens),
               replayed.tokens);
    if (!wanted.empty()) {
      const size_t width = node(n).shape.width;
      const TokenRows theirs = Select(source->rows, wanted), ours = Select(replayed, wanted);
      const Replayed result = Replay(request.replayed, *request.replayed.plan, n, operands, wanted);
      const double count = static_cast<double>(wanted.size() * width),
                   a = Squares(request.source_is_b ? ours : theirs, nullptr, width);
      Contribution out;
      out.label = LabelOf(node(n));
      out.name = node(n).site;
      out.layer = node(n).layer;
      out.op = node(n).op;
      out.rows = wanted.size();
      out.total = SizeOf(Squares(ours, &theirs, width), a, count);
      out.inherited = SizeOf(Squares(ours, &result.value, width), a, count);
      out.contributed = SizeOf(Squares(result.value, &theirs, width), a, count);
      std::set<std::string> since;
      for (const Fed& operand : fed) since.insert(operand.since.begin(), operand.since.end());
      if (std::any_of(fed.begin(), fed.end(), [](const Fed& f) { return !f.own; }))
        out.since.assign(since.begin(), since.end());
      if (request.judge) Judge(n, operands, theirs, result.value, &out);
      results.push_back(std::move(out));
    }
  }
  std::erase_if(derived,
                [&](const auto& d) { return last_reader[d.first] <= static_cast<int>(n); });
}

ContributionMeter::ContributionMeter(ContributionRequest request)
    : state_(std::make_unique<State>(std::move(request))) {}
ContributionMeter::~ContributionMeter() = default;
ContributionMeter::ContributionMeter(ContributionMeter&&) noexcept = default;

void ContributionMeter::Take(const SiteTensor& replayed) {
  if (replayed.site->inner != InnerSite::kNone) return;
  state_->Take(static_cast<size_t>(replayed.site->node),
               {replayed.type, replayed.rows, replayed.tokens});
}

const std::vector<Contribution>& ContributionMeter::results() const { return state_->results; }

bool SameNodes(const Graph& a, const Graph& b) {
  return std::equal(a.nodes.begin(), a.nodes.end(), b.nodes.begin(), b.nodes.end(),
                    [](const Node& x, const Node& y) {
                      return x.op == y.op && x.site == y.site && x.layer == y.layer &&
                             x.inputs == y.inputs && x.shape.width == y.shape.width &&
                             x.shape.in_width == y.shape.in_width &&
                             x.shape.heads == y.shape.heads &&
                             x.shape.kv_heads == y.shape.kv_heads &&
                             x.shape.head_dim == y.shape.head_dim &&
                             x.shape.states == y.shape.states && x.shape.groups == y.shape.groups &&
                             x.shape.taps == y.shape.taps && x.shape.offset == y.shape.offset;
                    });
}

Result<std::vector<Contribution>> MeasureContributions(const ContributionRun& run) {
  if (!SameNodes(run.a.model->graph(), run.b.model->graph()))
    return Fail("{} and {}: expected models of one graph", run.a.model->path(),
                run.b.model->path());
  std::map<std::string, CapturedSite> source;
  const auto is_node = [](const Site& site) { return site.inner == InnerSite::kNone; };
  CaptureRequest capture{{run.a.model, run.a.plan}, run.tokens, is_node, {}, {}};
  capture.receive = [&](const SiteTensor& tensor) {
    source.emplace(tensor.site->Label(), CaptureSite(tensor));
  };
  RETURN_IF_ERROR(ObserveRun(capture));
  ContributionMeter meter({run.b, run.a, false, run.tokens, run.a.model->graph().rope.layout,
                           [&](const std::string& label) -> const CapturedSite* {
                             const auto found = source.find(label);
                             return found == source.end() ? nullptr : &found->second;
                           },
                           run.judge});
  CaptureRequest observe{{run.b.model, run.b.plan}, run.tokens, {}, {}, {}};
  observe.wants = [&](const Site& site) {
    return is_node(site) && (!run.wants || run.wants(site));
  };
  observe.receive = [&](const SiteTensor& tensor) { meter.Take(tensor); };
  RETURN_IF_ERROR(ObserveRun(observe));
  return meter.results();
}

const Contribution* FirstBeyond(const std::vector<Contribution>& contributions) {
  const auto found = std::find_if(contributions.begin(), contributions.end(),
                                  [](const Contribution& c) { return c.beyond; });
  return found == contributions.end() ? nullptr : &*found;
}

}  // namespace vernier
