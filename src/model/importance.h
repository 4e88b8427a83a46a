// Importance matrices: for each weight matrix, how large the inputs it is multiplied with are.
// llama-imatrix of ggml-org/llama.cpp makes them, quantisation weighs its errors with them.
#ifndef VERNIER_MODEL_IMPORTANCE_H_
#define VERNIER_MODEL_IMPORTANCE_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace vernier {

struct ImportanceMatrix {
  std::string path;
  std::vector<std::string> datasets;  // the texts it was made of, as the file names them
  int64_t chunks = 0;                 // of those texts; 0 when the file does not say
  // Name of a weight ("blk.0.attn_q.weight") -> mean of the squared input for each column; for a
  // tensor of several matrices (experts) one after another. Finite and not negative.
  std::map<std::string, std::vector<float>, std::less<>> weights;
};

// Two formats, told apart by their first bytes.
// GGUF (common/imatrix-loader.cpp): for each weight the float32 tensors NAME.in_sum2, one row of
// sums for each matrix, and NAME.counts, how many inputs each row sums; a mean is sum / count in
// float32, 1 where the count is 0. Keys imatrix.datasets, imatrix.chunk_count.
// The older one (".dat"): int32 entries; for each int32 length, name, int32 calls, int32 values,
// float32 sums; then perhaps int32 chunks, int32 length, name of the text. A mean is sum / calls.
// Errors name the file and the entry: not such a file, cut off, a tensor without its partner or of
// another type or shape, sums that are negative or not finite, no entries at all.
Result<ImportanceMatrix> ReadImportance(const std::string& path);

}  // namespace vernier

#endif  // VERNIER_MODEL_IMPORTANCE_H_
