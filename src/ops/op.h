// What a node of the graph can compute. One record an op: its name, what it computes, and whether a
// row of its result depends on earlier rows of the sequence. docs/numerics.md states the operations
// of each in order.
#ifndef VERNIER_OPS_OP_H_
#define VERNIER_OPS_OP_H_

#include <cstddef>
#include <cstdint>
#include <span>

namespace vernier {

enum class OpKind : uint8_t {
  kEmbed,      // row of the embedding matrix of the token
  kNormalise,  // x / sqrt(mean(x^2) + eps)
  kMultiply,   // x * weight, element by element
  kMatMul,     // x W^T
  kBias,       // x + weight
  kRope,       // rotation of each head by the position
  kStore,      // x itself, as it is kept for later tokens
  kAttention,  // softmax(q K^T / sqrt(head_dim)) V over this and all earlier tokens
  kAdd,        // a + b
  kSwiGlu,     // silu(gate) * up
  kSlice,      // consecutive elements of x: a view
  kConvolve,   // causal convolution of each channel over this and the tokens before
  kSilu,       // x / (1 + exp(-x))
  kSoftplus,   // ln(1 + exp(x))
  kClamp,      // x, but at least `low` and at most `high`
  kScan,       // selective state space: the state of all tokens so far, read
};
inline constexpr size_t kOpKinds = static_cast<size_t>(OpKind::kScan) + 1;  // kScan: the last

struct OpInfo {
  OpKind kind;
  const char* name;  // as `vernier sites` prints it
  const char* doc;   // one line
  int operands;      // values it takes (weights apart)
  bool has_weight;
  uint8_t earlier;  // bit i: a row reads operand i's rows of earlier tokens, too
  bool causal() const { return earlier != 0; }
  bool ReadsEarlier(size_t operand) const { return (earlier >> operand & 1) != 0; }
};

std::span<const OpInfo> Ops();
const OpInfo& Info(OpKind kind);

// The arithmetic of a node: its operands are converted to this type (exactly, or rounded to
// nearest), the op runs in it, and its result has it.
enum class Arithmetic : uint8_t { kF32, kF64 };

}  // namespace vernier

#endif  // VERNIER_OPS_OP_H_
