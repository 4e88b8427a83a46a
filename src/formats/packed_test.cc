// Packed panels (kernels/packed.h) hold what the files' blocks decode to (formats/decode.h).
#include "kernels/packed.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "formats/decode.h"
#include "kernels/packed_reference.h"
#include "kernels/packing_reference.h"
#include "kernels/panels.h"

namespace vernier {
namespace {

bool SameValue(float a, float b) {  // same bits, or both NaN
  return (std::isnan(a) && std::isnan(b)) ||
         std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b);
}

// Random bytes in every row, so every code, and every scale of a byte or two, comes up.
void TestPanel(const PackedLayout& layout, size_t rows, size_t columns) {
  const TensorType type = layout.type;
  const TensorTypeInfo& info = Info(type);
  const size_t row_bytes = columns / layout.unit * layout.block_bytes;
  std::mt19937_64 engine(columns + rows);
  std::vector<uint8_t> file(rows * row_bytes + 1);
  for (uint8_t& byte : file) byte = static_cast<uint8_t>(engine());
  const uint8_t* pointers[16] = {};
  for (size_t r = 0; r < rows; ++r) pointers[r] = file.data() + 1 + r * row_bytes;  // unaligned
  const size_t bytes = layout.PanelBytes(columns);
  ASSERT_EQ(bytes % 64, 0u);
  AlignedArray<uint8_t> panel(bytes + 64);
  std::fill_n(panel.data(), panel.size(), uint8_t{0xa5});
  PackPanel(layout.type, pointers, columns, panel.data());
  for (size_t i = bytes; i < panel.size(); ++i) ASSERT_EQ(panel[i], 0xa5) << info.name;
  AlignedArray<uint8_t> scalar(bytes);
  reference::PackPanel(layout.type, pointers, columns, scalar.data());
  ASSERT_EQ(std::memcmp(panel.data(), scalar.data(), bytes), 0) << info.name << " rows " << rows;
  std::vector<float> expected(columns);
  for (size_t r = 0; r < 16; ++r) {
    if (r < rows) DecodeToFloat(type, std::as_bytes(std::span(pointers[r], row_bytes)), expected);
    for (size_t c = 0; c < columns; ++c) {
      const float value = reference::PackedElement(layout.type, panel.data(), columns, r, c);
      if (r < rows) {
        ASSERT_TRUE(SameValue(value, expected[c])) << info.name << " row " << r << " column " << c;
      } else {
        ASSERT_EQ(std::abs(value), 0) << info.name << " row " << r << " column " << c;
      }
    }
  }
  // Rows that lack are zero bits, codes and scales.
  const uint8_t* none[16] = {};
  PackPanel(layout.type, none, columns, panel.data());
  for (size_t i = 0; i < bytes; ++i) ASSERT_EQ(panel[i], 0) << info.name;
}

TEST(Packed, PanelsHoldWhatBlocksDecodeTo) {
  int types = 0;
  for (const PackedLayout& layout : kPackedLayouts) {
    ++types;
    const TensorTypeInfo& info = Info(layout.type);
    EXPECT_EQ(info.block_elements, layout.unit) << info.name;
    EXPECT_EQ(info.block_bytes, layout.block_bytes) << info.name;
    for (const size_t units : {1, 2, 3, 7, 15})
      for (const size_t rows : {1, 5, 15, 16}) TestPanel(layout, rows, units * layout.unit);
  }
  EXPECT_EQ(types, 16);
}

}  // namespace
}  // namespace vernier
