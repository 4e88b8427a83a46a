// What this machine can do at most in this moment: peaks of arithmetic and of reading memory, with
// one thread and with several. A kernel's rate means little without them.
#ifndef VERNIER_MEASURE_BENCH_BOUNDS_H_
#define VERNIER_MEASURE_BENCH_BOUNDS_H_

#include <cstddef>
#include <string>

#include "base/progress.h"

namespace vernier {

struct Bound {
  double one = 0, all = 0;  // a second: with one thread, with all that were asked for
};

struct MachineBounds {
  std::string isa;         // of the kernels in use
  int threads = 1;         // of Bound::all
  Bound fma_f32, fma_f64;  // multiplications and additions
  Bound dot_i8;            // the same of 8-bit integers
  std::string dot_i8_name;
  Bound read;  // bytes, from rows of `read_bytes` for each thread
  size_t read_bytes = 0;
};

struct BoundOptions {
  int threads = 1;
  double seconds = 0.05;                  // of a figure, about
  size_t read_bytes = size_t{128} << 20;  // beyond the caches
};

// The best of several short samples: others on the machine can only slow them.
MachineBounds MeasureBounds(const BoundOptions& options);
// The larger figure of each.
MachineBounds BestOf(const MachineBounds& a, const MachineBounds& b);

}  // namespace vernier

#endif  // VERNIER_MEASURE_BENCH_BOUNDS_H_
