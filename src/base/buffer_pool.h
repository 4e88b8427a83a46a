// Large blocks of memory that come back: a prefill makes and drops values of many megabytes node by
// node, and a fresh block costs a page fault for each page.
#ifndef VERNIER_BASE_BUFFER_POOL_H_
#define VERNIER_BASE_BUFFER_POOL_H_

#include <cstddef>
#include <memory>

namespace vernier {

class BufferPool {
 public:
  BufferPool();
  ~BufferPool();
  // `bytes` uninitialised bytes from a cache line on. The block goes back to the pool with its last
  // owner, who may outlive the pool; from any thread.
  std::shared_ptr<std::byte> Take(size_t bytes);
  size_t free_bytes() const;
  // Free blocks are kept up to this in all: the wide values of a layer at 4096 tokens.
  static constexpr size_t kMostFree = size_t{384} << 20;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace vernier

#endif  // VERNIER_BASE_BUFFER_POOL_H_
