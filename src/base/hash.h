// 128-bit content hashes (XXH3, https://github.com/Cyan4973/xxHash), the currency of identity:
// models, recipes, texts and rows are known by them. The same bytes give the same hash on every
// machine. Not cryptographic: a collision by accident has probability about n^2 / 2^129 for n
// things, one on purpose is not defended against.
#ifndef VERNIER_BASE_HASH_H_
#define VERNIER_BASE_HASH_H_

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace vernier {

struct Hash128 {
  uint64_t low = 0, high = 0;
  friend auto operator<=>(const Hash128&, const Hash128&) = default;
  std::string Hex() const;  // 32 digits, high half first
};

Hash128 HashBytes(const void* data, size_t size);
inline Hash128 HashText(std::string_view text) { return HashBytes(text.data(), text.size()); }

// The identity of something made from others, in order. Cheap: two 64-bit multiplications, no
// memory pass.
Hash128 Combine(Hash128 a, Hash128 b);
inline Hash128 Combine(Hash128 a, uint64_t b) { return Combine(a, Hash128{b, 0x9e3779b97f4a7c15}); }

// Hashes data that arrives in pieces; the same as HashBytes of the whole.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;
  void Add(const void* data, size_t size);
  Hash128 Finish() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace vernier

template <>
struct std::hash<vernier::Hash128> {
  size_t operator()(const vernier::Hash128& h) const noexcept { return h.low; }
};

#endif  // VERNIER_BASE_HASH_H_
