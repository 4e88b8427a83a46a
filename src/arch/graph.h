// A model as a graph of nodes over rows: one row a token. arch/ builds it from a checkpoint;
// engine/ evaluates it. Each node is a site: a named point that rules, probes and comparisons speak
// of.
#ifndef VERNIER_ARCH_GRAPH_H_
#define VERNIER_ARCH_GRAPH_H_

#include <optional>
#include <string>
#include <vector>

#include "model/tensor.h"
#include "ops/evaluate_rows.h"
#include "ops/op.h"
#include "ops/rope.h"

namespace vernier {

// What makes a weight's values of the tensor's, where a file keeps them in another form.
enum class WeightTransform : uint8_t {
  kNone,
  kNegativeExp,  // -exp(x): A of a state-space layer, of which Hugging Face keeps the logarithm
};

// A weight the graph reads, under its GGUF name whatever file it came from.
struct WeightSlot {
  std::string name;  // "blk.3.attn_q.weight"
  int layer = -1;    // -1: of no layer
  TensorView tensor;
  WeightTransform transform = WeightTransform::kNone;
};

// Points inside a node: of attention, each row [heads][tokens seen]; of a scan the state after each
// token, [channels][states].
enum class InnerSite { kNone, kScores, kSoftmax, kState };

struct Node {
  OpKind op;
  std::string site;  // "ffn_norm": unique together with the layer
  int layer = -1;
  std::vector<int> inputs{};  // nodes before this one
  int weight = -1;            // slot, -1: none
  OpShape shape{};
  std::string group{};  // rules on `group` mean this node too, in its arithmetic and constants:
                        // "ffn_norm" for ffn_normed
  std::string cache{};  // "kv": the node is what is kept for later tokens, and `kv=...` means it
  std::string llama_name{};  // what llama.cpp's eval callback prints, without "-LAYER"; empty: none
  std::string module{};      // the Hugging Face module whose output this is; empty: none
};

// A site as people see it: a node's result, or a point inside one.
struct Site {
  std::string name;
  int layer = -1;
  int node = 0;
  InnerSite inner = InnerSite::kNone;
  std::string Label() const;  // "ffn_norm[3]", "embd"
};

struct Graph {
  std::string architecture;  // "llama"
  int layers = 0;
  size_t vocabulary = 0, hidden = 0;
  size_t context = 0;  // the longest the model was made for; 0: not stated
  RopeSpec rope;
  std::optional<RopeLayout>
      gguf_layout;          // of the q and k rows in GGUF files of this architecture, if it has any
  std::vector<Node> nodes;  // every input stands before its reader; the last one gives the logits
  std::vector<WeightSlot> weights;
  std::vector<Site> sites;  // in order of computation
};

// Elements of a site's row; none where rows grow with the tokens seen.
std::optional<size_t> RowWidth(const Graph& graph, const Site& site);

// By node, the last one that reads its value; -1: none.
std::vector<int> LastReaders(const Graph& graph);

// The sites of the graph's nodes in order, the inner ones of a node before its result.
std::vector<Site> ListSites(const Graph& graph);

}  // namespace vernier

#endif  // VERNIER_ARCH_GRAPH_H_
