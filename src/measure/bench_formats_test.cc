#include "measure/bench_formats.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

namespace vernier {
namespace {

// The peer is only worth measuring where it is right: every exponent, ties, subnormals, specials.
TEST(BitwiseRound, EqualsRoundValueWhereItApplies) {
  std::mt19937 random(3);
  std::vector<float> x = {0.0f, -0.0f, HUGE_VALF, -HUGE_VALF, 0x1p-149f, 3.4e38f};
  while (x.size() < 100000) {
    uint32_t bits = static_cast<uint32_t>(random());
    if (x.size() % 2 == 0) bits &= ~uint32_t{0} << (random() % 23);
    float v;
    static_assert(sizeof v == sizeof bits);
    std::memcpy(&v, &bits, sizeof v);
    if (!std::isnan(v)) x.push_back(x.size() % 3 == 0 ? std::ldexp(1.0f, -16) * v : v);
  }
  std::vector<float> y(x.size());
  for (const char* name : {"f16", "bf16", "e5m2", "tf32", "e6m9"})
    for (const Rounding mode : {Rounding::kNearestEven, Rounding::kTowardZero}) {
      const Format f = FindFormat(name).value();
      const RoundSpec spec = MakeRoundSpec(f, mode);
      ASSERT_TRUE(BitwiseRound(f, mode, x.data(), x.size(), y.data()));
      size_t wrong = 0;
      for (size_t i = 0; i < x.size(); ++i) {
        const float r = RoundValue(spec, x[i]);
        if ((r != y[i] || std::signbit(r) != std::signbit(y[i])) && wrong++ < 3)
          ADD_FAILURE() << name << " " << x[i] << " gave " << y[i] << ", expected " << r;
      }
      EXPECT_EQ(wrong, 0u);
    }
}

TEST(BitwiseRound, StochasticIsOneOfTheNeighboursAndFair) {
  const Format f = FindFormat("f16").value();
  for (const float v : {1.0001f, 0x1.4p-24f, 0x1p-26f}) {
    const std::vector<float> x(100000, v);
    std::vector<float> y(x.size());
    ASSERT_TRUE(BitwiseRound(f, Rounding::kStochastic, x.data(), x.size(), y.data()));
    const double below = RoundValue(MakeRoundSpec(f, Rounding::kDown), v),
                 above = RoundValue(MakeRoundSpec(f, Rounding::kUp), v),
                 share = (v - below) / (above - below);
    double ups = 0;
    for (const float r : y) {
      ASSERT_TRUE(r == static_cast<float>(below) || r == static_cast<float>(above)) << r;
      ups += r == static_cast<float>(above);
    }
    EXPECT_NEAR(ups / 1e5, share, 5 * std::sqrt(share * (1 - share) / 1e5)) << v;
  }
}

TEST(BitwiseRound, KnowsItsLimits) {
  float x = 1, y = 2;
  EXPECT_FALSE(BitwiseRound(FindFormat("posit16").value(), Rounding::kNearestEven, &x, 1, &y));
  EXPECT_FALSE(BitwiseRound(FindFormat("f32").value(), Rounding::kNearestEven, &x, 1, &y));
  EXPECT_FALSE(BitwiseRound(FindFormat("bf16").value(), Rounding::kOdd, &x, 1, &y));
  EXPECT_EQ(y, 2);
}

TEST(BenchFormats, LinesAndHosts) {
  FormatBenchOptions options;
  options.formats = {FindFormat("bf16").value(), FindFormat("posit32").value(),
                     FindFormat("f32").value()};
  options.modes = {Rounding::kNearestEven, Rounding::kOdd};
  options.memory_bytes = size_t{8} << 20;
  options.seconds = 1e-3;
  size_t calls = 0;
  const FormatBench bench = BenchFormats(options, [&](const Progress& p) {
    EXPECT_EQ(p.total, 8);
    EXPECT_EQ(p.done, static_cast<double>(++calls));
    return true;
  });
  std::vector<std::string> lines;
  for (const FormatSpeed& s : bench.lines) {
    lines.push_back(s.format + " " + s.host);
    EXPECT_GT(s.cache, 0);
    EXPECT_GT(s.memory, 0);
    EXPECT_GT(s.memcpy_memory, 0);
    EXPECT_EQ(s.peer > 0, s.format == "bf16" && s.mode == Rounding::kNearestEven);
  }
  EXPECT_EQ(lines, (std::vector<std::string>{"bf16 f32", "bf16 f32", "posit32 f32", "posit32 f32",
                                             "posit32 f64", "posit32 f64", "f32 f64", "f32 f64"}));
}

}  // namespace
}  // namespace vernier
