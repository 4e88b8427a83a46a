#include "ops/op.h"

#include "base/result.h"

namespace vernier {
namespace {

constexpr OpInfo kOps[] = {
    {OpKind::kEmbed, "embed", "the token's row of the embedding matrix", 0, true, false},
    {OpKind::kNormalise, "rms_norm", "x / sqrt(mean(x^2) + eps)", 1, false, false},
    {OpKind::kMultiply, "mul", "x * weight, element by element", 1, true, false},
    {OpKind::kMatMul, "matmul", "x W^T", 1, true, false},
    {OpKind::kBias, "bias", "x + weight, element by element", 1, true, false},
    {OpKind::kRope, "rope", "each head's pairs rotated by position times frequency", 1, false,
     false},
    {OpKind::kStore, "store", "x as later tokens see it", 1, false, false},
    {OpKind::kAttention, "attention",
     "softmax(q K^T / sqrt(head_dim)) V over this and earlier tokens", 3, false, true},
    {OpKind::kAdd, "add", "a + b", 2, false, false},
    {OpKind::kSwiGlu, "swiglu", "silu(gate) * up, silu(g) = g / (1 + exp(-g))", 2, false, false},
};

}  // namespace

std::span<const OpInfo> Ops() { return kOps; }

const OpInfo& Info(OpKind kind) {
  const OpInfo& info = kOps[static_cast<size_t>(kind)];
  CHECK(info.kind == kind);
  return info;
}

}  // namespace vernier
