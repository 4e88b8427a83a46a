// How fast matrices are multiplied in the arithmetics of a format (docs/arithmetic.md): the product
// that evaluation runs under `*.math=step:posit32` and the like, rows and weights rounded into the
// format included.
#ifndef VERNIER_MEASURE_BENCH_ARITHMETIC_H_
#define VERNIER_MEASURE_BENCH_ARITHMETIC_H_

#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "ops/format_math.h"

namespace vernier {

struct NamedMath {
  std::string text;  // as it was asked for
  FormatMath math;
};
// "step:posit32" or "step:f16+acc=f32,chunk=128".
Result<NamedMath> ParseNamedMath(const std::string& text);

struct ArithmeticBenchOptions {
  std::vector<NamedMath> maths;
  size_t size = 1024;  // M = N = K
  int threads = 1;
  double seconds = 0.5;  // of a figure, about
};

struct ArithmeticSpeed {
  std::string math, host;  // host: f32 or f64, what holds the numbers
  // Of exact sums there is also the inner loop alone: operands are fixed point already, sums are
  // not rounded.
  bool core = false;
  size_t rows = 0;  // M of what was measured: fewer where all of them would take much longer than
                    // `seconds`
  double rate = 0;  // multiply-adds a second, all threads together; the best pass
};

struct ArithmeticBench {
  int threads = 0;
  std::string isa;
  std::vector<ArithmeticSpeed> lines;
};

// Stops early where progress asks for it.
ArithmeticBench BenchArithmetic(const ArithmeticBenchOptions& options,
                                const ProgressSink& progress);

}  // namespace vernier

#endif  // VERNIER_MEASURE_BENCH_ARITHMETIC_H_
