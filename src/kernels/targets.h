// The tables that exist in this build; KernelsFor decides which of them this machine can run.
#ifndef VERNIER_KERNELS_TARGETS_H_
#define VERNIER_KERNELS_TARGETS_H_

#include "kernels/kernels.h"

namespace vernier {

extern const Kernels kPortableKernels;
extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512Kernels;

}  // namespace vernier

#endif  // VERNIER_KERNELS_TARGETS_H_
