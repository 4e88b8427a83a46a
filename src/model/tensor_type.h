// The storage types of tensors. Freestanding: the kernels of every instruction set include it.
#ifndef VERNIER_MODEL_TENSOR_TYPE_H_
#define VERNIER_MODEL_TENSOR_TYPE_H_

#include <stdint.h>

namespace vernier {

// Storage types, numbered as in GGUF (enum ggml_type of ggml-org/ggml). Do not change the values.
enum class TensorType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ8_1 = 9,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kQ8_K = 15,
  kIQ4_NL = 20,
  kIQ4_XS = 23,
  kF64 = 28,
  kBF16 = 30,
  kTQ1_0 = 34,
  kTQ2_0 = 35,
  kMXFP4 = 39,
  kNVFP4 = 40,
};

}  // namespace vernier

#endif  // VERNIER_MODEL_TENSOR_TYPE_H_
