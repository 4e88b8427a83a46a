#include "model/tensor.h"

#include <gtest/gtest.h>

#include <set>

#include "model/quote.h"

namespace vernier {
namespace {

TEST(TensorTest, TypesAreFoundByNumberAndName) {
  EXPECT_EQ(TensorTypes().size(), 22u);
  std::set<uint32_t> numbers;
  for (const TensorTypeInfo& info : TensorTypes()) {
    numbers.insert(static_cast<uint32_t>(info.type));
    EXPECT_EQ(FindTensorType(info.name), &info);
    EXPECT_EQ(FindTensorType(static_cast<uint32_t>(info.type)), &info);
    EXPECT_EQ(&Info(info.type), &info);
  }
  EXPECT_EQ(numbers.size(), TensorTypes().size());
  EXPECT_EQ(FindTensorType("q4_k")->type, TensorType::kQ4_K);
  EXPECT_EQ(FindTensorType("Q4_K_M"), nullptr);
  EXPECT_EQ(FindTensorType("Q4_"), nullptr);
  EXPECT_EQ(FindTensorType(16u), nullptr);
  EXPECT_THROW(Info(static_cast<TensorType>(16)), Defect);
}

TEST(TensorTest, RowsOfAView) {
  std::vector<std::byte> data(3 * 2 * 36);
  const TensorView view{"w", TensorType::kQ4_0, {3, 2, 64}, data};
  EXPECT_EQ(view.Rows(), 6);
  EXPECT_EQ(view.Columns(), 64);
  EXPECT_EQ(view.Elements(), 384);
  EXPECT_EQ(view.RowBytes(), 36u);
  EXPECT_EQ(view.Row(5).data(), data.data() + 180);
  EXPECT_EQ(ShapeText(view.shape), "[3, 2, 64]");
}

TEST(TensorTest, ByteSizeRefusesWhatDoesNotFit) {
  const auto size = [](TensorType type, std::vector<int64_t> shape) {
    return TensorByteSize(type, shape);
  };
  EXPECT_EQ(size(TensorType::kQ6_K, {3, 512}).value(), 1260u);
  EXPECT_EQ(size(TensorType::kF32, {1}).value(), 4u);
  EXPECT_FALSE(size(TensorType::kF32, {}));
  EXPECT_FALSE(size(TensorType::kF32, {1, 1, 1, 1, 1}));
  EXPECT_FALSE(size(TensorType::kF32, {4, 0}));
  EXPECT_FALSE(size(TensorType::kF32, {-1, 4}));
  EXPECT_FALSE(size(TensorType::kQ4_0, {32, 16}));
  EXPECT_FALSE(size(TensorType::kF32, {int64_t{1} << 32, int64_t{1} << 31}));
  EXPECT_FALSE(size(TensorType::kF64, {int64_t{1} << 31, int64_t{1} << 31}));
  EXPECT_FALSE(size(TensorType::kQ8_0, {INT64_MAX / 32 * 32}));
}

TEST(TensorTest, QuotedNamesStayOnOneLine) {
  EXPECT_EQ(Quote("blk.0"), "'blk.0'");
  EXPECT_EQ(Quote("a\nb'\x7f"), "'a\\x0ab\\x27\\x7f'");
  EXPECT_EQ(Quote(std::string(200, 'x')), "'" + std::string(100, 'x') + "...'");
  EXPECT_TRUE(IsPlainName("é", 2));
  EXPECT_FALSE(IsPlainName("", 2));
  EXPECT_FALSE(IsPlainName("abc", 2));
  EXPECT_FALSE(IsPlainName("\t", 2));
}

}  // namespace
}  // namespace vernier
