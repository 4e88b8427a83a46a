// The GGUF form of a checkpoint: what keys and tensors it has, or would have, as one GGUF file. A
// Hugging Face folder is converted, a GGUF file is what it is. Nothing is decoded here: tensors are
// views into the source (arch/write_model.h writes them).
#ifndef VERNIER_ARCH_CONVERT_H_
#define VERNIER_ARCH_CONVERT_H_

#include <string>
#include <vector>

#include "arch/graph.h"
#include "base/result.h"
#include "model/checkpoint.h"
#include "model/metadata.h"
#include "model/tensor.h"

namespace vernier {

struct GgufTensor {
  std::string name;
  TensorView tensor;                   // as it lies in the source
  TensorType type = TensorType::kF32;  // what it is in the file where no type is asked for
  size_t head_dim = 0;  // not 0: rows are reordered within heads of this many (TensorJob)
  WeightTransform transform = WeightTransform::kNone;
};

struct GgufForm {
  Metadata metadata;
  std::vector<GgufTensor> tensors;  // in the order of the file
  std::vector<float> rope_factors;  // what rope_freqs.weight views, where a folder gives it
};

// From a Hugging Face folder: the graph's weights under their GGUF names. Where an architecture's
// GGUF files keep the rotated pairs of q and k as neighbours, their rows are reordered (row
// 2 i + j of a head is row i + j head_dim / 2 of the source). Frequency factors of Llama 3 become
// the tensor rope_freqs.weight, rounded to float32. A of a state-space layer is -exp(A_log) in
// float32 as NumPy has it (arch/numpy_exp.h), its convolution's weights a matrix. Keys are the ones
// convert_hf_to_gguf.py of
// ggml-org/llama.cpp writes: general.* (general.file_type apart, which the types decide), the
// architecture's constants and the tokenizer (arch/convert_tokenizer.h); a folder without
// tokenizer.json gives a file without one. GGUF keeps eps and the rotary base in float32, so
// float64 results of file and folder differ by that rounding. Matrices keep their types; tensors
// that are never quantised (IsQuantizable) and float64 ones are F32.
// From a GGUF file: its keys and tensors, in their order and types.
//
// Errors: a folder the graph cannot be built of, or whose tokenizer or architecture has no GGUF
// form here.
Result<GgufForm> MakeGgufForm(const Checkpoint& checkpoint);

}  // namespace vernier

#endif  // VERNIER_ARCH_CONVERT_H_
