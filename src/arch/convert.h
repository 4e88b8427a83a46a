// Writing a checkpoint as one GGUF file of plain numbers: a Hugging Face folder is converted, a
// GGUF file decoded. What comes out loads in Vernier and in llama.cpp.
#ifndef VERNIER_ARCH_CONVERT_H_
#define VERNIER_ARCH_CONVERT_H_

#include <string>

#include "base/progress.h"
#include "base/result.h"
#include "formats/round.h"
#include "model/checkpoint.h"
#include "model/tensor.h"

namespace vernier {

struct ConvertOptions {
  TensorType type = TensorType::kF32;  // of the matrices: kF32, kF16 or kBF16
  ProgressSink progress;               // in bytes of the file; may be empty
};

struct ConvertReport {
  size_t tensors = 0;
  uint64_t bytes = 0;      // of tensor data written
  TreatmentCounts counts;  // what rounding into the types written did to the elements
};

// Writes the whole model to `path`, which appears only when it is complete. Never holds more than
// about a megabyte of tensor data.
//
// Numbers: each element is the value the source's type decodes to (formats/decode.h), rounded to
// nearest even; a float64 source is rounded once. Beyond the largest float16 lies infinity. Tensors
// of one dimension, and the small ones of state-space layers that llama.cpp reads as float32 only,
// are F32 whatever the type asked for.
//
// From a Hugging Face folder: the graph's weights under their GGUF names. Where an architecture's
// GGUF files keep the rotated pairs of q and k as neighbours, their rows are reordered (row
// 2 i + j of a head is row i + j head_dim / 2 of the source). Frequency factors of Llama 3 become
// the tensor rope_freqs.weight, rounded to float32. A of a state-space layer is -exp(A_log) in
// float32 as NumPy has it (arch/numpy_exp.h), its convolution's weights a matrix. Keys are the ones
// convert_hf_to_gguf.py of ggml-org/llama.cpp writes: general.*, the architecture's constants and
// the tokenizer (arch/convert_tokenizer.h); a folder without tokenizer.json gives a file without
// one. GGUF keeps eps and the rotary base in float32, so float64 results of file and folder differ
// by that rounding. From a GGUF file: its keys (general.file_type set anew) and tensors, in their
// order.
//
// Errors: another type; a model the graph cannot be built of, or whose tokenizer or architecture
// has no GGUF form here; the file cannot be written; progress asked to stop.
Result<ConvertReport> ConvertToGguf(const Checkpoint& checkpoint, const std::string& path,
                                    const ConvertOptions& options = {});

}  // namespace vernier

#endif  // VERNIER_ARCH_CONVERT_H_
