#include "engine/plan.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <set>

#include "base/names.h"
#include "engine/constant_rules.h"
#include "engine/math_rules.h"
#include "engine/state_rules.h"
#include "engine/type_rules.h"
#include "formats/treat_codes.h"

namespace vernier {
namespace {

const char* ArithmeticName(Arithmetic math) { return math == Arithmetic::kF32 ? "f32" : "f64"; }

// Ops with a sum over terms, which `.acc` speaks of.
bool HasSums(OpKind op) {
  return op == OpKind::kNormalise || op == OpKind::kMatMul || op == OpKind::kAttention ||
         op == OpKind::kConvolve || op == OpKind::kScan;
}

// Whether llama.cpp computes the node after it has dropped the rows whose logits nobody wants: all
// that follows the matrix that reads the last layer's attention (or scan).
std::vector<bool> SelectedNodes(const Graph& graph) {
  std::vector<bool> selected(graph.nodes.size());
  size_t i = graph.nodes.size();
  while (i > 0 && !Info(graph.nodes[i - 1].op).causal()) --i;
  while (i < graph.nodes.size() && graph.nodes[i].op != OpKind::kMatMul) ++i;
  for (++i; i < graph.nodes.size(); ++i) selected[i] = true;
  return selected;
}

Status CheckGgml(const Graph& graph, const Node& node, const NodePlan& plan) {
  if (node.shape.groups > 1 || (node.op == OpKind::kScan && node.shape.heads > 0))
    return Fail("{}: the profiles do not know the scan and the norm of Mamba 2",
                Site{node.site, node.layer}.Label());
  if (node.op != OpKind::kMatMul) return {};
  const WeightSlot& weight = graph.weights[static_cast<size_t>(node.weight)];
  if (plan.weight || plan.folded >= 0)
    return Fail(
        "'{}' is treated by a rule, and the profiles read weights as the file stores them;"
        " write the treated model with 'vernier quantize --rule'",
        weight.name);
  if (!HasGgmlProduct(weight.tensor.type))
    return Fail("'{}' is stored as {}, which the profiles do not multiply", weight.name,
                Info(weight.tensor.type).name);
  return {};
}

class Compiler {
 public:
  Compiler(Model& model, const Recipe& recipe, uint64_t seed)
      : model_(model), graph_(model.graph()), recipe_(recipe), seed_(seed) {}
  Result<Plan> Compile();
  // Applies the rules, static scales being noted instead of read.
  Result<std::vector<StaticNeed>> ListNeeds();

 private:
  void Prepare();
  Status ApplyAll();
  Status Apply(const Rule& rule, int index);
  Status ApplyTypes(const Rule& rule, int index);
  Status ApplyToWeights(const Rule& rule, int index, const std::vector<int>& slots);
  Status Fold(const Rule& rule, int index, int slot);
  Status ApplyToSite(const Rule& rule, int index, const Site& site);
  Result<Treatment> ReadTreatment(const Rule& rule, TreatedThing thing, const std::string& label,
                                  int layer, const std::vector<size_t>& widths);
  Status Note(const Rule& rule, TreatedThing thing, const std::string& label, int layer,
              Treatment* treatment);
  Result<Treatment> ReadActivation(const Rule& rule, const Site& site, const std::string& label,
                                   const HeadRange& heads);
  PlacedTreatment Place(const Treatment& treatment, int rule, const std::string& where) const;
  void AddSite(int rule, std::string label) {
    auto& sites = plan_.rules[static_cast<size_t>(rule)].sites;
    if (std::find(sites.begin(), sites.end(), label) == sites.end())
      sites.push_back(std::move(label));
  }
  bool Matches(const Rule& rule, const Site& site) const;
  bool HasPart(const Rule& rule, const Site& site) const;
  Error NothingMatches(const Rule& rule) const;
  Error NoSuchLayer(const Rule& rule, const std::set<int>& layers) const;
  Status SetMath(const Rule& rule, int index, size_t node);
  void FinishStores();
  void FinishFolds();
  const PlacedTreatment* CodesOf(const NodePlan& node, int input) const;
  Status FinishSums();
  Status FinishOrders();
  Status FinishIntegers();
  Status FinishGgml();
  void CountWeights();
  void MakeIdentities();

  Model& model_;
  const Graph& graph_;
  const Recipe& recipe_;
  uint64_t seed_;
  Plan plan_;
  std::vector<int> math_rule_;  // of each node, the rule that gave it its arithmetic
  std::vector<int> acc_rule_;   // of each node, the rule that says how its sums are taken; -1: none
  std::vector<int>
      order_rule_;  // of each node, the rule that says in which order it scans; -1: none
  std::vector<int> acc_ended_;  // by rule: nodes where a later rule gave another arithmetic
  bool noting_ = false;
  std::vector<StaticNeed> needs_;
  std::vector<int> fold_rule_;  // of each weight slot, the rule that folds it; -1: none
};

// Whether the rule's name means this site, layers apart.
bool Compiler::Matches(const Rule& rule, const Site& site) const {
  const Node& node = graph_.nodes[static_cast<size_t>(site.node)];
  if (GlobMatches(rule.glob, site.name)) return true;
  if (site.inner != InnerSite::kNone) return false;
  if (!node.cache.empty() && rule.glob == node.cache) return true;
  const bool of_node = rule.part == Part::kMath || rule.part == Part::kAcc ||
                       rule.part == Part::kEps || rule.part == Part::kIn;
  return of_node && !node.group.empty() && GlobMatches(rule.glob, node.group);
}

bool Compiler::HasPart(const Rule& rule, const Site& site) const {
  const Node& node = graph_.nodes[static_cast<size_t>(site.node)];
  switch (rule.part) {
    case Part::kOut:
      return true;
    case Part::kIn:
      return site.inner == InnerSite::kNone && node.op != OpKind::kEmbed &&
             node.op != OpKind::kStore && node.op != OpKind::kSlice;
    case Part::kMath:
      if (rule.value == "int" && node.op != OpKind::kMatMul && node.op != OpKind::kConvolve)
        return false;
      [[fallthrough]];
    case Part::kProfile:
      return site.inner == InnerSite::kNone && node.op != OpKind::kSlice;
    case Part::kAcc:
      return site.inner == InnerSite::kNone && HasSums(node.op);
    case Part::kWeight:
      return site.inner == InnerSite::kNone && node.weight >= 0;
    case Part::kEps:
      return node.op == OpKind::kNormalise;
    case Part::kOrder:
      return site.inner == InnerSite::kNone && node.op == OpKind::kScan;
    case Part::kConstant:
      return false;
  }
  return false;
}

PlacedTreatment Compiler::Place(const Treatment& treatment, int rule,
                                const std::string& where) const {
  PlacedTreatment placed{treatment, rule, Combine(HashText(where), seed_).low, {}};
  placed.identity = HashText(TreatmentText(treatment));
  if (treatment.rounding == Rounding::kStochastic)
    placed.identity = Combine(placed.identity, placed.seed);
  return placed;
}

// Takes down what a static scale is read from, and puts another in its place.
Status Compiler::Note(const Rule& rule, TreatedThing thing, const std::string& label, int layer,
                      Treatment* treatment) {
  if (treatment->scale != ScaleRule::kStatic) return {};
  if (thing == TreatedThing::kWeight)
    return Fail("rule '{}': {} is a weight, whose scale no text gives; expected absmax", rule.text,
                label);
  const StaticNeed need{StaticKey(*treatment, label, layer), treatment->static_percentile,
                        treatment->static_ema};
  if (std::none_of(needs_.begin(), needs_.end(), [&](const StaticNeed& n) {
        return n.key == need.key && n.percentile == need.percentile && n.ema == need.ema;
      }))
    needs_.push_back(need);
  treatment->scale = treatment->symmetric ? ScaleRule::kGivenAbsMax : ScaleRule::kGivenRange;
  treatment->scale_value = treatment->symmetric ? 1 : -1;
  treatment->scale_high = treatment->symmetric ? 0 : 1;
  treatment->second = std::max(treatment->second, 0.0);
  return {};
}

// The rule's treatment at one place, with its static scale put in, if rows of these widths can have
// it.
Result<Treatment> Compiler::ReadTreatment(const Rule& rule, TreatedThing thing,
                                          const std::string& label, int layer,
                                          const std::vector<size_t>& widths) {
  auto parsed = ParseTreatment(rule.value, thing);
  if (!parsed) return Fail("rule '{}': {}", rule.text, parsed.error().message);
  if (noting_) RETURN_IF_ERROR(Note(rule, thing, label, layer, &*parsed));
  auto resolved = ResolveStatic(*parsed, label, layer, recipe_.scales.get());
  if (!resolved) return Fail("rule '{}': {}", rule.text, resolved.error().message);
  for (const size_t width : widths)
    if (const Status fits = CheckWidth(*resolved, width); !fits)
      return Fail("rule '{}': {}: {}", rule.text, label, fits.error().message);
  return resolved;
}

Result<Treatment> Compiler::ReadActivation(const Rule& rule, const Site& site,
                                           const std::string& label, const HeadRange& heads) {
  std::vector<size_t> widths;
  const std::optional<size_t> own = RowWidth(graph_, site);
  if (rule.part == Part::kIn) {
    for (const int input : graph_.nodes[static_cast<size_t>(site.node)].inputs)
      widths.push_back(graph_.nodes[static_cast<size_t>(input)].shape.width);
  } else if (own) {
    widths = {heads.Count(*own)};
  }
  ASSIGN_OR_RETURN(Treatment treatment,
                   ReadTreatment(rule, TreatedThing::kActivation, label, site.layer, widths));
  if (!own && treatment.IsStored())
    return Fail("rule '{}': {}: {} has whole blocks, and these rows grow with the tokens seen",
                rule.text, label, treatment.block->name);
  return treatment;
}

Status Compiler::ApplyToWeights(const Rule& rule, int index, const std::vector<int>& slots) {
  for (const int slot : slots) {
    if (rule.value == "fold") {
      RETURN_IF_ERROR(Fold(rule, index, slot));
      continue;
    }
    fold_rule_[static_cast<size_t>(slot)] = -1;
    const WeightSlot& weight = graph_.weights[static_cast<size_t>(slot)];
    const auto width = static_cast<size_t>(weight.tensor.Columns());
    ASSIGN_OR_RETURN(const Treatment treatment, ReadTreatment(rule, TreatedThing::kWeight,
                                                              weight.name, weight.layer, {width}));
    AddSite(index, weight.name);
    for (size_t i = 0; i < graph_.nodes.size(); ++i)
      if (graph_.nodes[i].weight == slot)
        plan_.nodes[i].weight = Place(treatment, index, weight.name);
  }
  return {};
}

// The norm's weight goes into the matrices that read the norm.
Status Compiler::Fold(const Rule& rule, int index, int slot) {
  const std::string& name = graph_.weights[static_cast<size_t>(slot)].name;
  bool norm = false;
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    const Node& node = graph_.nodes[i];
    if (node.weight != slot) continue;
    norm = node.op == OpKind::kMultiply &&
           graph_.nodes[static_cast<size_t>(node.inputs[0])].op == OpKind::kNormalise;
    if (!norm) break;
    for (const Node& reader : graph_.nodes) {
      if (std::find(reader.inputs.begin(), reader.inputs.end(), static_cast<int>(i)) ==
              reader.inputs.end() ||
          reader.op == OpKind::kMatMul)
        continue;
      return Fail("rule '{}': {} is read by {}, which is no matrix product", rule.text,
                  Site{node.site, node.layer}.Label(), Site{reader.site, reader.layer}.Label());
    }
    plan_.nodes[i].weight.reset();
  }
  if (!norm) return Fail("rule '{}': '{}' is no norm's weight", rule.text, name);
  fold_rule_[static_cast<size_t>(slot)] = index;
  AddSite(index, name);
  return {};
}

Status Compiler::ApplyTypes(const Rule& rule, int index) {
  ASSIGN_OR_RETURN(const auto types, TypesByRule(rule, model_));
  for (size_t slot = 0; slot < types.size(); ++slot) {
    const WeightSlot& weight = graph_.weights[slot];
    if (types[slot].keeps || !rule.layers.Contains(weight.layer, graph_.layers)) continue;
    AddSite(index, weight.name);
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      if (graph_.nodes[i].weight != static_cast<int>(slot)) continue;
      plan_.nodes[i].weight.reset();
      if (types[slot].treatment)
        plan_.nodes[i].weight = Place(*types[slot].treatment, index, weight.name);
    }
  }
  if (plan_.rules.back().sites.empty() && !rule.layers.only)
    return Fail("rule '{}': no weight of these layers is quantised; layers are 0 to {}", rule.text,
                graph_.layers - 1);
  return {};
}

// A rule on .math says all of the arithmetic: an earlier .acc is of the one before.
Status Compiler::SetMath(const Rule& rule, int index, size_t node) {
  const auto math = rule.part == Part::kMath
                        ? ParseMath(rule.value)
                        : ParseProfile(rule.value).map([](const GgmlBatching& batching) {
                            return MathRule{.ggml = batching};
                          });
  if (!math) return Fail("rule '{}': {}", rule.text, math.error().message);
  NodePlan& plan = plan_.nodes[node];
  plan.math = math->type;
  plan.ggml = math->ggml;
  plan.format = math->format;
  plan.integer = math->integer;
  math_rule_[node] = index;
  if (acc_rule_[node] >= 0) ++acc_ended_[static_cast<size_t>(acc_rule_[node])];
  acc_rule_[node] = -1;
  return {};
}

Status Compiler::ApplyToSite(const Rule& rule, int index, const Site& site) {
  NodePlan& node = plan_.nodes[static_cast<size_t>(site.node)];
  if (rule.part == Part::kMath || rule.part == Part::kProfile) {
    RETURN_IF_ERROR(SetMath(rule, index, static_cast<size_t>(site.node)));
  } else if (rule.part == Part::kAcc) {
    acc_rule_[static_cast<size_t>(site.node)] = index;
  } else if (rule.part == Part::kEps) {
    double eps = 0;
    const char* end = rule.value.data() + rule.value.size();
    const auto [at, error] = std::from_chars(rule.value.data(), end, eps);
    if (error != std::errc() || at != end || !(eps >= 0) || !std::isfinite(eps))
      return Fail("rule '{}': expected a number that is not negative, found '{}'", rule.text,
                  rule.value);
    node.eps = eps;
  } else if (rule.part == Part::kOrder) {
    ASSIGN_OR_RETURN(node.order, OrderOf(rule));
    order_rule_[static_cast<size_t>(site.node)] = index;
  } else {
    const std::string label = site.Label() + (rule.part == Part::kIn ? ".in" : "");
    Rule without_heads = rule;
    ASSIGN_OR_RETURN(const HeadRange heads, TakeHeads(graph_, site, &without_heads));
    ASSIGN_OR_RETURN(const size_t every, TakeEvery(site, &without_heads));
    ASSIGN_OR_RETURN(const Treatment treatment, ReadActivation(without_heads, site, label, heads));
    PlacedTreatment placed = Place(treatment, index, label);
    placed.heads = heads;
    placed.identity = Combine(placed.identity, heads);
    placed.every = every;
    if (every > 1) placed.identity = Combine(placed.identity, every);
    std::optional<PlacedTreatment>& place = rule.part == Part::kIn              ? node.in
                                            : site.inner == InnerSite::kScores  ? node.scores
                                            : site.inner == InnerSite::kSoftmax ? node.softmax
                                            : site.inner == InnerSite::kState   ? node.state
                                                                                : node.out;
    place = placed;
  }
  AddSite(index, site.Label());
  return {};
}

Error Compiler::NothingMatches(const Rule& rule) const {
  std::vector<std::string> names;
  for (const Site& site : graph_.sites)
    if (std::find(names.begin(), names.end(), site.name) == names.end()) names.push_back(site.name);
  for (const Node& node : graph_.nodes)
    if (!node.cache.empty() && std::find(names.begin(), names.end(), node.cache) == names.end())
      names.push_back(node.cache);
  if (!rule.weight_name)
    return {fmt::format("rule '{}': no site is named '{}'{}", rule.text, rule.glob,
                        DidYouMean(rule.glob, names))};
  // A dot: the name of a weight, or a site with a part that is misspelt.
  for (size_t i = names.size(); i-- > 0;)
    for (const char* part : {".weight", ".math", ".acc", ".eps", ".order", ".in", ".out"})
      names.push_back(names[i] + part);
  for (const WeightSlot& w : graph_.weights) names.push_back(w.name);
  return {fmt::format("rule '{}': no weight or site is named '{}'{}", rule.text, rule.glob,
                      DidYouMean(rule.glob, names))};
}

Error Compiler::NoSuchLayer(const Rule& rule, const std::set<int>& layers) const {
  if (layers.empty() || *layers.rbegin() < 0)
    return {fmt::format("rule '{}': '{}' is in no layer; did you mean '{}' without [{}]?",
                        rule.text, rule.glob, rule.glob, rule.layers.text)};
  const int last = *layers.rbegin();
  return {fmt::format(
      "rule '{}': no layer of '{}' is in [{}]; layers are 0 to {}; did you mean '{}[{}]'?",
      rule.text, rule.glob, rule.layers.text, last, rule.glob, last)};
}

// Whether rules of the part round, rather than say how or with what constants is computed.
bool Rounds(Part part) { return part == Part::kOut || part == Part::kIn || part == Part::kWeight; }

Status Compiler::Apply(const Rule& rule, int index) {
  plan_.rules.push_back({rule.text, {}, {}, Rounds(rule.part), {}});
  if (rule.part == Part::kConstant) return ApplyConstant(rule, graph_, &plan_);
  if (IsTypesRule(rule)) return ApplyTypes(rule, index);
  std::set<int> layers;  // of what the name matches, whatever its layer
  bool has_part = false, named = false;
  std::vector<int> slots;
  // Weights by their own name; "output.weight" reads as a site's part, and is one too.
  const std::string weight_name = rule.weight_name             ? rule.glob
                                  : rule.part == Part::kWeight ? rule.glob + ".weight"
                                                               : "";
  for (size_t i = 0; i < graph_.weights.size() && !weight_name.empty(); ++i) {
    if (!GlobMatches(weight_name, graph_.weights[i].name)) continue;
    named = has_part = true;
    layers.insert(graph_.weights[i].layer);
    if (rule.layers.Contains(graph_.weights[i].layer, graph_.layers))
      slots.push_back(static_cast<int>(i));
  }
  for (const Site& site : graph_.sites) {
    if (rule.weight_name || !Matches(rule, site)) continue;
    named = true;
    if (!HasPart(rule, site)) continue;
    has_part = true;
    layers.insert(site.layer);
    if (!rule.layers.Contains(site.layer, graph_.layers)) continue;
    if (rule.part == Part::kWeight) {
      slots.push_back(graph_.nodes[static_cast<size_t>(site.node)].weight);
    } else {
      RETURN_IF_ERROR(ApplyToSite(rule, index, site));
    }
  }
  RETURN_IF_ERROR(ApplyToWeights(rule, index, slots));
  if (!named) return tl::unexpected(NothingMatches(rule));
  if (!has_part && rule.part == Part::kAcc)
    return Fail("rule '{}': '{}' takes no sums", rule.text, rule.glob);
  if (!has_part && rule.part == Part::kMath && rule.value == "int")
    return Fail("rule '{}': int is of matrix products and convolutions, and '{}' is none",
                rule.text, rule.glob);
  if (!has_part) return Fail("rule '{}': '{}' has no such part", rule.text, rule.glob);
  if (plan_.rules.back().sites.empty() && !rule.layers.only)
    return tl::unexpected(NoSuchLayer(rule, layers));
  return {};
}

// `.acc` refines what arithmetic the node has after all rules; float32 without a format is one
// rounding a multiply-add, in Vernier's own order.
Status Compiler::FinishSums() {
  std::vector<int> nodes(recipe_.rules.size());
  for (size_t i = 0; i < plan_.nodes.size(); ++i) {
    NodePlan& node = plan_.nodes[i];
    if (acc_rule_[i] < 0) continue;
    const Rule& rule = recipe_.rules[static_cast<size_t>(acc_rule_[i])];
    ++nodes[static_cast<size_t>(acc_rule_[i])];
    const char* other = node.ggml                                       ? "a profile"
                        : node.integer                                  ? "int"
                        : !node.format && node.math == Arithmetic::kF64 ? "f64"
                                                                        : nullptr;
    if (other != nullptr)
      return Fail(
          "rule '{}': {} computes in {}, whose sums are its own; .acc is of f32, step and "
          "fused",
          rule.text, Site{graph_.nodes[i].site, graph_.nodes[i].layer}.Label(), other);
    if (!node.format) node.format = ParseFormatMath("fused:f32").value();
    if (const Status parsed = ParseSumRules(rule.value, &*node.format); !parsed)
      return Fail("rule '{}': {}", rule.text, parsed.error().message);
    node.math = node.format->host;
  }
  for (size_t r = 0; r < nodes.size(); ++r)
    if (nodes[r] == 0 && acc_ended_[r] > 0)
      return Fail(
          "rule '{}': later rules on .math say all of the arithmetic; expected it after "
          "them",
          recipe_.rules[r].text);
  return {};
}

Status Compiler::FinishOrders() {
  for (size_t i = 0; i < plan_.nodes.size(); ++i)
    if (order_rule_[i] >= 0)
      RETURN_IF_ERROR(CheckOrder(recipe_.rules[static_cast<size_t>(order_rule_[i])],
                                 graph_.nodes[i], plan_.nodes[i]));
  return {};
}

// A store computes nothing: in a format its rows are rounded into it, as operands are.
void Compiler::FinishStores() {
  for (size_t i = 0; i < plan_.nodes.size(); ++i) {
    NodePlan& node = plan_.nodes[i];
    if (graph_.nodes[i].op != OpKind::kStore || !node.format) continue;
    Treatment t;
    t.format = node.format->values.format;
    t.overflow = node.format->values.overflow;
    t.flush_subnormals = node.format->values.flush;
    node.kept = Place(t, math_rule_[i], graph_.nodes[i].site);
  }
}

void Compiler::FinishFolds() {
  for (size_t i = 0; i < plan_.nodes.size(); ++i) {
    const Node& node = graph_.nodes[i];
    if (node.weight < 0) continue;
    if (fold_rule_[static_cast<size_t>(node.weight)] >= 0) plan_.nodes[i].ones = true;
    if (node.op != OpKind::kMatMul) continue;
    const Node& read = graph_.nodes[static_cast<size_t>(node.inputs[0])];
    if (read.weight >= 0 && fold_rule_[static_cast<size_t>(read.weight)] >= 0)
      plan_.nodes[i].folded = read.weight;
  }
}

// The treatment whose codes the operand has. Numbers on a grid with one scale for all rows stay on
// it when they are sliced.
const PlacedTreatment* Compiler::CodesOf(const NodePlan& node, int input) const {
  if (node.in) return &*node.in;
  for (;;) {
    const auto& out = plan_.nodes[static_cast<size_t>(input)].out;
    if (out)
      return out->heads.All() && CheckCodes(out->treatment) && !out->treatment.hadamard &&
                     !ScaleFromData(out->treatment)
                 ? &*out
                 : nullptr;
    const Node& from = graph_.nodes[static_cast<size_t>(input)];
    if (from.op != OpKind::kSlice) return nullptr;
    input = from.inputs[0];
  }
}

// Whether the treatments make codes that integer arithmetic takes.
Status Compiler::FinishIntegers() {
  for (size_t i = 0; i < plan_.nodes.size(); ++i) {
    NodePlan& node = plan_.nodes[i];
    if (!node.integer) continue;
    if (const PlacedTreatment* codes = CodesOf(node, graph_.nodes[i].inputs[0]))
      node.codes = *codes;
    const Rule& rule = recipe_.rules[static_cast<size_t>(math_rule_[i])];
    const std::string label = Site{graph_.nodes[i].site, graph_.nodes[i].layer}.Label();
    for (const bool weight : {false, true}) {
      const auto& place = weight ? node.weight : node.codes;
      const char* part = weight ? "weight" : "in";
      if (!place)
        return Fail("rule '{}': {} has no rule on .{}; int needs .in=intN and .weight=intN",
                    rule.text, label, part);
      if (const Status coded = CheckCodes(place->treatment); !coded)
        return Fail("rule '{}': {}.{}: {}", rule.text, label, part, coded.error().message);
    }
    if (const Status fit =
            CheckIntegers(graph_.nodes[i], node.codes->treatment, node.weight->treatment);
        !fit)
      return Fail("rule '{}': {}: {}", rule.text, label, fit.error().message);
  }
  return {};
}

// Which nodes compute in ggml's arithmetic is known when all rules have been read.
Status Compiler::FinishGgml() {
  const std::vector<bool> selected = SelectedNodes(graph_);
  for (size_t i = 0; i < plan_.nodes.size(); ++i) {
    NodePlan& node = plan_.nodes[i];
    if (!node.ggml) continue;
    plan_.ggml = true;
    node.selected = selected[i];
    if (graph_.nodes[i].op == OpKind::kAttention) {
      const auto half = [&](size_t operand) {
        const size_t store = static_cast<size_t>(graph_.nodes[i].inputs[operand]);
        const auto& place = plan_.nodes[store].out;
        return place && place->heads.All() && TreatmentText(place->treatment) == "f16";
      };
      node.half_keys = half(1);
      node.half_values = half(2);
    }
    if (const Status fits = CheckGgml(graph_, graph_.nodes[i], node); !fits) {
      const Rule& rule = recipe_.rules[static_cast<size_t>(math_rule_[i])];
      return Fail("rule '{}': {}", rule.text, fits.error().message);
    }
  }
  return {};
}

// The effect of rules on weights is known here, once a weight.
void Compiler::CountWeights() {
  std::set<std::pair<int, int>> counted;
  const auto add = [&](int rule, int slot, const TreatmentCounts& counts) {
    RuleEffect& effect = plan_.rules[static_cast<size_t>(rule)];
    effect.counts += counts;
    effect.stored_types.insert(Info(graph_.weights[static_cast<size_t>(slot)].tensor.type).name);
  };
  plan_.weights_only = !plan_.nodes.empty();
  for (size_t i = 0; i < plan_.nodes.size(); ++i) {
    const NodePlan& node = plan_.nodes[i];
    const Node& of = graph_.nodes[i];
    if (node.in || node.out || node.scores || node.softmax || node.state ||
        node.math != Arithmetic::kF32 || node.order.chunk > 0 || node.ggml || node.format ||
        node.integer || node.eps != of.shape.eps || node.rope_theta != 0 ||
        plan_.layers != graph_.layers)
      plan_.weights_only = false;
    const WeightForm form = FormOf(node);
    if (of.weight < 0 || form.Plain() || !counted.insert({of.weight, node.folded}).second) continue;
    WeightForm folded = form;
    folded.treatment.reset();
    if (!folded.Plain())
      add(fold_rule_[static_cast<size_t>(node.ones ? of.weight : node.folded)], of.weight,
          model_.weights().Measure(of.weight, folded).counts);
    if (form.treatment)
      add(node.weight->rule, of.weight, model_.weights().Measure(of.weight, form).counts);
  }
}

void Compiler::MakeIdentities() {
  Hash128 whole = HashText("plan");
  for (size_t i = 0; i < plan_.nodes.size(); ++i) {
    NodePlan& node = plan_.nodes[i];
    const Node& of = graph_.nodes[i];
    const std::string name = node.ggml      ? "ggml"
                             : node.integer ? "int"
                             : node.format  ? FormatMathText(*node.format)
                                            : ArithmeticName(node.math);
    Hash128 id = Combine(HashText(name), static_cast<uint64_t>(i));
    if (node.ggml) {  // from which the orders of summing of its rows follow
      id = Combine(id, static_cast<uint64_t>(node.ggml->rows) * 2 + node.ggml->repack);
      id = Combine(id, node.ggml->prompt);
    }
    if (node.half_keys || node.half_values)
      id = Combine(id, static_cast<uint64_t>(node.half_keys) * 2 + node.half_values);
    uint64_t eps = 0;
    std::memcpy(&eps, &node.eps, sizeof eps);
    id = Combine(id, eps);
    if (node.rope_theta != 0) id = Combine(id, std::bit_cast<uint64_t>(node.rope_theta));
    if (node.order.chunk > 0) id = Combine(Combine(id, HashText("chunked")), node.order.chunk);
    if (of.weight >= 0) {
      const WeightForm form = FormOf(node);
      id = Combine(id, form.Plain() ? model_.weights().Identity(of.weight)
                                    : model_.weights().Measure(of.weight, form).identity);
    }
    // The integers of equal treated operands are equal, but for what scales them.
    if (node.integer) id = Combine(Combine(id, node.codes->identity), node.weight->identity);
    for (const auto* inner : {&node.scores, &node.softmax, &node.state})
      id = Combine(id, *inner ? (*inner)->identity : Hash128{});
    node.identity = id;
    whole = Combine(whole, id);
    for (const auto* place : {&node.in, &node.out})
      whole = Combine(whole, *place ? (*place)->identity : Hash128{});
  }
  if (plan_.layers != graph_.layers) whole = Combine(whole, static_cast<uint64_t>(plan_.layers));
  plan_.identity = whole;
}

void Compiler::Prepare() {
  plan_.recipe = recipe_;
  plan_.seed = seed_;
  plan_.nodes.resize(graph_.nodes.size());
  math_rule_.resize(graph_.nodes.size());
  acc_rule_.assign(graph_.nodes.size(), -1);
  order_rule_.assign(graph_.nodes.size(), -1);
  acc_ended_.assign(recipe_.rules.size(), 0);
  fold_rule_.assign(graph_.weights.size(), -1);
  for (size_t i = 0; i < graph_.nodes.size(); ++i) plan_.nodes[i].eps = graph_.nodes[i].shape.eps;
  SetConstants(graph_, &plan_);
}

Status Compiler::ApplyAll() {
  int index = 0;
  for (const Rule& rule : recipe_.rules) RETURN_IF_ERROR(Apply(rule, index++));
  return {};
}

Result<std::vector<StaticNeed>> Compiler::ListNeeds() {
  noting_ = true;
  Prepare();
  RETURN_IF_ERROR(ApplyAll());
  return std::move(needs_);
}

Result<Plan> Compiler::Compile() {
  Prepare();
  RETURN_IF_ERROR(ApplyAll());
  RETURN_IF_ERROR(FinishSums());
  RETURN_IF_ERROR(FinishOrders());
  FinishStores();
  FinishFolds();
  RETURN_IF_ERROR(FinishIntegers());
  RETURN_IF_ERROR(FinishGgml());
  RETURN_IF_ERROR(CheckConstants(graph_, plan_));
  CountWeights();
  MakeIdentities();
  return std::move(plan_);
}

}  // namespace

bool Plan::ForetoldVacuous() const {
  return !recipe.rules.empty() && weights_only &&
         std::all_of(rules.begin(), rules.end(),
                     [](const RuleEffect& r) { return r.counts.changed == 0; });
}

WeightForm FormOf(const NodePlan& plan) {
  WeightForm form{plan.ones, plan.folded};
  if (plan.weight) {
    form.treatment = plan.weight->treatment;
    form.seed = plan.weight->seed;
  }
  return form;
}

Result<Plan> MakePlan(Model& model, const Recipe& recipe, uint64_t seed) {
  return Compiler(model, recipe, seed).Compile();
}

Result<std::vector<StaticNeed>> ListStaticNeeds(Model& model, const Recipe& recipe) {
  return Compiler(model, recipe, 0).ListNeeds();
}

}  // namespace vernier
