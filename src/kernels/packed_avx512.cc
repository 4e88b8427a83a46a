// The packed types' kernels for one instruction set; the build gives this file its compiler flags.
#define VERNIER_TARGET avx512
#define VERNIER_VECTOR_BYTES 64
#include "kernels/packed-inl.h"

namespace vernier {

VERNIER_PACKED_KERNELS(kAvx512Packed);

}  // namespace vernier
