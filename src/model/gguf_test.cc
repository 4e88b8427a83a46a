#include "model/gguf.h"

#include <gtest/gtest.h>

#include "model/model_testing.h"

namespace vernier {
namespace {

constexpr int64_t kBig = int64_t{1} << 60;

// A file of the given parts after a version 3 header; 64 bytes of data.
std::string Raw(uint64_t tensors, uint64_t keys, const std::string& body, size_t data = 64) {
  std::string out = "GGUF" + BytesOf<uint32_t>(3) + BytesOf(tensors) + BytesOf(keys) + body;
  out.resize((out.size() + 31) / 32 * 32 + data);
  return out;
}
std::string Text(const std::string& text) { return BytesOf<uint64_t>(text.size()) + text; }
std::string TensorInfo(const std::string& name, std::vector<uint64_t> fastest_first, uint32_t type,
                       uint64_t offset) {
  std::string out = Text(name) + BytesOf(static_cast<uint32_t>(fastest_first.size()));
  for (const uint64_t size : fastest_first) out += BytesOf(size);
  return out + BytesOf(type) + BytesOf(offset);
}
std::string Key(const std::string& key, MetaType type, const std::string& value) {
  return Text(key) + BytesOf(static_cast<uint32_t>(type)) + value;
}

class GgufTest : public ::testing::Test {
 protected:
  Result<GgufFile> Read(const std::string& bytes) {
    Put(path_, bytes);
    mapped_.clear();
    mapped_.push_back(MappedFile::Open(path_).value());
    return ReadGguf(mapped_.back());
  }
  // The error's text after "PATH: ".
  std::string Why(const std::string& bytes) {
    const auto file = Read(bytes);
    if (file) return "no error";
    const std::string& message = file.error().message;
    EXPECT_EQ(message.find(path_ + ": "), 0u) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    return message.substr(std::min(message.size(), path_.size() + 2));
  }
  TestFolder folder_;
  std::string path_ = folder_ / "a.gguf";
  std::vector<MappedFile> mapped_;
};

TEST_F(GgufTest, WhatIsWrittenIsRead) {
  PutSmallGguf(path_);
  const auto file = Read(Get(path_));
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->metadata.entries, SmallMetadata().entries);
  std::vector<std::byte> data;
  const std::vector<TensorView> expected = SmallTensors(&data);
  ASSERT_EQ(file->tensors.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i)
    EXPECT_TRUE(SameTensor(file->tensors[i], expected[i])) << expected[i].name;
  const std::string again = folder_ / "b.gguf";
  ASSERT_TRUE(WriteGguf(again, file->metadata, file->tensors));
  EXPECT_EQ(Get(again), Get(path_));
}

TEST_F(GgufTest, RealVocabulariesReadAndWriteByteForByte) {
  struct Expected {
    const char *name, *model;
    size_t tokens, merges;
  };
  for (const auto& e :
       {Expected{"llama-spm", "llama", 32000, 0}, Expected{"llama-bpe", "gpt2", 128256, 280147},
        Expected{"gpt-2", "gpt2", 50257, 50000}, Expected{"qwen2", "gpt2", 151936, 151387}}) {
    const std::string path =
        fmt::format("{}/tests/data/vocab/ggml-vocab-{}.gguf", VERNIER_SOURCE_DIR, e.name);
    const MappedFile mapped = MappedFile::Open(path).value();
    const auto file = ReadGguf(mapped);
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_TRUE(file->tensors.empty());
    EXPECT_EQ(file->metadata.String("tokenizer.ggml.model").value(), e.model);
    EXPECT_EQ(file->metadata.Strings("tokenizer.ggml.tokens").value().size(), e.tokens);
    if (e.merges > 0) {
      EXPECT_EQ(file->metadata.Strings("tokenizer.ggml.merges").value().size(), e.merges);
    }
    ASSERT_TRUE(WriteGguf(path_, file->metadata, file->tensors));
    std::string original = Get(path), written = Get(path_);
    original[4] = 3;  // some are version 2, which lies no differently
    written.resize(std::max(original.size(), written.size()));  // padding at the end, or none
    original.resize(written.size());
    EXPECT_TRUE(original == written) << e.name;
  }
}

TEST_F(GgufTest, VersionAndMagic) {
  EXPECT_EQ(Why(""), "offset 0: header: 0 bytes, expected a GGUF file");
  EXPECT_EQ(Why("GGML1234"), "offset 0: header: expected a GGUF file (magic 'GGUF'), found 'GGML'");
  const std::string rest = BytesOf<uint64_t>(0) + BytesOf<uint64_t>(0);
  EXPECT_EQ(Why("GGUF" + BytesOf<uint32_t>(1) + rest),
            "offset 4: header: GGUF version 1, expected 2 or 3");
  EXPECT_EQ(Why("GGUF" + BytesOf<uint32_t>(0x03000000) + rest),
            "offset 4: header: big-endian GGUF file, expected little-endian");
  EXPECT_EQ(Why("GGUF" + BytesOf<uint32_t>(0) + rest),
            "offset 4: header: GGUF version 0, expected 2 or 3");
  EXPECT_EQ(Why("GGUF" + BytesOf<uint32_t>(2) + rest), "no error");
}

TEST_F(GgufTest, Keys) {
  const std::string u8 = Key("k", MetaType::kUint8, "\x01");
  EXPECT_EQ(Why(Raw(0, 2, u8 + u8)), "offset 38: key 'k': appears twice");
  EXPECT_EQ(
      Why(Raw(0, 1, Key("k\n", MetaType::kUint8, "\x01"))),
      "offset 24: key 1 of 1: 'k\\x0a': expected 1 to 65535 bytes without control characters");
  EXPECT_EQ(Why(Raw(0, 1, Key("k", static_cast<MetaType>(13), "\x01"))),
            "offset 33: key 'k': value type 13, expected 0 to 12");
  EXPECT_EQ(Why(Raw(0, 1, Key("k", MetaType::kBool, "\x02"))),
            "offset 37: key 'k': expected a bool of 0 or 1, found 2");
  EXPECT_EQ(Why(Raw(0, 1, Key("k", MetaType::kString, BytesOf(kBig)), 0)),
            "offset 37: key 'k': string of 1152921504606846976 bytes, 19 left in the file");
  EXPECT_EQ(Why(Raw(0, 1, Key("k", MetaType::kString, BytesOf<uint64_t>(20)), 0)),
            "offset 37: key 'k': string of 20 bytes, 19 left in the file");
  EXPECT_EQ(Why(Raw(0, 1, Key("k", MetaType::kString, BytesOf<uint64_t>(19)), 0)), "no error");
  EXPECT_EQ(
      Why(Raw(0, 1, Key("k", MetaType::kArray, BytesOf(MetaType::kString) + BytesOf(kBig)), 0)),
      "offset 41: key 'k': array of 1152921504606846976 string values, 15 bytes left in the "
      "file");
  EXPECT_EQ(Why(Raw(0, UINT64_MAX, u8)),
            "offset 16: header: 18446744073709551615 keys in a file with 104 bytes left");
  std::string nested;
  for (int i = 0; i < 5; ++i) nested += BytesOf(MetaType::kArray) + BytesOf<uint64_t>(1);
  EXPECT_EQ(Why(Raw(0, 1, Key("k", MetaType::kArray, nested))),
            "offset 85: key 'k': arrays nested deeper than 4");
  EXPECT_EQ(Why(Raw(0, 1,
                    Key("k", MetaType::kArray,
                        BytesOf(MetaType::kUint8) + BytesOf(kGgufMostArrayElements + 1)),
                    kGgufMostArrayElements + 64)),
            "offset 41: key 'k': array of 8388609 values, more than 8388608 in all arrays of the "
            "file");
}

TEST_F(GgufTest, Alignment) {
  for (const uint32_t wrong : {0u, 4u, 24u, 0x80000000u})
    EXPECT_EQ(
        Why(Raw(0, 1, Key("general.alignment", MetaType::kUint32, BytesOf(wrong)))),
        "key 'general.alignment': expected a uint32 that is a power of two from 8 to 1048576");
  EXPECT_FALSE(Read(Raw(0, 1, Key("general.alignment", MetaType::kUint64, BytesOf(uint64_t{32})))));
  const auto file = Read(Raw(
      1, 1, Key("general.alignment", MetaType::kUint32, BytesOf(64u)) + TensorInfo("t", {4}, 0, 64),
      256));
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ((file->tensors[0].data.data() - mapped_[0].bytes().data()) % 64, 0);
}

TEST_F(GgufTest, TensorInfos) {
  EXPECT_EQ(Why(Raw(1, 0, TensorInfo("t", {4, 4}, 0, 0))), "no error");
  EXPECT_EQ(Why(Raw(1, 0, TensorInfo("t", {}, 0, 0))), "no error");
  EXPECT_EQ(Why(Raw(1, 0, TensorInfo("t", {4}, 16, 0))),
            "offset 45: tensor 't': type IQ2_XXS (16) is not one Vernier reads");
  EXPECT_EQ(Why(Raw(1, 0, TensorInfo("t", {4}, 1000, 0))),
            "offset 45: tensor 't': type 1000 is not one Vernier reads");
  EXPECT_EQ(Why(Raw(1, 0, TensorInfo("t", {1, 1, 1, 1, 1}, 0, 0))),
            "offset 33: tensor 't': 5 dimensions, expected at most 4");
  EXPECT_EQ(Why(Raw(1, 0, TensorInfo("t", {4, 0}, 0, 0))),
            "offset 45: tensor 't': dimension of 0, expected 1 to 2^63 - 1");
  EXPECT_EQ(
      Why(Raw(1, 0, TensorInfo("t", {16, 2}, 2, 0))),
      "offset 33: tensor 't': shape [2, 16]: expected rows of whole Q4_0 blocks (a multiple of "
      "32 elements)");
  EXPECT_EQ(Why(Raw(1, 0, TensorInfo("t", {1u << 31, 1u << 31, 4}, 0, 0))),
            "offset 33: tensor 't': shape [4, 2147483648, 2147483648]: more elements than 63 bits "
            "count");
  EXPECT_EQ(Why(Raw(2, 0, TensorInfo("t", {4}, 0, 0) + TensorInfo("t", {4}, 0, 32))),
            "offset 57: tensor 't': appears twice");
  EXPECT_NE(
      Why(Raw(1, 0, TensorInfo(std::string(65, 't'), {4}, 0, 0))).find("expected 1 to 64 bytes"),
      std::string::npos);
  EXPECT_EQ(Why(Raw(1u << 20, 0, TensorInfo("t", {4}, 0, 0))),
            "offset 8: header: 1048576 tensors in a file with 104 bytes left");
}

TEST_F(GgufTest, TensorData) {
  EXPECT_EQ(Why(Raw(1, 0, TensorInfo("t", {4}, 0, 16))),
            "offset 49: tensor 't': data offset 16 is not a multiple of the alignment 32");
  EXPECT_EQ(Why(Raw(1, 0, TensorInfo("t", {17}, 0, 0))),
            "tensor 't': 68 bytes at data offset 0, but the data section (from offset 64) has 64 "
            "bytes; is the file cut short?");
  EXPECT_FALSE(Read(Raw(1, 0, TensorInfo("t", {4}, 0, UINT64_MAX - 31))));
  EXPECT_FALSE(Read(Raw(1, 0, TensorInfo("t", {4}, 0, 64))));
  EXPECT_EQ(Why(Raw(2, 0, TensorInfo("b", {4}, 0, 32) + TensorInfo("a", {9}, 0, 0))),
            "tensors 'a' and 'b' overlap at data offset 32");
  EXPECT_EQ(Why(Raw(2, 0, TensorInfo("b", {4}, 0, 32) + TensorInfo("a", {8}, 0, 0))), "no error");
}

TEST_F(GgufTest, WriterRefusesWhatItCouldNotReadAgain) {
  const auto create = [this](const Metadata& m, std::vector<PlannedTensor> tensors) {
    return GgufWriter::Create(path_, m, std::move(tensors)).has_value();
  };
  EXPECT_TRUE(create({}, {{"t", TensorType::kF32, {4}}}));
  EXPECT_FALSE(create({}, {{"t", TensorType::kF32, {4}}, {"t", TensorType::kF32, {4}}}));
  EXPECT_FALSE(create({}, {{"", TensorType::kF32, {4}}}));
  EXPECT_FALSE(create({}, {{std::string(64, 't'), TensorType::kF32, {4}}}));
  EXPECT_FALSE(create({}, {{"t", TensorType::kQ4_K, {4}}}));
  EXPECT_FALSE(create({"", {{"", MetaBool(true)}}}, {}));
  EXPECT_FALSE(create({"", {{"a", MetaBool(true)}, {"a", MetaBool(true)}}}, {}));
  EXPECT_FALSE(create({"", {{"general.alignment", MetaUint32(7)}}}, {}));
  EXPECT_THROW(create({"", {{"a", {MetaType::kUint8, uint64_t{256}}}}}, {}), Defect);
  EXPECT_THROW(create({"", {{"a", {MetaType::kUint8, int64_t{1}}}}}, {}), Defect);
  EXPECT_FALSE(std::filesystem::exists(path_));  // nothing was committed
}

TEST_F(GgufTest, WriterTakesPiecesAndCountsThem) {
  const std::vector<std::byte> bytes(40, std::byte{7});
  auto out =
      GgufWriter::Create(path_, {}, {{"a", TensorType::kF32, {10}}, {"b", TensorType::kF64, {1}}});
  ASSERT_TRUE(out) << out.error().message;
  ASSERT_TRUE(out->Append(std::span(bytes).first(1)));
  EXPECT_THROW(auto ignored = out->Append(bytes), Defect);
  ASSERT_TRUE(out->Append(std::span(bytes).first(39)));
  EXPECT_THROW(auto ignored = out->Commit(), Defect);
  ASSERT_TRUE(out->Append(std::span(bytes).first(8)));
  EXPECT_THROW(auto ignored = out->Append(std::span(bytes).first(1)), Defect);
  ASSERT_TRUE(out->Commit());
  const auto file = Read(Get(path_));
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->tensors[1].data[7], std::byte{7});
  EXPECT_EQ(file->tensors[1].data.data() - file->tensors[0].data.data(), 64);
}

}  // namespace
}  // namespace vernier
