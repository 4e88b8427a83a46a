// The tables that exist in this build.
#ifndef VERNIER_KERNELS_CHAIN_TARGETS_H_
#define VERNIER_KERNELS_CHAIN_TARGETS_H_

#include "kernels/chain.h"

namespace vernier {

extern const ChainTables kPortableChains;
extern const ChainTables kAvx2Chains;
extern const ChainTables kAvx512Chains;

}  // namespace vernier

#endif  // VERNIER_KERNELS_CHAIN_TARGETS_H_
