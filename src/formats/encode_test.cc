#include "formats/encode.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "formats/decode.h"
#include "formats/encode_blocks.h"
#include "kernels/kernels.h"
#include "kernels/quantise_reference.h"

namespace vernier {
namespace {

// The plain loops, and every instruction set this machine runs.
std::vector<const QuantiseKernels*> Tables() {
  std::vector<const QuantiseKernels*> tables = {&reference::kQuantise};
  for (const Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512})
    if (const Kernels* kernels = KernelsFor(isa)) tables.push_back(&kernels->quantise);
  return tables;
}

size_t ByteCount(const TensorTypeInfo& info, size_t elements) {
  return elements / static_cast<size_t>(info.block_elements) *
         static_cast<size_t>(info.block_bytes);
}

std::vector<std::byte> Encode(const QuantiseKernels& kernels, const TensorTypeInfo& info,
                              const std::vector<float>& x, size_t columns,
                              std::span<const float> importance) {
  std::vector<std::byte> out(ByteCount(info, x.size()), std::byte{0xcd});
  EncodeRowsWith(kernels, info.type, x.data(), x.size() / columns, columns, importance, out);
  return out;
}

std::vector<std::byte> ReadData(const std::string& name) {
  auto file = MappedFile::Open(std::string(VERNIER_SOURCE_DIR) + "/tests/data/encode/" + name);
  EXPECT_TRUE(file) << (file ? "" : file.error().message);
  if (!file) return {};
  return {file->bytes().begin(), file->bytes().end()};
}

struct Input {
  size_t rows = 0, columns = 0;
  std::vector<float> importance, values;
};

Input ReadInput() {
  const std::vector<std::byte> bytes = ReadData("input.bin");
  uint32_t sizes[2] = {};
  std::memcpy(sizes, bytes.data(), sizeof(sizes));
  Input input{sizes[0], sizes[1], {}, {}};
  input.importance.resize(input.columns);
  input.values.resize(input.rows * input.columns);
  const size_t importance_bytes = input.columns * sizeof(float);
  EXPECT_EQ(bytes.size(), sizeof(sizes) + importance_bytes + input.values.size() * sizeof(float));
  std::memcpy(input.importance.data(), bytes.data() + sizeof(sizes), importance_bytes);
  std::memcpy(input.values.data(), bytes.data() + sizeof(sizes) + importance_bytes,
              input.values.size() * sizeof(float));
  return input;
}

// tests/data/encode/TYPE.bin: ggml's encoding of input.bin, then that with importance.
TEST(EncodeTest, EveryBlockTypeEncodesAsInGgml) {
  const Input input = ReadInput();
  for (const TensorTypeInfo& info : TensorTypes()) {
    if (info.block_elements == 1) continue;
    const std::vector<std::byte> expected = ReadData(std::string(info.name) + ".bin");
    for (const QuantiseKernels* kernels : Tables()) {
      std::vector<std::byte> got = Encode(*kernels, info, input.values, input.columns, {});
      const auto weighted = Encode(*kernels, info, input.values, input.columns, input.importance);
      if (UsesImportance(info.type)) {
        got.insert(got.end(), weighted.begin(), weighted.end());
      } else {
        EXPECT_EQ(weighted, got) << info.name;
      }
      ASSERT_EQ(got.size(), expected.size()) << info.name;
      const auto block_bytes = static_cast<size_t>(info.block_bytes);
      for (size_t i = 0; i < got.size(); ++i)
        ASSERT_EQ(got[i], expected[i])
            << info.name << " block " << i / block_bytes << " byte " << i % block_bytes;
    }
  }
}

// Rows that bring the searches to their edges: ties, outliers, tiny and huge groups, any bits.
float Sample(int kind, size_t i, std::mt19937_64& engine) {
  std::normal_distribution<float> normal;
  const float v = normal(engine);
  switch (kind) {
    case 0:
      return v;
    case 1:
      return i % 41 == 0 ? 50 * v : v / 100;
    case 2:
      return static_cast<float>(static_cast<int>(engine() % 9) - 4);
    case 3:
      return std::ldexp(v, static_cast<int>(i / 16 % 240) - 120);
    case 4:
      return std::ldexp(v, -static_cast<int>(engine() % 60) - 30);
    case 5:
      return std::abs(v) + 1;
    case 6:
      return engine() % 12 == 0 ? v : 0;
    default: {
      const auto bits = static_cast<uint32_t>(engine());
      return std::bit_cast<float>((bits >> 23 & 255) == 255 ? bits & ~(1u << 30) : bits);
    }
  }
}

TEST(EncodeTest, EveryInstructionSetGivesTheBytesOfThePlainLoops) {
  std::mt19937_64 engine(7);
  std::uniform_real_distribution<float> uniform;
  for (const TensorTypeInfo& info : TensorTypes()) {
    for (int kind = 0; kind < 8; ++kind) {
      for (const size_t blocks : {1, 2, 3, 19}) {  // of a row: less and more than a batch
        const size_t columns = blocks * static_cast<size_t>(info.block_elements);
        std::vector<float> x(columns * 3), importance(columns);
        for (size_t i = 0; i < x.size(); ++i) x[i] = Sample(kind, i, engine);
        for (float& w : importance) w = engine() % 8 == 0 ? 0 : uniform(engine);
        for (const std::span<const float> w :
             {std::span<const float>(), std::span<const float>(importance)}) {
          const auto expected = Encode(reference::kQuantise, info, x, columns, w);
          for (const QuantiseKernels* kernels : Tables())
            ASSERT_EQ(Encode(*kernels, info, x, columns, w), expected)
                << info.name << " kind " << kind << " blocks " << blocks;
        }
      }
    }
  }
}

// A row's bytes do not depend on the rows beside it.
TEST(EncodeTest, RowsOneByOne) {
  const Input input = ReadInput();
  for (const TensorTypeInfo& info : TensorTypes()) {
    const auto whole =
        Encode(BestKernels().quantise, info, input.values, input.columns, input.importance);
    const size_t row_bytes = ByteCount(info, input.columns);
    std::vector<std::byte> out(row_bytes);
    for (size_t row = 0; row < input.rows; ++row) {
      EncodeRows(info.type, input.values.data() + row * input.columns, 1, input.columns,
                 input.importance, out);
      EXPECT_EQ(std::memcmp(out.data(), whole.data() + row * row_bytes, row_bytes), 0)
          << info.name << " row " << row;
    }
  }
}

// What NaN and infinities become is unspecified; the sanitizers watch how.
TEST(EncodeTest, AnyBitsAreTaken) {
  std::mt19937_64 engine(11);
  std::vector<float> x(4096), importance(1024);
  for (TensorTypeInfo info : TensorTypes()) {
    for (int kind = 0; kind < 4; ++kind) {
      for (float& v : x) {
        const auto bits = static_cast<uint32_t>(engine());
        const bool special = kind > 0 && engine() % (kind == 1 ? 64 : 2) == 0;
        v = std::bit_cast<float>(special ? bits | 0x7f800000u : bits);
        if (kind == 3) v = engine() % 2 == 0 ? v : -0x1.fffffep127f;
      }
      for (float& w : importance) w = std::bit_cast<float>(static_cast<uint32_t>(engine() >> 33));
      for (const QuantiseKernels* kernels : Tables()) {
        EXPECT_EQ(Encode(*kernels, info, x, 1024, {}).size(), ByteCount(info, x.size()));
        Encode(*kernels, info, x, 1024, importance);
      }
    }
  }
}

uint16_t EncodeOne(TensorType type, float x) {
  uint16_t code = 0;
  EncodeRows(type, &x, 1, 1, {}, std::as_writable_bytes(std::span(&code, 1)));
  return code;
}

// Between neighbours a and b of a 16-bit format: the middle goes to the even code, what is beside
// the middle to its own side. All codes, so rounding is right everywhere, being monotonic.
void CheckAllMiddles(TensorType type, uint16_t infinity) {
  for (uint16_t code = 0; code < infinity; ++code) {
    const uint16_t codes[2] = {code, static_cast<uint16_t>(code + 1)};
    double ends[2];
    DecodeToDouble(type, std::as_bytes(std::span(codes)), ends);
    // Past the largest number the grid goes on one step, to where infinity stands.
    if (std::isinf(ends[1])) ends[1] = std::exp2(std::ceil(std::log2(ends[0])));
    const auto middle = static_cast<float>((ends[0] + ends[1]) / 2);
    const uint16_t even = code % 2 == 0 ? codes[0] : codes[1];
    ASSERT_EQ(EncodeOne(type, middle), even) << code;
    ASSERT_EQ(EncodeOne(type, std::nextafter(middle, 0.0f)), codes[0]) << code;
    ASSERT_EQ(EncodeOne(type, std::nextafter(middle, INFINITY)), codes[1]) << code;
    ASSERT_EQ(EncodeOne(type, static_cast<float>(ends[0])), codes[0]) << code;
    ASSERT_EQ(EncodeOne(type, -middle), even | 0x8000) << code;
  }
  EXPECT_EQ(EncodeOne(type, INFINITY), infinity);
  EXPECT_EQ(EncodeOne(type, -INFINITY), infinity | 0x8000);
  EXPECT_GT(EncodeOne(type, NAN) & 0x7fff, infinity);
}

TEST(EncodeTest, EveryMiddleOfF16) { CheckAllMiddles(TensorType::kF16, 0x7c00); }
TEST(EncodeTest, EveryMiddleOfBF16) { CheckAllMiddles(TensorType::kBF16, 0x7f80); }

TEST(EncodeTest, F32AndF64KeepTheNumber) {
  const float x[2] = {std::bit_cast<float>(0x80000001u), 1.5f};
  float same[2];
  double wide[2];
  EncodeRows(TensorType::kF32, x, 1, 2, {}, std::as_writable_bytes(std::span(same)));
  EncodeRows(TensorType::kF64, x, 1, 2, {}, std::as_writable_bytes(std::span(wide)));
  EXPECT_EQ(std::memcmp(x, same, sizeof(x)), 0);
  EXPECT_EQ(wide[0], -0x1p-149);
  EXPECT_EQ(wide[1], 1.5);
}

uint8_t MXFP4Scale(float most) {
  std::vector<float> x(32);
  x[7] = -most;
  std::byte block[17];
  EncodeRows(TensorType::kMXFP4, x.data(), 1, 32, {}, block);
  return static_cast<uint8_t>(block[0]);
}

// The logarithm is rounded before its floor is taken: just below a power of two it is that power.
TEST(EncodeTest, MXFP4ScaleIsTheFloorOfARoundedLogarithm) {
  int lifted = 0;
  for (int exponent = -125; exponent < 128; ++exponent) {
    for (int below = 1; below < 120; ++below) {
      const float x = std::ldexp(1 - static_cast<float>(below) * 0x1p-24f, exponent + 1);
      const auto logarithm = static_cast<float>(std::log2(double{x}));
      const int expected = static_cast<int>(std::floor(logarithm));
      ASSERT_EQ(MXFP4Scale(x), expected + 125) << exponent << " " << below;
      lifted += expected > exponent;
    }
    ASSERT_EQ(MXFP4Scale(std::ldexp(1.0f, exponent)), exponent + 125);
  }
  EXPECT_GT(lifted, 1000);
  EXPECT_EQ(MXFP4Scale(0), 0);
  EXPECT_EQ(MXFP4Scale(0x1p-126f), 0);    // not 255, which is NaN
  EXPECT_EQ(MXFP4Scale(0x1p-127f), 254);  // modulo 256
  EXPECT_EQ(MXFP4Scale(0x1p-149f), 256 - 24);
}

// NVFP4's scale against the definition: half up, 7 the largest subnormal, all from 248 on 448.
TEST(EncodeTest, NVFP4Scale) {
  for (float scale = 0x1p-12f; scale < 600; scale *= 1.003f) {
    std::vector<float> x(64);
    x[3] = scale * 6;
    std::byte block[36];
    EncodeRows(TensorType::kNVFP4, x.data(), 1, 64, {}, block);
    const double s = double{x[3] / 6};
    int exponent;
    std::frexp(s, &exponent);
    const double step = std::ldexp(1, std::max(exponent - 1, -6) - 3);
    double expected = std::floor(s / step + 0.5) * step;
    if (s < 0x1p-6) expected = std::min(expected, 7 * step);
    if (expected > 240) expected = 448;
    float value[64];
    block[4] = std::byte{0x02};  // code 2 is 1
    DecodeToFloat(TensorType::kNVFP4, block, value);
    ASSERT_EQ(value[0], expected) << scale;
  }
}

TEST(EncodeTest, WrongSizes) {
  const std::vector<float> x(64), importance(32);
  std::vector<std::byte> out(36);
  EXPECT_THROW(EncodeRows(TensorType::kQ4_0, x.data(), 1, 33, {}, out), Defect);
  EXPECT_THROW(EncodeRows(TensorType::kQ4_0, x.data(), 1, 32, {}, out), Defect);
  EXPECT_THROW(EncodeRows(TensorType::kQ4_0, x.data(), 1, 64, importance, out), Defect);
  EncodeRows(TensorType::kQ4_0, x.data(), 2, 32, importance, out);
  EncodeRows(TensorType::kQ4_0, nullptr, 0, 32, {}, {});
}

}  // namespace
}  // namespace vernier
