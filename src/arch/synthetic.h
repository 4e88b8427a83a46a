// A model of a known shape with made-up weights, as a GGUF file: for measuring speed and memory
// where the model itself is not at hand. Every constant, tensor, type and size is the real model's;
// the weights are random.
#ifndef VERNIER_ARCH_SYNTHETIC_H_
#define VERNIER_ARCH_SYNTHETIC_H_

#include <cstdint>
#include <map>
#include <string>

#include "arch/quantize_types.h"
#include "arch/shapes.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "base/result.h"

namespace vernier {

struct SyntheticOptions {
  const FileType* type = nullptr;  // of the file; tensors get the types ChooseTypes gives them
  uint64_t seed = 0;
  bool pure = false;           // every matrix in the type itself
  size_t distinct_rows = 128;  // of a matrix, see below; at least 1
};

struct SyntheticReport {
  uint64_t parameters = 0, bytes = 0;  // of tensors
  size_t tensors = 0;
  std::map<std::string, uint64_t> type_bytes;  // by type name
};

// Writes the file to `path`, which appears only when it is complete.
//
// Weights: near normal with heavy tails, of the spreads that arch/shapes.cc gives each tensor; four
// channels of the residual stream stand out as they do in trained models (larger in the embeddings
// and in the rows that write to the stream, smaller in the norms). Encoding a billion weights would
// take a minute, so of a matrix of more than 2^20 only `distinct_rows` rows are drawn and encoded,
// and each row is put together from pieces of 256 columns (the largest power of two up to it that
// divides the row), each from one of these rows at random. So all rows differ, no speed depends on
// it, and statistics of values are those of the drawn rows. The rows of the outlying channels are
// drawn themselves.
//
// The drawn values depend on the seed and the tensor's name alone: files of one shape and seed are
// the same model in different types. No library function of floating point is involved, so the
// bytes are the same on every machine. Memory: about 40 MB.
Result<SyntheticReport> WriteSynthetic(const ModelShape& shape, const std::string& path,
                                       const SyntheticOptions& options, Workers& workers,
                                       const ProgressSink& progress);

}  // namespace vernier

#endif  // VERNIER_ARCH_SYNTHETIC_H_
