// Values of glibc 2.36's sinf, cosf, expf and logf on a machine with fused multiply-adds.
#include "ops/glibc_math.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>

namespace vernier {
namespace {

struct Known {
  uint32_t x, sin, cos, exp, log;  // bits; log of |x| + 0.001
};
constexpr Known kKnown[] = {
    {0x00000000, 0x00000000, 0x3f800000, 0x3f800000, 0xc0dd0c55},
    {0x358637bd, 0x358637bd, 0x3f800000, 0x3f800008, 0xc0dd0425},
    {0x3f000000, 0x3ef57744, 0x3f60a940, 0x3fd3094c, 0xbf30ef27},
    {0x3f490fdb, 0x3f3504f3, 0x3f3504f3, 0x400c5eb3, 0xbe760f1d},
    {0x3f800000, 0x3f576aa4, 0x3f0a5140, 0x402df854, 0x3a83033b},
    {0xbf800000, 0xbf576aa4, 0x3f0a5140, 0x3ebc5ab2, 0x3a83033b},
    {0x40490fdb, 0xb3bbbd2e, 0xbf800000, 0x41b92025, 0x3f9290f0},
    {0x42efff7d, 0x3f146d96, 0x3f50942b, 0x7f800000, 0x40993322},
    {0x42f00000, 0x3f14a2ef, 0x3f506e2a, 0x7f800000, 0x40993333},
    {0x43ff8000, 0x3f61bbb4, 0xbef17fe5, 0x7f800000, 0x40c7905b},
    {0x44ffe000, 0xbf77e3c6, 0x3e7fb55b, 0x7f800000, 0x40f3f8e2},
    {0x47ffff80, 0xbf13430a, 0xbf51675e, 0x7f800000, 0x413c8931},
    {0x42b16666, 0x3f2bbf2c, 0x3f3dd6ec, 0x7f7a37fc, 0x408f8757},
    {0x42b175c3, 0x3f315d71, 0x3f3899f2, 0x7f800000, 0x408f8a1d},
    {0xc2aecccd, 0x3f08fa78, 0x3f58453e, 0x00782140, 0x408f0e64},
    {0xc2cfcccd, 0x3e66e657, 0xbf79682e, 0x00000001, 0x4094970c},
    {0xc2d00000, 0x3ea4abb1, 0xbf7265f1, 0x00000000, 0x40949eee},
    {0x43ddfe41, 0xbf5a6136, 0xbf05970b, 0x7f800000, 0x40c310c3},
    {0xc18e57a5, 0x3f5eea9b, 0x3efbbf7c, 0x32a0f1e2, 0x40383f13},
    {0x44d9aede, 0x3f5a7173, 0x3f057c7c, 0x7f800000, 0x40eecca8},
    {0x41540cc0, 0x3f224f37, 0x3f45f804, 0x490b1f11, 0x4025654d},
    {0x43ceb81b, 0xbf7317f0, 0x3ea084be, 0x7f800000, 0x40c0c8cb},
    {0xc0ae6ab2, 0x3f3d5e97, 0x3f2c43d0, 0x3b8cb520, 0x3fd91318},
    {0x44e5a719, 0x3f12a21a, 0xbf51d82f, 0x7f800000, 0x40f08328},
    {0x41996c22, 0x3ea50f13, 0x3f72550b, 0x4d4b55cd, 0x403d0b26},
    {0x447434a2, 0x3e5864dd, 0xbf7a37f7, 0x7f800000, 0x40dc4c3c},
    {0xc18341dc, 0x3f24c311, 0xbf43eeaf, 0x33a0d6d2, 0x40330ece},
    {0x4498ef9c, 0xbf7ca024, 0xbe25b6f8, 0x7f800000, 0x40e380b6},
    {0xc0842d5a, 0x3f55dfc6, 0xbf0cb0cf, 0x3c83ae2a, 0x3fb5964c},
    {0x44bf7a1b, 0xbf755b21, 0x3e921a1c, 0x7f800000, 0x40eab1d9},
    {0xc0bab40c, 0x3ede1b24, 0x3f66a883, 0x3b3fb07e, 0x3fe1c951},
    {0x44819ac1, 0x3de1cf9a, 0x3f7e706b, 0x7f800000, 0x40de34ad},
    {0xbf08d3a0, 0xbf026793, 0x3f5c4bf6, 0x3f16026b, 0xbf1fe55a},
    {0x44146677, 0x3e2323e2, 0xbf7cbaf2, 0x7f800000, 0x40cc5bd3},
    {0x419d100e, 0x3f34a2d7, 0x3f3566da, 0x4da0408c, 0x403e8b57},
    {0x43bbb8a2, 0xbf7feff7, 0x3cb534e0, 0x7f800000, 0x40bdb30f},
    {0x41454ce0, 0xbe6e8879, 0x3f78f523, 0x485d5c82, 0x4020c833},
    {0x43217b88, 0xbf73d691, 0xbe9bef72, 0x7f800000, 0x40a2b36f},
    {0x40bf4eb0, 0xbe99aac3, 0x3f7432a9, 0x43c56531, 0x3fe4e76f},
    {0x44b89c2d, 0x3ea6da30, 0x3f720663, 0x7f800000, 0x40e986a9},
    {0x414c766c, 0x3e5801ce, 0x3f7a3d50, 0x48ad2c5b, 0x40231060},
};

TEST(GlibcMath, KnownValues) {
  for (const Known& known : kKnown) {
    const float x = std::bit_cast<float>(known.x);
    EXPECT_EQ(std::bit_cast<uint32_t>(GlibcSinCos(x).sin), known.sin) << x;
    EXPECT_EQ(std::bit_cast<uint32_t>(GlibcSinCos(x).cos), known.cos) << x;
    EXPECT_EQ(std::bit_cast<uint32_t>(GlibcExp(x)), known.exp) << x;
    EXPECT_EQ(std::bit_cast<uint32_t>(GlibcLog(std::fabs(x) + 1e-3f)), known.log) << x;
  }
}

// Within a unit in the last place of the true value, everywhere.
TEST(GlibcMath, CloseToTheTruth) {
  const auto close = [](float value, double right) {
    return std::abs(static_cast<double>(value) - right) <= 0x1p-23 * std::abs(right) + 0x1p-149;
  };
  for (float x = 1e-4f; x < 3000; x *= 1.0007f) {
    const double wide = static_cast<double>(x);
    EXPECT_TRUE(close(GlibcSinCos(x).sin, std::sin(wide))) << x;
    EXPECT_TRUE(close(GlibcSinCos(x).cos, std::cos(wide))) << x;
    EXPECT_TRUE(close(GlibcLog(x), std::log(wide))) << x;
    if (x < 88) {
      EXPECT_TRUE(close(GlibcExp(x), std::exp(wide))) << x;
    }
    if (x < 100) {
      EXPECT_TRUE(close(GlibcExp(-x), std::exp(-wide))) << x;
    }
  }
}

}  // namespace
}  // namespace vernier
