#include "base/buffer_pool.h"

#include <sys/mman.h>

#include <algorithm>
#include <mutex>
#include <new>
#include <vector>

namespace vernier {
namespace {

constexpr size_t kSmall = size_t{64} << 10;    // blocks below are malloc's business
constexpr size_t kHugePage = size_t{2} << 20;  // x86's; elsewhere only an alignment

struct Block {
  std::byte* data;
  size_t bytes;
  size_t alignment() const { return bytes < 2 * kHugePage ? 64 : kHugePage; }
};

Block Allocate(size_t bytes) {
  Block block{nullptr, bytes};
  block.data = static_cast<std::byte*>(::operator new (bytes, std::align_val_t{block.alignment()}));
#if defined(MADV_HUGEPAGE)
  // Fewer faults and translations; a hint, which may fail.
  if (block.alignment() == kHugePage)
    madvise(block.data, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
  return block;
}

void Free(const Block& block) {
  ::operator delete (block.data, std::align_val_t{block.alignment()});
}

}  // namespace

struct BufferPool::State {
  ~State() {
    for (const Block& block : free) Free(block);
  }

  std::mutex mutex;
  std::vector<Block> free;  // the one that came back last at the end
  size_t free_bytes = 0;

  // The smallest that is large enough and not twice as large; none: a null one.
  Block Find(size_t bytes) {
    const std::lock_guard lock(mutex);
    auto best = free.end();
    for (auto b = free.begin(); b != free.end(); ++b)
      if (b->bytes >= bytes && b->bytes / 2 <= bytes &&
          (best == free.end() || b->bytes <= best->bytes))
        best = b;
    if (best == free.end()) return {nullptr, 0};
    const Block block = *best;
    free.erase(best);
    free_bytes -= block.bytes;
    return block;
  }
  void Return(const Block& block) {
    const std::lock_guard lock(mutex);
    free.push_back(block);
    free_bytes += block.bytes;
    while (free_bytes > kMostFree) {
      free_bytes -= free.front().bytes;
      Free(free.front());
      free.erase(free.begin());
    }
  }
};

BufferPool::BufferPool() : state_(std::make_shared<State>()) {}
BufferPool::~BufferPool() = default;

size_t BufferPool::free_bytes() const {
  const std::lock_guard lock(state_->mutex);
  return state_->free_bytes;
}

std::shared_ptr<std::byte> BufferPool::Take(size_t bytes) {
  if (bytes < kSmall) {
    const Block block = Allocate(bytes);
    return {block.data, [block](std::byte*) { Free(block); }};
  }
  Block block = state_->Find(bytes);
  if (block.data == nullptr) block = Allocate(bytes);
  return {block.data, [block, state = state_](std::byte*) { state->Return(block); }};
}

}  // namespace vernier
