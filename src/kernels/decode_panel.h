// A panel of packed weights as floats, for products that convert weights before they multiply.
#ifndef VERNIER_KERNELS_DECODE_PANEL_H_
#define VERNIER_KERNELS_DECODE_PANEL_H_

#include <cstddef>
#include <cstdint>

#include "kernels/kernels.h"
#include "kernels/packed.h"

namespace vernier {

// out[(i - k0) * 16 + r] = element i of row r of a panel of k columns (packed.h), k0 <= i < k0 +
// count; k0 is a multiple of 256 and `out` is 64-byte aligned. CHECK: the type has a layout.
void DecodePanel(Isa isa, TensorType type, const uint8_t* panel, size_t k, size_t k0, size_t count,
                 float* out);

}  // namespace vernier

#endif  // VERNIER_KERNELS_DECODE_PANEL_H_
