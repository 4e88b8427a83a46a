// Mamba (Gu and Dao 2023, arXiv 2312.00752): each layer is a gated selective state space,
//   x, z = in_proj(norm(input));  x = silu(conv1d(x));  dt, B, C = x_proj(x)
//   dt = softplus(dt_proj(dt));  y = scan(dt, x, B, C) + D x;  output = out_proj(y silu(z)) + input
// GGUF files hold A = -exp(A_log) and the convolution's weights without their middle dimension.
#include "arch/architecture.h"
#include "arch/graph_builder.h"

namespace vernier {
namespace {

class Builder : GraphBuilder {
 public:
  Builder(const Checkpoint& checkpoint, const SsmHyperparameters& h)
      : GraphBuilder(checkpoint, "backbone.layers"), h_(h) {}
  Result<Graph> Build();

 private:
  Status Layer(int layer);
  Result<int> Convolution(int layer, int x);
  Result<int> TimeStep(int layer, int parts);
  Result<int> StateSpace(int layer, int x);
  int Slice(int layer, int x, size_t offset, size_t width, const char* site);
  int Activation(OpKind op, int layer, int x, const char* site);

  const SsmHyperparameters& h_;
  int x_ = 0;  // the residual stream
};

int Builder::Slice(int layer, int x, size_t offset, size_t width, const char* site) {
  return Append({.op = OpKind::kSlice,
                 .site = site,
                 .layer = layer,
                 .inputs = {x},
                 .shape = {.width = width, .in_width = Width(x), .offset = offset}});
}

int Builder::Activation(OpKind op, int layer, int x, const char* site) {
  return Append({.op = op,
                 .site = site,
                 .layer = layer,
                 .inputs = {x},
                 .shape = {.width = Width(x), .in_width = Width(x)}});
}

// Sites ssm_conv_nobias (only with a bias), ssm_conv, ssm_conv_silu.
Result<int> Builder::Convolution(int layer, int x) {
  const int64_t inner = static_cast<int64_t>(h_.inner), taps = static_cast<int64_t>(h_.taps);
  ASSIGN_OR_RETURN(const int weight, LayerSlot(layer, {"ssm_conv1d.weight", "mixer.conv1d.weight"},
                                               {inner, taps}, {.shape = {inner, 1, taps}}));
  int convolved = Append({.op = OpKind::kConvolve,
                          .site = h_.conv_bias ? "ssm_conv_nobias" : "ssm_conv",
                          .layer = layer,
                          .inputs = {x},
                          .weight = weight,
                          .shape = {.width = h_.inner, .in_width = h_.inner, .taps = h_.taps}});
  if (h_.conv_bias) {
    ASSIGN_OR_RETURN(const int bias,
                     LayerSlot(layer, {"ssm_conv1d.bias", "mixer.conv1d.bias"}, {inner}));
    convolved = Bias(layer, convolved, bias, "ssm_conv", "", "");
  }
  return Activation(OpKind::kSilu, layer, convolved, "ssm_conv_silu");
}

// From the low-rank part of x_proj's result to a positive step a channel.
Result<int> Builder::TimeStep(int layer, int parts) {
  const int64_t inner = static_cast<int64_t>(h_.inner), rank = static_cast<int64_t>(h_.dt_rank);
  const int low = Slice(layer, parts, 0, h_.dt_rank, "ssm_x_dt");
  ASSIGN_OR_RETURN(const int weight,
                   LayerSlot(layer, {"ssm_dt.weight", "mixer.dt_proj.weight"}, {inner, rank}));
  ASSIGN_OR_RETURN(const int bias,
                   LayerSlot(layer, {"ssm_dt.bias", "mixer.dt_proj.bias"}, {inner}));
  const int product = MatMul(layer, low, weight, h_.inner, "ssm_dt_nobias", "", "");
  const int step = Bias(layer, product, bias, "ssm_dt", "", Module(layer, "mixer.dt_proj"));
  return Activation(OpKind::kSoftplus, layer, step, "ssm_dt_softplus");
}

// Sites ssm_x (its parts ssm_x_dt, ssm_x_b, ssm_x_c), ssm_conv_x, ssm_dt, ssm_state, ssm_scan,
// ssm_skip, ssm_y.
Result<int> Builder::StateSpace(int layer, int x) {
  const int64_t inner = static_cast<int64_t>(h_.inner), states = static_cast<int64_t>(h_.states);
  const size_t parts_width = h_.dt_rank + 2 * h_.states;
  ASSIGN_OR_RETURN(const int weight, LayerSlot(layer, {"ssm_x.weight", "mixer.x_proj.weight"},
                                               {static_cast<int64_t>(parts_width), inner}));
  const int parts =
      MatMul(layer, x, weight, parts_width, "ssm_x", "", Module(layer, "mixer.x_proj"));
  ASSIGN_OR_RETURN(const int dt, TimeStep(layer, parts));
  const int b = Slice(layer, parts, h_.dt_rank, h_.states, "ssm_x_b");
  const int c = Slice(layer, parts, h_.dt_rank + h_.states, h_.states, "ssm_x_c");
  ASSIGN_OR_RETURN(const int rates, LayerSlot(layer, {"ssm_a", "mixer.A_log"}, {inner, states},
                                              {.transform = WeightTransform::kNegativeExp}));
  ASSIGN_OR_RETURN(const int skip, LayerSlot(layer, {"ssm_d", "mixer.D"}, {inner}));
  const int u = Slice(layer, x, 0, h_.inner, "ssm_conv_x");  // x as the scan reads it
  const int scanned =
      Append({.op = OpKind::kScan,
              .site = "ssm_scan",
              .layer = layer,
              .inputs = {dt, u, b, c},
              .weight = rates,
              .shape = {.width = h_.inner, .in_width = h_.inner, .states = h_.states}});
  const int skipped = Append({.op = OpKind::kMultiply,
                              .site = "ssm_skip",
                              .layer = layer,
                              .inputs = {u},
                              .weight = skip,
                              .shape = {.width = h_.inner, .in_width = h_.inner}});
  return Append({.op = OpKind::kAdd,
                 .site = "ssm_y",
                 .layer = layer,
                 .inputs = {scanned, skipped},
                 .shape = {.width = h_.inner, .in_width = h_.inner}});
}

Status Builder::Layer(int layer) {
  const int64_t d = static_cast<int64_t>(h_.hidden), inner = static_cast<int64_t>(h_.inner);
  ASSIGN_OR_RETURN(const int norm, LayerSlot(layer, {"attn_norm.weight", "norm.weight"}, {d}));
  const int normed =
      Norm(layer, x_, norm, h_.eps, "attn_norm", "attn_normed", "attn_norm", Module(layer, "norm"));
  ASSIGN_OR_RETURN(const int in,
                   LayerSlot(layer, {"ssm_in.weight", "mixer.in_proj.weight"}, {2 * inner, d}));
  const int both =
      MatMul(layer, normed, in, 2 * h_.inner, "ssm_in", "", Module(layer, "mixer.in_proj"));
  const int x = Slice(layer, both, 0, h_.inner, "ssm_in_x");
  ASSIGN_OR_RETURN(const int convolved, Convolution(layer, x));
  ASSIGN_OR_RETURN(const int y, StateSpace(layer, convolved));
  const int z = Slice(layer, both, h_.inner, h_.inner, "ssm_in_z");
  const int gated = Append({.op = OpKind::kSwiGlu,
                            .site = "ssm_gated",
                            .layer = layer,
                            .inputs = {z, y},
                            .shape = {.width = h_.inner, .in_width = h_.inner}});
  ASSIGN_OR_RETURN(const int out,
                   LayerSlot(layer, {"ssm_out.weight", "mixer.out_proj.weight"}, {d, inner}));
  const int mixed =
      MatMul(layer, gated, out, h_.hidden, "ssm_out", "", Module(layer, "mixer.out_proj"));
  x_ = Add(layer, mixed, x_, "l_out", Module(layer, ""));
  return {};
}

Result<Graph> Builder::Build() {
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

}  // namespace

Result<Graph> BuildMamba(const Checkpoint& checkpoint) {
  ASSIGN_OR_RETURN(const SsmHyperparameters h, ReadSsmHyperparameters(checkpoint));
  return Builder(checkpoint, h).Build();
}

}  // namespace vernier
