// How fast this machine rounds rows to the element formats: RoundRow as it is used, on one core, in
// the first-level cache and from memory, beside memcpy and beside a published method.
#ifndef VERNIER_MEASURE_BENCH_FORMATS_H_
#define VERNIER_MEASURE_BENCH_FORMATS_H_

#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "formats/format.h"
#include "formats/round.h"

namespace vernier {

// What is measured. Elements are normally distributed with variance 1.
struct FormatBenchOptions {
  std::vector<Format> formats;             // empty: all named ones that need no scale
  std::vector<Rounding> modes;             // empty: all
  size_t cache_bytes = size_t{16} << 10;   // of a row in cache; source and destination are two
  size_t memory_bytes = size_t{64} << 20;  // of a row in memory
  double seconds = 0.04;                   // a cell of the table, about
};

// Elements a second. The machine may be shared, so `cache` is the best of many repetitions; pieces
// of the memory row alternate with pieces of memcpy, and both figures are medians.
struct FormatSpeed {
  std::string format, host;  // "bf16", "f32"
  Rounding mode;
  double cache = 0, memory = 0;
  double memcpy_memory = 0;  // memcpy of the same bytes between the same rows, then
  double peer = 0;           // BitwiseRound in cache; 0: it has no such format, mode or host
};

struct FormatBench {
  std::string isa;           // the instruction set RoundRow and the peer run
  double memcpy_cache = 0;   // bytes a second
  double memcpy_memory = 0;  // the median over all lines
  std::vector<FormatSpeed> lines;
};

// On float32 hosts, but on float64 those that hold all float32 numbers; posit32 on both. CHECK: no
// kFixed format.
FormatBench BenchFormats(const FormatBenchOptions& options, const ProgressSink& progress);

// The method of Fasi and Mikaitis, "CPFloat: A C Library for Simulating Low-Precision Arithmetic"
// (ACM TOMS 49(2):18, 2023), our code after its description: one element after the other, by range
// (zero, NaN and infinities; below the smallest normal number, where fewer bits are kept; above the
// largest; all else; a path without those tests where the exponents are float32's), an addend and a
// mask on the stored bits; random bits from a sequential generator (PCG32: O'Neill 2014). Compiled
// for the instruction set that RoundRow uses. Overflow gives infinity, or the largest number in
// toward-zero; -0 and NaN stay. Nothing is counted. Modes: nearest-even, toward-zero, stochastic.
// False: not one of them, or not a signed kFloat format with fewer bits and no more range than
// float32.
bool BitwiseRound(const Format& format, Rounding mode, const float* x, size_t n, float* y);

}  // namespace vernier

#endif  // VERNIER_MEASURE_BENCH_FORMATS_H_
