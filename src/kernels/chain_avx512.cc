// The loops of arithmetic in a format for one instruction set; the build gives this file its
// compiler flags.
#define VERNIER_TARGET avx512
#define VERNIER_VECTOR_BYTES 64
#include "kernels/chain-inl.h"
#include "kernels/chain_targets.h"

namespace vernier {

const ChainTables kAvx512Chains = {avx512::MakeChainKernels<float>(),
                                   avx512::MakeChainKernels<double>(), avx512::kOddRows};

}  // namespace vernier
