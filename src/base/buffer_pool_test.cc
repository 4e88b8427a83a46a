#include "base/buffer_pool.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <optional>

namespace vernier {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

TEST(BufferPool, BlocksComeBack) {
  BufferPool pool;
  auto a = pool.Take(5 * kMiB);
  std::memset(a.get(), 1, 5 * kMiB);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(a.get()) % 64, 0u);
  const std::byte* place = a.get();
  auto b = pool.Take(5 * kMiB);  // while a is in use
  EXPECT_NE(b.get(), place);
  a.reset();
  EXPECT_EQ(pool.Take(4 * kMiB).get(), place);  // large enough
  EXPECT_NE(pool.Take(2 * kMiB).get(), place);  // far too large
  EXPECT_NE(pool.Take(6 * kMiB).get(), place);  // too small
  EXPECT_EQ(pool.Take(5 * kMiB).get(), place);
}

TEST(BufferPool, ABlockOutlivesItsPool) {
  std::optional<BufferPool> pool(std::in_place);
  const auto large = pool->Take(3 * kMiB), small = pool->Take(100), none = pool->Take(0);
  pool.reset();
  std::memset(large.get(), 1, 3 * kMiB);
  std::memset(small.get(), 1, 100);
}

TEST(BufferPool, KeepsNoMoreThanItSays) {
  BufferPool pool;
  const size_t half = BufferPool::kMostFree / 2;
  auto a = pool.Take(half), b = pool.Take(half), c = pool.Take(half);
  const std::byte* of_c = c.get();
  a.reset();
  EXPECT_EQ(pool.free_bytes(), half);
  b.reset();
  c.reset();
  EXPECT_EQ(pool.free_bytes(), 2 * half);
  EXPECT_EQ(pool.Take(half).get(), of_c);  // the last one in, warmest
}

}  // namespace
}  // namespace vernier
