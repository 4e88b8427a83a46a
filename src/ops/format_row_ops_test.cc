// Rows against one exact operation at a time (formats/number.h).
#include "ops/format_row_ops.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>

#include "formats/exact_sum.h"
#include "formats/number.h"
#include "ops/format_functions.h"

namespace vernier {
namespace {

uint64_t Bits(double x) {
  return x == x ? std::bit_cast<uint64_t>(x) : std::bit_cast<uint64_t>(std::nan(""));
}

// Numbers of the format of all sizes, and pairs that meet in the middle of two numbers.
std::vector<double> Numbers(const RoundSpec& spec, size_t n, uint32_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal(0, 1);
  std::vector<double> x(n);
  for (double& v : x) {
    const int e = random() % 3 == 0 ? static_cast<int>(random() % 160) - 80
                                    : static_cast<int>(random() % 8) - 4;
    v = random() % 5 == 0 ? std::ldexp(1.0 + std::ldexp(1.0, -static_cast<int>(random() % 30)), e)
                          : std::ldexp(normal(random), e);
    if (random() % 40 == 0) v = 0;
    if (random() % 60 == 0) v = std::ldexp(v, 100);
    v = RoundValue(spec, v);
  }
  return x;
}

class RowOpsTest : public ::testing::TestWithParam<const char*> {};

TEST_P(RowOpsTest, EqualsExactOperationsRoundedOnce) {
  const FormatMath math = ParseFormatMath(GetParam()).value();
  constexpr size_t kCount = 3000;
  for (const Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512}) {
    if (KernelsFor(isa) == nullptr) continue;
    const FormatRowOps ops(math, math.values, *KernelsFor(isa));
    const RoundSpec& s = ops.spec();
    const RoundSpec operands = OperandSpec(math.values);
    const std::vector<double> a = Numbers(operands, kCount, 1), b = Numbers(operands, kCount, 2);
    std::vector<double> c = Numbers(operands, kCount, 3), d = Numbers(operands, kCount, 4);
    std::vector<double> out(kCount);
    const auto expect = [&](const char* what, const auto& right) {
      for (size_t i = 0; i < kCount; ++i)
        ASSERT_EQ(Bits(out[i]), Bits(right(i)))
            << GetParam() << " " << what << " of " << a[i] << " " << b[i] << " " << c[i] << ": "
            << out[i] << " " << right(i);
    };
    ops.Product(a.data(), b.data(), kCount, out.data());
    expect("product", [&](size_t i) { return RoundedProduct(s, a[i], b[i]); });
    ops.Product(a.data(), b[7], kCount, out.data());
    expect("product by one", [&](size_t i) { return RoundedProduct(s, a[i], b[7]); });
    ops.Sum(a.data(), b.data(), kCount, out.data());
    expect("sum", [&](size_t i) { return RoundedSum(s, a[i], b[i]); });
    ops.Difference(a.data(), b.data(), kCount, out.data());
    expect("difference", [&](size_t i) { return RoundedSum(s, a[i], -b[i]); });
    ops.Difference(a.data(), b[9], kCount, out.data());
    expect("difference with one", [&](size_t i) { return RoundedSum(s, a[i], -b[9]); });
    ops.Fused(a.data(), b.data(), c.data(), kCount, out.data());
    expect("fused", [&](size_t i) { return RoundedFused(s, a[i], b[i], c[i]); });
    ops.FusedDifference(a.data(), b.data(), c.data(), kCount, out.data());
    expect("fused difference", [&](size_t i) { return RoundedFused(s, a[i], b[i], -c[i]); });
    ops.Quotient(a.data(), b[11], kCount, out.data());
    expect("quotient", [&](size_t i) { return RoundedQuotient(s, a[i], b[11]); });
    ops.TwoProducts(a.data(), b.data(), c.data(), d.data(), kCount, out.data());
    const auto two = [&](size_t i) {
      ExactSum sum;
      sum.AddProduct(a[i], b[i]);
      sum.AddProduct(c[i], d[i]);
      return sum.Round(s);
    };
    expect("two products", two);
    // Products that cancel but for their last bits.
    for (size_t i = 0; i < kCount; ++i) {
      c[i] = -a[i];
      d[i] = RoundValue(operands, b[i] * (1 + std::ldexp(1.0, -static_cast<int>(i % 40))));
    }
    ops.TwoProducts(a.data(), b.data(), c.data(), d.data(), kCount, out.data());
    expect("two products that cancel", two);
    for (size_t i = 0; i < kCount; ++i) c[i] = RoundValue(operands, -a[i] * b[i]);
    ops.Fused(a.data(), b.data(), c.data(), kCount, out.data());
    expect("fused that cancel", [&](size_t i) { return RoundedFused(s, a[i], b[i], c[i]); });
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, RowOpsTest,
                         ::testing::Values("step:posit32", "step:posit16", "step:bf16", "step:f16",
                                           "step:f32", "step:f64", "step:e4m3,overflow=saturate",
                                           "step:posit32,round=down", "step:f32,round=odd",
                                           "step:bf16,round=up,subnormals=flush",
                                           "step:f16,round=nearest-away", "step:e8m48",
                                           "step:e11m20", "step:f64,round=toward-zero",
                                           "step:posit48", "step:posit20es0"));

}  // namespace
}  // namespace vernier
