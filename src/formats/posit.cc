#include "formats/posit.h"

#include <bit>

#include "base/result.h"

namespace vernier::internal {
namespace {

__extension__ using uint128 = unsigned __int128;

// A string without its trailing zeros. At most 65 bits of regime, 4 of exponent and 52 of fraction
// (63 in EncodePosit, where the three together fit 63 bits of code).
struct PositString {
  uint128 bits;
  int length;
};

PositString StringOf(int es, uint64_t m, int e) {
  const int zeros = std::countr_zero(m);
  m >>= zeros;
  const int fraction_bits = std::bit_width(m) - 1, exponent = e + zeros + fraction_bits;
  const int k = exponent >> es, x = exponent - k * (1 << es);
  const uint128 regime = k < 0 ? 1 : ((uint128{1} << (k + 1)) - 1) << 1;
  const uint128 fraction = m ^ (uint64_t{1} << fraction_bits);
  const int tail = es + fraction_bits;
  return {regime << tail | static_cast<uint128>(x) << fraction_bits | fraction,
          (k < 0 ? 1 - k : k + 2) + tail};
}

}  // namespace

PositPlace LocatePosit(int bits, int es, uint64_t m, int e) {
  const PositString s = StringOf(es, m, e);
  const int dropped = s.length - (bits - 1);
  if (dropped <= 0) return {static_cast<uint64_t>(s.bits << -dropped), -1, true};
  const uint128 rest = s.bits & ((uint128{1} << dropped) - 1), half = uint128{1} << (dropped - 1);
  return {static_cast<uint64_t>(s.bits >> dropped), rest < half ? -1 : rest > half, rest == 0};
}

PositNumber DecodePosit(int bits, int es, uint64_t code) {
  uint64_t s = code << (65 - bits);  // the first bit of the regime on top
  const bool ones = s >> 63 != 0;
  const int run = ones ? std::countl_one(s) : std::countl_zero(s);
  const int k = ones ? run - 1 : -run;
  s = run < 63 ? s << (run + 1) : 0;
  const int x = es == 0 ? 0 : static_cast<int>(s >> (64 - es));
  s <<= es;
  const uint64_t m = uint64_t{1} << 63 | s >> 1;  // the last bit of s is 0: the sign had one of 64
  const int zeros = std::countr_zero(m);
  return {m >> zeros, k * (1 << es) + x - 63 + zeros};
}

uint64_t EncodePosit(int bits, int es, uint64_t m, int e) {
  const PositPlace place = LocatePosit(bits, es, m, e);
  CHECK(place.exact);
  return place.below;
}

}  // namespace vernier::internal
