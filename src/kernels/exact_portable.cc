// Exact products for one instruction set; the build gives this file its compiler flags.
#define VERNIER_TARGET exact_portable
#define VERNIER_VECTOR_BYTES 16

#include "kernels/exact-inl.h"
#include "kernels/exact_targets.h"

namespace vernier {

const ExactKernels kPortableExact =
    exact_portable::MakeExactKernels(ExactIsa::kPortable, "portable");

}  // namespace vernier
