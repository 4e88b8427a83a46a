// Matrix products of packed weights with activations that are quantised first, in integers: the
// arithmetic of llama.cpp's CPU path, named by the profiles (docs/profiles.md). One table for each
// instruction set; every table gives the same bits, those of the scalar reference.
#ifndef VERNIER_KERNELS_INTDOT_H_
#define VERNIER_KERNELS_INTDOT_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"
#include "kernels/packed.h"

namespace vernier {

enum class IntDotIsa { kPortable, kAvx2, kAvxVnni, kAvx512Vnni };

// In which order floats are summed, once the integers of a block are there: ggml's, as GgmlOrder
// (kernels/ggml.h) says; kRepack has both of a batch's orders (see `fours`).
enum class IntDotOrder : uint8_t {
  kDot,     // vec_dot on x86: eight lanes of four columns, each its own chain, and their tree
  kBatch,   // two rows and more: the same but for IQ4_NL and IQ4_XS
  kRepack,  // repacked weights: one integer sum a block, one chain an output
};

// The block types of ggml (ggml-common.h) that activations become.
enum class ActivationKind : uint8_t { kQ8_0, kQ8_1, kQ8_K };

// How a kernel wants its rows of X. A row is AlignedBytes(k), then:
//   codes   int8[k], all plus 128 (modulo 256) where `flipped`
//   scales  float[k / 32], of Q8_K float[k / 256]; from a 64-byte boundary, as is what follows
//   sums    Q8_0: int32[k / 32], a block's sum of codes times -offset
//           Q8_1: float[k / 32], ggml's s
//           Q8_K: int16[k / 16], sums of 16 codes; then int16[k / 32], sums of 32
struct ActivationFormat {
  ActivationKind kind;
  bool flipped;
  uint8_t offset;

  constexpr size_t Unit() const { return kind == ActivationKind::kQ8_K ? 256 : 32; }
  constexpr size_t Scales(size_t k) const { return (k + 63) / 64 * 64; }
  constexpr size_t Sums(size_t k) const { return Scales(k) + (k / Unit() * 4 + 63) / 64 * 64; }
  constexpr size_t RowBytes(size_t k) const {
    return (Sums(k) + (kind == ActivationKind::kQ8_K ? (k / 16 + k / 32) * 2 : k / 32 * 4) + 63) /
           64 * 64;
  }
  friend constexpr bool operator==(const ActivationFormat&, const ActivationFormat&) = default;
};

// Y = X W^T for rows of X in the kernel's format and the outputs [16 first_panel, 16 last_panel)
// of W below `outputs`.
struct IntDotArgs {
  const uint8_t* panels;  // of the type's PackedLayout, PanelBytes(k) apart
  size_t k;               // whole blocks of the weights' and of the activations' type
  size_t outputs;
  size_t first_panel, last_panel;
  const uint8_t* const* x;  // n rows, 64-byte aligned
  size_t n;
  // The first rows of X, those that ggml multiplies four at a time (kRepack; n less n % 4 where n
  // is the number of rows of ggml's product): for Q4_K and Q2_K another order than the rest.
  size_t fours;
  float* const* y;  // n rows of `outputs`
};

struct IntDotKernel {
  ActivationFormat format;
  void (*matmul)(const IntDotArgs&);  // null: there is none
};

struct IntDotKernels {
  IntDotIsa isa;
  const char* name;
  // One row of X, k floats in whole units.
  void (*quantise)(ActivationFormat format, const float* x, size_t k, uint8_t* row);
  IntDotKernel (*find)(TensorType type, IntDotOrder order);
};

// Null where this machine cannot run it (or the build has no such path).
const IntDotKernels* IntDotKernelsFor(IntDotIsa isa);
// The best of those that go with a table of kernels.h, and of all.
const IntDotKernels& IntDotKernelsOf(Isa isa);
const IntDotKernels& BestIntDotKernels();

}  // namespace vernier

#endif  // VERNIER_KERNELS_INTDOT_H_
