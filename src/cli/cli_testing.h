// What the tests that run the program share: running it, its JSON, its refusals.
#ifndef VERNIER_CLI_CLI_TESTING_H_
#define VERNIER_CLI_CLI_TESTING_H_

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "cli/verb.h"

namespace vernier {

using Json = nlohmann::json;

inline const std::string kSource = VERNIER_SOURCE_DIR;
inline const std::string kQwen = kSource + "/models/tiny-qwen2",
                         kLlama = kSource + "/models/tiny-llama",
                         kMamba = kSource + "/models/tiny-mamba";
inline const std::string kText = "First Citizen:\nBefore we proceed";

// A folder of this process, and with it all that tests write; gone when they end.
class TestFolder {
 public:
  TestFolder() {
    std::string pattern = testing::TempDir() + "/vernier-cli-XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
  }
  ~TestFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline std::string TempPath(const std::string& name) {
  static const TestFolder folder;
  return folder.path() + "/" + name;
}

inline std::string ReadAll(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

inline void WriteAll(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

struct Outcome {
  int status = -1;
  std::string out, err;
};

inline Outcome Vernier(const Arguments& arguments) {
  std::string command = VERNIER_BINARY;
  for (const std::string& argument : arguments) {
    command += " '";
    for (const char c : argument) command += c == '\'' ? "'\\''" : std::string(1, c);
    command += "'";
  }
  const std::string out = TempPath("out"), err = TempPath("err");
  const int status = std::system((command + " >" + out + " 2>" + err).c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, ReadAll(out), ReadAll(err)};
}

inline Json RunJson(Arguments arguments, int status = 0) {
  arguments.push_back("--json");
  const Outcome outcome = Vernier(arguments);
  EXPECT_EQ(outcome.status, status) << outcome.err;
  Json json = Json::parse(outcome.out, nullptr, false);
  EXPECT_TRUE(json.is_object()) << outcome.out.substr(0, 200);
  return json;
}

// Bad input: status 2, nothing on standard output, one line that holds `part`.
inline void ExpectRefused(const Arguments& arguments, const std::string& part) {
  const Outcome outcome = Vernier(arguments);
  EXPECT_EQ(outcome.status, 2) << part;
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  EXPECT_NE(outcome.err.find(part), std::string::npos) << outcome.err << " lacks " << part;
}

}  // namespace vernier

#endif  // VERNIER_CLI_CLI_TESTING_H_
