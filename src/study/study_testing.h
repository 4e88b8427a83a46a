// What the tests of study/ share: a folder that is gone afterwards, small studies, opened models.
#ifndef VERNIER_STUDY_STUDY_TESTING_H_
#define VERNIER_STUDY_STUDY_TESTING_H_

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "engine/model.h"
#include "study/spec.h"

namespace vernier {

inline const std::string kSource = VERNIER_SOURCE_DIR;

class ScratchFolder {
 public:
  ScratchFolder() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "vernier-study-XXXXXX").string();
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    path_ = pattern;
  }
  ~ScratchFolder() { std::filesystem::remove_all(path_); }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name, std::ios::binary) << text;
    return *this / name;
  }

 private:
  std::filesystem::path path_;
};

inline std::unique_ptr<Model> OpenTiny(const std::string& name = "tiny-qwen2", int threads = 2) {
  ModelOptions options;
  options.threads = threads;
  auto model = Model::Open(kSource + "/models/" + name, options);
  EXPECT_TRUE(model) << (model ? "" : model.error().message);
  return model ? std::move(*model) : nullptr;
}

// An error of one line that holds `part`.
template <class T>
void ExpectError(const Result<T>& result, const std::string& part) {
  ASSERT_FALSE(result) << "expected an error with: " << part;
  const std::string& message = result.error().message;
  EXPECT_NE(message.find(part), std::string::npos) << message << "\nlacks: " << part;
  EXPECT_EQ(std::count(message.begin(), message.end(), '\n'), 0) << message;
}

}  // namespace vernier

#endif  // VERNIER_STUDY_STUDY_TESTING_H_
