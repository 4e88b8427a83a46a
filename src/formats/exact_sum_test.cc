// Exact sums against GMP's integers (formats/exact_testing.h): every format of the table and some
// more, every mode and policy, sums that cancel, of the whole range, infinite and NaN.
#include "formats/exact_sum.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "formats/exact_testing.h"

namespace vernier {
namespace {

constexpr Rounding kModes[] = {Rounding::kNearestEven, Rounding::kNearestAway,
                               Rounding::kTowardZero,  Rounding::kUp,
                               Rounding::kDown,        Rounding::kOdd};
constexpr Overflow kPolicies[] = {Overflow::kSaturate, Overflow::kInfinity, Overflow::kNan};
constexpr double kInfinity = std::numeric_limits<double>::infinity();

using Terms = std::vector<std::pair<double, double>>;
using Engine = std::mt19937_64;

std::vector<Format> Formats() {
  std::vector<Format> formats;
  for (const char* name :
       {"f64",        "f32",        "tf32",       "f16",        "bf16",    "e5m2",    "e4m3",
        "e4m3fnuz",   "e3m2",       "e2m1",       "e11m50",     "e11m51",  "e8m52",   "e11m10",
        "e2m50",      "posit8",     "posit16",    "posit32",    "posit64", "posit2",  "posit3",
        "posit5",     "posit16es0", "posit32es4", "posit55es0", "posit56", "posit57", "posit60es3",
        "posit63es1", "posit64es0", "posit64es4"})
    formats.push_back(FindFormat(name).value());
  return formats;
}

enum class Kind { kPlain, kWhole, kCancel, kRemainder, kSubnormal, kShort, kTies, kSpecial };
constexpr Kind kKinds[] = {Kind::kPlain,     Kind::kWhole, Kind::kCancel, Kind::kRemainder,
                           Kind::kSubnormal, Kind::kShort, Kind::kTies,   Kind::kSpecial};

double Anything(Engine& engine) {
  double x = std::bit_cast<double>(engine());
  while (!std::isfinite(x)) x = std::bit_cast<double>(engine());
  return x;
}

Terms MakeTerms(Kind kind, size_t n, Engine& engine) {
  std::normal_distribution<double> normal;
  Terms terms;
  for (size_t i = 0; i < n; ++i) {
    switch (kind) {
      case Kind::kWhole:
        terms.emplace_back(Anything(engine), Anything(engine));
        break;
      case Kind::kSubnormal:
        terms.emplace_back(std::ldexp(normal(engine), -1070),
                           std::ldexp(normal(engine), -1000 + static_cast<int>(engine() % 2020)));
        break;
      case Kind::kShort:
        terms.emplace_back(std::ldexp(1, static_cast<int>(engine() % 60) - 30),
                           static_cast<double>(engine() % 7) - 3);
        break;
      case Kind::kSpecial: {
        constexpr double kValues[] = {kInfinity, -kInfinity, 0.0, -0.0, 1.0, -1.0};
        const bool special = engine() % 4 == 0;
        terms.emplace_back(special ? kValues[engine() % 6] : normal(engine),
                           engine() % 64 == 0 ? std::nan("") : normal(engine));
        break;
      }
      default:
        terms.emplace_back(normal(engine), normal(engine));
    }
  }
  if (kind == Kind::kCancel || kind == Kind::kRemainder) {
    for (size_t i = 0; i < n; ++i) terms.emplace_back(-terms[i].second, terms[i].first);
    std::shuffle(terms.begin(), terms.end(), engine);
    if (kind == Kind::kRemainder)
      terms.emplace_back(std::ldexp(normal(engine), -static_cast<int>(engine() % 500)),
                         std::ldexp(normal(engine), -static_cast<int>(engine() % 500)));
  }
  // A number with few bits, half a unit of some format more, and perhaps a little beside it.
  if (kind == Kind::kTies) {
    const int e = static_cast<int>(engine() % 61) - 30;
    terms = {{std::ldexp(static_cast<double>(engine() % 4096), e), 1},
             {std::ldexp(1, e - static_cast<int>(engine() % 60)), engine() % 2 == 0 ? 1 : -1}};
    if (engine() % 3 != 0)
      terms.emplace_back(std::ldexp(1, -500), engine() % 2 == 0 ? std::ldexp(1, -500) : -1);
  }
  return terms;
}

void Expect(const Terms& terms, const std::vector<Format>& formats, Engine& engine,
            size_t* compared) {
  ExactSum sum;
  ExactOracle oracle;
  std::vector<double> pairs;
  for (const auto& [a, b] : terms) {
    sum.AddProduct(a, b);
    oracle.AddProduct(a, b);
    pairs.insert(pairs.end(), {a, b});
  }
  for (const Format& format : formats) {
    for (const Rounding mode : kModes) {
      const Overflow policy = kPolicies[engine() % 3];
      const bool flush = format.kind == FormatKind::kFloat && engine() % 4 == 0;
      const double expected = oracle.Round(format, mode, policy, flush);
      const RoundSpec spec = MakeRoundSpec(format, mode, policy, flush);
      const double got = sum.Round(spec);
      const double dot = ExactDot(spec, pairs.data(), 2, pairs.data() + 1, 2, terms.size());
      ASSERT_EQ(std::bit_cast<uint64_t>(got), std::bit_cast<uint64_t>(dot)) << format.name;
      ++*compared;
      if (std::isnan(expected) && std::isnan(got)) continue;
      ASSERT_EQ(std::bit_cast<uint64_t>(expected), std::bit_cast<uint64_t>(got))
          << format.name << " mode " << static_cast<int>(mode) << " policy "
          << static_cast<int>(policy) << " flush " << flush << " terms " << terms.size() << ": "
          << expected << " " << got;
    }
  }
}

TEST(ExactSum, Oracle) {
  Engine engine(1);
  const std::vector<Format> formats = Formats();
  const bool all = std::getenv("VERNIER_TEST_ALL") != nullptr;
  size_t compared = 0;
  for (int round = 0; round < (all ? 1000 : 25); ++round) {
    for (const Kind kind : kKinds) {
      const size_t n = round % 5 == 0 ? engine() % 200 : 1 + engine() % 8;
      Expect(MakeTerms(kind, n, engine), formats, engine, &compared);
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_GE(compared, 30000u);
}

TEST(ExactSum, LongSumsOfOneSign) {
  Engine engine(2);
  const std::vector<Format> formats = Formats();
  size_t compared = 0;
  for (const double a : {std::numeric_limits<double>::max(), 1.0, 5e-324})
    Expect(Terms(8192, {a, a}), formats, engine, &compared);
}

TEST(ExactSum, Pieces) {
  const RoundSpec f64 = MakeRoundSpec(FindFormat("f64").value());
  ExactSum sum;
  EXPECT_TRUE(sum.IsZero());
  EXPECT_EQ(std::bit_cast<uint64_t>(sum.Round(f64)), 0u);
  sum.Add(-0.0);
  EXPECT_EQ(std::bit_cast<uint64_t>(sum.Round(f64)), 0u);
  sum.Add(1e300);
  sum.Add(-3.0);
  EXPECT_EQ(sum.Sign(), 1);
  sum.Add(-1e300);
  EXPECT_EQ(sum.Sign(), -1);
  EXPECT_EQ(sum.Round(f64), -3.0);
  sum.AddFixed(-5, (uint64_t{1} << 52) - 1, 3);  // -5 * 2^52 + 2^52 - 1 units of 8
  EXPECT_EQ(sum.Round(f64), -0x1p57 - 11);
  EXPECT_FALSE(sum.IsZero());
  sum.Add(0x1p57);
  sum.Add(11);
  EXPECT_TRUE(sum.IsZero());
  sum.Add(kInfinity);
  EXPECT_TRUE(sum.IsInfinite());
  EXPECT_EQ(sum.Sign(), 1);
  sum.Add(-kInfinity);
  EXPECT_TRUE(sum.IsNan());
  sum.Clear();
  EXPECT_TRUE(sum.IsZero());
  EXPECT_EQ(sum.RoundToFloat(f64), 0.0f);
}

TEST(ExactSum, DotsOfFloatsWithStrides) {
  const RoundSpec bf16 = MakeRoundSpec(FindFormat("bf16").value());
  const float x[] = {1, 99, 2, 99, 3}, w[] = {5, 99, 99, 6, 99, 99, 7};
  EXPECT_EQ(ExactDot(bf16, x, 2, w, 3, 3), 38.0f);
  const double y[] = {0x1p60, 1, -0x1p60};
  const double ones[] = {1, 1, 1};
  EXPECT_EQ(ExactDot(bf16, y, 1, ones, 1, 3), 1.0);
}

}  // namespace
}  // namespace vernier
