#include "kernels/chain_targets.h"

namespace vernier {

const ChainTables& ChainTablesOf(Isa isa) {
  switch (isa) {
#if defined(VERNIER_X86)
    case Isa::kAvx512:
      return kAvx512Chains;
    case Isa::kAvx2:
      return kAvx2Chains;
#endif
    default:
      return kPortableChains;
  }
}

}  // namespace vernier
