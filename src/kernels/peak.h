// What this machine can do at most: loops of one instruction each, to measure kernels against. They
// compute nothing of use. One table for each instruction set, as kernels.h has.
#ifndef VERNIER_KERNELS_PEAK_H_
#define VERNIER_KERNELS_PEAK_H_

#include <cstddef>
#include <cstdint>

#include "kernels/kernels.h"

namespace vernier {

// Each returns how many multiplications and additions it did. All operands stay in registers, in as
// many independent chains as hide the latency.
struct PeakKernels {
  double (*fma_f32)(size_t rounds);
  double (*fma_f64)(size_t rounds);
  // Products of 8-bit integers added up in 32 bits: a VNNI instruction where the machine has one,
  // else multiply and add in steps.
  double (*dot_i8)(size_t rounds);
  const char* dot_i8_name;  // "avx512-vnni", "avx-vnni", "avx2", "portable"
  // Reads `bytes` (a multiple of 512) once, ascending; the result depends on all of them.
  uint64_t (*read)(const void* data, size_t bytes);
};

// For an instruction set that KernelsFor has.
PeakKernels PeakKernelsFor(Isa isa);

}  // namespace vernier

#endif  // VERNIER_KERNELS_PEAK_H_
