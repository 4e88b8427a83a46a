#include "base/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
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

TEST(Workers, ExceptionsComeOut) {
  Workers workers(2);
  EXPECT_THROW(workers.For(100, 1, [](size_t, size_t) { throw std::runtime_error("x"); }),
               std::runtime_error);
}

}  // namespace
}  // namespace vernier
