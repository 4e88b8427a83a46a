// Files: mapped for reading, whole texts, and writing that is never seen half done.
#ifndef VERNIER_BASE_FILE_H_
#define VERNIER_BASE_FILE_H_

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace vernier {

// A file mapped read-only for the life of the object. An empty file has no bytes. Errors name the
// path.
class MappedFile {
 public:
  static Result<MappedFile> Open(const std::string& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();
  const std::string& path() const { return path_; }
  std::span<const std::byte> bytes() const { return bytes_; }
  // Gives back the memory of the whole pages in `part`, which come from the file again when they
  // are next read. What lies outside of this file is left alone.
  void Release(std::span<const std::byte> part) const;
  // Copies `part` without touching the mapping: for what is read once, that is less work than
  // mapping its pages and giving them back. False, with `out` undefined, where it is not in this
  // file or cannot be read so.
  bool Copy(std::span<const std::byte> part, void* out) const;

 private:
  MappedFile() = default;
  std::string path_;
  std::span<const std::byte> bytes_;
  int descriptor_ = -1;
};

// The whole file as text. Refuses a file that is not a regular file, and one above `limit` bytes.
Result<std::string> ReadText(const std::string& path, size_t limit = size_t{1} << 30);

// A file that appears under its name only when Commit succeeds; until then, and after a failure, it
// is a temporary beside it that the destructor removes.
class AtomicFile {
 public:
  static Result<AtomicFile> Create(const std::string& path);
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();
  Status Write(const void* data, size_t size);
  Status Write(std::string_view text) { return Write(text.data(), text.size()); }
  Status Commit();

 private:
  AtomicFile() = default;
  std::string path_, temporary_;
  int descriptor_ = -1;
};

Status WriteFileAtomically(const std::string& path, std::string_view content);

}  // namespace vernier

#endif  // VERNIER_BASE_FILE_H_
