#include "base/pages.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace vernier {
namespace {

bool AllZero(const Pages& pages) {
  return std::all_of(pages.data(), pages.data() + pages.size(), [](uint8_t b) { return b == 0; });
}

TEST(Pages, StartAsZerosOnACacheLine) {
  for (const size_t size : {size_t{1}, size_t{4096}, (size_t{2} << 20) - 1, size_t{5} << 20}) {
    const Pages pages(size);
    EXPECT_EQ(pages.size(), size);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(pages.data()) % 64, 0u);
    EXPECT_TRUE(AllZero(pages)) << size;
  }
}

TEST(PageArena, ArraysDoNotMeetAndOutliveIt) {
  std::vector<Pages> parts;
  {
    PageArena arena(10000);
    for (const size_t size : {1000, 64, 5000, 8000}) {  // the last has no room left
      parts.push_back(arena.Take(size));
      EXPECT_GE(parts.back().size(), size);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(parts.back().data()) % 64, 0u);
      EXPECT_TRUE(AllZero(parts.back()));
      std::fill_n(parts.back().data(), parts.back().size(), static_cast<uint8_t>(parts.size()));
    }
  }
  for (size_t i = 0; i < parts.size(); ++i)
    for (size_t b = 0; b < parts[i].size(); ++b) ASSERT_EQ(parts[i].data()[b], i + 1);
}

}  // namespace
}  // namespace vernier
