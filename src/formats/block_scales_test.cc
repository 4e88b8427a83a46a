#include "formats/block_scales.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "formats/decode.h"

namespace vernier {
namespace {

// Random blocks of a type: random bytes, whose float16 scales are now and then NaN or infinite.
std::vector<std::byte> RandomBlocks(const TensorTypeInfo& info, size_t blocks) {
  std::mt19937 random(7);
  std::vector<std::byte> bytes(blocks * static_cast<size_t>(info.block_bytes));
  for (std::byte& b : bytes) b = static_cast<std::byte>(random() & 0xff);
  return bytes;
}

// Decoding does not share code with BlockScales: every element of a group is scale * code + offset
// for a small (half-)integer code.
TEST(BlockScales, ElementsAreMultiples) {
  for (const TensorTypeInfo& info : TensorTypes()) {
    const int groups = ScaleGroups(info.type);
    EXPECT_EQ(groups == 0, info.block_elements == 1) << info.name;
    if (groups == 0) continue;
    ASSERT_LE(groups, kMostScaleGroups);
    const size_t blocks = 500, size = static_cast<size_t>(info.block_elements);
    const auto bytes = RandomBlocks(info, blocks);
    std::vector<float> decoded(blocks * size);
    DecodeToFloat(info.type, bytes, decoded);
    size_t checked = 0, used = 0;
    for (size_t b = 0; b < blocks; ++b) {
      float scales[kMostScaleGroups], offsets[kMostScaleGroups];
      BlockScales(info.type, bytes.data() + b * static_cast<size_t>(info.block_bytes), scales,
                  offsets);
      for (size_t i = 0; i < size; ++i) {
        const size_t g = i * static_cast<size_t>(groups) / size;
        const float x = decoded[b * size + i];
        if (!std::isfinite(scales[g]) || !std::isfinite(offsets[g]) || !std::isfinite(x)) continue;
        if (scales[g] == 0) {
          ASSERT_EQ(x, offsets[g]) << info.name;
          continue;
        }
        // x was rounded to float32 once or twice: allow for that in the code.
        const double code = (double{x} - double{offsets[g]}) / double{scales[g]};
        const double slack =
            0x1p-22 * (std::abs(x) + std::abs(double{offsets[g]})) / std::abs(double{scales[g]});
        ASSERT_LE(std::abs(2 * code - std::round(2 * code)), 2 * slack + 1e-30) << info.name;
        ASSERT_LE(std::abs(code), 128 + slack) << info.name;
        ++checked;
        used += code != 0;
      }
    }
    EXPECT_GT(checked, blocks * size / 2) << info.name;
    EXPECT_GT(used, checked / 4) << info.name;
  }
}

}  // namespace
}  // namespace vernier
