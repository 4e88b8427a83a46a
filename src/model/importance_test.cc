#include "model/importance.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "base/file.h"
#include "model/gguf_writer.h"

namespace vernier {
namespace {

class ImportanceTest : public ::testing::Test {
 protected:
  ImportanceTest()
      : path_((std::filesystem::temp_directory_path() / fmt::format("imatrix{}", getpid()))
                  .string()) {
    metadata_.Set("general.type", MetaString("imatrix"));
    metadata_.Set("imatrix.datasets", MetaStrings({"a.txt", "b.txt"}));
    metadata_.Set("imatrix.chunk_count", MetaUint32(12));
  }
  ~ImportanceTest() override { std::filesystem::remove(path_); }

  void Tensor(const std::string& name, std::vector<int64_t> shape, std::vector<float> values,
              TensorType type = TensorType::kF32) {
    data_.push_back(std::move(values));
    tensors_.push_back({name, type, std::move(shape), std::as_bytes(std::span(data_.back()))});
  }
  Result<ImportanceMatrix> Gguf() {
    EXPECT_TRUE(WriteGguf(path_, metadata_, tensors_));
    return ReadImportance(path_);
  }
  Result<ImportanceMatrix> Raw(const std::string& bytes) {
    EXPECT_TRUE(WriteFileAtomically(path_, bytes));
    return ReadImportance(path_);
  }
  std::string Error(const Result<ImportanceMatrix>& result) const {
    if (result) return "";
    EXPECT_EQ(result.error().message.find(path_ + ":"), 0u) << result.error().message;
    return result.error().message.substr(path_.size());
  }

  std::string path_;
  Metadata metadata_;
  std::vector<TensorView> tensors_;
  std::vector<std::vector<float>> data_;
};

std::string Int(int32_t value) { return {reinterpret_cast<const char*>(&value), sizeof value}; }
std::string Text(const std::string& s) { return Int(static_cast<int32_t>(s.size())) + s; }
std::string Values(const std::vector<float>& v) {
  return {reinterpret_cast<const char*>(v.data()), v.size() * sizeof(float)};
}

TEST_F(ImportanceTest, MeansOfEachMatrix) {
  data_.reserve(8);
  Tensor("blk.0.ffn_up_exps.weight.in_sum2", {3, 2}, {6, 1, 5, 7, 10, 0});
  Tensor("blk.0.ffn_up_exps.weight.counts", {3, 1}, {3, 0, 4});
  Tensor("blk.0.attn_q.weight.counts", {1, 1}, {2.4f});
  Tensor("blk.0.attn_q.weight.in_sum2", {1, 2}, {1, 3});
  Tensor("blk.0.attn_q.weight.in_sum", {1, 2}, {-1, 3});
  const auto matrix = Gguf();
  ASSERT_TRUE(matrix) << matrix.error().message;
  EXPECT_EQ(matrix->datasets, (std::vector<std::string>{"a.txt", "b.txt"}));
  EXPECT_EQ(matrix->chunks, 12);
  ASSERT_EQ(matrix->weights.size(), 2u);
  EXPECT_EQ(matrix->weights.at("blk.0.ffn_up_exps.weight"),
            (std::vector<float>{2, 1.0f / 3, 1, 1, 2.5f, 0}));
  EXPECT_EQ(matrix->weights.at("blk.0.attn_q.weight"), (std::vector<float>{0.5f, 1.5f}));
}

TEST_F(ImportanceTest, DamagedGgufFiles) {
  data_.reserve(8);
  EXPECT_NE(Error(Gguf()).find("not an importance matrix"), std::string::npos);
  Tensor("a.weight.in_sum2", {1, 2}, {1, 2});
  EXPECT_NE(Error(Gguf()).find("'a.weight.in_sum2' without a.weight.counts"), std::string::npos);
  Tensor("a.weight.counts", {2, 1}, {1, 2});
  EXPECT_NE(Error(Gguf()).find("1 rows and 2 counts"), std::string::npos);
  tensors_.pop_back();
  Tensor("a.weight.counts", {1}, {1});
  EXPECT_TRUE(Gguf());
  for (const float bad : {-1.0f, INFINITY, NAN}) {
    data_[0][1] = bad;
    EXPECT_NE(Error(Gguf()).find("'a.weight': a sum of squares is"), std::string::npos);
  }
  data_[0][1] = 1;
  data_.back()[0] = NAN;
  EXPECT_NE(Error(Gguf()).find("a count is nan"), std::string::npos);
  tensors_[0].type = TensorType::kF16;
  tensors_[0].shape = {1, 4};
  EXPECT_NE(Error(Gguf()).find("expected F32, found F16"), std::string::npos);
  metadata_.Set("imatrix.datasets", MetaUint32(1));
  EXPECT_NE(Error(Gguf()).find("imatrix.datasets"), std::string::npos);
}

TEST_F(ImportanceTest, TheOlderFormat) {
  const std::string entries = Int(2) + Text("a.weight") + Int(4) + Int(2) + Values({2, 6}) +
                              Text("b.weight") + Int(0) + Int(1) + Values({5});
  for (const std::string& tail : {std::string(), Int(9), Int(9) + Text("t.txt")}) {
    const auto matrix = Raw(entries + tail);
    ASSERT_TRUE(matrix) << matrix.error().message;
    EXPECT_EQ(matrix->weights.at("a.weight"), (std::vector<float>{0.5f, 1.5f}));
    EXPECT_EQ(matrix->weights.at("b.weight"), (std::vector<float>{5}));
    EXPECT_EQ(matrix->chunks, tail.empty() ? 0 : 9);
    EXPECT_EQ(matrix->datasets.size(), tail.size() > 4 ? 1u : 0u);
  }
  // Cut anywhere but between its parts it is refused, and nothing is read beyond its end.
  const std::string whole = entries + Int(9) + Text("t.txt");
  for (size_t size = 0; size < whole.size(); ++size) {
    if (size == entries.size() || size == entries.size() + 4) continue;
    EXPECT_FALSE(Raw(whole.substr(0, size))) << size;
  }
}

TEST_F(ImportanceTest, WhatIsNoImportanceMatrix) {
  EXPECT_NE(Error(Raw("what is this? a text")).find("not an importance matrix"), std::string::npos);
  EXPECT_NE(Error(Raw(Int(0))).find("number of entries 0"), std::string::npos);
  EXPECT_NE(Error(Raw(Int(1) + Int(-5))).find("length of a name -5"), std::string::npos);
  EXPECT_NE(Error(Raw(Int(1) + Text("a") + Int(1) + Int(0))).find("number of values 0"),
            std::string::npos);
  EXPECT_NE(Error(Raw(Int(1) + Text("a") + Int(1) + Int(INT32_MAX))).find("ends within the sums"),
            std::string::npos);
  EXPECT_NE(Error(Raw(Int(1) + Text("a") + Int(1) + Int(1) + Values({-2}))).find("is -2"),
            std::string::npos);
  EXPECT_NE(Error(Raw(Int(2) + Text("a") + Int(1) + Int(1) + Values({2}) + Text("a") + Int(1) +
                      Int(1) + Values({2})))
                .find("given twice"),
            std::string::npos);
  EXPECT_FALSE(ReadImportance("/nowhere/imatrix.gguf"));
}

}  // namespace
}  // namespace vernier
