// How fast rows are multiplied by a stored matrix, by type and number of rows: the product that
// evaluation runs, on the weights as it keeps them.
#ifndef VERNIER_MEASURE_BENCH_MATMUL_H_
#define VERNIER_MEASURE_BENCH_MATMUL_H_

#include <string>
#include <vector>

#include "arch/quantize_types.h"
#include "base/progress.h"
#include "base/result.h"

namespace vernier {

struct MatmulBenchOptions {
  std::vector<const FileType*> types;
  std::vector<size_t> rows;                 // of X
  size_t outputs = 5632, inputs = 2048;     // of the matrix; multiples of 64 and of 256
  size_t matrix_bytes = size_t{128} << 20;  // as stored, of several matrices in turns
  int threads = 0;
  double seconds = 0.25;  // of a figure, about
  std::string path;       // a file that may be written there and is left for the caller to remove
};

struct MatmulSpeed {
  std::string type;  // of the matrix
  size_t rows = 0;
  double flops = 0;  // multiplications and additions a second
  double bytes = 0;  // of the matrix as stored, a second
};

struct MatmulBench {
  int threads = 0;
  std::vector<MatmulSpeed> lines;  // by type, then rows; the best of several passes
};

// Several matrices take turns, so that weights come from memory as they do in a model. Errors: the
// file cannot be written. Stops early where progress asks for it.
Result<MatmulBench> BenchMatmul(const MatmulBenchOptions& options, const ProgressSink& progress);

}  // namespace vernier

#endif  // VERNIER_MEASURE_BENCH_MATMUL_H_
