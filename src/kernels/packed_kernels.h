// What the matrix product needs of each packed type, one table an instruction set; the driver
// (matmul-inl.h) is the same for all. Internal to kernels/.
#ifndef VERNIER_KERNELS_PACKED_KERNELS_H_
#define VERNIER_KERNELS_PACKED_KERNELS_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels/packed.h"

namespace vernier {

// A few rows of X against consecutive panels, decoded in registers: y[j][0 .. 16 * panels), of
// which the last panel has `valid` outputs.
struct FewRowsArgs {
  const uint8_t* panel;
  size_t stride;  // bytes from panel to panel
  size_t k;
  const float* const* x;
  float* const* y;
  size_t valid;
};

inline constexpr int kFewRows[] = {1, 2, 4, 8};  // numbers of rows that have a kernel

struct PackedTypeKernels {
  TensorType type;
  // Columns [k0, k0 + count) of a panel as floats, 16 a column; k0 is a multiple of 256.
  void (*decode)(const uint8_t* panel, size_t k, size_t k0, size_t count, float* out);
  void (*one_row)(const FewRowsArgs&);  // one row, one panel
  // kFewRows[i] rows and `panels` panels; null where decoding is as good.
  struct Few {
    int panels;
    void (*run)(const FewRowsArgs&);
  } few[4];
};

// Indexed by the type's place in kPackedLayouts.
extern const PackedTypeKernels kPortablePacked[];
extern const PackedTypeKernels kAvx2Packed[];
extern const PackedTypeKernels kAvx512Packed[];

}  // namespace vernier

#endif  // VERNIER_KERNELS_PACKED_KERNELS_H_
