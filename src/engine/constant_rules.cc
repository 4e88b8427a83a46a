#include "engine/constant_rules.h"

#include <charconv>
#include <cmath>

#include "engine/plan.h"

namespace vernier {
namespace {

constexpr std::string_view kTheta = "rope.theta", kLayers = "model.layers";

template <class N>
std::optional<N> Number(const std::string& text) {
  N value{};
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || at != end) return std::nullopt;
  return value;
}

Status ApplyTheta(const Rule& rule, const Graph& graph, Plan* plan) {
  const auto theta = Number<double>(rule.value);
  if (!theta || !(*theta > 0) || !std::isfinite(*theta))
    return Fail("rule '{}': expected a number above 0, found '{}'", rule.text, rule.value);
  plan->rope_theta = *theta == graph.rope.theta ? 0 : *theta;
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    if (graph.nodes[i].op == OpKind::kRope) plan->nodes[i].rope_theta = plan->rope_theta;
  for (const Site& site : graph.sites)
    if (graph.nodes[static_cast<size_t>(site.node)].op == OpKind::kRope)
      plan->rules.back().sites.push_back(site.Label());
  if (plan->rules.back().sites.empty())
    return Fail("rule '{}': {} has no rotary nodes", rule.text, graph.architecture);
  return {};
}

// What stands in layer `layer` where `node` stands in its own.
int Counterpart(const Graph& graph, const Node& node, int layer) {
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    if (graph.nodes[i].layer == layer && graph.nodes[i].site == node.site)
      return static_cast<int>(i);
  CHECK(false && "layers of one kind");
}

Status ApplyLayers(const Rule& rule, const Graph& graph, Plan* plan) {
  const auto written = Number<int>(rule.value);
  const int layers = !written ? 0 : *written < 0 ? *written + graph.layers : *written;
  if (layers < 1 || layers > graph.layers)
    return Fail("rule '{}': expected 1 to {}, or -1 to -{}: all but the last; found '{}'",
                rule.text, graph.layers, graph.layers - 1, rule.value);
  SetConstants(graph, plan);
  plan->layers = layers;
  for (const Node& node : graph.nodes) {
    if (node.layer >= 0) continue;
    for (const int input : node.inputs) {
      const Node& read = graph.nodes[static_cast<size_t>(input)];
      if (read.layer >= layers)
        plan->source[static_cast<size_t>(input)] = Counterpart(graph, read, layers - 1);
      if (read.layer >= 0) plan->rules.back().sites.push_back(node.site);
    }
  }
  return {};
}

}  // namespace

bool IsConstant(std::string_view selector) { return selector == kTheta || selector == kLayers; }

void SetConstants(const Graph& graph, Plan* plan) {
  plan->layers = graph.layers;
  plan->source.resize(graph.nodes.size());
  for (size_t i = 0; i < plan->source.size(); ++i) plan->source[i] = static_cast<int>(i);
}

Status ApplyConstant(const Rule& rule, const Graph& graph, Plan* plan) {
  return rule.glob == kTheta ? ApplyTheta(rule, graph, plan) : ApplyLayers(rule, graph, plan);
}

Status CheckConstants(const Graph& graph, const Plan& plan) {
  if (plan.ggml && (plan.rope_theta != 0 || plan.layers != graph.layers))
    return Fail(
        "{} does not go with llama.cpp's arithmetic, which takes the model as the file has it",
        plan.rope_theta != 0 ? kTheta : kLayers);
  return {};
}

}  // namespace vernier
