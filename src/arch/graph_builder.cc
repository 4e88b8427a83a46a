#include "arch/graph_builder.h"

#include "base/names.h"

namespace vernier {

Result<int> GraphBuilder::Slot(int layer, const std::string& gguf_name, const std::string& hf_name,
                               std::vector<int64_t> shape, const FolderForm& folder) {
  const std::string& name = gguf() ? gguf_name : hf_name;
  ASSIGN_OR_RETURN(const TensorView* tensor,
                   checkpoint_.Get(name, gguf() || folder.shape.empty() ? shape : folder.shape));
  read_.insert(name);
  for (size_t i = 0; i < graph_.weights.size(); ++i)
    if (graph_.weights[i].name == gguf_name) return static_cast<int>(i);
  graph_.weights.push_back(
      {gguf_name, layer, *tensor, gguf() ? WeightTransform::kNone : folder.transform});
  graph_.weights.back().tensor.shape = std::move(shape);
  return static_cast<int>(graph_.weights.size()) - 1;
}

Result<int> GraphBuilder::LayerSlot(int layer, WeightName name, std::vector<int64_t> shape,
                                    const FolderForm& folder) {
  return Slot(layer, fmt::format("blk.{}.{}", layer, name.gguf), Module(layer, name.hf),
              std::move(shape), folder);
}

int GraphBuilder::Append(Node node) {
  graph_.nodes.push_back(std::move(node));
  return static_cast<int>(graph_.nodes.size()) - 1;
}

int GraphBuilder::Norm(int layer, int x, int weight, double eps, const std::string& name,
                       const std::string& normed, const std::string& llama_name,
                       const std::string& module) {
  const OpShape shape{.width = Width(x), .in_width = Width(x), .eps = eps};
  const int unscaled = Append({.op = OpKind::kNormalise,
                               .site = normed,
                               .layer = layer,
                               .inputs = {x},
                               .shape = shape,
                               .group = name,
                               .llama_name = "norm"});
  return Append({.op = OpKind::kMultiply,
                 .site = name,
                 .layer = layer,
                 .inputs = {unscaled},
                 .weight = weight,
                 .shape = shape,
                 .llama_name = llama_name,
                 .module = module});
}

int GraphBuilder::MatMul(int layer, int x, int weight, size_t width, const std::string& site,
                         const std::string& llama_name, const std::string& module) {
  return Append({.op = OpKind::kMatMul,
                 .site = site,
                 .layer = layer,
                 .inputs = {x},
                 .weight = weight,
                 .shape = {.width = width, .in_width = Width(x)},
                 .llama_name = llama_name,
                 .module = module});
}

int GraphBuilder::Bias(int layer, int x, int weight, const std::string& site,
                       const std::string& llama_name, const std::string& module) {
  return Append({.op = OpKind::kBias,
                 .site = site,
                 .layer = layer,
                 .inputs = {x},
                 .weight = weight,
                 .shape = {.width = Width(x), .in_width = Width(x)},
                 .llama_name = llama_name,
                 .module = module});
}

int GraphBuilder::Add(int layer, int a, int b, const std::string& site, const std::string& module) {
  return Append({.op = OpKind::kAdd,
                 .site = site,
                 .layer = layer,
                 .inputs = {a, b},
                 .shape = {.width = Width(a), .in_width = Width(a)},
                 .llama_name = site,
                 .module = module});
}

std::string GraphBuilder::Module(int layer, const std::string& name) const {
  return fmt::format("{}.{}{}{}", layers_, layer, name.empty() ? "" : ".", name);
}

Result<int> GraphBuilder::Embed(const std::string& module) {
  ASSIGN_OR_RETURN(const int weight, Slot(-1, "token_embd.weight", module + ".weight",
                                          {static_cast<int64_t>(graph_.vocabulary),
                                           static_cast<int64_t>(graph_.hidden)}));
  return Append({.op = OpKind::kEmbed,
                 .site = "embd",
                 .layer = -1,
                 .weight = weight,
                 .shape = {.width = graph_.hidden},
                 .llama_name = "embd",
                 .module = module});
}

Result<int> GraphBuilder::Head(int x, double eps, const std::string& norm,
                               const std::string& embeddings) {
  const int64_t d = static_cast<int64_t>(graph_.hidden),
                v = static_cast<int64_t>(graph_.vocabulary);
  ASSIGN_OR_RETURN(const int weight, Slot(-1, "output_norm.weight", norm + ".weight", {d}));
  const int normed = Norm(-1, x, weight, eps, "result_norm", "result_normed", "result_norm", norm);
  const bool separate = checkpoint_.Find(gguf() ? "output.weight" : "lm_head.weight") != nullptr;
  auto head = separate ? Slot(-1, "output.weight", "lm_head.weight", {v, d})
                       : Slot(-1, "token_embd.weight", embeddings + ".weight", {v, d});
  if (!head) return head;
  return MatMul(-1, normed, *head, graph_.vocabulary, "result_output", "result_output", "lm_head");
}

Status GraphBuilder::CheckAllRead() const {
  for (const TensorView& tensor : checkpoint_.tensors) {
    if (read_.contains(tensor.name) || GlobMatches("*.rotary_emb.inv_freq", tensor.name)) continue;
    return Fail("{}: tensor '{}' has no place in architecture '{}'", checkpoint_.path, tensor.name,
                graph_.architecture);
  }
  return {};
}

}  // namespace vernier
