// Numbers given to hashes in the order they are first seen. A table of its own because evaluation
// looks up every row of every node: std::unordered_map allocates for each.
#ifndef VERNIER_BASE_HASH_INDEX_H_
#define VERNIER_BASE_HASH_INDEX_H_

#include <cstddef>
#include <utility>
#include <vector>

#include "base/hash.h"

namespace vernier {

class HashIndex {
 public:
  // Room for n keys in all.
  void Reserve(size_t n) {
    while (2 * n > slots_.size()) Grow();
  }
  // The key's number, and whether it is new: then `value` becomes its number.
  std::pair<size_t, bool> Emplace(const Hash128& key, size_t value) {
    if (2 * (used_ + 1) > slots_.size()) Grow();
    Slot& slot = Find(key);
    if (slot.value != kEmpty) return {slot.value, false};
    slot = {key, value};
    ++used_;
    return {value, true};
  }

 private:
  static constexpr size_t kEmpty = static_cast<size_t>(-1);
  struct Slot {
    Hash128 key;
    size_t value = kEmpty;
  };

  // Where the key is, or belongs: a hash is its own place.
  Slot& Find(const Hash128& key) {
    size_t at = key.low & (slots_.size() - 1);
    while (slots_[at].value != kEmpty && slots_[at].key != key) at = (at + 1) & (slots_.size() - 1);
    return slots_[at];
  }
  void Grow() {
    std::vector<Slot> old(slots_.empty() ? 16 : 4 * slots_.size());
    old.swap(slots_);
    for (const Slot& slot : old)
      if (slot.value != kEmpty) Find(slot.key) = slot;
  }

  std::vector<Slot> slots_;  // a power of two, half full at most
  size_t used_ = 0;
};

}  // namespace vernier

#endif  // VERNIER_BASE_HASH_INDEX_H_
