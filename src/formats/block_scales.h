// The scales inside stored blocks: what a block type multiplies its small integers with. For
// looking at a file, not for decoding it (formats/decode.h).
#ifndef VERNIER_FORMATS_BLOCK_SCALES_H_
#define VERNIER_FORMATS_BLOCK_SCALES_H_

#include <cstddef>
#include <cstdint>

#include "model/tensor.h"

namespace vernier {

inline constexpr int kMostScaleGroups = 16;

// Groups of consecutive elements of a block that share a scale; 0 for types without blocks.
int ScaleGroups(TensorType type);

// Of each group the scale and the offset by which the block's decoding (docs/decoding.md) makes
// elements of integer codes, element = scale * code + offset; for MXFP4 and NVFP4 the code is the
// E2M1 value. Offsets are 0 in types that have none. `block` is one whole block; both outputs have
// ScaleGroups(type) elements. NaN where the stored scale is NaN. CHECK: ScaleGroups(type) > 0.
void BlockScales(TensorType type, const std::byte* block, float* scales, float* offsets);

}  // namespace vernier

#endif  // VERNIER_FORMATS_BLOCK_SCALES_H_
