// The lemma of docs/posit-sums.md: its table, and the sums that come closest to breaking it.
#include "ops/format_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "formats/codes.h"
#include "formats/number.h"
#include "formats/round.h"

namespace vernier {
namespace {

struct Posit {
  int bits, es;
  int Fraction(int e) const {  // bits of it, at exponent e
    const int k = e >> es;
    return bits - 3 - es - (k >= 0 ? k : -k - 1);
  }
  int Last(int e) const { return e - Fraction(e); }
};

// The least u(d) - (e - q) of the claim.
int Slack(Posit p, int q) {
  const int end = (p.bits - 2) << p.es;
  int least = std::numeric_limits<int>::max();
  for (int c = -end; c < end; ++c)
    for (int e = c - 1; e <= c + 1; ++e) {
      if (p.Fraction(c) < 1 || p.Fraction(e) < 1) continue;
      const int h = std::min(p.Last(c), p.Last(e) - 1);
      for (int d = h - 1; d <= c; ++d)
        if (p.Fraction(d) >= 1) least = std::min(least, p.Last(d) - (e - q));
    }
  return least;
}

TEST(PlainSums, HaveRoomWhereTheyAreUsed) {
  EXPECT_EQ(Slack({16, 2}, 24), 1);
  EXPECT_EQ(Slack({20, 2}, 24), -6);
  EXPECT_EQ(Slack({32, 0}, 53), 8);
  EXPECT_EQ(Slack({32, 1}, 53), 4);
  EXPECT_EQ(Slack({32, 2}, 53), 2);
  EXPECT_EQ(Slack({32, 3}, 53), 1);
  EXPECT_EQ(Slack({33, 2}, 53), 0);
  for (int n = 6; n <= 55; ++n)
    for (int es = 0; es <= 4; ++es)
      for (const int q : {24, 53}) {
        Format format;
        format.kind = FormatKind::kPosit;
        format.bits = n;
        format.es = es;
        if (!PlainSumIsRight(format, q)) continue;
        EXPECT_GT(Slack({n, es}, q), 0) << n << " " << es;
      }
}

// Significands whose sums lie at ties and next to them.
std::vector<double> Significands(int fraction_bits, std::mt19937_64* engine) {
  const double last = std::ldexp(1.0, -fraction_bits);
  std::vector<double> m = {1, 1 + last, 1.5, 1.5 - last, 1.5 + last, 2 - last, 2 - 2 * last};
  for (int i = 0; i < 2; ++i)
    m.push_back(1 + last * std::floor(std::ldexp(static_cast<double>((*engine)() >> 11),
                                                 fraction_bits - 53)));
  std::erase_if(m, [](double v) { return v < 1 || v >= 2; });
  return m;
}

// All pairs of exponents in a range with such significands: how often the sum in T, then rounded,
// is not the exact one rounded.
template <class T>
size_t WrongSums(const char* name, Posit p, int stride) {
  const RoundSpec spec = MakeRoundSpec(FindFormat(name).value());
  const int top = (p.bits - 3 - p.es) << p.es;
  std::mt19937_64 engine(9);
  size_t wrong = 0;
  for (int ea = -top; ea < top; ++ea)
    for (int eb = -top + (ea + top) % stride; eb <= ea; eb += stride)
      for (const double ma : Significands(p.Fraction(ea), &engine))
        for (const double mb : Significands(p.Fraction(eb), &engine))
          for (const double sign : {1.0, -1.0}) {
            const T a = static_cast<T>(std::ldexp(ma, ea)),
                    b = static_cast<T>(sign * std::ldexp(mb, eb));
            const T got = RoundValue(spec, static_cast<T>(a + b));
            wrong += static_cast<double>(got) != RoundValue(spec, OddSum(a, b)) ? 1 : 0;
          }
  return wrong;
}

bool TestAll() { return std::getenv("VERNIER_TEST_ALL") != nullptr; }

TEST(PlainSums, OfPosit32InDoubles) {
  EXPECT_EQ(WrongSums<double>("posit32", {32, 2}, TestAll() ? 1 : 4), 0);
}
TEST(PlainSums, OfPosit16InFloats) {
  EXPECT_EQ(WrongSums<float>("posit16", {16, 2}, TestAll() ? 1 : 2), 0);
}
TEST(PlainSums, AreWrongWithoutRoom) {
  EXPECT_GT(WrongSums<double>("posit40", {40, 2}, 4), 0);
  EXPECT_GT(WrongSums<float>("posit20", {20, 2}, 1), 0);
}

// Sums that would be false ties, were the smaller operand long enough: a is at a middle of the
// binade above its own, or of its own with b's first bit, and b is as small as that allows and ends
// in a 1.
TEST(PlainSums, NextToTies) {
  const Posit p = {32, 2};
  const RoundSpec spec = MakeRoundSpec(FindFormat("posit32").value());
  const int count = TestAll() ? 4000000 : 100000;
  std::mt19937_64 engine(10);
  for (int i = 0; i < count; ++i) {
    const int ea = static_cast<int>(engine() % 200) - 100;
    const double a =
        RoundValue(spec, std::ldexp(1 + std::ldexp(static_cast<double>(engine() >> 12), -52), ea));
    const int e = ea + static_cast<int>(engine() % 3) - 1;
    const double half = std::ldexp(1.0, p.Last(e) - 1);
    const int eb =
        std::max(-108, std::min(p.Last(ea), p.Last(e) - 1) + static_cast<int>(engine() % 3) - 1);
    const double last = std::ldexp(1.0, p.Last(eb));
    double b = std::ldexp(1.0, eb) + (static_cast<double>(engine() % 5) - 2) * last;
    if (engine() % 2 == 0) b += half;
    b = RoundValue(spec, engine() % 2 == 0 ? b : -b);
    ASSERT_EQ(RoundValue(spec, a + b), RoundValue(spec, OddSum(a, b))) << a << " + " << b;
  }
}

// Every pair of posits, those without fraction bits too.
TEST(PlainSums, OfAllPosit16) {
  const RoundSpec spec = MakeRoundSpec(FindFormat("posit16").value());
  const Format posit16 = FindFormat("posit16").value();
  std::vector<float> all;  // above zero
  for (uint64_t code = 1; code < 0x8000; ++code)
    all.push_back(static_cast<float>(ToDouble(DecodeCode(posit16, code))));
  std::vector<double> b(all.begin(), all.end()), exact(all.size());
  std::vector<float> plain(all.size());
  const size_t step = TestAll() ? 1 : 97;
  for (size_t i = 0; i < all.size(); i += step)
    for (const float sign : {1.0f, -1.0f}) {
      for (size_t j = 0; j < all.size(); ++j) {
        plain[j] = sign * all[i] + all[j];
        exact[j] = OddSum(static_cast<double>(sign * all[i]), b[j]);
      }
      RoundRow(spec, plain.data(), plain.size());
      RoundRow(spec, exact.data(), exact.size());
      for (size_t j = 0; j < all.size(); ++j)
        ASSERT_EQ(static_cast<double>(plain[j]), exact[j]) << sign * all[i] << " + " << all[j];
    }
}

}  // namespace
}  // namespace vernier
