// Small checkpoints for the tests of this folder.
#ifndef VERNIER_MODEL_MODEL_TESTING_H_
#define VERNIER_MODEL_MODEL_TESTING_H_

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "base/file.h"
#include "model/gguf_writer.h"
#include "model/metadata.h"
#include "model/tensor.h"

namespace vernier {

// A folder that is empty at first and gone afterwards.
class TestFolder {
 public:
  TestFolder() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "vernier-model-XXXXXX").string();
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    path_ = pattern;
  }
  ~TestFolder() { std::filesystem::remove_all(path_); }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

inline void Put(const std::string& path, std::string_view content) {
  const Status status = WriteFileAtomically(path, content);
  ASSERT_TRUE(status) << status.error().message;
}

inline std::string Get(const std::string& path) {
  auto text = ReadText(path);
  EXPECT_TRUE(text) << text.error().message;
  return text.value_or("");
}

template <class T>
std::string BytesOf(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
}

// A key of every type, an empty array, a nested one.
inline Metadata SmallMetadata() {
  Metadata m;
  m.source = "small";
  m.Set("general.architecture", MetaString("llama"));
  m.Set("t.u8", {MetaType::kUint8, uint64_t{255}});
  m.Set("t.i8", {MetaType::kInt8, int64_t{-128}});
  m.Set("t.u16", {MetaType::kUint16, uint64_t{65535}});
  m.Set("t.i16", {MetaType::kInt16, int64_t{-32768}});
  m.Set("t.u32", MetaUint32(4294967295u));
  m.Set("t.i32", {MetaType::kInt32, int64_t{INT32_MIN}});
  m.Set("t.f32", MetaFloat32(1e-5f));
  m.Set("t.bool", MetaBool(true));
  m.Set("t.string", MetaString(std::string("a\0b\xff", 4)));
  m.Set("t.u64", {MetaType::kUint64, UINT64_MAX});
  m.Set("t.i64", {MetaType::kInt64, INT64_MIN});
  m.Set("t.f64", {MetaType::kFloat64, 0.1});
  m.Set("t.nan", {MetaType::kFloat32, WidenFloatBits(0xffa00001)});  // a signalling one
  m.Set("t.strings", MetaStrings({"", "x", "<unk>"}));
  m.Set("t.floats", MetaFloat32s({0.5f, -1e30f}));
  m.Set("t.ints", MetaInt32s({1, -2, 3}));
  m.Set("t.empty", {MetaType::kArray, MetaArray{MetaType::kFloat64, {}}});
  m.Set("t.nested",
        {MetaType::kArray, MetaArray{MetaType::kArray, {MetaInt32s({7}), MetaStrings({"deep"})}}});
  return m;
}

// Tensors over `data`, which they fill with 0, 1, 2, ...
inline std::vector<TensorView> SmallTensors(std::vector<std::byte>* data) {
  std::vector<TensorView> tensors = {{"token_embd.weight", TensorType::kQ4_0, {2, 32}, {}},
                                     {"output_norm.weight", TensorType::kF32, {3}, {}},
                                     {"blk.0.ssm_conv1d.weight", TensorType::kBF16, {2, 1, 5}, {}},
                                     {"blk.0.ffn_up.weight", TensorType::kQ6_K, {1, 256}, {}}};
  data->resize(1024);
  for (size_t i = 0; i < data->size(); ++i) (*data)[i] = static_cast<std::byte>(i % 251);
  size_t offset = 0;
  for (TensorView& tensor : tensors) {
    const size_t size = TensorByteSize(tensor.type, tensor.shape).value();
    tensor.data = std::span<const std::byte>(*data).subspan(offset, size);
    offset += size;
  }
  return tensors;
}

inline void PutSmallGguf(const std::string& path) {
  std::vector<std::byte> data;
  const std::vector<TensorView> tensors = SmallTensors(&data);
  const Status status = WriteGguf(path, SmallMetadata(), tensors);
  ASSERT_TRUE(status) << status.error().message;
}

inline std::string SafetensorsBytes(const std::string& header, const std::string& data) {
  return BytesOf<uint64_t>(header.size()) + header + data;
}

inline bool SameTensor(const TensorView& a, const TensorView& b) {
  return a.name == b.name && a.type == b.type && a.shape == b.shape &&
         a.data.size() == b.data.size() &&
         std::memcmp(a.data.data(), b.data.data(), a.data.size()) == 0;
}

}  // namespace vernier

#endif  // VERNIER_MODEL_MODEL_TESTING_H_
