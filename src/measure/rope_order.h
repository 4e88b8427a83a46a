// The order of the elements of q and k, which files keep as their rotation pairs them: neighbours
// (GGUF files of llama) or halves (Hugging Face folders).
#ifndef VERNIER_MEASURE_ROPE_ORDER_H_
#define VERNIER_MEASURE_ROPE_ORDER_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "arch/graph.h"

namespace vernier {

const char* RopeLayoutName(RopeLayout layout);                    // "neighbours", "halves"
std::optional<RopeLayout> FindRopeLayout(std::string_view name);  // empty: neither

// Whether the node's value has an element order of this kind: what a rotation reads or makes, and
// its copy in the cache.
bool HasRopeOrder(const Graph& graph, size_t node);

// Element i of a row in the order `wanted` is element order[i] of the row in the order `given`.
// Empty where nothing moves: equal layouts, another kind of site.
std::vector<size_t> ElementOrder(RopeLayout wanted, RopeLayout given, const Graph& graph,
                                 const Site& site);

// The same for what a capture says of itself, without a graph.
struct RopeOrder {
  RopeLayout layout = RopeLayout::kHalves;
  size_t head_dim = 0, rotated = 0;
  std::vector<std::string> sites;  // names of the sites that are in this order, ascending
  bool Has(const std::string& site) const;
};
std::optional<RopeOrder> RopeOrderOf(const Graph& graph);  // empty: it rotates nothing
// Of a row of this many elements. Empty where nothing moves; CHECK: whole heads.
std::vector<size_t> ElementOrder(RopeLayout wanted, const RopeOrder& given, size_t width);

// Moves the elements of rows that lie one after another, each as long as `order`.
template <class T>
void Reorder(const std::vector<size_t>& order, std::vector<T>* rows) {
  std::vector<T> row(order.size());
  for (size_t at = 0; !order.empty() && at + order.size() <= rows->size(); at += order.size()) {
    for (size_t i = 0; i < order.size(); ++i) row[i] = (*rows)[at + order[i]];
    for (size_t i = 0; i < order.size(); ++i) (*rows)[at + i] = row[i];
  }
}

}  // namespace vernier

#endif  // VERNIER_MEASURE_ROPE_ORDER_H_
