// Matrix products of many rows share copies of X, and are split into parts and tasks: each row is
// what it is alone.
#include "ops/evaluate_rows.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace vernier {
namespace {

constexpr size_t kWidth = 75, kInWidth = 541;  // a last panel and a last block that are not full

template <class T>
std::vector<T> Random(size_t n, unsigned seed) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<double> normal;
  std::vector<T> v(n);
  for (T& x : v) x = static_cast<T>(normal(engine));
  return v;
}

template <class T>
void TestRowsAlone(const OpWeight<T>& weight, size_t rows) {
  const std::vector<T> x = Random<T>(rows * kInWidth, 2);
  std::vector<T> together(rows * kWidth), alone(rows * kWidth);
  std::vector<const T*> in;
  std::vector<T*> out, out_alone;
  for (size_t r = 0; r < rows; ++r) {
    in.push_back(x.data() + r * kInWidth);
    out.push_back(together.data() + r * kWidth);
    out_alone.push_back(alone.data() + r * kWidth);
  }
  OpShape shape;
  shape.width = kWidth;
  shape.in_width = kInWidth;
  Workers three(3), one(1);
  const Kernels& kernels = BestKernels();
  EvaluateRows<T>({OpKind::kMatMul, shape, weight, in, {}, out, {}}, {&kernels, &three});
  for (size_t r = 0; r < rows; ++r)
    EvaluateRows<T>({OpKind::kMatMul,
                     shape,
                     weight,
                     std::span(in).subspan(r, 1),
                     {},
                     std::span<T* const>(out_alone).subspan(r, 1),
                     {}},
                    {&kernels, &one});
  EXPECT_EQ(together, alone) << rows << " rows";
}

TEST(EvaluateRows, AProductOfManyRowsIsThatOfEach) {
  const std::vector<float> w = Random<float>(kWidth * kInWidth, 1);
  PackedMatrix matrix = MakePacked(TensorType::kF32, kWidth, kInWidth);
  const uint8_t* bytes = static_cast<const uint8_t*>(static_cast<const void*>(w.data()));
  for (size_t p = 0; p < matrix.Count(); ++p)
    PackPanelOf(matrix, p, bytes, kInWidth * sizeof(float), matrix.data.data() + p * matrix.stride);
  for (const size_t rows : {31, 32, 300, 1000}) {
    TestRowsAlone<float>({&matrix, nullptr, nullptr}, rows);
    TestRowsAlone<double>({&matrix, nullptr, nullptr}, rows);
  }
}

TEST(EvaluateRows, AProductWithDoublesOfManyRowsIsThatOfEach) {
  const std::vector<double> w = Random<double>(kWidth * kInWidth, 1);
  Panels<double> panels = MakePanels<double>(kWidth, kInWidth);
  for (size_t p = 0; p < panels.Count(); ++p)
    FillPanel(&panels, p, w.data() + p * kLanes * kInWidth, std::min(kLanes, kWidth - p * kLanes));
  for (const size_t rows : {33, 800}) TestRowsAlone<double>({nullptr, &panels, nullptr}, rows);
}

}  // namespace
}  // namespace vernier
