// Large arrays straight from the system: on huge pages where it has them, which saves the reader of
// a whole array most of its address translation, and handed back as soon as they are freed.
#ifndef VERNIER_BASE_PAGES_H_
#define VERNIER_BASE_PAGES_H_

#include <cstddef>
#include <cstdint>

namespace vernier {

// Bytes that start as zeros, from a 64-byte boundary on. Only pages that are touched take memory.
class Pages {
 public:
  Pages() = default;
  explicit Pages(size_t size);
  Pages(Pages&& other) noexcept;
  Pages& operator=(Pages&& other) noexcept;
  ~Pages();
  uint8_t* data() { return data_; }
  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
  void* mapping_ = nullptr;
  size_t mapped_ = 0;
};

}  // namespace vernier

#endif  // VERNIER_BASE_PAGES_H_
