// The loops of kernels/peak.h for every machine.
#define VERNIER_TARGET portable
#define VERNIER_VECTOR_BYTES 16
#include "kernels/peak-inl.h"

namespace vernier {

PeakKernels PortablePeaks() {
  return {portable::PeakFma<float>, portable::PeakFma<double>, portable::PeakDotSteps, "portable",
          portable::PeakRead};
}

}  // namespace vernier
