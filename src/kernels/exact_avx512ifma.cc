// Exact products for one instruction set; the build gives this file its compiler flags.
#define VERNIER_TARGET exact_avx512ifma
#define VERNIER_VECTOR_BYTES 64
#define VERNIER_IFMA
#include "kernels/exact-inl.h"
#include "kernels/exact_targets.h"

namespace vernier {

const ExactKernels kAvx512IfmaExact =
    exact_avx512ifma::MakeExactKernels(ExactIsa::kAvx512Ifma, "avx512ifma");

}  // namespace vernier
