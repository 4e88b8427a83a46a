// Codes against the formats' definitions, written out here a second time: layouts from the
// standards, one bit after another; published tables.
#include "formats/codes.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace vernier {
namespace {

Format Get(const std::string& name) { return FindFormat(name).value(); }

enum class Top { kIeee, kOneNan, kNumbers, kFnuz };
struct Layout {
  const char* name;
  int exponent_bits, fraction_bits, bias;
  Top top;
};

// IEEE 754-2019 table 3.5; OCP OFP8 1.0 table 1; OCP MX 1.0 tables 1 to 5; LLVM APFloat (fnuz).
const Layout kLayouts[] = {
    {"f64", 11, 52, 1023, Top::kIeee},     {"f32", 8, 23, 127, Top::kIeee},
    {"tf32", 8, 10, 127, Top::kIeee},      {"f16", 5, 10, 15, Top::kIeee},
    {"bf16", 8, 7, 127, Top::kIeee},       {"e5m2", 5, 2, 15, Top::kIeee},
    {"e4m3", 4, 3, 7, Top::kOneNan},       {"e3m2", 3, 2, 3, Top::kNumbers},
    {"e2m3", 2, 3, 1, Top::kNumbers},      {"e2m1", 2, 1, 1, Top::kNumbers},
    {"e5m2fnuz", 5, 2, 16, Top::kFnuz},    {"e4m3fnuz", 4, 3, 8, Top::kFnuz},
    {"e4m3b11fnuz", 4, 3, 11, Top::kFnuz}, {"e2m5", 2, 5, 1, Top::kIeee},
    {"e3m4", 3, 4, 3, Top::kIeee},         {"e6m9", 6, 9, 31, Top::kIeee},
    {"e11m4", 11, 4, 1023, Top::kIeee},    {"e5m30", 5, 30, 15, Top::kIeee},
};

Number Nan(bool negative) { return {NumberClass::kNan, negative, 0, 0}; }

Number ByLayout(const Layout& l, uint64_t code) {
  const uint64_t fraction = code % (uint64_t{1} << l.fraction_bits);
  const uint64_t fields = uint64_t{1} << l.exponent_bits;
  const uint64_t field = (code >> l.fraction_bits) % fields;
  const bool negative = code >> (l.exponent_bits + l.fraction_bits) != 0;
  const bool all_ones = fraction + 1 == uint64_t{1} << l.fraction_bits;
  if (l.top == Top::kFnuz && negative && field == 0 && fraction == 0) return Nan(false);
  if (l.top == Top::kOneNan && field == fields - 1 && all_ones) return Nan(negative);
  if (l.top == Top::kIeee && field == fields - 1)
    return fraction != 0 ? Nan(negative) : Number{NumberClass::kInfinity, negative, 0, 0};
  uint64_t m = field == 0 ? fraction : fraction + (uint64_t{1} << l.fraction_bits);
  int e = static_cast<int>(field == 0 ? 1 : field) - l.bias - l.fraction_bits;
  if (m == 0) return {NumberClass::kZero, negative, 0, 0};
  for (; m % 2 == 0; m /= 2) ++e;
  return {NumberClass::kFinite, negative, m, e};
}

// Posit Standard 2022, section 3: ((1 - 3s) + f) * 2^((1 - 2s)(2^es r + e + s)), straight from the
// code of either sign.
double PositFormula(int n, int es, uint64_t code) {
  std::string bits;
  for (int i = n - 1; i >= 0; --i) bits += (code >> i & 1) != 0 ? '1' : '0';
  if (bits.find('1') == std::string::npos) return 0;
  if (bits.find('1', 1) == std::string::npos) return std::nan("");
  const int s = bits[0] - '0';
  size_t k = 1;
  while (k < bits.size() && bits[k] == bits[1]) ++k;
  const int run = static_cast<int>(k) - 1, r = bits[1] == '1' ? run - 1 : -run;
  const auto bit = [&](size_t i) { return i < bits.size() ? bits[i] - '0' : 0; };
  int e = 0;
  for (int i = 1; i <= es; ++i) e = 2 * e + bit(k + static_cast<size_t>(i));
  double f = 0, weight = 0.5;
  for (size_t i = k + 1 + static_cast<size_t>(es); i < bits.size(); ++i, weight /= 2)
    f += weight * bit(i);
  return std::ldexp(1 - 3 * s + f, (1 - 2 * s) * ((1 << es) * r + e + s));
}

std::vector<uint64_t> Codes(const Format& f) {
  std::vector<uint64_t> codes;
  if (f.bits <= 16) {
    for (uint64_t c = 0; c < uint64_t{1} << f.bits; ++c) codes.push_back(c);
    return codes;
  }
  std::mt19937_64 random(7);
  const uint64_t mask = ~uint64_t{0} >> (64 - f.bits);
  for (uint64_t i = 0; i < 300; ++i)
    for (const uint64_t base : {uint64_t{0}, mask / 2 - 150, mask - 299}) codes.push_back(base + i);
  while (codes.size() < 50000) codes.push_back(random() & mask);
  return codes;
}

// Codes and numbers there and back; neighbours in the order of the numbers.
void CheckRoundTrip(const Format& f) {
  for (const uint64_t code : Codes(f)) {
    const Number x = DecodeCode(f, code);
    ASSERT_TRUE(Holds(f, x)) << f.name << " " << code;
    const uint64_t back = EncodeNumber(f, x);
    if (x.kind == NumberClass::kNan) {
      ASSERT_EQ(DecodeCode(f, back), x) << f.name << " " << code;
      ASSERT_FALSE(NextAbove(f, code) || NextBelow(f, code)) << f.name << " " << code;
      continue;
    }
    ASSERT_EQ(back, code) << f.name;
    if (const auto next = NextAbove(f, code)) {
      const Number y = DecodeCode(f, *next);
      ASSERT_TRUE(Compare(y, x) > 0) << f.name << " " << code;
      const bool zero = y.kind == NumberClass::kZero || x.kind == NumberClass::kZero;
      const auto below = NextBelow(f, *next);
      ASSERT_TRUE(below) << f.name;
      if (zero) {
        ASSERT_TRUE(Compare(DecodeCode(f, *below), x) == 0) << f.name << " " << code;
      } else {
        ASSERT_EQ(*below, code) << f.name;
      }
    } else {
      const bool infinite = x.kind == NumberClass::kInfinity;
      const bool top = infinite || (!f.has_infinity && ToDouble(x) == f.max_finite);
      ASSERT_TRUE(top && !x.negative) << f.name << " " << code;
    }
    if (FitsDouble(x) && x.kind != NumberClass::kInfinity) {
      const auto again = EncodeRounded(f, {Rounding::kOdd}, ToDouble(x));
      ASSERT_EQ(again, code) << f.name;
    }
  }
}

TEST(Codes, FloatsFollowTheirLayouts) {
  for (const Layout& layout : kLayouts) {
    const Format f = Get(layout.name);
    ASSERT_EQ(f.bits, 1 + layout.exponent_bits + layout.fraction_bits);
    for (const uint64_t code : Codes(f))
      ASSERT_EQ(DecodeCode(f, code), ByLayout(layout, code)) << f.name << " " << code;
    CheckRoundTrip(f);
  }
}

TEST(Codes, PositsFollowTheFormula) {
  for (int es = 0; es <= 4; ++es)
    for (const int n : {2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 16, 20, 32}) {
      const Format f = Get(fmt::format("posit{}es{}", n, es));
      for (const uint64_t code : Codes(f)) {
        const double x = PositFormula(n, es, code);
        ASSERT_EQ(DecodeCode(f, code), std::isnan(x) ? Nan(false) : ExactNumber(x))
            << f.name << " " << code;
      }
      CheckRoundTrip(f);
    }
  for (const int n : {33, 48, 57, 63, 64}) CheckRoundTrip(Get(fmt::format("posit{}", n)));
}

TEST(Codes, IntegersAndE8m0) {
  for (int n = 2; n <= 16; ++n) {
    const Format f = Get(fmt::format("int{}", n));
    const int half = 1 << (n - 1);
    for (int q = -half; q < half; ++q)
      ASSERT_EQ(DecodeCode(f, static_cast<uint64_t>(q) & ((uint64_t{1} << n) - 1)), ExactNumber(q));
    CheckRoundTrip(f);
    EXPECT_FALSE(Holds(f, ExactNumber(half)));
    EXPECT_FALSE(Holds(f, ExactNumber(0.5)));
    EXPECT_FALSE(Holds(f, ExactNumber(-0.0)));
  }
  const Format e8m0 = Get("e8m0");
  for (int c = 0; c < 255; ++c)
    ASSERT_EQ(DecodeCode(e8m0, static_cast<uint64_t>(c)), ExactNumber(std::ldexp(1.0, c - 127)));
  EXPECT_EQ(DecodeCode(e8m0, 255), Nan(false));
  CheckRoundTrip(e8m0);
  EXPECT_FALSE(Holds(e8m0, ExactNumber(0)));
  EXPECT_FALSE(Holds(e8m0, ExactNumber(-1)));
}

// OCP OFP8 1.0 table 1, OCP MX 1.0 tables 1 to 5, IEEE 754-2019; hand-made posits.
TEST(Codes, PublishedTables) {
  struct Case {
    const char* name;
    uint64_t code;
    double value;
  };
  for (const Case& c : {Case{"e5m2", 0x7b, 57344},
                        {"e5m2", 0x04, 0x1p-14},
                        {"e5m2", 0x03, 0x1.8p-15},
                        {"e5m2", 0x01, 0x1p-16},
                        {"e5m2", 0x7c, HUGE_VAL},
                        {"e4m3", 0x7e, 448},
                        {"e4m3", 0x08, 0x1p-6},
                        {"e4m3", 0x07, 0x1.cp-7},
                        {"e4m3", 0xfe, -448},
                        {"e4m3", 0x01, 0x1p-9},
                        {"e3m2", 0x1f, 28},
                        {"e3m2", 0x04, 0.25},
                        {"e3m2", 0x01, 0.0625},
                        {"e2m3", 0x1f, 7.5},
                        {"e2m3", 0x07, 0.875},
                        {"e2m1", 0x7, 6},
                        {"e2m1", 0x1, 0.5},
                        {"e2m1", 0xf, -6},
                        {"e8m0", 0, 0x1p-127},
                        {"e8m0", 127, 1},
                        {"e8m0", 254, 0x1p127},
                        {"e4m3fnuz", 0x7f, 240},
                        {"e4m3fnuz", 0x01, 0x1p-10},
                        {"e4m3fnuz", 0xff, -240},
                        {"e5m2fnuz", 0x7f, 57344},
                        {"e5m2fnuz", 0x01, 0x1p-17},
                        {"e4m3b11fnuz", 0x7f, 30},
                        {"f16", 0x7bff, 65504},
                        {"f16", 0x3555, 0.333251953125},
                        {"bf16", 0x4049, 3.140625},
                        {"f32", 0x40490fdb, 3.1415927410125732},
                        {"f64", 0x400921fb54442d18, 3.141592653589793},
                        {"posit8", 0x7f, 0x1p24},
                        {"posit8", 0x01, 0x1p-24},
                        {"posit8", 0x40, 1},
                        {"posit8", 0xc0, -1},
                        {"posit8", 0x4d, 3.25},
                        {"posit16", 0x7fff, 0x1p56},
                        {"posit16", 0x4c91, 3.1416015625},
                        {"posit32", 0x4c90fdaa, 0x1.921fb54p+1},
                        {"posit32", 0xc0000000, -1},
                        {"posit64", 0x7fffffffffffffff, 0x1p248},
                        {"posit64", 1, 0x1p-248},
                        {"int8", 0x80, -128}}) {
    const Format f = Get(c.name);
    EXPECT_EQ(DecodeCode(f, c.code), ExactNumber(c.value)) << c.name << " " << c.code;
    EXPECT_EQ(EncodeNumber(f, ExactNumber(c.value)), c.code) << c.name << " " << c.value;
  }
  for (const auto& [name, code] : {std::pair{"e5m2", 0x7e},
                                   {"e4m3", 0x7f},
                                   {"e4m3fnuz", 0x80},
                                   {"e5m2fnuz", 0x80},
                                   {"e8m0", 0xff},
                                   {"f16", 0x7e00},
                                   {"bf16", 0x7fc0},
                                   {"posit8", 0x80},
                                   {"posit16", 0x8000}}) {
    EXPECT_EQ(EncodeNumber(Get(name), Nan(false)), static_cast<uint64_t>(code)) << name;
    EXPECT_EQ(EncodeRounded(Get(name), {}, std::nan("")), static_cast<uint64_t>(code)) << name;
  }
  EXPECT_EQ(EncodeNumber(Get("e4m3"), Nan(true)), 0xffu);
  EXPECT_EQ(EncodeNumber(Get("e4m3fnuz"), Nan(true)), 0x80u);
}

// 480 would be the code of NaN: it is never a number.
TEST(Codes, E4m3AtTheTop) {
  const Format f = Get("e4m3");
  const CodeRounding saturate{}, nan{Rounding::kNearestEven, Overflow::kNan};
  EXPECT_EQ(EncodeRounded(f, nan, 464), 0x7eu);
  EXPECT_EQ(EncodeRounded(f, nan, 465), 0x7fu);
  EXPECT_EQ(EncodeRounded(f, nan, 480), 0x7fu);
  EXPECT_EQ(EncodeRounded(f, saturate, 465), 0x7eu);
  EXPECT_EQ(EncodeRounded(f, saturate, 480), 0x7eu);
  EXPECT_EQ(EncodeRounded(f, saturate, -1e9), 0xfeu);
  EXPECT_FALSE(Holds(f, ExactNumber(480)));
}

TEST(Codes, WhatHasNoCode) {
  const CodeRounding infinity{Rounding::kNearestEven, Overflow::kInfinity};
  EXPECT_EQ(EncodeRounded(Get("e2m1"), {}, std::nan("")), std::nullopt);
  EXPECT_EQ(EncodeRounded(Get("int8"), {}, std::nan("")), std::nullopt);
  EXPECT_EQ(EncodeRounded(Get("posit8"), infinity, 1e9), std::nullopt);
  EXPECT_EQ(EncodeRounded(Get("int8"), {}, -HUGE_VAL), 0x80u);
  EXPECT_EQ(EncodeRounded(Get("int8"), {}, 2.5), 2u);
  EXPECT_EQ(EncodeRounded(Get("int8"), {}, -0.25), 0u);
  const float x[] = {1, std::nanf(""), 6, -0.5f};
  uint8_t codes[4];
  EXPECT_EQ(EncodeRow(Get("e2m1"), {}, x, 4, codes), 1u);
  const uint8_t expected[] = {2, 0, 7, 9};
  EXPECT_EQ(std::memcmp(codes, expected, 4), 0);
}

template <class T, class Code>
void CheckRows(const Format& f, Rounding mode) {
  std::mt19937_64 random(3);
  std::vector<T> x;
  for (int i = 0; i < 1000; ++i)
    x.push_back(static_cast<T>(std::ldexp(std::normal_distribution<double>()(random),
                                          static_cast<int>(random() % 40) - 20)));
  std::vector<Code> codes(x.size());
  const CodeRounding rounding{mode, Overflow::kSaturate};
  ASSERT_EQ(EncodeRow(f, rounding, x.data(), x.size(), codes.data(), 5, 9), 0u);
  std::vector<T> back(x.size());
  DecodeRow(f, codes.data(), codes.size(), back.data());
  for (size_t i = 0; i < x.size(); ++i) {
    const uint32_t bits = RandomBits(5, 9 + i);
    ASSERT_EQ(uint64_t{codes[i]}, EncodeRounded(f, rounding, x[i], bits)) << f.name << " " << x[i];
    if (f.kind != FormatKind::kFixed) {
      ASSERT_EQ(back[i], RoundValue(MakeRoundSpec(f, mode, Overflow::kSaturate), x[i], bits));
    }
  }
}

TEST(Codes, RowsEqualValues) {
  for (const Rounding mode : {Rounding::kNearestEven, Rounding::kStochastic, Rounding::kUp}) {
    for (const char* name : {"e4m3", "e4m3fnuz", "posit8", "int8", "e2m1"}) {
      CheckRows<float, uint8_t>(Get(name), mode);
      CheckRows<double, uint16_t>(Get(name), mode);
    }
    for (const char* name : {"bf16", "posit16", "int16"})
      CheckRows<float, uint16_t>(Get(name), mode);
    for (const char* name : {"f32", "tf32", "posit32", "posit24"})
      CheckRows<double, uint32_t>(Get(name), mode);
    CheckRows<double, uint64_t>(Get("posit64"), mode);
    CheckRows<float, uint64_t>(Get("posit64"), mode);
  }
}

// Codes of posit64 that no double holds, against integers.
TEST(Codes, DecodingRoundsOnce) {
  const Format f = Get("posit64");
  std::mt19937_64 random(5);
  size_t inexact = 0;
  for (int i = 0; i < 100000; ++i) {
    uint64_t code = 0x3800000000000000 + (random() >> 4);
    if (i % 2 == 0) code &= ~uint64_t{0} << (random() % 40);
    if (i % 4 == 0) code += random() % 3 - 1;
    const Number x = DecodeCode(f, code);
    double d = 0;
    float s = 0;
    DecodeRow(f, &code, 1, &d);
    DecodeRow(f, &code, 1, &s);
    inexact += !FitsDouble(x);
    // m of at most 60 bits: integers do it.
    const auto nearest = [&](int precision) {
      const int drop = std::bit_width(x.m) - precision;
      if (drop <= 0) return std::ldexp(static_cast<double>(x.m), x.e);
      uint64_t q = x.m / (uint64_t{1} << drop), r = x.m % (uint64_t{1} << drop);
      if (2 * r + q % 2 > uint64_t{1} << drop) ++q;
      return std::ldexp(static_cast<double>(q), x.e + drop);
    };
    ASSERT_EQ(d, nearest(53)) << code;
    ASSERT_EQ(static_cast<double>(s), nearest(24)) << code;
    ASSERT_EQ(d, ToDouble(x));
  }
  EXPECT_GT(inexact, 10000u);
}

// Every number of a format as a double; +0 and -0 apart, infinities not.
std::set<double> FiniteNumbers(const Format& f) {
  std::set<double> numbers;
  for (const uint64_t code : Codes(f)) {
    const Number x = DecodeCode(f, code);
    if (x.kind == NumberClass::kFinite || x.kind == NumberClass::kZero) numbers.insert(ToDouble(x));
  }
  return numbers;
}

TEST(Contains, AgreesWithTheCodes) {
  const std::vector<std::string> names = {
      "f16",        "bf16",      "e5m2",   "e4m3",   "e5m2fnuz",  "e4m3fnuz", "e4m3b11fnuz",
      "e3m2",       "e2m3",      "e2m1",   "e8m0",   "posit16",   "posit8",   "posit8es0",
      "posit16es1", "posit9es4", "posit2", "posit3", "posit6es1", "posit13",  "posit16es4",
      "posit12es3", "int4",      "int8",   "int2",   "int16",     "e3m4",     "e6m9"};
  std::map<std::string, std::set<double>> all_numbers;
  for (const std::string& name : names) all_numbers[name] = FiniteNumbers(Get(name));
  size_t contained = 0;
  for (const std::string& outer : names) {
    const Format o = Get(outer);
    const std::set<double>& numbers = all_numbers[outer];
    for (const std::string& inner : names) {
      const Format i = Get(inner);
      bool all = true;
      for (const double x : all_numbers[inner]) {
        const bool held = numbers.count(x) != 0;
        all = all && held;
        const Number exact = ExactNumber(x == 0 ? 0.0 : x);
        ASSERT_EQ(Holds(o, exact), held) << outer << " " << inner << " " << x;
      }
      EXPECT_EQ(ContainsFinite(o, i), all) << outer << " " << inner;
      EXPECT_EQ(Contains(o, i), all && o.has_infinity >= i.has_infinity &&
                                    o.has_negative_zero >= i.has_negative_zero);
      contained += all;
    }
  }
  EXPECT_GT(contained, names.size() + 50);
}

TEST(Contains, PositsAndFloats) {
  const auto inside = [](const char* inner, const char* outer) {
    return ContainsFinite(Get(outer), Get(inner));
  };
  EXPECT_TRUE(inside("posit16", "posit32"));
  EXPECT_TRUE(inside("posit32", "posit64"));
  EXPECT_TRUE(inside("posit16", "f32"));
  EXPECT_FALSE(inside("posit32", "f32"));  // 27 fraction bits near 1
  EXPECT_TRUE(inside("posit32", "f64"));
  EXPECT_FALSE(inside("posit64", "f64"));
  EXPECT_TRUE(inside("f16", "posit32"));  // 11 bits down to 2^-14, subnormals to 2^-24
  EXPECT_FALSE(inside("bf16", "posit16"));
  EXPECT_FALSE(inside("bf16", "posit32"));
  EXPECT_TRUE(inside("bf16", "posit64"));
  EXPECT_TRUE(inside("f32", "posit64"));  // 28 fraction bits at 2^-126 and 2^127, 22 at 2^-149
  EXPECT_TRUE(inside("e4m3", "posit16"));
  EXPECT_FALSE(Contains(Get("posit32"), Get("f16")));  // its infinities and -0 would change
  EXPECT_TRUE(Contains(Get("f32"), Get("posit16")));
  EXPECT_TRUE(Contains(Get("f32"), Get("e8m0")));
  EXPECT_FALSE(Contains(Get("posit32"), Get("e8m0")));
}

TEST(Number, ComparesAndSubtracts) {
  std::mt19937_64 random(2);
  const auto draw = [&] {
    const double x =
        std::ldexp(static_cast<double>(random() % 256) - 128, static_cast<int>(random() % 20) - 10);
    return x;
  };
  for (int i = 0; i < 20000; ++i) {
    const double a = draw(), b = draw();
    const Number x = ExactNumber(a), y = ExactNumber(b);
    ASSERT_TRUE(Compare(x, y) == (a <=> b)) << a << " " << b;
    ASSERT_EQ(ToDouble(Difference(x, y).value()), a - b) << a << " " << b;  // exact in double
  }
  for (const double v : {0.0, -0.0, 1.0, -3.5, 0x1p-1074, -0x1.8p-1060, 0x1.fffffffffffffp1023,
                         HUGE_VAL, -HUGE_VAL}) {
    const double back = ToDouble(ExactNumber(v));
    EXPECT_EQ(std::memcmp(&back, &v, 8), 0) << v;
    EXPECT_TRUE(Compare(ExactNumber(v), ExactNumber(std::nan(""))) ==
                std::partial_ordering::unordered);
  }
  EXPECT_FALSE(Difference(ExactNumber(1), ExactNumber(0x1p-100)));
}

}  // namespace
}  // namespace vernier
