// Products whose rows have different orders, against kernels/ggml_reference.h, with one thread and
// three and every instruction set.
#include "ops/integer_product.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

#include "kernels/ggml_reference.h"
#include "kernels/panels.h"

namespace vernier {
namespace {

constexpr size_t kColumns = 512, kOutputs = 152, kRows = 11;

struct Product {
  std::vector<uint8_t> rows;
  std::vector<float> x;
  AlignedArray<uint8_t> panels;
  std::vector<GgmlOrder> orders;
};

Product MakeProduct() {
  std::mt19937 engine(3);
  std::normal_distribution<float> normal;
  const PackedLayout& layout = LayoutOf(TensorType::kQ4_K);
  const size_t row_bytes = kColumns / layout.unit * layout.block_bytes;
  Product p{
      std::vector<uint8_t>(kOutputs * row_bytes), std::vector<float>(kRows * kColumns), {}, {}};
  for (uint8_t& byte : p.rows) byte = static_cast<uint8_t>(engine());
  for (size_t b = 0; b < p.rows.size(); b += layout.block_bytes) {
    const uint16_t halves[2] = {0x2001, 0x1c05};
    std::memcpy(&p.rows[b], halves, 4);
  }
  for (float& v : p.x) v = normal(engine);
  const size_t stride = layout.PanelBytes(kColumns);
  p.panels = AlignedArray<uint8_t>((kOutputs + 15) / 16 * stride);
  for (size_t i = 0; i * 16 < kOutputs; ++i) {
    const uint8_t* pointers[16] = {};
    for (size_t r = 0; r < 16 && i * 16 + r < kOutputs; ++r)
      pointers[r] = p.rows.data() + (i * 16 + r) * row_bytes;
    PackPanel(TensorType::kQ4_K, pointers, kColumns, p.panels.data() + i * stride);
  }
  constexpr GgmlOrder kOrders[] = {GgmlOrder::kGemv, GgmlOrder::kDot, GgmlOrder::kGemm,
                                   GgmlOrder::kBatch};
  for (size_t r = 0; r < kRows; ++r) p.orders.push_back(kOrders[r * 7 % 4]);
  return p;
}

std::vector<float> Evaluate(const Product& p, int threads, Isa isa) {
  Workers workers(threads);
  std::vector<float> y(kRows * kOutputs, -1);
  std::vector<const float*> x;
  std::vector<float*> out;
  for (size_t r = 0; r < kRows; ++r) {
    x.push_back(p.x.data() + r * kColumns);
    out.push_back(y.data() + r * kOutputs);
  }
  EvaluateIntegerProduct({TensorType::kQ4_K, p.panels.data(), kColumns, kOutputs, x, p.orders, out},
                         {KernelsFor(isa), &workers});
  return y;
}

TEST(IntegerProductTest, EveryRowInItsOrder) {
  const Product p = MakeProduct();
  const std::vector<float> y = Evaluate(p, 3, BestKernels().isa);
  const size_t row_bytes = p.rows.size() / kOutputs;
  for (size_t o = 0; o < kOutputs; ++o) {
    std::vector<int8_t> codes(kColumns);
    std::vector<float> d(2), m(2);
    std::vector<int16_t> scales(32), mins(32);
    UnpackGgmlRow(TensorType::kQ4_K, p.rows.data() + o * row_bytes, kColumns,
                  {nullptr, codes.data(), d.data(), m.data(), scales.data(), mins.data()});
    for (size_t r = 0; r < kRows; ++r) {
      std::vector<int8_t> xc(kColumns);
      std::vector<float> xd(2);
      std::vector<int16_t> sums(32);
      reference::ggml::Quantise(GgmlActivation::kQ8_K, p.x.data() + r * kColumns, kColumns,
                                {nullptr, xc.data(), xd.data(), nullptr, sums.data()});
      const float expected = reference::ggml::Dot(
          {TensorType::kQ4_K,
           p.orders[r],
           kColumns,
           {nullptr, codes.data(), d.data(), m.data(), scales.data(), mins.data()},
           nullptr,
           0,
           nullptr},
          {nullptr, xc.data(), xd.data(), nullptr, sums.data()});
      ASSERT_EQ(expected, y[r * kOutputs + o]) << "row " << r << " output " << o;
    }
  }
}

TEST(IntegerProductTest, ThreadsAndInstructionSetsChangeNothing) {
  const Product p = MakeProduct();
  const std::vector<float> y = Evaluate(p, 1, Isa::kPortable);
  for (const Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512}) {
    if (KernelsFor(isa) == nullptr) continue;
    for (const int threads : {1, 2}) EXPECT_EQ(Evaluate(p, threads, isa), y);
  }
}

TEST(IntegerProductTest, WhichTypesHaveOne) {
  const GgmlOrder dot[] = {GgmlOrder::kDot}, gemm[] = {GgmlOrder::kDot, GgmlOrder::kGemm};
  EXPECT_TRUE(HasIntegerProduct(TensorType::kQ6_K, dot));
  EXPECT_FALSE(HasIntegerProduct(TensorType::kQ6_K, gemm));
  EXPECT_TRUE(HasIntegerProduct(TensorType::kQ4_K, gemm));
  EXPECT_FALSE(HasIntegerProduct(TensorType::kF16, dot));
}

}  // namespace
}  // namespace vernier
