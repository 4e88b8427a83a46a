// The loops of kernels/peak.h for one instruction set; the build gives this file its compiler
// flags.
#define VERNIER_TARGET avx512
#define VERNIER_VECTOR_BYTES 64
#include "kernels/peak-inl.h"

namespace vernier {

PeakKernels Avx512Peaks(bool vnni) {
  return {avx512::PeakFma<float>, avx512::PeakFma<double>,
          vnni ? avx512::PeakDotVnni : avx512::PeakDotSteps, vnni ? "avx512-vnni" : "avx2",
          avx512::PeakRead};
}

}  // namespace vernier
