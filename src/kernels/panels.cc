#include "kernels/panels.h"

namespace vernier {

PackedMatrix MakePacked(TensorType type, size_t outputs, size_t k, PageArena* arena) {
  PackedMatrix matrix;
  matrix.type = type;
  matrix.outputs = outputs;
  matrix.k = k;
  matrix.stride = LayoutOf(type).PanelBytes(k);
  const size_t bytes = matrix.Count() * matrix.stride;
  matrix.data = arena != nullptr ? arena->Take(bytes) : Pages(bytes);
  return matrix;
}

void PackPanelOf(const PackedMatrix& matrix, size_t p, const uint8_t* rows, size_t row_bytes,
                 uint8_t* out) {
  const uint8_t* pointers[kLanes];
  for (size_t r = 0; r < kLanes; ++r)
    pointers[r] = p * kLanes + r < matrix.outputs ? rows + (p * kLanes + r) * row_bytes : nullptr;
  PackPanel(matrix.type, pointers, matrix.k, out);
}

}  // namespace vernier
