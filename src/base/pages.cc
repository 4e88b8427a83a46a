#include "base/pages.h"

#include <sys/mman.h>

#include <new>

namespace vernier {
namespace {
constexpr size_t kHuge = size_t{2} << 20;
}

Pages::Pages(size_t size) : size_(size) {
  if (size == 0) return;
  // Room to start on a boundary of huge pages. The last, incomplete one stays small pages.
  const size_t mapped = size < kHuge ? size : size + kHuge;
  void* const mapping = mmap(nullptr, mapped, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) throw std::bad_alloc();
  mapping_ = std::shared_ptr<void>(mapping, [mapped](void* p) { munmap(p, mapped); });
  data_ = static_cast<uint8_t*>(mapping);
  if (size < kHuge) return;
  data_ += (kHuge - reinterpret_cast<uintptr_t>(data_) % kHuge) % kHuge;
  madvise(data_, size / kHuge * kHuge, MADV_HUGEPAGE);
}

Pages& Pages::operator=(Pages&& other) noexcept {
  data_ = std::exchange(other.data_, nullptr);
  size_ = std::exchange(other.size_, 0);
  mapping_ = std::move(other.mapping_);
  return *this;
}

Pages PageArena::Take(size_t size) {
  size = (size + 63) / 64 * 64;
  if (size > all_.size_ - used_) return Pages(size);
  Pages part;
  part.data_ = all_.data_ + used_;
  part.size_ = size;
  part.mapping_ = all_.mapping_;
  used_ += size;
  return part;
}

}  // namespace vernier
