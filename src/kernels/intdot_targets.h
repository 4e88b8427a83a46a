// The tables of integer kernels in this build; IntDotKernelsFor decides which this machine can run.
#ifndef VERNIER_KERNELS_INTDOT_TARGETS_H_
#define VERNIER_KERNELS_INTDOT_TARGETS_H_

#include "kernels/intdot.h"

namespace vernier {

extern const IntDotKernels kPortableIntDot;
extern const IntDotKernels kAvx2IntDot;
extern const IntDotKernels kAvxVnniIntDot;
extern const IntDotKernels kAvx512VnniIntDot;

}  // namespace vernier

#endif  // VERNIER_KERNELS_INTDOT_TARGETS_H_
