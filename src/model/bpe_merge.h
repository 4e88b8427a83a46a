// The merging step of byte-pair encoding, for any source of merges: of all neighbours that may be
// joined the pair with the lowest key goes first, the leftmost among equals, until none is left. A
// heap over a linked list: O(n log n) whatever the text.
#ifndef VERNIER_MODEL_BPE_MERGE_H_
#define VERNIER_MODEL_BPE_MERGE_H_

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "base/result.h"
#include "model/vocabulary.h"

namespace vernier {

struct BpeSymbol {
  int32_t id = -1;  // -1: not in the vocabulary
  uint32_t begin = 0,
           end = 0;  // its bytes in the text; empty once it is part of its left neighbour
};

template <class Key>
struct BpeJoin {
  Key key;     // lower goes first
  int32_t id;  // of the joined symbol
};

template <class Key>
class BpeMerger {
 public:
  std::vector<BpeSymbol> symbols;  // in: the text's characters, adjacent. out: the result

  // `find(left, right)` gives std::optional<BpeJoin<Key>>. Afterwards `symbols` holds what is left,
  // in order.
  template <class Find>
  void Run(const Find& find) {
    const uint32_t count = static_cast<uint32_t>(symbols.size());
    if (count < 2) return;
    next_.resize(count);
    previous_.resize(count);
    heap_.clear();
    for (uint32_t i = 0; i < count; ++i) {
      next_[i] = i + 1;
      previous_[i] = i - 1;  // wraps to kNone for the first
      if (i > 0) Push(i - 1, i, find);
    }
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end(), After);
      const Entry top = heap_.back();
      heap_.pop_back();
      if (Stale(top, count)) continue;
      Join(top, count);
      if (previous_[top.left] != kNone) Push(previous_[top.left], top.left, find);
      if (next_[top.left] < count) Push(top.left, next_[top.left], find);
    }
    std::erase_if(symbols, [](const BpeSymbol& s) { return s.begin == s.end; });
  }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  struct Entry {
    Key key;
    uint32_t left, right, bytes;  // bytes of both together, to know a stale entry by
    int32_t id;
  };
  static bool After(const Entry& a, const Entry& b) {
    return a.key > b.key || (a.key == b.key && a.left > b.left);
  }
  template <class Find>
  void Push(uint32_t left, uint32_t right, const Find& find) {
    const std::optional<BpeJoin<Key>> join = find(symbols[left], symbols[right]);
    if (!join) return;
    heap_.push_back({join->key, left, right, symbols[right].end - symbols[left].begin, join->id});
    std::push_heap(heap_.begin(), heap_.end(), After);
  }
  // Since then one of the two was joined with something else. Symbols keep their first byte, so
  // equal ends and neighbours mean equal symbols.
  bool Stale(const Entry& entry, uint32_t count) const {
    const BpeSymbol &left = symbols[entry.left], &right = symbols[entry.right];
    return left.begin == left.end || right.begin == right.end || next_[entry.left] >= count ||
           next_[entry.left] != entry.right || right.end - left.begin != entry.bytes;
  }
  void Join(const Entry& entry, uint32_t count) {
    BpeSymbol &left = symbols[entry.left], &right = symbols[entry.right];
    left.end = right.end;
    left.id = entry.id;
    right.end = right.begin;
    const uint32_t after = next_[entry.right];
    next_[entry.left] = after;
    if (after < count) previous_[after] = entry.left;
  }

  std::vector<uint32_t> next_, previous_;
  std::vector<Entry> heap_;
};

// Ranked merges of a vocabulary: pair of ids -> rank and id of the joined token. Open addressing;
// the 280 thousand merges of Llama 3 fill it in a few hundredths of a second.
class MergeTable {
 public:
  explicit MergeTable(size_t merges = 0);
  // Merge number `rank` joins `left` and `right`; an earlier merge of the same pair stays. `where`
  // names the list in errors. Error when the vocabulary lacks one of the three texts.
  Status Add(const Vocabulary& vocabulary, std::string_view left, std::string_view right,
             std::string_view where);
  // The same for "left right".
  Status Add(const Vocabulary& vocabulary, std::string_view pair, std::string_view where);
  std::optional<BpeJoin<uint32_t>> Find(int32_t left, int32_t right) const;

 private:
  struct Slot {
    uint64_t key = UINT64_MAX;  // free
    uint32_t rank = 0;
    int32_t id = -1;
  };
  size_t SlotOf(uint64_t key) const;
  std::vector<Slot> slots_;
  uint32_t count_ = 0;
  size_t capacity_ = 0;
  std::string joined_;  // kept for its memory
};

}  // namespace vernier

#endif  // VERNIER_MODEL_BPE_MERGE_H_
