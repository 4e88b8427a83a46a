// Weights of every kind of file give the same bits packed in memory and left in the file, on every
// instruction set. (quantize_test.cc compares stored weights with decoded ones.)
#include "e2e_testing.h"

namespace vernier {
namespace {

std::vector<float> Logits(const std::string& path, const ModelOptions& options,
                          const std::vector<std::string>& rules, const std::vector<int32_t>& ids) {
  auto model = Model::Open(path, options);
  EXPECT_TRUE(model) << (model ? "" : model.error().message);
  if (!model) return {};
  const Plan plan = PlanOf(**model, rules);
  std::vector<float> logits;
  const Stream stream{&plan, ids, nullptr, {0, static_cast<uint32_t>(ids.size() - 1)}};
  Evaluate(**model, {&stream, 1}, [&](std::span<const LogitsRow> rows) {
    for (const LogitsRow& row : rows) {
      const size_t vocabulary = (*model)->graph().vocabulary;
      if (row.type == Arithmetic::kF32) {
        const float* values = static_cast<const float*>(row.values);
        logits.insert(logits.end(), values, values + vocabulary);
      } else {
        const double* values = static_cast<const double*>(row.values);
        logits.insert(logits.end(), values, values + vocabulary);
      }
    }
  });
  EXPECT_EQ(logits.size() % 2, 0u);
  return logits;
}

TEST(StoredWeights, PackedAndMappedAreTheSame) {
  const ScratchFolder folder;
  const std::vector<int32_t> ids = {0, 336, 59, 747, 283, 9, 11, 500, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  for (const char* type : {"F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K_M",
                           "Q2_K", "Q3_K_M", "Q5_K_M", "Q6_K", "IQ4_NL", "IQ4_XS"}) {
    const FileType* const file_type = FindFileType(type);
    if (file_type == nullptr) {
      ADD_FAILURE() << type;
      continue;
    }
    const std::string path = folder / (std::string(type) + ".gguf");
    auto checkpoint = OpenCheckpoint(TinyFolder("tiny-llama"));
    ASSERT_TRUE(checkpoint);
    QuantizeOptions options;
    options.mixture.file_type = file_type;
    ASSERT_TRUE(QuantizeModel(*checkpoint, path, options));
    for (const std::vector<std::string>& rules : {std::vector<std::string>{}, {"*.math=f64"}}) {
      ModelOptions packed, mapped, portable;
      packed.threads = 2;
      mapped.threads = 2;
      mapped.mapped = true;
      portable.threads = 1;
      portable.mapped = true;
      portable.kernels = KernelsFor(Isa::kPortable);
      const std::vector<float> expected = Logits(path, packed, rules, ids);
      ASSERT_FALSE(expected.empty());
      EXPECT_EQ(Logits(path, mapped, rules, ids), expected) << type;
      EXPECT_EQ(Logits(path, portable, rules, ids), expected) << type;
    }
    std::filesystem::remove(path);
  }
}

}  // namespace
}  // namespace vernier
