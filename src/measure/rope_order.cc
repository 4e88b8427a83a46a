#include "measure/rope_order.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "base/result.h"

namespace vernier {
namespace {

// The rotation that the node's value goes into, or that made it; -1: none.
int RotationOf(const Graph& graph, int node) {
  const Node& of = graph.nodes[static_cast<size_t>(node)];
  if (of.op == OpKind::kStore) node = of.inputs[0];
  while (node >= 0 && graph.nodes[static_cast<size_t>(node)].op != OpKind::kRope) {
    const auto reader = std::find_if(graph.nodes.begin(), graph.nodes.end(), [&](const Node& n) {
      return (n.op == OpKind::kRope || n.op == OpKind::kBias) && n.inputs[0] == node;
    });
    node = reader == graph.nodes.end() ? -1 : static_cast<int>(reader - graph.nodes.begin());
  }
  return node;
}

}  // namespace

const char* RopeLayoutName(RopeLayout layout) {
  return layout == RopeLayout::kNeighbours ? "neighbours" : "halves";
}

std::optional<RopeLayout> FindRopeLayout(std::string_view name) {
  for (const RopeLayout layout : {RopeLayout::kNeighbours, RopeLayout::kHalves})
    if (name == RopeLayoutName(layout)) return layout;
  return std::nullopt;
}

bool HasRopeOrder(const Graph& graph, size_t node) {
  return RotationOf(graph, static_cast<int>(node)) >= 0;
}

std::vector<size_t> ElementOrder(RopeLayout wanted, RopeLayout given, const Graph& graph,
                                 const Site& site) {
  if (wanted == given || site.inner != InnerSite::kNone) return {};
  const int rotation = RotationOf(graph, site.node);
  if (rotation < 0) return {};
  const OpShape& shape = graph.nodes[static_cast<size_t>(rotation)].shape;
  return ElementOrder(wanted, {given, shape.head_dim, graph.rope.rotated, {}}, shape.width);
}

bool RopeOrder::Has(const std::string& site) const {
  return std::binary_search(sites.begin(), sites.end(), site);
}

std::optional<RopeOrder> RopeOrderOf(const Graph& graph) {
  RopeOrder out;
  out.layout = graph.rope.layout;
  out.rotated = graph.rope.rotated;
  std::set<std::string> sites;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    if (!HasRopeOrder(graph, n)) continue;
    sites.insert(graph.nodes[n].site);
    if (graph.nodes[n].op == OpKind::kRope) out.head_dim = graph.nodes[n].shape.head_dim;
  }
  if (out.head_dim == 0) return std::nullopt;
  out.sites.assign(sites.begin(), sites.end());
  return out;
}

std::vector<size_t> ElementOrder(RopeLayout wanted, const RopeOrder& given, size_t width) {
  if (wanted == given.layout) return {};
  CHECK(given.head_dim > 0 && width % given.head_dim == 0 && given.rotated <= given.head_dim);
  std::vector<size_t> order(width);
  std::iota(order.begin(), order.end(), size_t{0});
  const size_t pairs = given.rotated / 2;
  for (size_t head = 0; head < width; head += given.head_dim)
    for (size_t i = 0; i < 2 * pairs; ++i) {
      const size_t halves = i % 2 * pairs + i / 2;  // the place of what stands at i in neighbours
      if (wanted == RopeLayout::kNeighbours) {
        order[head + i] = head + halves;
      } else {
        order[head + halves] = head + i;
      }
    }
  return order;
}

}  // namespace vernier
