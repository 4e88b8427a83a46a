// Weight matrices as the fast kernels read them: panels of 16 rows, interleaved, the stored codes
// kept (docs/kernels.md has the layouts; they are normative for the kernels). A panel is two
// streams: the codes of all its columns, then, from a 64-byte boundary, the scales. In a vector of
// codes dword r belongs to row r. Freestanding: the kernels of every instruction set include it.
#ifndef VERNIER_KERNELS_PACKED_H_
#define VERNIER_KERNELS_PACKED_H_

#include <stddef.h>
#include <stdint.h>

namespace vernier {

// The stored types that have a packed layout, numbered as TensorType (model/tensor.h).
enum class PackedType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kIQ4_NL = 20,
  kIQ4_XS = 23,
  kBF16 = 30,
  kMXFP4 = 39,
};

struct PackedLayout {
  PackedType type;
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
    {PackedType::kF32, 1, 64, 1, 0, 4},             //
    {PackedType::kF16, 1, 32, 1, 0, 2},             //
    {PackedType::kBF16, 1, 32, 1, 0, 2},            //
    {PackedType::kQ8_0, 32, 512, 32, 32, 34},       // d
    {PackedType::kQ4_0, 32, 256, 32, 32, 18},       // d
    {PackedType::kQ4_1, 32, 256, 32, 64, 20},       // d, m
    {PackedType::kQ5_0, 32, 320, 32, 32, 22},       // d
    {PackedType::kQ5_1, 32, 320, 32, 64, 24},       // d, m
    {PackedType::kQ2_K, 32, 128, 256, 320, 84},     // d, dmin, bytes[16]
    {PackedType::kQ3_K, 32, 192, 256, 288, 110},    // d, int8[16]
    {PackedType::kQ4_K, 32, 256, 256, 320, 144},    // d, dmin, bytes[8], bytes[8]
    {PackedType::kQ5_K, 32, 320, 256, 320, 176},    // d, dmin, bytes[8], bytes[8]
    {PackedType::kQ6_K, 32, 384, 256, 288, 210},    // d, int8[16]
    {PackedType::kIQ4_NL, 32, 256, 32, 32, 18},     // d
    {PackedType::kIQ4_XS, 32, 256, 256, 160, 136},  // d, int8[8]
    {PackedType::kMXFP4, 32, 256, 32, 16, 17},      // exponent bytes
};

// Null where the type has no layout; `gguf_type` is the number of a TensorType.
constexpr const PackedLayout* FindPackedLayout(uint32_t gguf_type) {
  for (const PackedLayout& layout : kPackedLayouts)
    if (static_cast<uint32_t>(layout.type) == gguf_type) return &layout;
  return nullptr;
}
constexpr const PackedLayout& LayoutOf(PackedType type) {
  return *FindPackedLayout(static_cast<uint32_t>(type));
}

// Packs 16 rows of `columns` elements (whole units), each as files store it and at any address,
// into `out`: PanelBytes(columns) bytes, 64-byte aligned, every one of which is written. A null row
// is zeros: codes and scales.
void PackPanel(PackedType type, const uint8_t* const* rows, size_t columns, uint8_t* out);

}  // namespace vernier

#endif  // VERNIER_KERNELS_PACKED_H_
