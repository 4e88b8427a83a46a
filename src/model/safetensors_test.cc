#include "model/safetensors.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "model/json.h"
#include "model/model_testing.h"

namespace vernier {
namespace {

class SafetensorsTest : public ::testing::Test {
 protected:
  Result<SafetensorsFile> Read(const std::string& header, size_t data_bytes = 64) {
    std::string data(data_bytes, '\0');
    for (size_t i = 0; i < data_bytes; ++i) data[i] = static_cast<char>(i);
    return ReadBytes(SafetensorsBytes(header, data));
  }
  Result<SafetensorsFile> ReadBytes(const std::string& bytes) {
    Put(path_, bytes);
    mapped_.clear();
    mapped_.push_back(MappedFile::Open(path_).value());
    return ReadSafetensors(mapped_.back());
  }
  std::string Why(const std::string& header) {
    const auto file = Read(header);
    if (file) return "no error";
    EXPECT_EQ(file.error().message.find(path_ + ": "), 0u) << file.error().message;
    return file.error().message.substr(path_.size() + 2);
  }
  TestFolder folder_;
  std::string path_ = folder_ / "a.safetensors";
  std::vector<MappedFile> mapped_;
};

std::string One(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"t":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets +
         "}}";
}

TEST_F(SafetensorsTest, ReadsTypesShapesAndNotesByOffset) {
  const auto file = Read(R"({"__metadata__":{"format":"pt"},)"
                         R"("b":{"dtype":"F64","shape":[],"data_offsets":[1,9]},)"
                         R"("a":{"data_offsets":[16,40],"shape":[2,1,3],"dtype":"F32"},)"
                         R"("c":{"dtype":"F16","shape":[2,2],"data_offsets":[40,48]},)"
                         R"("d":{"dtype":"BF16","shape":[8],"data_offsets":[48,64]}}  )");
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ(file->tensors.size(), 4u);
  EXPECT_EQ(file->notes.at("format"), "pt");
  const TensorView& scalar = file->tensors[0];
  EXPECT_EQ(scalar.name, "b");
  EXPECT_EQ(scalar.shape, std::vector<int64_t>{1});
  EXPECT_EQ(scalar.type, TensorType::kF64);
  EXPECT_EQ(scalar.data.size(), 8u);
  EXPECT_EQ(scalar.data[0], std::byte{1});
  EXPECT_EQ(file->tensors[1].shape, (std::vector<int64_t>{2, 1, 3}));
  EXPECT_EQ(file->tensors[3].type, TensorType::kBF16);
  EXPECT_TRUE(Read("{}", 0).value().tensors.empty());
}

TEST_F(SafetensorsTest, RefusesBadEntries) {
  EXPECT_EQ(Why(One("F32", "[4]", "[0,16]")), "no error");
  EXPECT_EQ(Why(One("I64", "[2]", "[0,16]")),
            "tensor 't': type 'I64', expected F64, F32, F16 or BF16");
  EXPECT_EQ(Why(One("f32", "[4]", "[0,16]")),
            "tensor 't': type 'f32', expected F64, F32, F16 or BF16");
  EXPECT_EQ(Why(One("F32", "[4]", "[0,20]")),
            "tensor 't': 20 bytes of data, but F32 of shape [4] take 16");
  EXPECT_EQ(
      Why(One("F32", "[4]", "[52,68]")),
      "tensor 't': data offsets 52 to 68, but the file has 64 bytes of data; is it cut short?");
  EXPECT_EQ(Why(One("F32", "[4]", "[16,0]")).find("tensor 't': data offsets 16 to 0"), 0u);
  EXPECT_EQ(Why(One("F32", "[4,0]", "[0,0]")),
            "tensor 't': shape [4, 0]: expected dimensions of at least 1");
  EXPECT_EQ(Why(One("F32", "[1,1,1,1,1]", "[0,4]")),
            "tensor 't': expected 1 to 4 dimensions, found 5");
  const std::string sizes = "tensor 't': expected sizes from 0 to 2^63 - 1 in 'shape'";
  for (const char* shape : {"[-1]", "[1.0]", "[\"4\"]", "[9223372036854775808]", "[1e3]", "[[4]]"})
    EXPECT_EQ(Why(One("F32", shape, "[0,16]")), sizes);
  EXPECT_EQ(Why(One("F32", "[4611686018427387904,4]", "[0,16]")),
            "tensor 't': shape [4611686018427387904, 4]: more elements than 63 bits count");
  for (const char* offsets : {"[0]", "[0,16,32]", "[-16,0]", "[0,\"16\"]", "16", "{}"})
    EXPECT_EQ(Why(One("F32", "[4]", offsets)),
              "tensor 't': expected 'data_offsets' of two offsets");
  EXPECT_EQ(Why(R"({"t":{"dtype":"F32","shape":[4]}})"),
            "tensor 't': expected a key 'data_offsets'");
  EXPECT_EQ(Why(R"({"t":{"dtype":"F32","shape":[4],"data_offsets":[0,16],"x":1}})"),
            "tensor 't': expected no keys but dtype, shape and data_offsets");
  EXPECT_EQ(Why(R"({"t":[]})"),
            "tensor 't': expected an object with dtype, shape and data_offsets");
  EXPECT_EQ(Why(R"({"__metadata__":{"a":1}})"), "__metadata__: 'a': expected a string");
}

TEST_F(SafetensorsTest, RefusesOverlapsAndDuplicates) {
  const auto two = [](const std::string& name, const std::string& offsets) {
    return R"({"t":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},")" + name +
           R"(":{"dtype":"F32","shape":[4],"data_offsets":)" + offsets + "}}";
  };
  EXPECT_EQ(Why(two("u", "[16,32]")), "no error");
  EXPECT_EQ(Why(two("u", "[12,28]")), "tensors 't' and 'u' overlap at data offset 12");
  EXPECT_EQ(Why(two("t", "[16,32]")), "header: JSON key 't' appears twice");
}

TEST_F(SafetensorsTest, RefusesBadHeaders) {
  EXPECT_FALSE(ReadBytes(""));
  EXPECT_FALSE(ReadBytes("1234567"));
  const auto cut = ReadBytes(BytesOf<uint64_t>(3) + "{}");
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().message, path_ + ": offset 0: header of 3 bytes, expected at most 2");
  EXPECT_FALSE(ReadBytes(BytesOf<uint64_t>(UINT64_MAX) + "{}"));
  EXPECT_EQ(Why("[]"), "header: expected a JSON object, found array");
  EXPECT_EQ(Why(""), "header: not valid JSON at byte 1");
  EXPECT_EQ(Why(R"({"t":)"), "header: not valid JSON at byte 6");
  EXPECT_EQ(Why(std::string("{}\0", 3)), "header: not valid JSON at byte 3");
  EXPECT_EQ(Why(std::string(100000, '[')), "header: JSON nested deeper than 64");
  EXPECT_NE(Why(R"({"t":1e999})"), "no error");
}

TEST(JsonTest, BoundsValues) {
  constexpr size_t kMost = 10000;
  std::string many = "[0";  // the array is a value, too
  for (size_t i = 2; i < kMost; ++i) many += ",0";
  EXPECT_TRUE(ParseJson(many + "]", "a.json", kMost));
  const auto json = ParseJson(many + ",0]", "a.json", kMost);
  ASSERT_FALSE(json);
  EXPECT_EQ(json.error().message, "a.json: more than 10000 JSON values");
  EXPECT_EQ(ParseJson(R"({"a":{"b":1},"c":{"b":2}})", "x").value()["c"]["b"], 2);
  EXPECT_FALSE(ParseJson("\"\xff\"", "x"));
}

}  // namespace
}  // namespace vernier
