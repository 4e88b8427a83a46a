// The tiny models' tensors encoded into every type, against the bytes llama-quantize wrote.
#include "formats/encode.h"

#include <set>

#include "e2e_testing.h"
#include "formats/decode.h"
#include "model/gguf_writer.h"
#include "sha256.h"

namespace vernier {
namespace {

class EncodeGoldenTest : public ::testing::TestWithParam<const char*> {};

TEST_P(EncodeGoldenTest, TensorsHaveTheBytesOfLlamaQuantize) {
  ScratchFolder folder;
  const std::string path = folder / "f32.gguf";
  Convert(TinyFolder(GetParam()), path, TensorType::kF32);
  auto model = OpenCheckpoint(path);
  ASSERT_TRUE(model) << model.error().message;
  const auto golden = ReadJsonFile(kSource + "/tests/data/golden/" + GetParam() + ".json");
  std::set<TensorType> types;
  std::set<std::pair<std::string, TensorType>> done;  // mixtures share most of their tensors
  for (const auto& [mixture, file] : golden.at("types").items()) {
    for (const auto& [name, right] : file.at("tensors").items()) {
      const TensorView* tensor = model->Find(name);
      ASSERT_NE(tensor, nullptr) << name;
      const TensorTypeInfo& info = *FindTensorType(right.at("type").get<std::string>());
      if (!done.emplace(name, info.type).second) continue;
      std::vector<float> values(static_cast<size_t>(tensor->Elements()));
      DecodeToFloat(tensor->type, tensor->data, values);
      std::vector<std::byte> out(*TensorByteSize(info.type, tensor->shape));
      EncodeRows(info.type, values.data(), static_cast<size_t>(tensor->Rows()),
                 static_cast<size_t>(tensor->Columns()), {}, out);
      EXPECT_EQ(Sha256Hex(out), right.at("sha256").get<std::string>())
          << mixture << " " << name << " as " << info.name;
      types.insert(info.type);
    }
  }
  EXPECT_GE(types.size(), 12u);
}

INSTANTIATE_TEST_SUITE_P(Zoo, EncodeGoldenTest, ::testing::Values("tiny-llama", "tiny-qwen2"),
                         [](const auto& test) { return std::string(test.param).substr(5); });

}  // namespace
}  // namespace vernier
