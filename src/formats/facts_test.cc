// Facts against published ones, against counting all codes, and against rounding.
#include "formats/facts.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace vernier {
namespace {

Format Get(const std::string& name) { return FindFormat(name).value(); }

TEST(FormatFacts, EqualACountOfAllCodes) {
  for (const char* name :
       {"f16",    "bf16",   "e5m2",       "e4m3",  "e5m2fnuz", "e4m3fnuz", "e4m3b11fnuz",
        "e3m2",   "e2m3",   "e2m1",       "e8m0",  "posit16",  "posit8",   "posit8es0",
        "posit2", "posit3", "posit12es4", "int16", "int8",     "int4",     "e3m4"}) {
    SCOPED_TRACE(name);
    const Format f = Get(name);
    const FormatFacts facts = ComputeFacts(f);
    std::map<double, uint64_t> numbers;
    uint64_t nan = 0, infinite = 0;
    for (uint64_t code = 0; code < uint64_t{1} << f.bits; ++code) {
      const double x = ToDouble(DecodeCode(f, code));
      nan += std::isnan(x);
      infinite += std::isinf(x);
      if (std::isfinite(x)) numbers[x + 0.0] = code;
    }
    EXPECT_EQ(facts.finite, numbers.size());
    EXPECT_EQ(facts.nan_codes, nan);
    EXPECT_EQ(facts.infinity_code.has_value(), infinite == 2);
    EXPECT_EQ(ToDouble(facts.largest), numbers.rbegin()->first);
    EXPECT_EQ(facts.largest_code, numbers.rbegin()->second);
    EXPECT_EQ(ToDouble(facts.lowest), numbers.begin()->first);
    EXPECT_EQ(facts.lowest_code, numbers.begin()->second);
    const auto smallest = numbers.upper_bound(0);
    EXPECT_EQ(ToDouble(facts.smallest), smallest->first);
    EXPECT_EQ(facts.smallest_code, smallest->second);
    const auto above_one = numbers.upper_bound(1);
    EXPECT_EQ(facts.above_one.has_value(), numbers.count(1) && above_one != numbers.end());
    if (facts.above_one) {
      EXPECT_EQ(ToDouble(*facts.above_one), above_one->first);
    }
    double whole = 0;
    while (numbers.count(whole + 1) != 0) ++whole;
    EXPECT_EQ(ToDouble(facts.whole), whole);
    EXPECT_EQ(facts.zero_code.has_value(), numbers.count(0) != 0);
    if (facts.nan_code) {
      EXPECT_TRUE(std::isnan(ToDouble(DecodeCode(f, *facts.nan_code))));
    }

    // Numbers in a binade, where the format goes to its end.
    for (int e = -150; e <= 130; ++e) {
      const auto bits = FractionBitsAt(f, e);
      const double low = std::ldexp(1, e);
      const auto count = std::distance(numbers.lower_bound(low), numbers.lower_bound(2 * low));
      if (2 * low <= f.max_finite && bits && *bits >= 0) {
        EXPECT_EQ(count, std::ptrdiff_t{1} << *bits) << e;
      } else if (bits && *bits < 0) {
        EXPECT_LE(count, 1) << e;
      } else if (!bits && e != f.emax) {
        EXPECT_EQ(count, 0) << e;
      }
    }
  }
}

TEST(FormatFacts, OfWideFormats) {
  const FormatFacts f64 = ComputeFacts(Get("f64")), posit64 = ComputeFacts(Get("posit64"));
  EXPECT_EQ(f64.finite, (uint64_t{0} - 1) - (uint64_t{1} << 53));  // 2^64 - 2^53 - 1
  EXPECT_EQ(f64.nan_codes, (uint64_t{1} << 53) - 2);
  EXPECT_EQ(ToDouble(f64.whole), 0x1p53);
  EXPECT_EQ(posit64.finite, ~uint64_t{0});
  EXPECT_EQ(posit64.nan_codes, 1u);
  EXPECT_EQ(*posit64.above_one, FiniteNumber(false, (uint64_t{1} << 59) + 1, -59));
  // 2^(8 floor(p/4)) ... by the standard's table of section 3: pIntMax of posit8, 16 and 32.
  EXPECT_EQ(ToDouble(ComputeFacts(Get("posit8")).whole), 0x1p4);
  EXPECT_EQ(ToDouble(ComputeFacts(Get("posit16")).whole), 0x1p10);
  EXPECT_EQ(ToDouble(ComputeFacts(Get("posit32")).whole), 0x1p23);
  EXPECT_EQ(ToDouble(*ComputeFacts(Get("e4m3")).overflow_beyond), 464);
  EXPECT_FALSE(ComputeFacts(Get("e4m3")).tie_overflows);
  EXPECT_EQ(ToDouble(*ComputeFacts(Get("f16")).overflow_beyond), 65520);
  EXPECT_TRUE(ComputeFacts(Get("f16")).tie_overflows);
  EXPECT_EQ(*ComputeFacts(Get("f64")).overflow_beyond,
            FiniteNumber(false, (uint64_t{1} << 54) - 1, 970));
}

// Around each tie the format rounds as the tie says, and the neighbours are next to each other.
TEST(ValueFacts, TiesAndNeighboursAreThoseOfRounding) {
  for (const char* name : {"f16", "e4m3", "e4m3fnuz", "e2m1", "e8m0", "posit8", "posit16",
                           "posit7es4", "posit6es0", "int4", "int8", "bf16"}) {
    const Format f = Get(name);
    const CodeRounding nearest{};
    for (uint64_t code = 0; code < uint64_t{1} << f.bits; ++code) {
      const Number x = DecodeCode(f, code);
      if (x.kind != NumberClass::kFinite && x.kind != NumberClass::kZero) continue;
      if (x.kind == NumberClass::kZero && x.negative) {
        ASSERT_EQ(TieAbove(f, code)->goes_to, 0u);  // between -0 and the smallest: to +0
        continue;
      }
      const auto next = NextAbove(f, code);
      const auto tie = TieAbove(f, code);
      if (tie) {
        const double t = ToDouble(tie->at);
        ASSERT_EQ(EncodeRounded(f, nearest, t), tie->goes_to) << name << " " << t;
        ASSERT_EQ(EncodeRounded(f, nearest, std::nextafter(t, -HUGE_VAL)), code) << name << t;
        ASSERT_EQ(EncodeRounded(f, nearest, std::nextafter(t, HUGE_VAL)), next) << name << t;
        const ValueFacts at = FactsAt(f, t);
        ASSERT_FALSE(at.exact);
        ASSERT_EQ(at.below, code);
        ASSERT_EQ(at.above, next);
        ASSERT_EQ(at.code, tie->goes_to);
        ASSERT_TRUE(at.code == code ? Compare(at.tie_above->at, tie->at) == 0
                                    : Compare(at.tie_below->at, tie->at) == 0);
        ASSERT_EQ(ToDouble(*at.error), ToDouble(at.rounded) - t);
      }
      const ValueFacts at = FactsAt(f, ToDouble(x));
      ASSERT_TRUE(at.exact && at.code == code) << name << " " << code;
      ASSERT_EQ(at.error->kind, NumberClass::kZero);
      if (x.kind == NumberClass::kFinite) {
        ASSERT_EQ(at.above, next);
        ASSERT_EQ(at.below, NextBelow(f, code));
      }
    }
  }
}

TEST(ValueFacts, BeyondTheRange) {
  const ValueFacts big = FactsAt(Get("e4m3"), 1000);
  EXPECT_EQ(big.code, 0x7fu);
  EXPECT_EQ(big.below, 0x7eu);
  EXPECT_EQ(big.above, std::nullopt);
  const ValueFacts f16 = FactsAt(Get("f16"), 1e6);
  EXPECT_EQ(f16.code, 0x7c00u);
  EXPECT_EQ(f16.above, 0x7c00u);
  EXPECT_EQ(f16.below, 0x7bffu);
  const ValueFacts posit = FactsAt(Get("posit16"), 1e300);
  EXPECT_EQ(posit.code, 0x7fffu);
  EXPECT_FALSE(posit.exact);
  EXPECT_EQ(FactsAt(Get("posit16"), 1e-300).code, 1u);
  EXPECT_EQ(FactsAt(Get("posit16"), HUGE_VAL).code, 0x8000u);
  EXPECT_TRUE(FactsAt(Get("bf16"), -HUGE_VAL).exact);
  EXPECT_EQ(FactsAt(Get("e2m1"), std::nan("")).code, std::nullopt);
  EXPECT_EQ(FactsAt(Get("e8m0"), -3).below, std::nullopt);
  EXPECT_EQ(FactsAt(Get("e8m0"), -3).above, 0u);
  EXPECT_EQ(ToDouble(*FactsAt(Get("f64"), 0.1).gap), 0x1p-56);
  EXPECT_EQ(FactsAt(Get("posit64"), 1).gap, FiniteNumber(false, 1, -59));
}

TEST(CompareFormats, Posit32AndF32) {
  // 27 - k fraction bits for 2^(4k), and 28 + k for negative k, against 23.
  struct Expected {
    int first, last;
    Finer finer;
  };
  const std::vector<Expected> expected = {
      {-149, -121, Finer::kOnlySecond}, {-120, -21, Finer::kSecond}, {-20, -17, Finer::kEqual},
      {-16, 15, Finer::kFirst},         {16, 19, Finer::kEqual},     {20, 119, Finer::kSecond},
      {120, 127, Finer::kOnlySecond}};
  const std::vector<Span> spans = CompareFormats(Get("posit32"), Get("f32"));
  ASSERT_EQ(spans.size(), expected.size());
  for (size_t i = 0; i < spans.size(); ++i) {
    EXPECT_EQ(spans[i].first, expected[i].first);
    EXPECT_EQ(spans[i].last, expected[i].last);
    EXPECT_EQ(spans[i].finer, expected[i].finer);
  }
  EXPECT_EQ(spans[1].a_least, -2);  // one number in four binades
  EXPECT_EQ(spans[1].a_most, 22);
  EXPECT_EQ(spans[3].a_least, 24);
  EXPECT_EQ(spans[3].a_most, 27);
  EXPECT_EQ(spans[0].a_least, std::nullopt);
  const auto same = CompareFormats(Get("f16"), Get("f16"));
  ASSERT_EQ(same.size(), 1u);
  EXPECT_EQ(same[0].finer, Finer::kEqual);
  EXPECT_EQ(same[0].first, -24);
  EXPECT_EQ(same[0].last, 15);
}

TEST(Text, OfNumbers) {
  const auto texts = [](double x) {
    return HexText(ExactNumber(x)) + " " + DecimalText(ExactNumber(x));
  };
  EXPECT_EQ(texts(1), "0x1p+0 1");
  EXPECT_EQ(texts(-448), "-0x1.cp+8 -448");
  EXPECT_EQ(texts(0x1p-24), "0x1p-24 5.9604644775390625e-08");
  EXPECT_EQ(texts(0.333251953125), "0x1.554p-2 0.333251953125");
  EXPECT_EQ(texts(0.1), "0x1.999999999999ap-4 0.1");
  EXPECT_EQ(texts(-0.0), "-0 -0");
  EXPECT_EQ(texts(HUGE_VAL), "inf inf");
  EXPECT_EQ(texts(0x1p-1074), "0x1p-1074 5e-324");
  EXPECT_EQ(texts(0x1p120), "0x1p+120 1.329227995784916e+36");
  EXPECT_EQ(texts(65504), "0x1.ffcp+15 65504");
  EXPECT_EQ(DecimalText(FiniteNumber(false, (uint64_t{1} << 59) + 1, -59)), "~1");
  EXPECT_EQ(HexText(FiniteNumber(false, (uint64_t{1} << 59) + 1, -59)), "0x1.000000000000002p+0");
  EXPECT_EQ(CodeText(Get("f16"), 1), "0x0001");
  EXPECT_EQ(CodeText(Get("e2m1"), 15), "0xf");
  for (const double x : {1.0, 0.1, 1e300, -0x1.23456789abcdep-700, 0x1.8p-1070})
    EXPECT_EQ(std::strtod(HexText(ExactNumber(x)).c_str(), nullptr), x);
}

}  // namespace
}  // namespace vernier
