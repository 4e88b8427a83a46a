#include "model/bpe_merge.h"

#include <bit>

#include "model/quote.h"

namespace vernier {
namespace {

uint64_t PairKey(int32_t left, int32_t right) {
  return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
}

}  // namespace

MergeTable::MergeTable(size_t merges) : slots_(std::bit_ceil(merges * 2 + 2)), capacity_(merges) {}

size_t MergeTable::SlotOf(uint64_t key) const {
  // Multiplying by an odd constant and keeping the high bits spreads neighbouring ids.
  const size_t mask = slots_.size() - 1;
  size_t slot = (key * 0x9e3779b97f4a7c15u) >> 20 & mask;
  while (slots_[slot].key != key && slots_[slot].key != UINT64_MAX) slot = (slot + 1) & mask;
  return slot;
}

Status MergeTable::Add(const Vocabulary& vocabulary, std::string_view left, std::string_view right,
                       std::string_view where) {
  CHECK(count_ < capacity_);  // the caller counted them
  joined_.assign(left).append(right);
  const int32_t a = vocabulary.Id(left), b = vocabulary.Id(right), id = vocabulary.Id(joined_);
  if (a < 0 || b < 0 || id < 0) {
    return Fail("{}: {}[{}]: expected tokens of the vocabulary, it has no {}", vocabulary.source,
                where, count_,
                Quote(a < 0   ? left
                      : b < 0 ? right
                              : joined_));
  }
  const uint64_t key = PairKey(a, b);
  Slot& slot = slots_[SlotOf(key)];
  if (slot.key != key) slot = {key, count_, id};
  ++count_;
  return {};
}

Status MergeTable::Add(const Vocabulary& vocabulary, std::string_view pair,
                       std::string_view where) {
  const size_t space = pair.find(' ', 1);
  if (space == std::string_view::npos || pair.find(' ', space + 1) != std::string_view::npos ||
      space + 1 == pair.size()) {
    return Fail("{}: {}[{}]: expected two tokens with a space between, found {}", vocabulary.source,
                where, count_, Quote(pair));
  }
  return Add(vocabulary, pair.substr(0, space), pair.substr(space + 1), where);
}

std::optional<BpeJoin<uint32_t>> MergeTable::Find(int32_t left, int32_t right) const {
  if (left < 0 || right < 0) return std::nullopt;
  const uint64_t key = PairKey(left, right);
  const Slot& slot = slots_[SlotOf(key)];
  if (slot.key != key) return std::nullopt;
  return BpeJoin<uint32_t>{slot.rank, slot.id};
}

}  // namespace vernier
