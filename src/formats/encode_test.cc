#include "formats/encode.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/result.h"
#include "formats/decode.h"

namespace vernier {
namespace {

std::vector<std::byte> Encode(TensorType type, const std::vector<float>& x, size_t rows,
                              std::span<const float> importance = {}) {
  const TensorTypeInfo& info = Info(type);
  std::vector<std::byte> out(x.size() / static_cast<size_t>(info.block_elements) *
                             static_cast<size_t>(info.block_bytes));
  EncodeRows(type, x.data(), rows, x.size() / rows, importance, out);
  return out;
}

// Decoding what was encoded comes near the input, whatever the type.
TEST(EncodeTest, DecodingComesBack) {
  std::vector<float> x(1024);
  for (size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<float>(i * i % 1009));
  for (const TensorTypeInfo& info : TensorTypes()) {
    std::vector<float> back(x.size());
    DecodeToFloat(info.type, Encode(info.type, x, 2), back);
    double error = 0, power = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      error += std::pow(double{back[i]} - x[i], 2);
      power += std::pow(double{x[i]}, 2);
    }
    const double bits = 8.0 * info.block_bytes / info.block_elements;
    const bool ternary = info.type == TensorType::kTQ1_0 || info.type == TensorType::kTQ2_0;
    EXPECT_LT(error / power, ternary ? 0.15 : 10 * std::pow(4, -std::floor(bits)) + 1e-5)
        << info.name;
  }
}

}  // namespace
}  // namespace vernier
