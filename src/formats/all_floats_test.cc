// Nearest-even over all 2^32 floats, for formats of at most 16 bits: rounding is a staircase, so
// the oracle is a list of its steps. Numbers and thresholds come from the definitions, here once
// more; nothing of the code under test is used. Without VERNIER_TEST_ALL only the ends of the steps
// and a few floats within are looked at.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "formats/round.h"

namespace vernier {
namespace {

constexpr uint32_t kInfinity = 0x7f800000, kQuietNan = 0x7fc00000;

// The floats (as bits) after the last of the step before, up to `last`, become `result`.
struct Step {
  uint32_t last;
  uint32_t result;
};

// The largest float that is below v, or at most v.
uint32_t LastFloat(double v, bool inclusive) {
  float f = static_cast<float>(v);
  if (f > v || (!inclusive && f == v)) f = std::nextafter(f, 0.0f);
  return std::bit_cast<uint32_t>(f);
}

uint32_t Bits(double v) { return std::bit_cast<uint32_t>(static_cast<float>(v)); }

struct Case {
  const char* name;
  Overflow policy;
  uint32_t beyond;  // what an overflow becomes; 0: the largest number
  int fraction_bits, bias, last_code;
  bool again = false;  // differs from the line before at overflows only: never in full
};
const Case kFloats[] = {
    {"f16", Overflow::kInfinity, kInfinity, 10, 15, 0x7bff},
    {"bf16", Overflow::kInfinity, kInfinity, 7, 127, 0x7f7f},
    {"bf16", Overflow::kSaturate, 0, 7, 127, 0x7f7f, true},
    {"e5m2", Overflow::kInfinity, kInfinity, 2, 15, 0x7b},
    {"e5m2", Overflow::kSaturate, 0, 2, 15, 0x7b, true},
    {"e4m3", Overflow::kNan, kQuietNan, 3, 7, 0x7e},
    {"e4m3", Overflow::kSaturate, 0, 3, 7, 0x7e, true},
    {"e5m2fnuz", Overflow::kNan, kQuietNan, 2, 16, 0x7f},
    {"e4m3fnuz", Overflow::kNan, kQuietNan, 3, 8, 0x7f},
    {"e4m3b11fnuz", Overflow::kSaturate, 0, 3, 11, 0x7f},
    {"e3m4", Overflow::kInfinity, kInfinity, 4, 3, 0x6f},
};

double FloatNumber(const Case& c, int code) {
  const int field = code >> c.fraction_bits, fraction = code & ((1 << c.fraction_bits) - 1);
  const int m = field == 0 ? fraction : fraction + (1 << c.fraction_bits);
  return std::ldexp(m, std::max(field, 1) - c.bias - c.fraction_bits);
}

std::vector<Step> FloatSteps(const Case& c) {
  std::vector<Step> steps;
  for (int code = 0; code <= c.last_code; ++code) {
    // Above the last code the grid goes on: the next code would be the next number.
    const double u = FloatNumber(c, code), w = FloatNumber(c, code + 1), middle = (u + w) / 2;
    const uint32_t last = middle > std::numeric_limits<float>::max()
                              ? kInfinity - 1
                              : LastFloat(middle, code % 2 == 0);
    steps.push_back({last, Bits(u)});
  }
  const uint32_t largest = Bits(FloatNumber(c, c.last_code));
  if (steps.back().last < kInfinity - 1)
    steps.push_back({kInfinity - 1, c.beyond == 0 ? largest : c.beyond});
  steps.push_back({kInfinity, c.beyond == 0 && c.policy == Overflow::kSaturate &&
                                      std::string(c.name) != "bf16" && std::string(c.name) != "e5m2"
                                  ? largest
                              : c.beyond == kQuietNan ? kQuietNan
                                                      : kInfinity});
  return steps;
}

// Codes of n bits with the exponent in es: the runs of the regime counted one by one.
double PositNumber(int n, int es, int code) {
  int i = n - 2, run = 0;
  const int first = code >> i & 1;
  for (; i >= 0 && (code >> i & 1) == first; --i) ++run;
  --i;
  int exponent = (first ? run - 1 : -run) * (1 << es);
  for (int k = es - 1; k >= 0; --k, --i)
    if (i >= 0) exponent += (code >> i & 1) << k;
  double x = 1, weight = 0.5;
  for (; i >= 0; --i, weight /= 2) x += weight * (code >> i & 1);
  return std::ldexp(x, exponent);
}

std::vector<Step> PositSteps(int n, int es) {
  std::vector<Step> steps = {{0, 0}};
  const int last = (1 << (n - 1)) - 1;
  for (int code = 1; code < last; ++code)
    steps.push_back({LastFloat(PositNumber(n + 1, es, 2 * code + 1), code % 2 == 0),
                     Bits(PositNumber(n, es, code))});
  steps.push_back({kInfinity - 1, Bits(PositNumber(n, es, last))});
  steps.push_back({kInfinity, kQuietNan});
  return steps;
}

std::vector<Step> E8m0Steps() {
  std::vector<Step> steps;
  for (int e = -127; e <= 127; ++e)
    steps.push_back({LastFloat(std::ldexp(1.5, e), false), Bits(std::ldexp(1, e))});
  steps.push_back({kInfinity, kQuietNan});
  return steps;
}

// Floats [first, last] of one sign become `result` (with the sign unless it is zero in a format
// without -0).
size_t CheckRange(const RoundSpec& spec, uint32_t first, uint32_t last, uint32_t result,
                  uint32_t sign, bool negative_zero) {
  constexpr uint64_t kBlock = 4096;
  const uint32_t expected = result == 0 && !negative_zero ? 0 : result | sign;
  float row[kBlock];
  size_t wrong = 0;
  for (uint64_t from = first; from <= last; from += kBlock) {
    const size_t n = std::min<uint64_t>(kBlock, last - from + 1);
    for (size_t i = 0; i < n; ++i)
      row[i] = std::bit_cast<float>(static_cast<uint32_t>(from + i) | sign);
    for (size_t i = 0; i < n; ++i)
      wrong += std::bit_cast<uint32_t>(RoundValue(spec, row[i])) != expected;
    RoundRow(spec, row, n);
    for (size_t i = 0; i < n; ++i) wrong += std::bit_cast<uint32_t>(row[i]) != expected;
  }
  return wrong;
}

void CheckSteps(const Format& f, Overflow policy, const std::vector<Step>& steps, bool full) {
  const bool all = full && std::getenv("VERNIER_TEST_ALL") != nullptr;
  const RoundSpec spec = MakeRoundSpec(f, Rounding::kNearestEven, policy);
  std::vector<size_t> wrong(steps.size());
  Workers workers(0);
  ASSERT_EQ(steps.back().last, kInfinity);
  workers.For(steps.size(), 1, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      const uint32_t first = i == 0 ? 0 : steps[i - 1].last + 1, last = steps[i].last;
      if (first > last) continue;  // a number that no float rounds to
      for (const uint32_t sign : {0u, 0x80000000u}) {
        if (sign != 0 && !f.has_sign) continue;
        const auto check = [&](uint32_t a, uint32_t b) {
          wrong[i] += CheckRange(spec, a, b, steps[i].result, sign, f.has_negative_zero);
        };
        if (all || last - first < 24) {
          check(first, last);
          continue;
        }
        check(first, first + 3);
        check(last - 3, last);
        for (uint64_t k = 0; k < 8; ++k) {
          const auto at = static_cast<uint32_t>(RandomBits(i, k) % (last - first + 1));
          check(first + at, first + at);
        }
      }
    }
  });
  for (size_t i = 0; i < wrong.size(); ++i)
    ASSERT_EQ(wrong[i], 0u) << f.name << " step " << i << " up to "
                            << std::bit_cast<float>(steps[i].last);
}

TEST(AllFloats, Floats) {
  for (const Case& c : kFloats)
    CheckSteps(FindFormat(c.name).value(), c.policy, FloatSteps(c), !c.again);
}

TEST(AllFloats, Posits) {
  for (const int n : {6, 8, 16}) {
    const Format f = FindFormat(fmt::format("posit{}", n)).value();
    CheckSteps(f, Overflow::kSaturate, PositSteps(n, 2), n >= 8);
  }
  for (const int es : {0, 1, 3})
    CheckSteps(FindFormat(fmt::format("posit8es{}", es)).value(), Overflow::kSaturate,
               PositSteps(8, es), es == 0);
}

TEST(AllFloats, E8m0) { CheckSteps(FindFormat("e8m0").value(), Overflow::kNan, E8m0Steps(), true); }

}  // namespace
}  // namespace vernier
