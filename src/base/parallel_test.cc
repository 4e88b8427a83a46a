#include "base/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

namespace vernier {
namespace {

TEST(Workers, CoversEachIndexOnce) {
  for (int threads : {1, 2, 5}) {
    Workers workers(threads);
    for (size_t count : {0, 1, 7, 1000}) {
      std::vector<std::atomic<int>> hits(count);
      workers.For(count, 3, [&](size_t first, size_t last) {
        for (size_t i = first; i < last; ++i) ++hits[i];
      });
      for (auto& hit : hits) EXPECT_EQ(hit, 1);
    }
  }
}

// Loops one after another, with and without time to fall asleep between: what a loop reads and
// writes is plain memory, so a worker that is late by one loop shows (under ThreadSanitizer at
// once).
TEST(Workers, LoopsDoNotMix) {
  Workers workers(4);
  for (int round = 0; round < 3000; ++round) {
    std::vector<size_t> in(20 + static_cast<size_t>(round) % 7), out(in.size());
    std::iota(in.begin(), in.end(), static_cast<size_t>(round));
    workers.For(in.size(), 1, [&](size_t first, size_t last) {
      for (size_t i = first; i < last; ++i) out[i] = in[i] * 3;
    });
    for (size_t i = 0; i < in.size(); ++i) ASSERT_EQ(out[i], (static_cast<size_t>(round) + i) * 3);
    if (round % 100 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

TEST(Workers, OthersTakePart) {
  Workers workers(2);
  std::atomic<int> meeting{0};
  workers.For(2, 1, [&](size_t, size_t) {  // ends only when both pieces run at once
    ++meeting;
    while (meeting < 2) std::this_thread::yield();
  });
  EXPECT_EQ(meeting, 2);
}

TEST(Workers, LoopsInsideALoopAndFromOtherThreads) {
  Workers workers(3);
  std::vector<std::atomic<int>> hits(40 * 50);
  const auto run = [&] {
    workers.For(40, 1, [&](size_t first, size_t last) {
      for (size_t i = first; i < last; ++i)
        workers.For(50, 1, [&](size_t a, size_t b) {
          for (size_t j = a; j < b; ++j) ++hits[i * 50 + j];
        });
    });
  };
  std::thread other(run);
  run();
  other.join();
  for (auto& hit : hits) EXPECT_EQ(hit, 2);
}

TEST(Workers, ExceptionsComeOut) {
  Workers workers(2);
  for (int round = 0; round < 100; ++round) {
    EXPECT_THROW(workers.For(100, 1, [](size_t, size_t) { throw std::runtime_error("x"); }),
                 std::runtime_error);
    std::atomic<int> done{0};  // and leave the workers fit for the next loop
    workers.For(10, 1, [&](size_t first, size_t last) { done += static_cast<int>(last - first); });
    EXPECT_EQ(done, 10);
  }
}

}  // namespace
}  // namespace vernier
