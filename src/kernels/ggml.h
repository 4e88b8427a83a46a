// The matrix products of ggml's CPU backend (x86, AVX-512 build) as kernels: activations quantised,
// integer dot products, float32 sums in ggml's order. docs/profiles.md is normative; every
// instruction set gives the bits of kernels/ggml_reference.h. Read from ggml's sources
// (ggml-org/ggml, src/ggml-cpu: arch/x86/quants.c, arch/x86/repack.cpp, vec.cpp,
// llamafile/sgemm.cpp) and held against the library of llama.cpp v0.5.0. Freestanding.
#ifndef VERNIER_KERNELS_GGML_H_
#define VERNIER_KERNELS_GGML_H_

#include <stddef.h>
#include <stdint.h>

#include "model/tensor_type.h"

namespace vernier {

// What a product makes of a row of activations first.
enum class GgmlActivation : uint8_t {
  kF32,   // nothing
  kF16,   // each element rounded to binary16
  kBF16,  // each element rounded to bfloat16
  kQ8_0,  // blocks of 32: codes, a binary16 scale
  kQ8_1,  // the same, and scale times sum of the codes as binary16
  kQ8_K,  // blocks of 256: codes, a float32 scale, sums of each 16 codes
};

// In which order a product of this type sums. ggml chooses by the number of rows of the batch and
// by whether it has repacked the weight; a caller chooses for each row.
enum class GgmlOrder : uint8_t {
  kDot,    // one row: vec_dot
  kBatch,  // two rows and more: llamafile's tinyBLAS where it takes the type, else vec_dot
  kGemv,   // repacked weights, a row that is not in a group of four
  kGemm,   // repacked weights, a group of four rows
};

// A row as the products read it. Arrays of `k` elements, or one a block, lie in memory of the
// caller's; those that the activation does not have are null.
struct GgmlRow {
  const float* values;  // kF32, kF16, kBF16: the (rounded) elements
  const int8_t* codes;  // the others: by column
  const float* d;       // a block's scale, widened
  const float* s;       // kQ8_1: a block's scaled sum, widened
  const int16_t* sums;  // kQ8_K: of each 16 codes
};
struct GgmlRowBuffer {
  float* values;
  int8_t* codes;
  float* d;
  float* s;
  int16_t* sums;
};

// A weight row unpacked: its codes by column, as its product multiplies them (signed for the types
// without minimum but Q6_K and TQ, whose stored numbers it corrects by the sums), and its scales
// widened. Null where the type has none.
struct GgmlWeightRow {
  const float* values;    // kF32, kF16, kBF16
  const int8_t* codes;    // the others
  const float* d;         // a block's (32 or 256)
  const float* m;         // Q4_1, Q5_1: a block's minimum; Q2_K, Q4_K, Q5_K: dmin
  const int16_t* scales;  // super-blocks: of each 16 columns
  const int16_t* mins;    // Q2_K: of each 16 columns; Q4_K, Q5_K: of each 32
};
struct GgmlWeightBuffer {
  float* values;
  int8_t* codes;
  float* d;
  float* m;
  int16_t* scales;
  int16_t* mins;
};

// y[j] = w . x[j] for `n` rows of k elements.
struct GgmlDots {
  TensorType type;
  GgmlOrder order;
  size_t k;
  GgmlWeightRow w;
  const GgmlRow* x;
  size_t n;
  float* y;
};

// Attention: out[i][j] = q[i] . k[j] for j < keys[i], `n` rows q of `width` elements, rows k from
// `offset` on: sums of F32 or F16 (both rounded already).
struct GgmlScores {
  TensorType type;
  GgmlOrder order;  // kDot or kBatch
  const float* const* k;
  size_t offset, width;
  const float* const* q;
  const size_t* keys;
  size_t n;
  float* const* out;
};
// out[i] = the sum over j < keys[i] of p[i][j] v[j], rows of `width` from v[j] + offset: for each
// element the order of F32's kDot or (`batch`) kBatch, p padded with zeros to whole turns.
struct GgmlValueSums {
  bool batch;
  const float* const* v;
  size_t offset, width;
  const float* const* p;
  const size_t* keys;
  size_t n;
  float* const* out;
};

struct GgmlKernels {
  // Fills the arrays that the activation has. k is a multiple of its block.
  void (*quantise)(GgmlActivation, const float* x, size_t k, const GgmlRowBuffer& out);
  void (*dots)(const GgmlDots&);
  void (*scores)(const GgmlScores&);
  void (*value_sums)(const GgmlValueSums&);
  // Between the products (docs/profiles.md).
  float (*norm_scale)(const float* x, size_t n, float eps);  // 1 / sqrt(mean(x^2) + eps)
  void (*softmax)(float* p, size_t n, float scale);          // in place
  void (*swiglu)(const float* gate, const float* up, size_t n, float* y);
  void (*silu)(const float* x, size_t n, float* y);
  // Rotates the pairs (i, i + pairs) of each head (`halves`), or (2i, 2i + 1).
  void (*rope)(const float* x, size_t heads, size_t head_dim, const float* cos, const float* sin,
               size_t pairs, bool halves, float* y);
};

constexpr GgmlActivation GgmlActivationOf(TensorType type) {
  switch (type) {
    case TensorType::kF32:
      return GgmlActivation::kF32;
    case TensorType::kF16:
      return GgmlActivation::kF16;
    case TensorType::kBF16:
      return GgmlActivation::kBF16;
    case TensorType::kQ4_1:
    case TensorType::kQ5_1:
      return GgmlActivation::kQ8_1;
    case TensorType::kQ4_0:
    case TensorType::kQ5_0:
    case TensorType::kQ8_0:
    case TensorType::kIQ4_NL:
    case TensorType::kMXFP4:
      return GgmlActivation::kQ8_0;
    default:
      return GgmlActivation::kQ8_K;
  }
}

// Columns of a block of the type, which its rows are whole numbers of.
constexpr size_t GgmlBlock(TensorType type) {
  switch (GgmlActivationOf(type)) {
    case GgmlActivation::kQ8_0:
    case GgmlActivation::kQ8_1:
      return 32;
    case GgmlActivation::kQ8_K:
      return 256;
    default:
      return 1;
  }
}

// Whether an x86 build with AVX-512 repacks a weight of this type and number of rows when it loads
// the model.
constexpr bool GgmlRepacks(TensorType type, size_t rows) {
  return rows % 8 == 0 &&
         (type == TensorType::kQ4_0 || type == TensorType::kQ4_K || type == TensorType::kQ2_K ||
          type == TensorType::kIQ4_NL || type == TensorType::kMXFP4);
}

// Whether tinyBLAS takes the product of a batch with another order than vec_dot's.
constexpr bool GgmlBatchDiffers(TensorType type, size_t rows, size_t k) {
  switch (type) {
    case TensorType::kF32:
    case TensorType::kF16:
      return rows % 4 == 0 && k % 16 == 0;
    case TensorType::kBF16:
      return rows % 4 == 0 && k % 32 == 0;
    case TensorType::kIQ4_NL:
      return true;
    case TensorType::kIQ4_XS:  // in a batch of 8 and more
      return rows % 8 == 0;
    default:  // Q8_0, Q4_0, Q5_0 have the same order in both; the others are not taken
      return false;
  }
}

// Whether products are defined here for weights of this type.
bool HasGgmlProduct(TensorType type);

// A row as files store it, at any address, of k columns (whole blocks).
void UnpackGgmlRow(TensorType type, const uint8_t* row, size_t k, const GgmlWeightBuffer& out);

}  // namespace vernier

#endif  // VERNIER_KERNELS_GGML_H_
