#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace vernier {
namespace {

// An open descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  int Take() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

Result<size_t> RegularFileSize(const std::string& path, int fd) {
  struct stat info;
  if (fstat(fd, &info) != 0) return Fail("{}: {}", path, std::strerror(errno));
  if (!S_ISREG(info.st_mode)) return Fail("{}: expected a regular file", path);
  return static_cast<size_t>(info.st_size);
}

}  // namespace

Result<MappedFile> MappedFile::Open(const std::string& path) {
  Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return Fail("{}: {}", path, std::strerror(errno));
  ASSIGN_OR_RETURN(const size_t size, RegularFileSize(path, file.get()));
  MappedFile mapped;
  mapped.path_ = path;
  if (size == 0) return mapped;
  void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (data == MAP_FAILED) return Fail("{}: cannot map: {}", path, std::strerror(errno));
  mapped.bytes_ = {static_cast<const std::byte*>(data), size};
  mapped.descriptor_ = file.Take();
  return mapped;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      bytes_(std::exchange(other.bytes_, {})),
      descriptor_(std::exchange(other.descriptor_, -1)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(bytes_, other.bytes_);
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

MappedFile::~MappedFile() {
  if (descriptor_ >= 0) close(descriptor_);
  if (!bytes_.empty()) munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

void MappedFile::Release(std::span<const std::byte> part) const {
  const auto address = [](const std::byte* p) { return reinterpret_cast<uintptr_t>(p); };
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t begin = address(bytes_.data()), end = begin + bytes_.size();
  const uintptr_t first = address(part.data()), last = first + part.size();
  if (bytes_.empty() || first < begin || last > end) return;
  const uintptr_t from = (first + page - 1) / page * page, to = last / page * page;
  if (from < to) madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED);
}

bool MappedFile::Copy(std::span<const std::byte> part, void* out) const {
  const auto address = [](const std::byte* p) { return reinterpret_cast<uintptr_t>(p); };
  const uintptr_t begin = address(bytes_.data()), first = address(part.data());
  if (descriptor_ < 0 || first < begin || first + part.size() > begin + bytes_.size()) return false;
  for (size_t done = 0; done < part.size();) {
    const ssize_t n = pread(descriptor_, static_cast<std::byte*>(out) + done, part.size() - done,
                            static_cast<off_t>(first - begin + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    done += static_cast<size_t>(n);
  }
  return true;
}

Result<std::string> ReadText(const std::string& path, size_t limit) {
  Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return Fail("{}: {}", path, std::strerror(errno));
  ASSIGN_OR_RETURN(const size_t size, RegularFileSize(path, file.get()));
  if (size > limit) return Fail("{}: {} bytes, expected at most {}", path, size, limit);
  std::string text(size, '\0');
  size_t done = 0;
  while (done < size) {
    const ssize_t n = read(file.get(), text.data() + done, size - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Fail("{}: {}", path, std::strerror(errno));
    if (n == 0) return Fail("{}: ends after {} of {} bytes", path, done, size);
    done += static_cast<size_t>(n);
  }
  return text;
}

Result<AtomicFile> AtomicFile::Create(const std::string& path) {
  // Renaming would put a file in the place of a device or a pipe, and fail on a folder at the end.
  struct stat info;
  if (stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode))
    return Fail("{}: is {}; expected a file to write", path,
                S_ISDIR(info.st_mode) ? "a folder" : "no regular file");
  AtomicFile file;
  file.path_ = path;
  // A link stays one: what it leads to is replaced.
  if (lstat(path.c_str(), &info) == 0 && S_ISLNK(info.st_mode)) {
    char* const real = realpath(path.c_str(), nullptr);
    if (real != nullptr) file.path_ = real;
    std::free(real);
  }
  file.temporary_ = file.path_ + ".XXXXXX.tmp";
  file.descriptor_ = mkostemps(file.temporary_.data(), 4, O_CLOEXEC);
  if (file.descriptor_ < 0) {
    file.temporary_.clear();
    return Fail("{}: cannot write: {}", path, std::strerror(errno));
  }
  fchmod(file.descriptor_, 0644);
  return file;
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, {})),
      descriptor_(std::exchange(other.descriptor_, -1)) {}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) close(descriptor_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

Status AtomicFile::Write(const void* data, size_t size) {
  const char* next = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t n = write(descriptor_, next, size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Fail("{}: cannot write: {}", path_, std::strerror(errno));
    next += n;
    size -= static_cast<size_t>(n);
  }
  return {};
}

Status AtomicFile::Commit() {
  const int fd = std::exchange(descriptor_, -1);
  const bool synced = fsync(fd) == 0;
  if (close(fd) != 0 || !synced) return Fail("{}: cannot write: {}", path_, std::strerror(errno));
  if (rename(temporary_.c_str(), path_.c_str()) != 0)
    return Fail("{}: cannot rename {}: {}", path_, temporary_, std::strerror(errno));
  temporary_.clear();
  return {};
}

Status WriteFileAtomically(const std::string& path, std::string_view content) {
  ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  RETURN_IF_ERROR(file.Write(content));
  return file.Commit();
}

}  // namespace vernier
