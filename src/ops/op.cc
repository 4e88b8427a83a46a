#include "ops/op.h"

#include "base/result.h"

namespace vernier {
namespace {

constexpr OpInfo kOps[kOpKinds] = {
    {OpKind::kEmbed, "embed", "the token's row of the embedding matrix", 0, true, 0},
    {OpKind::kNormalise, "rms_norm", "x / sqrt(mean(x^2) + eps)", 1, false, 0},
    {OpKind::kMultiply, "mul", "x * weight, element by element", 1, true, 0},
    {OpKind::kMatMul, "matmul", "x W^T", 1, true, 0},
    {OpKind::kBias, "bias", "x + weight, element by element", 1, true, 0},
    {OpKind::kRope, "rope", "each head's pairs rotated by position times frequency", 1, false, 0},
    {OpKind::kStore, "store", "x as later tokens see it", 1, false, 0},
    {OpKind::kAttention, "attention",
     "softmax(q K^T / sqrt(head_dim)) V over this and earlier tokens", 3, false, 0b110},
    {OpKind::kAdd, "add", "a + b", 2, false, 0},
    {OpKind::kSwiGlu, "swiglu", "silu(gate) * up, silu(g) = g / (1 + exp(-g))", 2, false, 0},
    {OpKind::kSlice, "slice", "consecutive elements of x, where they lie", 1, false, 0},
    {OpKind::kConvolve, "convolve", "each channel's weights times its last values", 1, true, 0b1},
    {OpKind::kSilu, "silu", "x / (1 + exp(-x))", 1, false, 0},
    {OpKind::kSoftplus, "softplus", "ln(1 + exp(x)), x itself above 20", 1, false, 0},
    {OpKind::kClamp, "clamp", "x limited to a range", 1, false, 0},
    {OpKind::kScan, "scan",
     "C h of h = exp(dt A) h + dt x B, the state of this and earlier tokens; operands dt, x, B, C",
     4, true, 0b0111},
};

}  // namespace

std::span<const OpInfo> Ops() { return kOps; }

const OpInfo& Info(OpKind kind) {
  const OpInfo& info = kOps[static_cast<size_t>(kind)];
  CHECK(info.kind == kind);
  return info;
}

}  // namespace vernier
