// The integer kernels for one instruction set; the build gives this file its compiler flags.
#define VERNIER_TARGET intdot_avx2
#define VERNIER_VECTOR_BYTES 32
#include "kernels/intdot-inl.h"
#include "kernels/intdot_targets.h"

namespace vernier {

const IntDotKernels kAvx2IntDot = {IntDotIsa::kAvx2, "avx2", intdot_avx2::Quantise,
                                   intdot_avx2::FindIntDot};

}  // namespace vernier
