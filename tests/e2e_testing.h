// What the tests across modules share: the tiny models, their golden files, a folder for output.
#ifndef VERNIER_TESTS_E2E_TESTING_H_
#define VERNIER_TESTS_E2E_TESTING_H_

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/evaluate.h"
#include "engine/model.h"
#include "engine/quantize.h"

namespace vernier {

inline const std::string kSource = VERNIER_SOURCE_DIR;

// A folder that is gone afterwards.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "vernier-e2e-XXXXXX").string();
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    path_ = pattern;
  }
  ~ScratchFolder() { std::filesystem::remove_all(path_); }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

inline nlohmann::json ReadJsonFile(const std::string& path) {
  std::ifstream in(path);
  EXPECT_TRUE(in) << path;
  return nlohmann::json::parse(in);
}

inline std::string TinyFolder(const std::string& name) { return kSource + "/models/" + name; }

inline std::unique_ptr<Model> OpenModel(const std::string& path) {
  auto model = Model::Open(path);
  EXPECT_TRUE(model) << (model ? "" : model.error().message);
  return model ? std::move(*model) : nullptr;
}

inline void Convert(const std::string& from, const std::string& to, TensorType type) {
  auto checkpoint = OpenCheckpoint(from);
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  QuantizeOptions options;
  options.mixture.file_type = FindFileType(Info(type).name);
  const auto report = QuantizeModel(*checkpoint, to, options);
  ASSERT_TRUE(report) << report.error().message;
}

inline Plan PlanOf(Model& model, const std::vector<std::string>& rules) {
  auto plan = MakePlan(model, ParseRecipe(rules).value());
  EXPECT_TRUE(plan) << (plan ? "" : plan.error().message);
  return plan ? std::move(*plan) : Plan{};
}

// Logits of the last token, in float32.
inline std::vector<float> LastLogits(Model& model, const Plan& plan,
                                     const std::vector<int32_t>& ids) {
  std::vector<float> logits;
  const Stream stream{&plan, ids, nullptr, {static_cast<uint32_t>(ids.size() - 1)}};
  Evaluate(model, {&stream, 1}, [&](std::span<const LogitsRow> rows) {
    const float* values = static_cast<const float*>(rows[0].values);
    logits.assign(values, values + model.graph().vocabulary);
  });
  return logits;
}

}  // namespace vernier

#endif  // VERNIER_TESTS_E2E_TESTING_H_
