// Mamba 2 (Dao and Gu 2024, arXiv 2405.21060): the channels form heads with one rate A and one step
// dt each, the heads form groups that share B and C, and one projection gives all of them,
//   z, x, B, C, dt = in_proj(norm(input));  x, B, C = silu(conv1d(x, B, C))
//   dt = softplus(dt + dt_bias), limited;  y = scan(dt, x, B, C) + D x, D one number a head
//   output = out_proj(norm(y silu(z))) + input, the norm of each group's channels by themselves
// That norm by groups is the one of state-spaces/mamba (RMSNormGated) and llama.cpp; transformers'
// slow path takes one over all channels, which differs where there is more than one group. GGUF
// files hold A = -exp(A_log) and D as columns, and the norm's weights as a row for each group.
#include "arch/architecture.h"
#include "arch/ssm_builder.h"

namespace vernier {
namespace {

class Builder : public SsmBuilder {
 public:
  using SsmBuilder::SsmBuilder;

 private:
  Result<int> Mixer(int layer, int normed) override;
  Result<int> TimeStep(int layer, int projected);
  Result<int> Scan(int layer, int dt, int convolved, int x);
  Result<int> GroupNorm(int layer, int gated);

  size_t Shared() const { return h_.groups * h_.states; }  // numbers of B, and of C
};

Result<int> Builder::TimeStep(int layer, int projected) {
  const size_t offset = 2 * h_.inner + 2 * Shared();
  const int raw = Slice(layer, projected, offset, h_.heads, "ssm_in_dt");
  ASSIGN_OR_RETURN(const int bias, LayerSlot(layer, {"ssm_dt.bias", "mixer.dt_bias"},
                                             {static_cast<int64_t>(h_.heads)}));
  const int step = Bias(layer, raw, bias, "ssm_dt", "", "");
  const int positive = Activation(OpKind::kSoftplus, layer, step, "ssm_dt_softplus");
  if (!h_.LimitsStep()) return positive;
  return Append(
      {.op = OpKind::kClamp,
       .site = "ssm_dt_limited",
       .layer = layer,
       .inputs = {positive},
       .shape = {
           .width = h_.heads, .in_width = h_.heads, .low = h_.step_low, .high = h_.step_high}});
}

Result<int> Builder::Scan(int layer, int dt, int convolved, int x) {
  const int b = Slice(layer, convolved, h_.inner, Shared(), "ssm_conv_b");
  const int c = Slice(layer, convolved, h_.inner + Shared(), Shared(), "ssm_conv_c");
  const int64_t heads = static_cast<int64_t>(h_.heads);
  ASSIGN_OR_RETURN(const int rates,
                   LayerSlot(layer, {"ssm_a", "mixer.A_log"}, {heads, 1},
                             {.shape = {heads}, .transform = WeightTransform::kNegativeExp}));
  return Append({.op = OpKind::kScan,
                 .site = "ssm_scan",
                 .layer = layer,
                 .inputs = {dt, x, b, c},
                 .weight = rates,
                 .shape = {.width = h_.inner,
                           .in_width = h_.heads,
                           .heads = h_.heads,
                           .states = h_.states,
                           .groups = h_.groups}});
}

// Sites ssm_normed and ssm_norm.
Result<int> Builder::GroupNorm(int layer, int gated) {
  const int64_t inner = static_cast<int64_t>(h_.inner), groups = static_cast<int64_t>(h_.groups);
  ASSIGN_OR_RETURN(const int weight, LayerSlot(layer, {"ssm_norm.weight", "mixer.norm.weight"},
                                               {groups, inner / groups}, {.shape = {inner}}));
  const int norm =
      Norm(layer, gated, weight, h_.eps, "ssm_norm", "ssm_normed", "", Module(layer, "mixer.norm"));
  for (const int input : graph_.nodes[static_cast<size_t>(norm)].inputs)
    graph_.nodes[static_cast<size_t>(input)].shape.groups = h_.groups;
  return norm;
}

Result<int> Builder::Mixer(int layer, int normed) {
  const size_t convolved_width = h_.inner + 2 * Shared();
  const size_t width = h_.inner + convolved_width + h_.heads;
  ASSIGN_OR_RETURN(const int in,
                   LayerSlot(layer, {"ssm_in.weight", "mixer.in_proj.weight"},
                             {static_cast<int64_t>(width), static_cast<int64_t>(h_.hidden)}));
  const int projected =
      MatMul(layer, normed, in, width, "ssm_in", "", Module(layer, "mixer.in_proj"));
  ASSIGN_OR_RETURN(const int dt, TimeStep(layer, projected));
  const int xbc = Slice(layer, projected, h_.inner, convolved_width, "ssm_in_xbc");
  ASSIGN_OR_RETURN(const int convolved, Convolution(layer, xbc));
  const int x = Slice(layer, convolved, 0, h_.inner, "ssm_conv_x");
  ASSIGN_OR_RETURN(const int scanned, Scan(layer, dt, convolved, x));
  const int64_t heads = static_cast<int64_t>(h_.heads);
  ASSIGN_OR_RETURN(const int skip,
                   LayerSlot(layer, {"ssm_d", "mixer.D"}, {heads, 1}, {.shape = {heads}}));
  const int z = Slice(layer, projected, 0, h_.inner, "ssm_in_z");
  return GroupNorm(layer, SkipAndGate(layer, scanned, x, z, skip, "mamba2_y_add_d"));
}

}  // namespace

Result<Graph> BuildMamba2(const Checkpoint& checkpoint) {
  ASSIGN_OR_RETURN(const SsmHyperparameters h, ReadSsmHyperparameters(checkpoint));
  return Builder(checkpoint, h).Build();
}

}  // namespace vernier
