#include "kernels/peak.h"

namespace vernier {

PeakKernels PortablePeaks();
PeakKernels Avx2Peaks(bool vnni);
PeakKernels Avx512Peaks(bool vnni);

PeakKernels PeakKernelsFor(Isa isa) {
#if defined(VERNIER_X86)
  if (isa == Isa::kAvx512) return Avx512Peaks(__builtin_cpu_supports("avx512vnni") != 0);
  if (isa == Isa::kAvx2) return Avx2Peaks(__builtin_cpu_supports("avxvnni") != 0);
#endif
  (void)isa;
  return PortablePeaks();
}

}  // namespace vernier
