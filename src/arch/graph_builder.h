// What the files of the architectures share in building a graph: weights looked up under the names
// of the checkpoint's kind, and the nodes that every architecture has.
#ifndef VERNIER_ARCH_GRAPH_BUILDER_H_
#define VERNIER_ARCH_GRAPH_BUILDER_H_

#include <set>
#include <string>
#include <vector>

#include "arch/graph.h"
#include "base/result.h"
#include "model/checkpoint.h"

namespace vernier {

// A weight under the names of both kinds of checkpoint, after "blk.N." and "model.layers.N.".
struct WeightName {
  const char* gguf;
  const char* hf;
};

// Where a Hugging Face folder keeps a weight otherwise than GGUF files do.
struct FolderForm {
  std::vector<int64_t> shape{};  // empty: the same
  WeightTransform transform = WeightTransform::kNone;
};

// Nodes are appended in order of computation.
class GraphBuilder {
 public:
  // `layers` is what the Hugging Face names of a layer's weights and modules begin with:
  // "model.layers".
  GraphBuilder(const Checkpoint& checkpoint, std::string layers)
      : checkpoint_(checkpoint), layers_(std::move(layers)) {}

 protected:
  bool gguf() const { return checkpoint_.kind == CheckpointKind::kGguf; }
  // The weight as a slot of this shape; the same tensor asked for again gives the same slot.
  Result<int> Slot(int layer, const std::string& gguf_name, const std::string& hf_name,
                   std::vector<int64_t> shape, const FolderForm& folder = {});
  Result<int> LayerSlot(int layer, WeightName name, std::vector<int64_t> shape,
                        const FolderForm& folder = {});
  int Append(Node node);
  size_t Width(int node) const { return graph_.nodes[static_cast<size_t>(node)].shape.width; }
  // Two nodes: the normalised row, and its product with the norm's weight.
  int Norm(int layer, int x, int weight, double eps, const std::string& name,
           const std::string& normed, const std::string& llama_name, const std::string& module);
  int MatMul(int layer, int x, int weight, size_t width, const std::string& site,
             const std::string& llama_name, const std::string& module);
  int Bias(int layer, int x, int weight, const std::string& site, const std::string& llama_name,
           const std::string& module);
  int Add(int layer, int a, int b, const std::string& site, const std::string& module);
  // "model.layers.3.NAME"; the layer itself when the name is empty.
  std::string Module(int layer, const std::string& name) const;
  // The first node: a row of the embeddings for each token.
  Result<int> Embed(const std::string& module);
  // The last norm and the head: the head's own matrix, or the embedding's where there is none.
  Result<int> Head(int x, double eps, const std::string& norm, const std::string& embeddings);
  // A tensor that no node reads would be silently ignored: another architecture under this one's
  // name.
  Status CheckAllRead() const;

  const Checkpoint& checkpoint_;
  Graph graph_;
  std::set<std::string> read_;  // tensor names the graph reads

 private:
  std::string layers_;
};

}  // namespace vernier

#endif  // VERNIER_ARCH_GRAPH_BUILDER_H_
