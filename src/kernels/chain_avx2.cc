// The loops of arithmetic in a format for one instruction set; the build gives this file its
// compiler flags.
#define VERNIER_TARGET avx2
#define VERNIER_VECTOR_BYTES 32
#include "kernels/chain-inl.h"
#include "kernels/chain_targets.h"

namespace vernier {

const ChainTables kAvx2Chains = {avx2::MakeChainKernels<float>(), avx2::MakeChainKernels<double>(),
                                 avx2::kOddRows};

}  // namespace vernier
