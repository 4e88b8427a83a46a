#include "arch/quantize_types.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "arch/type_patterns.h"

namespace vernier {
namespace {

using nlohmann::json;

// tests/data/README.md says what the file is: the types llama.cpp's own llama_model_quantize chose.
const json& Mixtures() {
  static const json mixtures =
      json::parse(std::ifstream(VERNIER_SOURCE_DIR "/tests/data/mixtures.json"));
  return mixtures;
}

Metadata ReadMetadata(const json& keys) {
  Metadata metadata;
  for (const auto& [key, value] : keys.items())
    metadata.Set(key, value.is_string() ? MetaString(value) : MetaUint32(value));
  return metadata;
}

std::vector<NamedShape> ReadShapes(const json& tensors) {
  std::vector<NamedShape> shapes;
  for (const json& tensor : tensors) {
    std::vector<int64_t> shape = tensor[1];
    std::reverse(shape.begin(), shape.end());
    shapes.push_back({tensor[0], shape, TensorType::kF32});
  }
  return shapes;
}

std::optional<TensorType> OptionalType(const json& run, const char* key) {
  if (!run.contains(key)) return std::nullopt;
  return ParseWritableType(run.at(key).get<std::string>()).value();
}

class MixtureTest : public ::testing::TestWithParam<std::string> {};

TEST_P(MixtureTest, IsLlamaCpps) {
  const json& model = Mixtures().at("models").at(GetParam());
  const MixtureFacts facts = ReadMixtureFacts(ReadMetadata(model.at("metadata")));
  const std::vector<NamedShape> shapes = ReadShapes(model.at("tensors"));
  for (const json& run : model.at("runs")) {
    MixtureOptions options;
    options.file_type = FindFileType(run.at("type").get<std::string>());
    ASSERT_NE(options.file_type, nullptr) << run.at("type");
    options.pure = run.value("pure", false);
    options.leave_output = run.value("leave_output_tensor", false);
    options.has_importance = run.value("imatrix", false);
    options.output = OptionalType(run, "output_tensor_type");
    options.token_embedding = OptionalType(run, "token_embedding_type");
    // llama-quantize takes no notice of patterns where the file type is a plain one; we do.
    const bool plain = Info(options.file_type->type).block_elements == 1;
    if (plain && run.contains("patterns")) continue;
    std::vector<TypePattern> patterns;
    for (const json& p : run.value("patterns", json::array()))
      patterns.push_back(
          ParseTypePattern(p[0].get<std::string>() + "=" + p[1].get<std::string>(), "x").value());
    std::erase_if(patterns, [&](const TypePattern& p) { return !MatchPatterns({&p, 1}, shapes); });
    const auto chosen =
        ChooseTypes(facts, options, shapes, MatchPatterns(patterns, shapes).value());
    const std::string types = run.at("types");
    json what = run;
    what.erase("types");
    ASSERT_EQ(types.size(), shapes.size());
    for (size_t i = 0; i < shapes.size(); ++i) {
      const std::string right = Mixtures().at("codes").at(std::string(1, types[i]));
      EXPECT_EQ(&Info(chosen[i].type), FindTensorType(right))
          << Info(chosen[i].type).name << " instead of " << right << ": " << shapes[i].name << " "
          << what;
    }
  }
}

std::vector<std::string> ModelNames() {
  std::vector<std::string> names;
  for (const auto& [name, model] : Mixtures().at("models").items()) names.push_back(name);
  return names;
}
INSTANTIATE_TEST_SUITE_P(Models, MixtureTest, ::testing::ValuesIn(ModelNames()),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(FileTypes, NamesAndAliases) {
  EXPECT_STREQ(FindFileType("q4_k")->name, "Q4_K_M");
  EXPECT_EQ(FindFileType("Q3_K"), FindFileType("q3_k_m"));
  EXPECT_EQ(FindFileType("bf16")->number, 32u);
  EXPECT_EQ(FindFileType("Q9_0"), nullptr);
  EXPECT_EQ(FindFileType("COPY"), nullptr);
  for (const FileType& type : FileTypes()) {
    EXPECT_EQ(FindFileType(type.name), &type);
    for (const FileType& other : FileTypes())
      EXPECT_TRUE(&type == &other || type.number != other.number) << type.name;
  }
}

TEST(MixtureFacts, AreReadFromKeysOfAnyShape) {
  Metadata metadata;
  EXPECT_EQ(ReadMixtureFacts(metadata).query_groups, 0);
  metadata.Set("general.architecture", MetaString("llama"));
  metadata.Set("llama.block_count", MetaUint32(4000000000));
  metadata.Set("llama.attention.head_count", MetaInt32s({24, 1}));
  metadata.Set("llama.attention.head_count_kv", MetaInt32s({6, 1}));
  EXPECT_EQ(ReadMixtureFacts(metadata).query_groups, 4);
  EXPECT_EQ(ReadMixtureFacts(metadata).layers, 1 << 20);
  metadata.Set("llama.attention.head_count_kv", MetaInt32s({-6}));
  EXPECT_EQ(ReadMixtureFacts(metadata).query_groups, 0);
  metadata.Set("llama.attention.head_count_kv", MetaString("six"));
  EXPECT_EQ(ReadMixtureFacts(metadata).query_groups, 0);
}

TEST(IsQuantizable, NamesAndShapes) {
  EXPECT_TRUE(IsQuantizable("blk.0.attn_q.weight", std::vector<int64_t>{4, 8}));
  EXPECT_TRUE(IsQuantizable("blk.0.ffn_up_exps.weight", std::vector<int64_t>{2, 4, 8}));
  EXPECT_FALSE(IsQuantizable("blk.0.attn_q.weight", std::vector<int64_t>{8}));
  EXPECT_FALSE(IsQuantizable("blk.0.attn_q.weight", std::vector<int64_t>{1, 1, 8}));
  EXPECT_FALSE(IsQuantizable("blk.0.attn_q.bias", std::vector<int64_t>{4, 8}));
  EXPECT_FALSE(IsQuantizable("blk.0.ssm_a", std::vector<int64_t>{4, 8}));
  for (const char* name : {"output_norm.weight", "blk.1.ffn_gate_inp.weight", "token_types.weight",
                           "blk.7.ssm_conv1d.weight", "blk.0.time_mix_w1.weight"})
    EXPECT_FALSE(IsQuantizable(name, std::vector<int64_t>{4, 8})) << name;
}

TEST(ChooseTypes, WithoutFileTypeOnlyWhatIsAskedForChanges) {
  const std::vector<NamedShape> shapes = {{"output.weight", {4, 256}, TensorType::kF16},
                                          {"blk.0.attn_v.weight", {4, 256}, TensorType::kBF16},
                                          {"blk.0.ffn_up.weight", {4, 48}, TensorType::kF32}};
  MixtureOptions options;
  auto chosen = ChooseTypes({}, options, shapes);
  for (size_t i = 0; i < shapes.size(); ++i) EXPECT_EQ(chosen[i].type, shapes[i].type);
  options.output = TensorType::kQ6_K;
  chosen = ChooseTypes({}, options, shapes, {std::nullopt, TensorType::kQ4_K, TensorType::kQ4_0});
  EXPECT_EQ(chosen[0].type, TensorType::kQ6_K);
  EXPECT_EQ(chosen[1].type, TensorType::kQ4_K);
  EXPECT_EQ(chosen[2].type, TensorType::kF16) << "48 columns are no whole blocks of 32";
  EXPECT_EQ(chosen[2].wanted, TensorType::kQ4_0);
}

TEST(NeedsImportance, Q2_KOfQ2_K_SOnly) {
  MixtureOptions options;
  options.file_type = FindFileType("Q2_K_S");
  EXPECT_TRUE(NeedsImportance(options, "blk.0.ffn_up.weight", TensorType::kQ2_K));
  EXPECT_FALSE(NeedsImportance(options, "blk.0.ffn_up.weight", TensorType::kQ4_K));
  EXPECT_FALSE(NeedsImportance(options, "output.weight", TensorType::kQ2_K));
  options.file_type = FindFileType("Q2_K");
  EXPECT_FALSE(NeedsImportance(options, "blk.0.ffn_up.weight", TensorType::kQ2_K));
}

}  // namespace
}  // namespace vernier
