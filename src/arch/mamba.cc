// Mamba (Gu and Dao 2023, arXiv 2312.00752): each layer is a gated selective state space,
//   x, z = in_proj(norm(input));  x = silu(conv1d(x));  dt, B, C = x_proj(x)
//   dt = softplus(dt_proj(dt));  y = scan(dt, x, B, C) + D x;  output = out_proj(y silu(z)) + input
// GGUF files hold A = -exp(A_log) and the convolution's weights without their middle dimension.
// Falcon Mamba normalises dt, B and C before they are used, without weights.
#include "arch/architecture.h"
#include "arch/ssm_builder.h"

namespace vernier {
namespace {

class Builder : public SsmBuilder {
 public:
  using SsmBuilder::SsmBuilder;

 private:
  Result<int> Mixer(int layer, int normed) override;
  int Part(int layer, int parts, size_t offset, size_t width, const char* slice, const char* norm);
  Result<int> TimeStep(int layer, int parts);
  Result<int> Scan(int layer, int x, int u);
};

// A part of x_proj's result, normalised where the model does so.
int Builder::Part(int layer, int parts, size_t offset, size_t width, const char* slice,
                  const char* norm) {
  const int part = Slice(layer, parts, offset, width, slice);
  if (!h_.parts_eps) return part;
  return Append({.op = OpKind::kNormalise,
                 .site = norm,
                 .layer = layer,
                 .inputs = {part},
                 .shape = {.width = width, .in_width = width, .eps = *h_.parts_eps},
                 .llama_name = "norm"});
}

// From the low-rank part of x_proj's result to a positive step a channel.
Result<int> Builder::TimeStep(int layer, int parts) {
  const int64_t inner = static_cast<int64_t>(h_.inner), rank = static_cast<int64_t>(h_.dt_rank);
  const int low = Part(layer, parts, 0, h_.dt_rank, "ssm_x_dt", "ssm_x_dt_norm");
  ASSIGN_OR_RETURN(const int weight,
                   LayerSlot(layer, {"ssm_dt.weight", "mixer.dt_proj.weight"}, {inner, rank}));
  ASSIGN_OR_RETURN(const int bias,
                   LayerSlot(layer, {"ssm_dt.bias", "mixer.dt_proj.bias"}, {inner}));
  const int product = MatMul(layer, low, weight, h_.inner, "ssm_dt_nobias", "", "");
  const int step = Bias(layer, product, bias, "ssm_dt", "", Module(layer, "mixer.dt_proj"));
  return Activation(OpKind::kSoftplus, layer, step, "ssm_dt_softplus");
}

// From x as the scan reads it, `u`: sites ssm_x (its parts ssm_x_dt, ssm_x_b, ssm_x_c), ssm_dt,
// ssm_state, ssm_scan.
Result<int> Builder::Scan(int layer, int x, int u) {
  const int64_t inner = static_cast<int64_t>(h_.inner), states = static_cast<int64_t>(h_.states);
  const size_t parts_width = h_.dt_rank + 2 * h_.states;
  ASSIGN_OR_RETURN(const int weight, LayerSlot(layer, {"ssm_x.weight", "mixer.x_proj.weight"},
                                               {static_cast<int64_t>(parts_width), inner}));
  const int parts =
      MatMul(layer, x, weight, parts_width, "ssm_x", "", Module(layer, "mixer.x_proj"));
  ASSIGN_OR_RETURN(const int dt, TimeStep(layer, parts));
  const int b = Part(layer, parts, h_.dt_rank, h_.states, "ssm_x_b", "ssm_x_b_norm");
  const int c = Part(layer, parts, h_.dt_rank + h_.states, h_.states, "ssm_x_c", "ssm_x_c_norm");
  ASSIGN_OR_RETURN(const int rates, LayerSlot(layer, {"ssm_a", "mixer.A_log"}, {inner, states},
                                              {.transform = WeightTransform::kNegativeExp}));
  return Append({.op = OpKind::kScan,
                 .site = "ssm_scan",
                 .layer = layer,
                 .inputs = {dt, u, b, c},
                 .weight = rates,
                 .shape = {.width = h_.inner, .in_width = h_.inner, .states = h_.states}});
}

Result<int> Builder::Mixer(int layer, int normed) {
  const int64_t d = static_cast<int64_t>(h_.hidden), inner = static_cast<int64_t>(h_.inner);
  ASSIGN_OR_RETURN(const int in,
                   LayerSlot(layer, {"ssm_in.weight", "mixer.in_proj.weight"}, {2 * inner, d}));
  const int both =
      MatMul(layer, normed, in, 2 * h_.inner, "ssm_in", "", Module(layer, "mixer.in_proj"));
  const int x = Slice(layer, both, 0, h_.inner, "ssm_in_x");
  ASSIGN_OR_RETURN(const int convolved, Convolution(layer, x));
  const int u = Slice(layer, convolved, 0, h_.inner, "ssm_conv_x");
  ASSIGN_OR_RETURN(const int scanned, Scan(layer, convolved, u));
  ASSIGN_OR_RETURN(const int skip, LayerSlot(layer, {"ssm_d", "mixer.D"}, {inner}));
  const int z = Slice(layer, both, h_.inner, h_.inner, "ssm_in_z");
  return SkipAndGate(layer, scanned, u, z, skip, "");
}

}  // namespace

Result<Graph> BuildMamba(const Checkpoint& checkpoint) {
  ASSIGN_OR_RETURN(const SsmHyperparameters h, ReadSsmHyperparameters(checkpoint));
  return Builder(checkpoint, h).Build();
}

}  // namespace vernier
