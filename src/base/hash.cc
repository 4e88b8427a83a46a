#include "base/hash.h"

#include <fmt/format.h>

#define XXH_INLINE_ALL  // Combine is called for every row of every node
#include <xxhash.h>

#include "base/result.h"

namespace vernier {

std::string Hash128::Hex() const { return fmt::format("{:016x}{:016x}", high, low); }

Hash128 HashBytes(const void* data, size_t size) {
  const XXH128_hash_t h = XXH3_128bits(data, size);
  return {h.low64, h.high64};
}

Hash128 Combine(Hash128 a, Hash128 b) {
  const uint64_t words[4] = {a.low, a.high, b.low, b.high};
  return HashBytes(words, sizeof words);
}

struct Hasher::State {
  XXH3_state_t* state = XXH3_createState();
  ~State() { XXH3_freeState(state); }
};

Hasher::Hasher() : state_(std::make_unique<State>()) {
  CHECK(state_->state != nullptr);
  XXH3_128bits_reset(state_->state);
}
Hasher::~Hasher() = default;

void Hasher::Add(const void* data, size_t size) { XXH3_128bits_update(state_->state, data, size); }

Hash128 Hasher::Finish() const {
  const XXH128_hash_t h = XXH3_128bits_digest(state_->state);
  return {h.low64, h.high64};
}

}  // namespace vernier
