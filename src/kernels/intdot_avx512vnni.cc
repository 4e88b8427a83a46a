// The integer kernels for one instruction set; the build gives this file its compiler flags.
#define VERNIER_TARGET intdot_avx512vnni
#define VERNIER_VECTOR_BYTES 64
#define VERNIER_VNNI
#include "kernels/intdot-inl.h"
#include "kernels/intdot_targets.h"

namespace vernier {

const IntDotKernels kAvx512VnniIntDot = {IntDotIsa::kAvx512Vnni, "avx512vnni",
                                         intdot_avx512vnni::Quantise,
                                         intdot_avx512vnni::FindIntDot};

}  // namespace vernier
