// Exact products for one instruction set; the build gives this file its compiler flags.
#define VERNIER_TARGET exact_avx2
#define VERNIER_VECTOR_BYTES 32

#include "kernels/exact-inl.h"
#include "kernels/exact_targets.h"

namespace vernier {

const ExactKernels kAvx2Exact = exact_avx2::MakeExactKernels(ExactIsa::kAvx2, "avx2");

}  // namespace vernier
