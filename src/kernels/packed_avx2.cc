// The packed types' kernels for one instruction set; the build gives this file its compiler flags.
#define VERNIER_TARGET avx2
#define VERNIER_VECTOR_BYTES 32
#include "kernels/packed-inl.h"

namespace vernier {

VERNIER_PACKED_KERNELS(kAvx2Packed);

}  // namespace vernier
