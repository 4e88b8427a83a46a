#include "model/checkpoint.h"

#include <gtest/gtest.h>

#include <bit>
#include <nlohmann/json.hpp>

#include "model/model_testing.h"

namespace vernier {
namespace {

std::string ErrorOf(const std::string& path) {
  const auto checkpoint = OpenCheckpoint(path);
  return checkpoint ? "no error" : checkpoint.error().message;
}

Hash128 HashOf(const std::string& path) {
  const auto checkpoint = OpenCheckpoint(path);
  EXPECT_TRUE(checkpoint) << checkpoint.error().message;
  return checkpoint ? ContentHash(*checkpoint) : Hash128{};
}

TEST(CheckpointTest, FindsAndChecksTensors) {
  TestFolder folder;
  const std::string path = folder / "a.gguf";
  PutSmallGguf(path);
  const auto c = OpenCheckpoint(path);
  ASSERT_TRUE(c) << c.error().message;
  EXPECT_EQ(c->kind, CheckpointKind::kGguf);
  EXPECT_EQ(c->metadata.source, path);
  EXPECT_EQ(c->TensorBytes(), 36u + 12 + 20 + 210);
  EXPECT_EQ(c->Find("output_norm.weight"), &c->tensors[1]);
  EXPECT_EQ(c->Find("absent"), nullptr);
  EXPECT_EQ(c->Get("token_embd.weight", {2, 32}).value(), &c->tensors[0]);
  EXPECT_EQ(c->Get("token_embd.weight", {32, 2}).error().message,
            path +
                ": tensor 'token_embd.weight': shape [2, 32], expected [32, 2]; rows and "
                "columns look swapped");
  EXPECT_EQ(c->Get("token_embd.weight", {3, 32}).error().message,
            path + ": tensor 'token_embd.weight': shape [2, 32], expected [3, 32]");
  EXPECT_EQ(c->Get("output_norm.weigth", {3}).error().message,
            path + ": no tensor 'output_norm.weigth'; did you mean 'output_norm.weight'?");
}

TEST(CheckpointTest, WrongPathsAreNamed) {
  TestFolder folder;
  EXPECT_EQ(ErrorOf(folder / "no").find((folder / "no") + ": "), 0u);
  EXPECT_EQ(ErrorOf(folder.path()).find((folder / "config.json") + ": "), 0u);
  Put(folder / "model.safetensors", "x");
  EXPECT_NE(ErrorOf(folder / "model.safetensors").find("the folder this file is in"),
            std::string::npos);
  EXPECT_NE(ErrorOf("").size(), 0u);
}

// A set of `count` files, one or more of the small tensors in each.
void PutSplit(const TestFolder& folder, size_t count) {
  std::vector<std::byte> data;
  const std::vector<TensorView> tensors = SmallTensors(&data);
  for (size_t i = 0; i < count; ++i) {
    Metadata m = i == 0 ? SmallMetadata() : Metadata();
    m.Set("split.no", {MetaType::kUint16, uint64_t{i}});
    m.Set("split.count", {MetaType::kUint16, uint64_t{count}});
    m.Set("split.tensors.count", {MetaType::kInt32, int64_t{4}});
    const size_t first = i, last = i + 1 == count ? tensors.size() : i + 1;
    ASSERT_TRUE(WriteGguf(folder / fmt::format("m-{:05}-of-{:05}.gguf", i + 1, count), m,
                          std::span(tensors).subspan(first, last - first)));
  }
}

TEST(SplitTest, AnyPartOpensTheWholeSet) {
  TestFolder folder;
  PutSmallGguf(folder / "whole.gguf");
  PutSplit(folder, 3);
  const auto whole = OpenCheckpoint(folder / "whole.gguf");
  for (int part = 1; part <= 3; ++part) {
    const auto c = OpenCheckpoint(folder / fmt::format("m-{:05}-of-00003.gguf", part));
    ASSERT_TRUE(c) << c.error().message;
    EXPECT_EQ(c->files.size(), 3u);
    EXPECT_EQ(c->metadata.entries, SmallMetadata().entries);
    ASSERT_EQ(c->tensors.size(), 4u);
    for (size_t i = 0; i < 4; ++i) EXPECT_TRUE(SameTensor(c->tensors[i], whole->tensors[i]));
    EXPECT_EQ(ContentHash(*c), ContentHash(*whole));
  }
}

TEST(SplitTest, BrokenSetsAreRefused) {
  TestFolder folder;
  PutSplit(folder, 3);
  const std::string first = folder / "m-00001-of-00003.gguf";
  const std::string second = folder / "m-00002-of-00003.gguf";
  const std::string good = Get(second);
  std::filesystem::rename(second, folder / "other.gguf");
  EXPECT_NE(ErrorOf(first).find(second + ": "), std::string::npos);  // missing
  EXPECT_EQ(ErrorOf(folder / "other.gguf"),
            (folder / "other.gguf") +
                ": part 2 of 3 of a split model, expected a file name that ends in "
                "-00002-of-00003.gguf");
  Put(second, Get(folder / "m-00003-of-00003.gguf"));
  EXPECT_EQ(ErrorOf(first), second + ": key 'split.no': expected an integer from 1 to 1, found 2");
  const auto with = [&](const std::string& key, MetaValue value, size_t tensors) {
    std::vector<std::byte> data;
    Metadata m;
    m.Set("split.no", {MetaType::kUint16, uint64_t{1}});
    m.Set("split.count", {MetaType::kUint16, uint64_t{3}});
    m.Set("split.tensors.count", {MetaType::kInt32, int64_t{4}});
    m.Set(key, std::move(value));
    std::vector<TensorView> all = SmallTensors(&data);
    EXPECT_TRUE(
        WriteGguf(second, m, std::span(all).subspan(1 - tensors % 2, tensors % 2 + tensors / 2)));
    return ErrorOf(first);
  };
  EXPECT_EQ(with("t.u8", MetaBool(true), 0), second + ": key 't.u8' contradicts " + first);
  EXPECT_EQ(with("split.count", MetaUint32(4), 0),
            second + ": key 'split.count': expected an integer from 3 to 3, found 4");
  EXPECT_EQ(with("split.tensors.count", MetaUint32(5), 0),
            second + ": key 'split.tensors.count': expected 4 as in the first part, found 5");
  EXPECT_EQ(with("x", MetaBool(true), 1),
            second + ": tensor 'token_embd.weight' is also in another file of the model");
  EXPECT_EQ(with("x", MetaBool(true), 0),
            first + ": the 3 parts have 3 tensors, key 'split.tensors.count' says 4");
  Put(second, good);
  EXPECT_EQ(ErrorOf(first), "no error");
}

TEST(HashTest, IsOfTheContentAlone) {
  TestFolder folder;
  std::vector<std::byte> data;
  std::vector<TensorView> tensors = SmallTensors(&data);
  const auto write = [&](const Metadata& m) {
    EXPECT_TRUE(WriteGguf(folder / "b.gguf", m, tensors));
    return HashOf(folder / "b.gguf");
  };
  const Hash128 hash = write(SmallMetadata());
  Metadata m = SmallMetadata();
  m.Set("general.alignment", MetaUint32(256));
  std::swap(m.entries[0], m.entries[5]);
  std::swap(tensors[0], tensors[3]);
  EXPECT_EQ(write(m), hash);
  m.Set("t.u8", {MetaType::kUint16, uint64_t{255}});
  EXPECT_NE(write(m), hash);
  m = SmallMetadata();
  m.Set("t.u8", {MetaType::kUint8, uint64_t{254}});
  EXPECT_NE(write(m), hash);
  m = SmallMetadata();
  data[100] ^= std::byte{1};
  EXPECT_NE(write(m), hash);
  data[100] ^= std::byte{1};
  EXPECT_EQ(write(m), hash);
  for (TensorView& tensor : tensors) {
    const TensorView old = tensor;
    tensor.name += "x";
    EXPECT_NE(write(m), hash);
    tensor = old;
    tensor.shape.insert(tensor.shape.begin(), 1);
    EXPECT_NE(write(m), hash);
    tensor = old;
    tensor.type = tensor.type == TensorType::kBF16   ? TensorType::kF16
                  : tensor.type == TensorType::kQ4_0 ? TensorType::kIQ4_NL
                                                     : tensor.type;
    EXPECT_EQ(write(m) == hash, tensor.type == old.type);
    tensor = old;
  }
}

// What Python's struct and json modules read from the same files.
TEST(FolderTest, TinyModels) {
  struct Expected {
    const char* name;
    size_t tensors;
    uint64_t bytes;
    std::vector<int64_t> shape;  // of layer 3's key projection, and its first and last value
    float first, last;
  };
  const Expected models[] = {
      {"tiny-llama", 39, 7082496, {64, 256}, 0.0108642578125f, -0.01806640625f},
      {"tiny-qwen2", 74, 8037440, {32, 224}, 0.0162353515625f, -0.054443359375f}};
  for (const Expected& e : models) {
    const std::string path = std::string(VERNIER_SOURCE_DIR) + "/models/" + e.name;
    const auto c = OpenCheckpoint(path);
    ASSERT_TRUE(c) << c.error().message;
    EXPECT_EQ(c->kind, CheckpointKind::kHuggingFace);
    EXPECT_EQ(c->tensors.size(), e.tensors);
    EXPECT_EQ(c->TensorBytes(), e.bytes);
    EXPECT_EQ(nlohmann::json::parse(c->config_json)["hidden_size"], e.shape[1]);
    EXPECT_FALSE(c->tokenizer_json.empty());
    for (const TensorView& tensor : c->tensors) EXPECT_EQ(tensor.type, TensorType::kBF16);
    const auto k = c->Get("model.layers.3.self_attn.k_proj.weight", e.shape);
    ASSERT_TRUE(k) << k.error().message;
    const auto value = [&](size_t at) {
      uint16_t bits = 0;
      std::memcpy(&bits, (*k)->data.data() + at, sizeof(bits));
      return std::bit_cast<float>(uint32_t{bits} << 16);
    };
    EXPECT_EQ(value(0), e.first);
    EXPECT_EQ(value((*k)->data.size() - 2), e.last);
  }
}

class ShardTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Put(folder_ / "config.json", "{}");
    Put(folder_ / "1.safetensors",
        SafetensorsBytes(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "aaaa"));
    Put(folder_ / "2.safetensors",
        SafetensorsBytes(R"({"b":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}})", "bbbb"));
    PutIndex(R"({"a":"1.safetensors","b":"2.safetensors"})");
  }
  void PutIndex(const std::string& map) {
    Put(index_, R"({"metadata":{"total_size":8},"weight_map":)" + map + "}");
  }
  // The error's text after "FOLDER/".
  std::string Why() {
    const std::string error = ErrorOf(folder_.path());
    return error == "no error" ? error : error.substr(folder_.path().size() + 1);
  }
  TestFolder folder_;
  std::string index_ = folder_ / "model.safetensors.index.json";
};

TEST_F(ShardTest, ShardsAreOneModel) {
  const auto c = OpenCheckpoint(folder_.path());
  ASSERT_TRUE(c) << c.error().message;
  EXPECT_EQ(c->files.size(), 2u);
  EXPECT_EQ(c->Get("b", {2}).value()->type, TensorType::kF16);
  std::filesystem::remove(index_);
  EXPECT_NE(ErrorOf(folder_.path()).find("2 .safetensors files"), std::string::npos);
  Put(folder_ / "model.safetensors",
      SafetensorsBytes(R"({"b":{"dtype":"F16","shape":[2],"data_offsets":[4,8]},)"
                       R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                       "aaaabbbb"));
  EXPECT_EQ(HashOf(folder_.path()), ContentHash(*c));
  Put(folder_ / "config.json", "{ }");
  EXPECT_NE(HashOf(folder_.path()), ContentHash(*c));
}

TEST_F(ShardTest, OnlyFileOfAnotherName) {
  std::filesystem::remove(index_);
  std::filesystem::remove(folder_ / "2.safetensors");
  EXPECT_EQ(Why(), "no error");
}

TEST_F(ShardTest, BrokenFoldersAreRefused) {
  PutIndex(R"({"a":"1.safetensors","b":"1.safetensors"})");
  EXPECT_EQ(Why(), "1.safetensors: no tensor 'b', which " + index_ + " says is in this file");
  for (const char* name : {"../1.safetensors", "/etc/passwd", "1.bin", ""}) {
    PutIndex(fmt::format(R"({{"a":"{}"}})", name));
    EXPECT_NE(Why().find("expected the name of a .safetensors file of this folder"),
              std::string::npos);
  }
  PutIndex(R"({"a":1})");
  EXPECT_EQ(Why(), "model.safetensors.index.json: 'a': expected a file name");
  PutIndex("{}");
  EXPECT_NE(Why().find("'weight_map'"), std::string::npos);
  PutIndex(R"({"a":"1.safetensors","b":"3.safetensors"})");
  EXPECT_EQ(Why().find("3.safetensors: "), 0u);
  PutIndex(R"({"a":"1.safetensors","b":"2.safetensors"})");
  Put(folder_ / "2.safetensors", Get(folder_ / "1.safetensors"));
  EXPECT_EQ(Why(), "2.safetensors: tensor 'a' is also in another file of the model");
  Put(folder_ / "model.safetensors", Get(folder_ / "1.safetensors"));
  EXPECT_NE(ErrorOf(folder_.path()).find("both"), std::string::npos);
  Put(folder_ / "config.json", "{,}");
  EXPECT_EQ(Why(), "config.json: not valid JSON at byte 2");
}

}  // namespace
}  // namespace vernier
