// The packed types' kernels for one instruction set; the build gives this file its compiler flags.
#define VERNIER_TARGET portable
#define VERNIER_VECTOR_BYTES 16
#include "kernels/packed-inl.h"

namespace vernier {

VERNIER_PACKED_KERNELS(kPortablePacked);

}  // namespace vernier
