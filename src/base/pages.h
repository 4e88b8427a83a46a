// Large arrays straight from the system: on huge pages where it has them, which saves the reader of
// a whole array most of its address translation, and handed back as soon as they are freed.
#ifndef VERNIER_BASE_PAGES_H_
#define VERNIER_BASE_PAGES_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace vernier {

// Bytes that start as zeros, from a 64-byte boundary on. Only pages that are touched take memory.
class Pages {
 public:
  Pages() = default;
  explicit Pages(size_t size);
  Pages(Pages&& other) noexcept { *this = std::move(other); }
  Pages& operator=(Pages&& other) noexcept;
  uint8_t* data() { return data_; }
  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  friend class PageArena;
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
  std::shared_ptr<void> mapping_;
};

// Room for many arrays that are made one after another and kept: side by side, so that all but the
// last of them end on huge pages too. It lives as long as one of them.
class PageArena {
 public:
  explicit PageArena(size_t size) : all_(size) {}
  // The next array of `size` bytes, or one of its own where the room is used up.
  Pages Take(size_t size);

 private:
  Pages all_;
  size_t used_ = 0;
};

}  // namespace vernier

#endif  // VERNIER_BASE_PAGES_H_
