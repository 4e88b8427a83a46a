// The integer kernels for one instruction set; the build gives this file its compiler flags.
#define VERNIER_TARGET intdot_avxvnni
#define VERNIER_VECTOR_BYTES 32
#define VERNIER_VNNI
#include "kernels/intdot-inl.h"
#include "kernels/intdot_targets.h"

namespace vernier {

const IntDotKernels kAvxVnniIntDot = {IntDotIsa::kAvxVnni, "avxvnni", intdot_avxvnni::Quantise,
                                      intdot_avxvnni::FindIntDot};

}  // namespace vernier
