#include "base/pages.h"

#include <sys/mman.h>

#include <new>
#include <utility>

namespace vernier {
namespace {
constexpr size_t kHuge = size_t{2} << 20;
}

Pages::Pages(size_t size) : size_(size) {
  if (size == 0) return;
  // Room to start on a boundary of huge pages. The last, incomplete one stays small pages.
  mapped_ = size < kHuge ? size : size + kHuge;
  mapping_ = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping_ == MAP_FAILED) {
    mapping_ = nullptr;
    throw std::bad_alloc();
  }
  data_ = static_cast<uint8_t*>(mapping_);
  if (size < kHuge) return;
  data_ += (kHuge - reinterpret_cast<uintptr_t>(data_) % kHuge) % kHuge;
  madvise(data_, size / kHuge * kHuge, MADV_HUGEPAGE);
}

Pages::Pages(Pages&& other) noexcept { *this = std::move(other); }

Pages& Pages::operator=(Pages&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(mapping_, other.mapping_);
  std::swap(mapped_, other.mapped_);
  return *this;
}

Pages::~Pages() {
  if (mapping_ != nullptr) munmap(mapping_, mapped_);
}

}  // namespace vernier
