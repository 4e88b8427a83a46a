#include "arch/ssm_builder.h"

namespace vernier {

int SsmBuilder::Slice(int layer, int x, size_t offset, size_t width, const char* site) {
  return Append({.op = OpKind::kSlice,
                 .site = site,
                 .layer = layer,
                 .inputs = {x},
                 .shape = {.width = width, .in_width = Width(x), .offset = offset}});
}

int SsmBuilder::Activation(OpKind op, int layer, int x, const char* site) {
  return Append({.op = op,
                 .site = site,
                 .layer = layer,
                 .inputs = {x},
                 .shape = {.width = Width(x), .in_width = Width(x)}});
}

Result<int> SsmBuilder::Convolution(int layer, int x) {
  const size_t width = Width(x);
  const int64_t channels = static_cast<int64_t>(width), taps = static_cast<int64_t>(h_.taps);
  ASSIGN_OR_RETURN(const int weight, LayerSlot(layer, {"ssm_conv1d.weight", "mixer.conv1d.weight"},
                                               {channels, taps}, {.shape = {channels, 1, taps}}));
  int convolved = Append({.op = OpKind::kConvolve,
                          .site = h_.conv_bias ? "ssm_conv_nobias" : "ssm_conv",
                          .layer = layer,
                          .inputs = {x},
                          .weight = weight,
                          .shape = {.width = width, .in_width = width, .taps = h_.taps}});
  if (h_.conv_bias) {
    ASSIGN_OR_RETURN(const int bias,
                     LayerSlot(layer, {"ssm_conv1d.bias", "mixer.conv1d.bias"}, {channels}));
    convolved = Bias(layer, convolved, bias, "ssm_conv", "", "");
  }
  return Activation(OpKind::kSilu, layer, convolved, "ssm_conv_silu");
}

int SsmBuilder::SkipAndGate(int layer, int scanned, int x, int z, int skip,
                            const char* llama_name) {
  const OpShape shape{.width = h_.inner, .in_width = h_.inner};
  const int skipped = Append({.op = OpKind::kMultiply,
                              .site = "ssm_skip",
                              .layer = layer,
                              .inputs = {x},
                              .weight = skip,
                              .shape = shape});
  const int y = Append({.op = OpKind::kAdd,
                        .site = "ssm_y",
                        .layer = layer,
                        .inputs = {scanned, skipped},
                        .shape = shape,
                        .llama_name = llama_name});
  return Append({.op = OpKind::kSwiGlu,
                 .site = "ssm_gated",
                 .layer = layer,
                 .inputs = {z, y},
                 .shape = shape});
}

Status SsmBuilder::Layer(int layer) {
  const int64_t d = static_cast<int64_t>(h_.hidden), inner = static_cast<int64_t>(h_.inner);
  ASSIGN_OR_RETURN(const int norm, LayerSlot(layer, {"attn_norm.weight", "norm.weight"}, {d}));
  const int normed =
      Norm(layer, x_, norm, h_.eps, "attn_norm", "attn_normed", "attn_norm", Module(layer, "norm"));
  ASSIGN_OR_RETURN(const int inside, Mixer(layer, normed));
  ASSIGN_OR_RETURN(const int out,
                   LayerSlot(layer, {"ssm_out.weight", "mixer.out_proj.weight"}, {d, inner}));
  const int mixed = MatMul(layer, inside, out, h_.hidden, "ssm_out",
                           h_.heads > 0 ? "mamba_out" : "", Module(layer, "mixer.out_proj"));
  x_ = Add(layer, mixed, x_, "l_out", Module(layer, ""));
  return {};
}

Result<Graph> SsmBuilder::Build() {
  graph_.architecture = h_.architecture;
  graph_.layers = static_cast<int>(h_.layers);
  graph_.vocabulary = h_.vocabulary;
  graph_.hidden = h_.hidden;
  graph_.context = h_.context;
  ASSIGN_OR_RETURN(x_, Embed("backbone.embeddings"));
  for (int layer = 0; layer < graph_.layers; ++layer) RETURN_IF_ERROR(Layer(layer));
  RETURN_IF_ERROR(Head(x_, h_.eps, "backbone.norm_f", "backbone.embeddings"));
  RETURN_IF_ERROR(CheckAllRead());
  graph_.sites = ListSites(graph_);
  return std::move(graph_);
}

}  // namespace vernier
