#include "ops/coded_product.h"

#include <gtest/gtest.h>

#include <cmath>

#include "formats/treatment_testing.h"

namespace vernier {
namespace {

// The header's definition term by term, from codes and scales that are read off the treated rows.
float Plain(const IntegerCodes& x, const IntegerCodes& w, size_t o) {
  float y = 0;
  long long acc = 0;
  bool first = true;
  for (size_t i = 0; i < w.columns; ++i) {
    acc += static_cast<long long>(x.codes[i]) * w.codes[o * w.columns + i];
    const bool end = i + 1 == w.columns || (i + 1) % x.group == 0 || (i + 1) % w.group == 0;
    if (!end) continue;
    const CodeScale sx = x.scales[i / x.group], sw = w.scales[o * w.Groups() + i / w.group];
    const float scale = static_cast<float>(sx.a / sx.b) * static_cast<float>(sw.a / sw.b);
    const float t = static_cast<float>(acc) * scale;
    y = first ? t : y + t;
    first = false;
    acc = 0;
  }
  return y;
}

TEST(CodedProduct, EqualsAPlainLoopAndIsNearTheTreatedProduct) {
  const char* const rules[][2] = {{"int8", "int8"},
                                  {"int8", "int4,per=group:32"},
                                  {"int8,per=group:48", "int8,per=tensor"},
                                  {"int8,per=group:64", "int4,per=group:32"},
                                  {"int8,symmetric=false", "int8,symmetric=false"},
                                  {"int8,scale=0.03", "int2"}};
  for (const auto& [xt, wt] : rules) {
    const Treatment tx = ParseOrFail(xt, TreatedThing::kActivation),
                    tw = ParseOrFail(wt, TreatedThing::kWeight);
    const size_t k = 300, outputs = 37, rows = 3;
    std::vector<float> weights = NormalNumbers(outputs * k, 1), x = NormalNumbers(rows * k, 2);
    const IntegerCodes w = CodesOfTensor(tw, weights.data(), outputs, k, 0);
    std::vector<IntegerCodes> codes;
    for (size_t r = 0; r < rows; ++r) codes.push_back(CodesOfRow(tx, x.data() + r * k, k, 0));
    std::vector<float> y(rows * outputs);
    std::vector<float*> out;
    for (size_t r = 0; r < rows; ++r) out.push_back(y.data() + r * outputs);
    Workers workers(2);
    EvaluateCodedProduct({&w, LargestCode(tw), codes, LargestCode(tx), out},
                         {&BestKernels(), &workers});
    TreatTensor(tw, weights.data(), outputs, k, 0);
    for (size_t r = 0; r < rows; ++r) {
      TreatRow(tx, x.data() + r * k, k, 0);
      for (size_t o = 0; o < outputs; ++o) {
        EXPECT_EQ(y[r * outputs + o], Plain(codes[r], w, o)) << xt << " " << wt;
        double sum = 0, size = 0;
        for (size_t i = 0; i < k; ++i) {
          const double term = double{x[r * k + i]} * weights[o * k + i];
          sum += term;
          size += std::abs(term);
        }
        // Treated rows are within 2^-24 of code times scale, scales within 2^-24 of theirs, and
        // there are at most 300/32 + 1 pieces with two roundings and one addition each.
        EXPECT_NEAR(y[r * outputs + o], sum, size * 0x1p-24 * 17) << xt << " " << wt;
      }
    }
  }
}

TEST(CodedProduct, LongRowsOfLargeCodesDoNotOverflow) {
  const Treatment t = ParseOrFail("int8,symmetric=false", TreatedThing::kActivation);
  const size_t k = 40000;  // 40000 * 255 * 255 > 2^31
  std::vector<float> x(k, 1);
  const IntegerCodes a = CodesOfRow(t, x.data(), k, 0);
  ASSERT_EQ(a.codes[0], 255);
  std::vector<IntegerCodes> rows = {a};
  float y = 0;
  float* const out[] = {&y};
  Workers workers(1);
  EvaluateCodedProduct({&a, 255, rows, 255, out}, {&BestKernels(), &workers});
  EXPECT_NEAR(y, 40000, 40000 * 0x1p-22);
}

TEST(CodedProduct, NanStays) {
  const Treatment t = ParseOrFail("int8", TreatedThing::kActivation);
  const std::vector<float> x = {1, std::nanf("")}, w = {1, 2};
  const IntegerCodes a = CodesOfRow(t, x.data(), 2, 0), b = CodesOfRow(t, w.data(), 2, 0);
  std::vector<IntegerCodes> rows = {a, b};
  float y[2];
  float* const out[] = {y, y + 1};
  Workers workers(1);
  EvaluateCodedProduct({&b, 127, rows, 127, out}, {&BestKernels(), &workers});
  EXPECT_TRUE(std::isnan(y[0]));
  EXPECT_FALSE(std::isnan(y[1]));
}

}  // namespace
}  // namespace vernier
