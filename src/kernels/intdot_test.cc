// Integer kernels on every instruction set against kernels/ggml_reference.h, bit for bit: random
// and adversarial blocks, all types and orders.
#include "kernels/intdot.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "kernels/ggml.h"
#include "kernels/ggml_reference.h"
#include "kernels/panels.h"

namespace vernier {
namespace {

constexpr TensorType kTypes[] = {TensorType::kQ8_0, TensorType::kQ4_0,   TensorType::kQ4_1,
                                 TensorType::kQ5_0, TensorType::kQ5_1,   TensorType::kQ2_K,
                                 TensorType::kQ3_K, TensorType::kQ4_K,   TensorType::kQ5_K,
                                 TensorType::kQ6_K, TensorType::kIQ4_NL, TensorType::kIQ4_XS,
                                 TensorType::kMXFP4};

enum class Blocks { kRandom, kExtreme, kOddScales };

// Where a block has its binary16 numbers.
std::vector<size_t> HalvesOf(TensorType type) {
  switch (type) {
    case TensorType::kQ4_1:
    case TensorType::kQ5_1:
    case TensorType::kQ4_K:
    case TensorType::kQ5_K:
      return {0, 2};
    case TensorType::kQ2_K:
      return {80, 82};
    case TensorType::kQ3_K:
      return {108};
    case TensorType::kQ6_K:
      return {208};
    case TensorType::kMXFP4:
      return {};
    default:
      return {0};
  }
}

// Rows of blocks as files store them. Extreme: all bits of a byte alike. Odd scales: zero,
// subnormal, the largest, infinite.
std::vector<uint8_t> MakeRows(TensorType type, size_t rows, size_t k, Blocks blocks,
                              std::mt19937& engine) {
  const PackedLayout& layout = LayoutOf(type);
  std::vector<uint8_t> bytes(rows * k / layout.unit * layout.block_bytes);
  for (uint8_t& byte : bytes) {
    byte = static_cast<uint8_t>(engine());
    if (blocks == Blocks::kExtreme)
      byte = byte % 4 == 0 ? 0x00 : byte % 4 == 1 ? 0x80 : byte % 4 == 2 ? 0x7f : 0xff;
  }
  constexpr uint16_t kOdd[] = {0x0000, 0x8000, 0x0001, 0x83ff, 0x0400, 0x7bff, 0xfbff, 0x7c00};
  for (size_t b = 0; b < bytes.size(); b += layout.block_bytes) {
    if (type == TensorType::kMXFP4)
      bytes[b] =
          static_cast<uint8_t>(blocks == Blocks::kOddScales ? engine() % 3 : 110 + engine() % 20);
    for (const size_t at : HalvesOf(type)) {
      uint16_t half = static_cast<uint16_t>(0x1c00 + (engine() & 0x87ff));
      // One in many, so that infinite sums do not hide the rest.
      if (blocks == Blocks::kOddScales && engine() % 3 == 0)
        half = kOdd[engine() % (engine() % 64 == 0 ? 8 : 7)];
      std::memcpy(&bytes[b + at], &half, 2);
    }
  }
  return bytes;
}

// Activations with large elements, rows of zeros, blocks whose largest magnitude has both signs.
std::vector<float> MakeActivations(size_t n, size_t k, std::mt19937& engine) {
  std::normal_distribution<float> normal;
  std::vector<float> x(n * k);
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] = normal(engine);
    if (engine() % 100 == 0) x[i] *= 50;
    if (i / k % 5 == 3) x[i] = x[i] < 0 ? -1.0f : 1.0f;
    if (i / k % 7 == 6) x[i] = 0;
  }
  return x;
}

struct Unpacked {
  std::vector<float> d, m;
  std::vector<int8_t> codes;
  std::vector<int16_t> scales, mins;
  Unpacked(TensorType type, const uint8_t* row, size_t k)
      : d(k / 32), m(k / 32), codes(k), scales(k / 16), mins(k / 16) {
    UnpackGgmlRow(type, row, k,
                  {nullptr, codes.data(), d.data(), m.data(), scales.data(), mins.data()});
  }
  GgmlWeightRow View() const {
    return {nullptr, codes.data(), d.data(), m.data(), scales.data(), mins.data()};
  }
};

struct Activations {
  std::vector<int8_t> codes;
  std::vector<float> d, s;
  std::vector<int16_t> sums;
  Activations(TensorType type, const float* x, size_t k)
      : codes(k), d(k / 32), s(k / 32), sums(k / 16) {
    reference::ggml::Quantise(GgmlActivationOf(type), x, k,
                              {nullptr, codes.data(), d.data(), s.data(), sums.data()});
  }
  GgmlRow View() const { return {nullptr, codes.data(), d.data(), s.data(), sums.data()}; }
};

AlignedArray<uint8_t> Pack(TensorType type, const std::vector<uint8_t>& rows, size_t outputs,
                           size_t k) {
  const PackedLayout& layout = LayoutOf(type);
  const size_t row_bytes = k / layout.unit * layout.block_bytes, stride = layout.PanelBytes(k);
  AlignedArray<uint8_t> panels((outputs + 15) / 16 * stride);
  for (size_t p = 0; p * 16 < outputs; ++p) {
    const uint8_t* row[16];
    for (size_t r = 0; r < 16; ++r)
      row[r] = p * 16 + r < outputs ? rows.data() + (p * 16 + r) * row_bytes : nullptr;
    PackPanel(type, row, k, panels.data() + p * stride);
  }
  return panels;
}

bool SameNumber(float a, float b) {
  return std::memcmp(&a, &b, sizeof a) == 0 || (a != a && b != b);
}

class IntDotTest : public ::testing::TestWithParam<IntDotIsa> {
 protected:
  void SetUp() override {
    kernels_ = IntDotKernelsFor(GetParam());
    if (kernels_ == nullptr) GTEST_SKIP() << "this machine cannot run it";
  }

  // Sixteen-row panels in two calls, as two threads would make them.
  void Check(TensorType type, IntDotOrder order, size_t outputs, size_t k, size_t n,
             Blocks blocks) {
    const IntDotKernel kernel = kernels_->find(type, order);
    ASSERT_NE(kernel.matmul, nullptr);
    std::mt19937 engine(static_cast<uint32_t>(type) * 1000 + static_cast<uint32_t>(n));
    const std::vector<uint8_t> rows = MakeRows(type, outputs, k, blocks, engine);
    const std::vector<float> x = MakeActivations(n, k, engine);
    const AlignedArray<uint8_t> panels = Pack(type, rows, outputs, k);
    const size_t row_bytes = kernel.format.RowBytes(k), middle = (outputs + 15) / 32;
    AlignedArray<uint8_t> quantised(n * row_bytes);
    std::vector<float> y(n * outputs, -7.0f);
    std::vector<const uint8_t*> in;
    std::vector<float*> out;
    for (size_t j = 0; j < n; ++j) {
      kernels_->quantise(kernel.format, x.data() + j * k, k, quantised.data() + j * row_bytes);
      in.push_back(quantised.data() + j * row_bytes);
      out.push_back(y.data() + j * outputs);
    }
    IntDotArgs args{panels.data(), k, outputs, 0, middle, in.data(), n, n - n % 4, out.data()};
    kernel.matmul(args);
    args.first_panel = middle;
    args.last_panel = (outputs + 15) / 16;
    kernel.matmul(args);
    const size_t stored = k / LayoutOf(type).unit * LayoutOf(type).block_bytes;
    std::vector<Activations> activations;
    for (size_t j = 0; j < n; ++j) activations.emplace_back(type, x.data() + j * k, k);
    for (size_t o = 0; o < outputs; ++o) {
      const Unpacked w(type, rows.data() + o * stored, k);
      for (size_t j = 0; j < n; ++j) {
        const GgmlOrder of_row = order == IntDotOrder::kDot     ? GgmlOrder::kDot
                                 : order == IntDotOrder::kBatch ? GgmlOrder::kBatch
                                 : j < args.fours               ? GgmlOrder::kGemm
                                                                : GgmlOrder::kGemv;
        const GgmlDots dots{type, of_row, k, w.View(), nullptr, 0, nullptr};
        const float expected = reference::ggml::Dot(dots, activations[j].View());
        ASSERT_TRUE(SameNumber(expected, y[j * outputs + o]))
            << "type " << static_cast<int>(type) << " order " << static_cast<int>(order) << " k "
            << k << " row " << j << " of " << n << " output " << o << " of " << outputs << ": "
            << expected << " and " << y[j * outputs + o];
      }
    }
  }

  const IntDotKernels* kernels_ = nullptr;
};

TEST_P(IntDotTest, EveryTypeAndOrderEqualsTheReference) {
  size_t checked = 0;
  for (const TensorType type : kTypes)
    for (const IntDotOrder order : {IntDotOrder::kDot, IntDotOrder::kBatch, IntDotOrder::kRepack}) {
      const bool repacked = GgmlRepacks(type, 8);
      if (order == IntDotOrder::kRepack && !repacked) {
        EXPECT_EQ(kernels_->find(type, order).matmul, nullptr);
        continue;
      }
      const size_t unit = LayoutOf(type).unit;
      for (const Blocks blocks : {Blocks::kRandom, Blocks::kExtreme, Blocks::kOddScales}) {
        Check(type, order, 40, unit == 32 ? 7 * 32 : 5 * 256, 7, blocks);
        Check(type, order, 19, unit, 1, blocks);
      }
      ++checked;
    }
  EXPECT_EQ(checked, 2 * 13 + 5u);
}

TEST_P(IntDotTest, EveryNumberOfRows) {
  for (size_t n = 1; n <= 33; ++n) {
    Check(TensorType::kQ4_0, IntDotOrder::kRepack, 50, 96, n, Blocks::kRandom);
    Check(TensorType::kQ4_K, IntDotOrder::kRepack, 24, 256, n, Blocks::kRandom);
    Check(TensorType::kQ2_K, IntDotOrder::kRepack, 24, 256, n, Blocks::kRandom);
    Check(TensorType::kQ8_0, IntDotOrder::kBatch, 33, 96, n, Blocks::kRandom);
    Check(TensorType::kMXFP4, IntDotOrder::kBatch, 17, 160, n, Blocks::kRandom);
    Check(TensorType::kQ6_K, IntDotOrder::kBatch, 17, 256, n, Blocks::kRandom);
  }
  for (const size_t n : {97, 200}) {  // more rows than pass over a panel at once
    Check(TensorType::kQ4_0, IntDotOrder::kRepack, 32, 64, n, Blocks::kRandom);
    Check(TensorType::kQ4_K, IntDotOrder::kRepack, 16, 256, n, Blocks::kRandom);
    Check(TensorType::kQ2_K, IntDotOrder::kRepack, 16, 256, n, Blocks::kRandom);
    Check(TensorType::kQ8_0, IntDotOrder::kBatch, 16, 64, n, Blocks::kRandom);
    Check(TensorType::kQ6_K, IntDotOrder::kBatch, 16, 256, n, Blocks::kRandom);
  }
}

// Codes, scales and sums of a row, against the reference.
TEST_P(IntDotTest, QuantisesAsTheReference) {
  std::mt19937 engine(5);
  constexpr size_t kColumns = 1024;
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<float> x = MakeActivations(1, kColumns, engine);
    const float scale = std::ldexp(1.0f, static_cast<int>(engine() % 200) - 100);
    for (float& v : x) v *= scale;
    for (const TensorType type : {TensorType::kQ8_0, TensorType::kQ4_1, TensorType::kQ4_K}) {
      const ActivationFormat format = kernels_->find(type, IntDotOrder::kDot).format;
      const bool super = format.kind == ActivationKind::kQ8_K;
      const Activations expected(type, x.data(), kColumns);
      AlignedArray<uint8_t> row(format.RowBytes(kColumns));
      kernels_->quantise(format, x.data(), kColumns, row.data());
      for (size_t i = 0; i < kColumns; ++i)
        ASSERT_EQ(static_cast<int8_t>(row[i] ^ (format.flipped ? 128 : 0)), expected.codes[i])
            << "trial " << trial << " element " << i;
      ASSERT_EQ(std::memcmp(row.data() + format.Scales(kColumns), expected.d.data(),
                            kColumns / format.Unit() * 4),
                0);
      const uint8_t* sums = row.data() + format.Sums(kColumns);
      if (format.kind == ActivationKind::kQ8_1) {
        ASSERT_EQ(std::memcmp(sums, expected.s.data(), kColumns / 32 * 4), 0);
      } else if (super) {
        ASSERT_EQ(std::memcmp(sums, expected.sums.data(), kColumns / 16 * 2), 0);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(InstructionSets, IntDotTest,
                         ::testing::Values(IntDotIsa::kPortable, IntDotIsa::kAvx2,
                                           IntDotIsa::kAvxVnni, IntDotIsa::kAvx512Vnni));

}  // namespace
}  // namespace vernier
