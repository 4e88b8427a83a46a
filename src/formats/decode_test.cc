#include "formats/decode.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

#include "base/file.h"
#include "formats/decode_blocks.h"

namespace vernier {
namespace {

bool SameValue(float a, float b) {  // same bits, or both NaN
  return (std::isnan(a) && std::isnan(b)) ||
         std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b);
}

// A float format of 16 bits read as the definition says: sign, exponent field, fraction.
double SmallFloat(uint32_t bits, int exponent_bits, int fraction_bits) {
  const int field = static_cast<int>(bits >> fraction_bits & ((1u << exponent_bits) - 1));
  const int fraction = static_cast<int>(bits & ((1u << fraction_bits) - 1));
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const double sign = bits >> 15 ? -1 : 1;
  if (field == (1 << exponent_bits) - 1) return fraction ? NAN : sign * INFINITY;
  if (field == 0) return sign * std::ldexp(fraction, 1 - bias - fraction_bits);
  return sign * std::ldexp(fraction + (1 << fraction_bits), field - bias - fraction_bits);
}

void CheckAllPatterns(TensorType type, int exponent_bits, int fraction_bits) {
  std::vector<uint16_t> source(65536);
  std::iota(source.begin(), source.end(), uint16_t{0});
  std::vector<float> out(source.size());
  DecodeToFloat(type, std::as_bytes(std::span(source)), out);
  for (uint32_t bits = 0; bits < source.size(); ++bits) {
    const auto expected = static_cast<float>(SmallFloat(bits, exponent_bits, fraction_bits));
    ASSERT_TRUE(SameValue(out[bits], expected)) << bits;
  }
}

TEST(DecodeTest, EveryF16Pattern) { CheckAllPatterns(TensorType::kF16, 5, 10); }
TEST(DecodeTest, EveryBF16Pattern) { CheckAllPatterns(TensorType::kBF16, 8, 7); }

TEST(DecodeTest, NansKeepSignAndPayload) {
  EXPECT_EQ(std::bit_cast<uint32_t>(HalfBitsToFloat(0x7e01)), 0x7fc02000u);
  EXPECT_EQ(std::bit_cast<uint32_t>(HalfBitsToFloat(0xfc01)), 0xffc02000u);  // made quiet
}

TEST(DecodeTest, F32IsCopiedBitForBit) {
  const std::vector<uint32_t> source = {0,          0x80000000, 1,         0x7f800000,
                                        0x7f800001, 0xffc12345, 0x3f800000};
  std::vector<float> out(source.size());
  DecodeToFloat(TensorType::kF32, std::as_bytes(std::span(source)), out);
  EXPECT_EQ(std::memcmp(out.data(), source.data(), out.size() * sizeof(float)), 0);
}

TEST(DecodeTest, F64RoundsToNearestEvenAndStaysExactInDouble) {
  const std::vector<double> source = {
      1 + 0x1p-24, 1 + 0x3p-24, 1 + 0x1p-24 + 0x1p-50, 0x1p-150, 0x1.8p-149, 1e300, -0.0};
  const std::vector<float> expected = {1, 1 + 0x1p-22f, 1 + 0x1p-23f, 0, 0x1p-148f, INFINITY, -0.f};
  std::vector<float> out(source.size());
  DecodeToFloat(TensorType::kF64, std::as_bytes(std::span(source)), out);
  for (size_t i = 0; i < out.size(); ++i) EXPECT_TRUE(SameValue(out[i], expected[i])) << i;
  std::vector<double> wide(source.size());
  DecodeToDouble(TensorType::kF64, std::as_bytes(std::span(source)), wide);
  EXPECT_EQ(std::memcmp(wide.data(), source.data(), wide.size() * sizeof(double)), 0);
}

// tests/data/blocks/TYPE.bin: a count, that many blocks, ggml's decoding of them.
struct Reference {
  std::vector<std::byte> blocks;
  std::vector<float> decoded;
};

Reference ReadReference(const TensorTypeInfo& info) {
  const std::string path =
      std::string(VERNIER_SOURCE_DIR) + "/tests/data/blocks/" + info.name + ".bin";
  auto file = MappedFile::Open(path);
  if (!file) {
    ADD_FAILURE() << file.error().message;
    return {};
  }
  uint32_t count = 0;
  std::memcpy(&count, file->bytes().data(), sizeof(count));
  Reference reference;
  reference.blocks.resize(count * static_cast<size_t>(info.block_bytes));
  reference.decoded.resize(count * static_cast<size_t>(info.block_elements));
  const size_t decoded_bytes = reference.decoded.size() * sizeof(float);
  EXPECT_EQ(file->bytes().size(), sizeof(count) + reference.blocks.size() + decoded_bytes);
  const std::byte* data = file->bytes().data() + sizeof(count);
  std::memcpy(reference.blocks.data(), data, reference.blocks.size());
  std::memcpy(reference.decoded.data(), data + reference.blocks.size(), decoded_bytes);
  return reference;
}

TEST(DecodeTest, EveryBlockTypeDecodesAsInGgml) {
  int types = 0, nans = 0, subnormals = 0;
  for (const TensorTypeInfo& info : TensorTypes()) {
    if (info.block_elements == 1) continue;
    ++types;
    const Reference reference = ReadReference(info);
    std::vector<float> out(reference.decoded.size());
    DecodeToFloat(info.type, reference.blocks, out);
    for (size_t i = 0; i < out.size(); ++i) {
      const size_t block = i / static_cast<size_t>(info.block_elements);
      // ggml gives the E8M0 NaN scale the value 2^128; the MX specification and we give NaN.
      if (info.type == TensorType::kMXFP4 && reference.blocks[block * 17] == std::byte{255}) {
        ASSERT_TRUE(std::isnan(out[i]));
        continue;
      }
      ASSERT_TRUE(SameValue(out[i], reference.decoded[i]))
          << info.name << " block " << block << " element "
          << i % static_cast<size_t>(info.block_elements) << ": " << out[i] << " and "
          << reference.decoded[i];
      nans += std::isnan(out[i]);
      subnormals += std::fpclassify(out[i]) == FP_SUBNORMAL;
    }
  }
  EXPECT_EQ(types, 18);
  EXPECT_GT(nans, 100);  // the data does contain the special cases
  EXPECT_GT(subnormals, 10);
}

TEST(DecodeTest, PiecesUnalignedAndDoubleAgree) {
  for (const TensorTypeInfo& info : TensorTypes()) {
    if (info.block_elements == 1) continue;
    const Reference reference = ReadReference(info);
    std::vector<std::byte> shifted(reference.blocks.size() + 1);
    std::copy(reference.blocks.begin(), reference.blocks.end(), shifted.begin() + 1);
    const std::span<const std::byte> source = std::span(shifted).subspan(1);
    const auto block_bytes = static_cast<size_t>(info.block_bytes);
    const auto block_elements = static_cast<size_t>(info.block_elements);
    std::vector<float> whole(reference.decoded.size()), single(whole.size());
    std::vector<double> wide(whole.size());
    DecodeToFloat(info.type, source, whole);
    DecodeToDouble(info.type, source, wide);
    for (size_t b = 0; b * block_bytes < source.size(); ++b)
      DecodeToFloat(info.type, source.subspan(b * block_bytes, block_bytes),
                    std::span(single).subspan(b * block_elements, block_elements));
    for (size_t i = 0; i < whole.size(); ++i) {
      ASSERT_TRUE(SameValue(whole[i], single[i])) << info.name;
      ASSERT_TRUE(std::isnan(wide[i]) ? std::isnan(whole[i])
                                      : wide[i] == static_cast<double>(whole[i]))
          << info.name;
    }
  }
}

TEST(DecodeTest, NothingAndWrongSizes) {
  for (const TensorTypeInfo& info : TensorTypes()) {
    DecodeToFloat(info.type, {}, {});
    DecodeToDouble(info.type, {}, {});
  }
  std::vector<std::byte> block(18);
  std::vector<float> out(31);
  EXPECT_THROW(DecodeToFloat(TensorType::kQ4_0, block, out), Defect);
  EXPECT_THROW(DecodeToFloat(TensorType::kQ4_0, std::span(block).first(17), out), Defect);
}

}  // namespace
}  // namespace vernier
