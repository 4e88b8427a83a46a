// The loops of kernels/peak.h for one instruction set; the build gives this file its compiler
// flags.
#define VERNIER_TARGET avx2
#define VERNIER_VECTOR_BYTES 32
#include "kernels/peak-inl.h"

namespace vernier {

PeakKernels Avx2Peaks(bool vnni) {
  return {avx2::PeakFma<float>, avx2::PeakFma<double>,
          vnni ? avx2::PeakDotVnni : avx2::PeakDotSteps, vnni ? "avx-vnni" : "avx2",
          avx2::PeakRead};
}

}  // namespace vernier
