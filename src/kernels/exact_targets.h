// The tables of exact products in this build; ExactKernelsFor decides which this machine can run.
#ifndef VERNIER_KERNELS_EXACT_TARGETS_H_
#define VERNIER_KERNELS_EXACT_TARGETS_H_

#include "kernels/exact.h"

namespace vernier {

extern const ExactKernels kPortableExact;
extern const ExactKernels kAvx2Exact;
extern const ExactKernels kAvx512IfmaExact;

}  // namespace vernier

#endif  // VERNIER_KERNELS_EXACT_TARGETS_H_
