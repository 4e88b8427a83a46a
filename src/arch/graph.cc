#include "arch/graph.h"

namespace vernier {

std::string Site::Label() const {
  return layer < 0 ? name : name + "[" + std::to_string(layer) + "]";
}

std::optional<size_t> RowWidth(const Graph& graph, const Site& site) {
  const OpShape& shape = graph.nodes[static_cast<size_t>(site.node)].shape;
  if (site.inner == InnerSite::kNone) return shape.width;
  if (site.inner == InnerSite::kState) return shape.width * shape.states;
  return std::nullopt;
}

std::vector<int> LastReaders(const Graph& graph) {
  std::vector<int> last(graph.nodes.size(), -1);
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    for (const int input : graph.nodes[i].inputs)
      last[static_cast<size_t>(input)] = static_cast<int>(i);
  return last;
}

std::vector<Site> ListSites(const Graph& graph) {
  std::vector<Site> sites;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (node.op == OpKind::kAttention) {
      sites.push_back({"kq", node.layer, static_cast<int>(i), InnerSite::kScores});
      sites.push_back({"kq_soft_max", node.layer, static_cast<int>(i), InnerSite::kSoftmax});
    }
    if (node.op == OpKind::kScan)
      sites.push_back({"ssm_state", node.layer, static_cast<int>(i), InnerSite::kState});
    sites.push_back({node.site, node.layer, static_cast<int>(i), InnerSite::kNone});
  }
  return sites;
}

}  // namespace vernier
