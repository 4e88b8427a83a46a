// Rows of binary16 numbers: every one of them, on every instruction set this machine runs, against
// IEEE 754-2019 section 3.4 in double.
#include "kernels/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/kernels.h"

namespace vernier {
namespace {

double ValueOf(uint32_t half) {
  const double sign = half >> 15 != 0 ? -1 : 1;
  const int exponent = half >> 10 & 31, fraction = half & 1023;
  if (exponent == 31) return fraction == 0 ? sign * INFINITY : NAN;
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  return sign * std::ldexp(1024 + fraction, exponent - 25);
}

// What the bits of a float should be; a NaN becomes quiet and keeps sign and payload.
uint32_t Expected(uint32_t half) {
  const float value = static_cast<float>(ValueOf(half));
  return std::isnan(value) ? (half & 0x8000u) << 16 | 0x7fc00000u | (half & 0x3ffu) << 13
                           : std::bit_cast<uint32_t>(value);
}

TEST(Half, EveryNumberOnEveryInstructionSet) {
  std::vector<uint8_t> bytes(2 * 65536 + 1);
  for (uint32_t h = 0; h < 65536; ++h) {
    const auto bits = static_cast<uint16_t>(h);
    std::memcpy(bytes.data() + 1 + 2 * h, &bits, sizeof bits);  // unaligned
    ASSERT_EQ(std::bit_cast<uint32_t>(HalfBitsToFloat(h)), Expected(h)) << h;
  }
  for (const Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512}) {
    const Kernels* kernels = KernelsFor(isa);
    if (kernels == nullptr) continue;
    for (const size_t n : {size_t{65536}, size_t{65535}, size_t{9}, size_t{0}}) {
      std::vector<float> out(n + 1, -7);
      kernels->floats_of_halves(bytes.data() + 1, n, out.data());
      for (uint32_t h = 0; h < n; ++h)
        ASSERT_EQ(std::bit_cast<uint32_t>(out[h]), Expected(h)) << kernels->name << " " << h;
      EXPECT_EQ(out[n], -7) << kernels->name;
    }
  }
}

}  // namespace
}  // namespace vernier
