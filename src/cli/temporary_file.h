// A model file that a benchmark writes for itself.
#ifndef VERNIER_CLI_TEMPORARY_FILE_H_
#define VERNIER_CLI_TEMPORARY_FILE_H_

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <string>

namespace vernier {

// A file of this process that goes when it ends.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& name)
      : path_((std::filesystem::temp_directory_path() /
               fmt::format("vernier-{}-{}.gguf", name, getpid()))
                  .string()) {}
  ~TemporaryFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace vernier

#endif  // VERNIER_CLI_TEMPORARY_FILE_H_
