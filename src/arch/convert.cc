#include "arch/convert.h"

#include <filesystem>

#include "arch/architecture.h"
#include "arch/convert_tokenizer.h"
#include "arch/quantize_types.h"

namespace vernier {
namespace {

// For each weight slot the head size its rows are reordered by: those of the projections that the
// rotary embedding reads.
std::vector<size_t> ReorderedSlots(const Graph& graph) {
  std::vector<size_t> head_dims(graph.weights.size(), 0);
  if (graph.gguf_layout != RopeLayout::kNeighbours) return head_dims;
  for (const Node& rope : graph.nodes) {
    if (rope.op != OpKind::kRope) continue;
    int at = rope.inputs[0];
    while (true) {
      const Node& node = graph.nodes[static_cast<size_t>(at)];
      CHECK(node.op == OpKind::kMatMul || node.op == OpKind::kBias);
      head_dims[static_cast<size_t>(node.weight)] = rope.shape.head_dim;
      if (node.op == OpKind::kMatMul) break;
      at = node.inputs[0];
    }
  }
  return head_dims;
}

std::string NameOf(const Checkpoint& folder) {
  std::error_code ignored;
  auto path = std::filesystem::weakly_canonical(folder.path, ignored);
  if (!path.has_filename()) path = path.parent_path();
  return path.filename().string();
}

// What llama.cpp reads as float32 only stays so; float64 matrices become float32.
TensorType NaturalType(const std::string& name, const TensorView& tensor) {
  const bool keeps = IsQuantizable(name, tensor.shape) && tensor.type != TensorType::kF64;
  return keeps ? tensor.type : TensorType::kF32;
}

Result<GgufForm> FromFolder(const Checkpoint& folder) {
  ASSIGN_OR_RETURN(const Architecture* architecture, FindArchitecture(folder));
  ASSIGN_OR_RETURN(const Graph graph, architecture->build(folder));
  GgufForm form;
  Metadata& metadata = form.metadata;
  metadata.source = folder.path;
  metadata.Set("general.architecture", MetaString(graph.architecture));
  metadata.Set("general.type", MetaString("model"));
  metadata.Set("general.name", MetaString(NameOf(folder)));
  metadata.Set("general.quantization_version", MetaUint32(2));
  RETURN_IF_ERROR(architecture->write_constants(folder, &metadata));
  if (!folder.tokenizer_json.empty()) RETURN_IF_ERROR(AddTokenizer(folder, &metadata));
  const std::vector<size_t> head_dims = ReorderedSlots(graph);
  for (size_t i = 0; i < graph.weights.size(); ++i) {
    const WeightSlot& slot = graph.weights[i];
    form.tensors.push_back({slot.name, slot.tensor, NaturalType(slot.name, slot.tensor),
                            head_dims[i], slot.transform});
  }
  if (graph.rope.factors.empty()) return form;
  form.rope_factors.assign(graph.rope.factors.begin(), graph.rope.factors.end());
  const TensorView factors{.name = "rope_freqs.weight",
                           .type = TensorType::kF32,
                           .shape = {static_cast<int64_t>(form.rope_factors.size())},
                           .data = std::as_bytes(std::span(form.rope_factors))};
  form.tensors.push_back({factors.name, factors, TensorType::kF32});
  return form;
}

}  // namespace

Result<GgufForm> MakeGgufForm(const Checkpoint& checkpoint) {
  if (checkpoint.kind == CheckpointKind::kHuggingFace) return FromFolder(checkpoint);
  GgufForm form;
  form.metadata = checkpoint.metadata;
  for (const TensorView& tensor : checkpoint.tensors)
    form.tensors.push_back({tensor.name, tensor, tensor.type});
  return form;
}

}  // namespace vernier
