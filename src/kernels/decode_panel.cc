#include "kernels/decode_panel.h"

#include "base/result.h"
#include "kernels/packed_kernels.h"

namespace vernier {

void DecodePanel(Isa isa, TensorType type, const uint8_t* panel, size_t k, size_t k0, size_t count,
                 float* out) {
  const PackedLayout* layout = FindPackedLayout(type);
  CHECK(layout != nullptr);
  const PackedTypeKernels* table = kPortablePacked;
#if defined(VERNIER_X86)
  if (isa == Isa::kAvx512) table = kAvx512Packed;
  if (isa == Isa::kAvx2) table = kAvx2Packed;
#endif
  (void)isa;
  table[layout - kPackedLayouts].decode(panel, k, k0, count, out);
}

}  // namespace vernier
