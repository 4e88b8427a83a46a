// The integer kernels for one instruction set; the build gives this file its compiler flags.
#define VERNIER_TARGET intdot_portable
#define VERNIER_VECTOR_BYTES 16
#include "kernels/intdot-inl.h"
#include "kernels/intdot_targets.h"

namespace vernier {

const IntDotKernels kPortableIntDot = {IntDotIsa::kPortable, "portable", intdot_portable::Quantise,
                                       intdot_portable::FindIntDot};

}  // namespace vernier
