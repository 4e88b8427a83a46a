#include "base/hash.h"

#include <gtest/gtest.h>

#include "base/hash_index.h"

namespace vernier {
namespace {

TEST(Hash, PiecesEqualWhole) {
  Hasher h;
  h.Add("ab", 2);
  h.Add("cdef", 4);
  EXPECT_EQ(h.Finish(), HashText("abcdef"));
  EXPECT_EQ(HashText("abcdef").Hex().size(), 32u);
}

// XXH3_128bits of the empty input, from the algorithm's specification (xxhash_spec.md, seed 0).
TEST(Hash, KnownValue) { EXPECT_EQ(HashText("").Hex(), "99aa06d3014798d86001c324468d497f"); }

TEST(Hash, CombineDependsOnOrder) {
  const Hash128 a = HashText("a"), b = HashText("b");
  EXPECT_NE(Combine(a, b), Combine(b, a));
  EXPECT_NE(Combine(a, uint64_t{1}), Combine(a, uint64_t{2}));
}

TEST(HashIndex, NumbersInOrderOfAppearance) {
  HashIndex index;
  for (int round = 0; round < 2; ++round) {
    for (size_t i = 0; i < 1000; ++i) {
      const Hash128 key{i % 3, i};  // many that belong to one place
      const auto [number, is_new] = index.Emplace(key, i);
      EXPECT_EQ(number, i);
      EXPECT_EQ(is_new, round == 0);
    }
  }
}

}  // namespace
}  // namespace vernier
