#include "engine/head_rules.h"

#include <algorithm>

#include "base/names.h"

namespace vernier {
namespace {

// How many heads a row of the node holds: what attention gives, and what is made for it up to the
// matrix product. 0: none.
size_t HeadsOf(const Graph& graph, size_t node) {
  if (graph.nodes[node].op == OpKind::kAttention) return graph.nodes[node].shape.heads;
  for (const Node& attention : graph.nodes) {
    if (attention.op != OpKind::kAttention) continue;
    for (size_t operand = 0; operand < attention.inputs.size(); ++operand) {
      size_t at = static_cast<size_t>(attention.inputs[operand]);
      while (at > node &&
             (graph.nodes[at].op == OpKind::kStore || graph.nodes[at].op == OpKind::kRope ||
              graph.nodes[at].op == OpKind::kBias))
        at = static_cast<size_t>(graph.nodes[at].inputs[0]);
      if (at == node) return operand == 0 ? attention.shape.heads : attention.shape.kv_heads;
    }
  }
  return 0;
}

}  // namespace

Hash128 Combine(const Hash128& identity, const HeadRange& heads) {
  if (heads.All()) return identity;
  return Combine(Combine(Combine(identity, heads.of), heads.first), heads.last);
}

Result<HeadRange> TakeHeads(const Graph& graph, const Site& site, Rule* rule) {
  std::string kept, wanted;
  for (const std::string& piece : Split(rule->value, ',')) {
    if (piece.starts_with("heads=")) {
      if (!wanted.empty()) return Fail("rule '{}': option 'heads' is given twice", rule->text);
      wanted = piece.substr(6);
    } else {
      kept += (kept.empty() ? "" : ",") + piece;
    }
  }
  if (kept.size() == rule->value.size()) return HeadRange{};
  const size_t of = HeadsOf(graph, static_cast<size_t>(site.node));
  if (of == 0 || rule->part != Part::kOut)
    return Fail("rule '{}': heads={}: {}{} has no heads; Qcur, Kcur, Vcur, kv, kq, kqv_out have",
                rule->text, wanted, site.name, rule->part == Part::kIn ? ".in" : "");
  const auto parsed = ParseRule("x[" + wanted + "]=f32");  // written as layers are
  if (wanted.empty() || !parsed || parsed->layers.ranges.size() != 1)
    return Fail("rule '{}': expected heads=N or heads=A:B, found heads={}", rule->text, wanted);
  const LayerRange& range = parsed->layers.ranges[0];
  const int count = static_cast<int>(of);
  const auto from_end = [count](int i) { return i < 0 ? i + count : i; };
  const int first = from_end(range.single ? *range.single : range.first.value_or(0));
  const int last = range.single ? first + 1 : from_end(range.last.value_or(count));
  if (first < 0 || first >= last || last > count)
    return Fail("rule '{}': heads={}: {} has heads 0 to {}", rule->text, wanted, site.name,
                count - 1);
  rule->value = kept;
  return HeadRange{of, static_cast<size_t>(first), static_cast<size_t>(last)};
}

}  // namespace vernier
