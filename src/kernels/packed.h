// Weight matrices as the fast kernels read them: panels of 16 rows, interleaved, the stored codes
// kept (docs/kernels.md has the layouts; they are normative for the kernels). A panel is two
// streams: the codes of all its columns, then, from a 64-byte boundary, the scales. In a vector of
// codes dword r belongs to row r. Freestanding: the kernels of every instruction set include it.
#ifndef VERNIER_KERNELS_PACKED_H_
#define VERNIER_KERNELS_PACKED_H_

#include <stddef.h>
#include <stdint.h>

#include "model/tensor_type.h"

namespace vernier {

struct PackedLayout {
  TensorType type;
  uint16_t group;        // columns of a group of codes: 32; of the plain types 1
  uint16_t group_bytes;  // a group's codes, of 16 rows
  uint16_t unit;         // columns of a unit of scales, the type's block: 32 or 256; plain: 1
  uint16_t scale_bytes;  // a unit's scales, of 16 rows; plain: 0
  uint16_t block_bytes;  // a unit of one row as files store it

  // All of a panel of `columns` columns, whole units. The panel's stride is PanelBytes.
  constexpr size_t ScalesOffset(size_t columns) const {
    return (columns / group * group_bytes + 63) / 64 * 64;
  }
  constexpr size_t PanelBytes(size_t columns) const {
    return ScalesOffset(columns) + (columns / unit * scale_bytes + 63) / 64 * 64;
  }
};

inline constexpr PackedLayout kPackedLayouts[] = {
    {TensorType::kF32, 1, 64, 1, 0, 4},             //
    {TensorType::kF16, 1, 32, 1, 0, 2},             //
    {TensorType::kBF16, 1, 32, 1, 0, 2},            //
    {TensorType::kQ8_0, 32, 512, 32, 32, 34},       // d
    {TensorType::kQ4_0, 32, 256, 32, 32, 18},       // d
    {TensorType::kQ4_1, 32, 256, 32, 64, 20},       // d, m
    {TensorType::kQ5_0, 32, 320, 32, 32, 22},       // d
    {TensorType::kQ5_1, 32, 320, 32, 64, 24},       // d, m
    {TensorType::kQ2_K, 32, 128, 256, 320, 84},     // d, dmin, bytes[16]
    {TensorType::kQ3_K, 32, 192, 256, 288, 110},    // d, int8[16]
    {TensorType::kQ4_K, 32, 256, 256, 320, 144},    // d, dmin, bytes[8], bytes[8]
    {TensorType::kQ5_K, 32, 320, 256, 320, 176},    // d, dmin, bytes[8], bytes[8]
    {TensorType::kQ6_K, 32, 384, 256, 288, 210},    // d, int8[16]
    {TensorType::kIQ4_NL, 32, 256, 32, 32, 18},     // d
    {TensorType::kIQ4_XS, 32, 256, 256, 160, 136},  // d, int8[8]
    {TensorType::kMXFP4, 32, 256, 32, 16, 17},      // exponent bytes
};

// Null where the type has no layout.
constexpr const PackedLayout* FindPackedLayout(TensorType type) {
  for (const PackedLayout& layout : kPackedLayouts)
    if (layout.type == type) return &layout;
  return nullptr;
}
constexpr const PackedLayout& LayoutOf(TensorType type) { return *FindPackedLayout(type); }

// Packs 16 rows of `columns` elements (whole units), each as files store it and at any address,
// into `out`: PanelBytes(columns) bytes, 64-byte aligned, every one of which is written. A null row
// is zeros: codes and scales.
void PackPanel(TensorType type, const uint8_t* const* rows, size_t columns, uint8_t* out);

}  // namespace vernier

#endif  // VERNIER_KERNELS_PACKED_H_
