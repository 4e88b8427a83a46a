// The loops of arithmetic in a format for one instruction set; the build gives this file its
// compiler flags.
#define VERNIER_TARGET portable
#define VERNIER_VECTOR_BYTES 16
#include "kernels/chain-inl.h"
#include "kernels/chain_targets.h"

namespace vernier {

const ChainTables kPortableChains = {portable::MakeChainKernels<float>(),
                                     portable::MakeChainKernels<double>(), portable::kOddRows};

}  // namespace vernier
