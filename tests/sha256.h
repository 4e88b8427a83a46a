// SHA-256 (FIPS 180-4), for the golden files of the tests.
#ifndef VERNIER_TESTS_SHA256_H_
#define VERNIER_TESTS_SHA256_H_

#include <fmt/format.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace vernier {

// The first 32 bits of the fraction of a root of each of the first N primes. x87's 64 bits hold
// them with 30 to spare.
template <size_t N, class Root>
std::array<uint32_t, N> RootFractions(const Root& root) {
  static_assert(__LDBL_MANT_DIG__ >= 64);
  std::array<uint32_t, N> out{};
  uint32_t candidate = 2;
  for (size_t n = 0; n < N; ++candidate) {
    bool prime = true;
    for (uint32_t d = 2; d * d <= candidate; ++d) prime = prime && candidate % d != 0;
    if (!prime) continue;
    const long double r = root(static_cast<long double>(candidate));
    out[n++] = static_cast<uint32_t>((r - std::floor(r)) * 4294967296.0L);
  }
  return out;
}

inline void Sha256Block(const uint8_t* block, std::array<uint32_t, 8>* state) {
  static const auto k = RootFractions<64>([](long double x) { return std::cbrt(x); });
  std::array<uint32_t, 64> w;
  for (size_t i = 0; i < 16; ++i)
    w[i] = uint32_t{block[4 * i]} << 24 | uint32_t{block[4 * i + 1]} << 16 |
           uint32_t{block[4 * i + 2]} << 8 | block[4 * i + 3];
  for (size_t i = 16; i < 64; ++i) {
    const uint32_t a = w[i - 15], b = w[i - 2];
    w[i] = w[i - 16] + (std::rotr(a, 7) ^ std::rotr(a, 18) ^ a >> 3) + w[i - 7] +
           (std::rotr(b, 17) ^ std::rotr(b, 19) ^ b >> 10);
  }
  std::array<uint32_t, 8> s = *state;
  for (size_t i = 0; i < 64; ++i) {
    const uint32_t e = std::rotr(s[4], 6) ^ std::rotr(s[4], 11) ^ std::rotr(s[4], 25);
    const uint32_t choice = (s[4] & s[5]) ^ (~s[4] & s[6]);
    const uint32_t a = std::rotr(s[0], 2) ^ std::rotr(s[0], 13) ^ std::rotr(s[0], 22);
    const uint32_t majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
    const uint32_t t = s[7] + e + choice + k[i] + w[i];
    s = {t + a + majority, s[0], s[1], s[2], s[3] + t, s[4], s[5], s[6]};
  }
  for (size_t i = 0; i < 8; ++i) (*state)[i] += s[i];
}

inline std::string Sha256Hex(std::span<const std::byte> data) {
  auto state = RootFractions<8>([](long double x) { return std::sqrt(x); });
  const uint8_t* bytes = reinterpret_cast<const uint8_t*>(data.data());
  size_t at = 0;
  for (; data.size() - at >= 64; at += 64) Sha256Block(bytes + at, &state);
  std::array<uint8_t, 128> tail{};
  const size_t rest = data.size() - at, padded = rest < 56 ? 64 : 128;
  for (size_t i = 0; i < rest; ++i) tail[i] = bytes[at + i];
  tail[rest] = 0x80;
  for (size_t i = 0; i < 8; ++i)
    tail[padded - 1 - i] = static_cast<uint8_t>(uint64_t{data.size()} * 8 >> 8 * i);
  for (size_t i = 0; i < padded; i += 64) Sha256Block(tail.data() + i, &state);
  std::string hex;
  for (const uint32_t word : state) hex += fmt::format("{:08x}", word);
  return hex;
}

}  // namespace vernier

#endif  // VERNIER_TESTS_SHA256_H_
