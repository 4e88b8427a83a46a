// MX, NVFP4 and storage types held to definitions that are written down again here: scale rules as
// bit operations on float32 (torchao's mx_formats, OCP MX 1.0 section 6.3), elements by exact
// comparison with the midpoints of all numbers of the element format.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "formats/block_formats.h"
#include "formats/decode.h"
#include "formats/encode.h"
#include "formats/treatment.h"

namespace vernier {
namespace {

Treatment Parse(std::string_view text, TreatedThing thing = TreatedThing::kActivation) {
  auto t = ParseTreatment(text, thing);
  EXPECT_TRUE(t) << (t ? "" : t.error().message);
  return t.value_or(Treatment{});
}

// An element format by its numbers, largest 2^emax m.
struct Element {
  const char* name;
  int exponent_bits, fraction_bits, bias;
  double largest;
  int emax;
};
constexpr Element kElements[] = {{"mxfp8_e4m3", 4, 3, 7, 448, 8},
                                 {"mxfp8_e5m2", 5, 2, 15, 57344, 15},
                                 {"mxfp6_e3m2", 3, 2, 3, 28, 4},
                                 {"mxfp6_e2m3", 2, 3, 1, 7.5, 2},
                                 {"mxfp4", 2, 1, 1, 6, 2}};

// The numbers of all codes without sign, in code order, from their bit fields.
std::vector<double> Numbers(const Element& e) {
  std::vector<double> numbers;
  for (int code = 0; code < 1 << (e.exponent_bits + e.fraction_bits); ++code) {
    const int field = code >> e.fraction_bits, fraction = code & ((1 << e.fraction_bits) - 1);
    const double significand = fraction + (field > 0 ? 1 << e.fraction_bits : 0);
    const double v = std::ldexp(significand, std::max(field, 1) - e.bias - e.fraction_bits);
    if (v <= e.largest) numbers.push_back(v);
  }
  return numbers;
}

// Nearest, halfway to the even code; beyond: the largest. Midpoints and comparisons are exact.
double Nearest(const std::vector<double>& numbers, double x) {
  const double u = std::abs(x);
  size_t code = 0;
  while (code + 1 < numbers.size()) {
    const double middle = (numbers[code] + numbers[code + 1]) / 2;
    if (u < middle || (u == middle && code % 2 == 0)) break;
    ++code;
  }
  return std::copysign(numbers[code], x);
}

enum class Rule { kFloor, kCeil, kEven, kRceil };
constexpr std::pair<Rule, const char*> kRules[] = {
    {Rule::kFloor, "floor"}, {Rule::kCeil, "ceil"}, {Rule::kEven, "even"}, {Rule::kRceil, "rceil"}};

// The biased E8M0 code of a block, by bits of float32; normal amax.
int ScaleCode(Rule rule, int emax, int fraction_bits, double largest, float amax) {
  if (rule == Rule::kRceil) {
    const float ratio = amax / static_cast<float>(largest);
    const uint32_t bits = std::bit_cast<uint32_t>(ratio);
    const uint32_t exponent = bits >> 23, fraction = bits & 0x7fffff;
    return static_cast<int>(exponent + (exponent == 0 ? fraction > 0x400000 : fraction != 0));
  }
  uint32_t bits = std::bit_cast<uint32_t>(amax);
  if (rule == Rule::kEven) bits += 1u << (23 - fraction_bits - 1);
  int exponent = static_cast<int>(bits >> 23) - 127;
  if (rule == Rule::kCeil && (bits & 0x7fffff) != 0) ++exponent;
  return std::clamp(exponent - emax, -127, 127) + 127;
}

// Rows whose blocks differ in size by much; some blocks have amax at and beside powers of two and
// multiples of the largest number.
std::vector<float> Rows(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(n);
  for (size_t i = 0; i < n; ++i) {
    const int exponent = static_cast<int>(i / 32 * 7 % 60) - 30;
    x[i] = std::ldexp(normal(random), exponent);
    if (i % 5 == 0) x[i] = std::ldexp(std::round(normal(random) * 4) / 4, exponent);  // ties
  }
  const float tops[] = {1, 1.5f, 1.75f, 1.875f, 1.9375f, 1.96875f, 1.984375f, 1.25f};
  for (size_t b = 0; b * 32 + 31 < n; ++b) {
    const float top = std::ldexp(tops[b % 8], 8);
    x[b * 32 + 3] = b % 3 == 0 ? top : std::nextafter(top, b % 3 == 1 ? 0.0f : 1e9f);
    for (size_t i = 0; i < 32; ++i)
      if (i != 3) x[b * 32 + i] = std::remainder(x[b * 32 + i], 250.0f);
  }
  return x;
}

float Amax(const float* x, size_t n) {
  float a = 0;
  for (size_t i = 0; i < n; ++i) a = std::max(a, std::abs(x[i]));
  return a;
}

TEST(Mx, FloatsEqualTheDefinition) {
  for (const Element& e : kElements) {
    const std::vector<double> numbers = Numbers(e);
    for (const auto& [rule, rule_name] : kRules) {
      const Treatment t = Parse(fmt::format("{},scale={}", e.name, rule_name));
      const std::vector<float> x = Rows(32 * 300 + 20, 4);
      std::vector<float> y = x;
      std::vector<double> d(x.begin(), x.end());
      const TreatmentCounts counts = TreatRow(t, y.data(), y.size(), 0);
      EXPECT_EQ(TreatRow(t, d.data(), d.size(), 0), counts);
      uint64_t saturated = 0, changed = 0;
      for (size_t at = 0; at < x.size(); at += 32) {
        const size_t n = std::min<size_t>(32, x.size() - at);
        const int code =
            ScaleCode(rule, e.emax, e.fraction_bits, e.largest, Amax(x.data() + at, n));
        const double scale = std::ldexp(1.0, code - 127);
        for (size_t i = at; i < at + n; ++i) {
          const double v = static_cast<double>(x[i]) / scale;
          const double r = Nearest(numbers, v) * scale;
          ASSERT_EQ(y[i], static_cast<float>(r)) << TreatmentText(t) << " " << x[i];
          ASSERT_EQ(d[i], r);
          changed += y[i] != x[i] || std::signbit(y[i]) != std::signbit(x[i]);
          // Half a step beyond the largest number and further.
          const double step = std::ldexp(1.0, e.emax - e.fraction_bits);
          const bool even = (numbers.size() - 1) % 2 == 0;
          saturated +=
              std::abs(v) > e.largest + step / 2 || (!even && std::abs(v) == e.largest + step / 2);
        }
      }
      EXPECT_EQ(counts.changed, changed);
      EXPECT_EQ(counts.saturated, saturated) << TreatmentText(t);
      EXPECT_TRUE(rule != Rule::kFloor || saturated > 0) << TreatmentText(t);
      EXPECT_TRUE((rule != Rule::kCeil && rule != Rule::kRceil) || saturated == 0);
    }
  }
}

TEST(Mx, Int8EqualsTheDefinition) {
  for (const auto& [rule, rule_name] : kRules) {
    const Treatment t = Parse(fmt::format("mxint8,scale={}", rule_name));
    const std::vector<float> x = Rows(32 * 300, 5);
    std::vector<float> y = x;
    TreatRow(t, y.data(), y.size(), 0);
    for (size_t at = 0; at < x.size(); at += 32) {
      const int code = ScaleCode(rule, 0, 6, 127.0 / 64, Amax(x.data() + at, 32));
      for (size_t i = at; i < at + 32; ++i) {
        const double v = std::ldexp(static_cast<double>(x[i]), 127 - code + 6);
        const double r = std::clamp(std::nearbyint(v), -127.0, 127.0);
        ASSERT_EQ(y[i], static_cast<float>(std::ldexp(r, code - 127 - 6)));
      }
    }
  }
}

// microsoft/microxcaling, issue 4: 957 becomes 896 in MXFP8 E4M3, because the floor rule's scale 2
// leaves 478.5, beyond 448. (957 is 1.87 2^9, below the 1.9375 that rounds up to 2^10.)
TEST(Mx, PublishedExample) {
  for (const auto& [scale, expected] : {std::pair("floor", 896.0f), std::pair("ceil", 960.0f),
                                        std::pair("even", 896.0f), std::pair("rceil", 960.0f)}) {
    float x = 957;
    TreatRow(Parse(fmt::format("mxfp8_e4m3,scale={}", scale)), &x, 1, 0);
    EXPECT_EQ(x, expected) << scale;
  }
}

TEST(Mx, EdgesOfTheScale) {
  // Zeros keep their signs; all-zero blocks have a scale, and integers one zero.
  std::vector<float> x = {0, -0.0f};
  EXPECT_EQ(TreatRow(Parse("mxfp4"), x.data(), 2, 0), (TreatmentCounts{2, 0, 0, 0}));
  EXPECT_TRUE(std::signbit(x[1]));
  EXPECT_EQ(TreatRow(Parse("mxint8"), x.data(), 2, 0), (TreatmentCounts{2, 1, 0, 0}));
  // amax 2^-126: the scale stays at 2^-127, where e2m1's smallest number is 2^-128.
  x = {0x1p-126f, 0x1.8p-128f, 0x1p-130f, 0x1p-149f};
  TreatRow(Parse("mxfp4"), x.data(), 4, 0);
  EXPECT_EQ(x, (std::vector<float>{0x1p-126f, 0x1p-127f, 0, 0}));
  // The top of float32: 1.99.. 2^127 is 7.99.. times the scale 2^125.
  const float top = std::numeric_limits<float>::max();
  x = {top, 1};
  EXPECT_EQ(TreatRow(Parse("mxfp4"), x.data(), 2, 0), (TreatmentCounts{2, 2, 1, 1}));
  EXPECT_EQ(x[0], 0x1.8p127f);
  x = {top, 1};  // 2^128 is no float32
  TreatRow(Parse("mxfp4,scale=ceil"), x.data(), 2, 0);
  EXPECT_EQ(x[0], top);
  std::vector<double> d = {0x1p1000, 0x1p-1000};  // the largest scale is 2^127
  TreatRow(Parse("mxfp8_e5m2"), d.data(), 2, 0);
  EXPECT_EQ(d[0], 57344 * 0x1p127);
  EXPECT_EQ(d[1], 0);
}

TEST(Mx, NanAndInfinityTakeTheBlock) {
  const float nan = std::bit_cast<float>(0x7fc01234u);
  for (const char* text : {"mxfp4", "mxfp8_e5m2", "mxint8", "nvfp4"}) {
    for (const float bad : {nan, HUGE_VALF}) {
      std::vector<float> x(96, 1), whole(96, 1);
      x[40] = bad;
      x[41] = -2;
      const size_t size = std::string_view(text) == "nvfp4" ? 16 : 32;
      const size_t first = 40 / size * size;
      whole[40] = 0;
      whole[41] = -2;
      TreatRow(Parse(text), whole.data(), 96, 0);
      const TreatmentCounts counts = TreatRow(Parse(text), x.data(), 96, 0);
      for (size_t i = 0; i < 96; ++i) {
        if (i < first || i >= first + size)
          EXPECT_EQ(x[i], whole[i]);
        else
          EXPECT_TRUE(std::isnan(x[i]));
      }
      EXPECT_TRUE(std::signbit(x[41]));
      const uint64_t lost = size - (std::isnan(bad) ? 1 : 0);
      EXPECT_EQ(counts.saturated, lost);
      EXPECT_EQ(std::isnan(bad), std::bit_cast<uint32_t>(x[40]) == 0x7fc01234u);
    }
  }
}

TEST(Mx, OptionsOfBlocksAndElements) {
  const std::vector<float> x = Rows(512, 6);
  // Blocks of other sizes, and the row as one.
  for (const size_t size : {1, 16, 24, 300, 512}) {
    std::vector<float> y = x, parts = x;
    TreatRow(Parse(fmt::format("mxfp6_e2m3,per=group:{}", size)), y.data(), 512, 0);
    for (size_t at = 0; at < 512; at += size)
      TreatRow(Parse("mxfp6_e2m3,per=token"), parts.data() + at, std::min(size, 512 - at), 0);
    EXPECT_EQ(y, parts);
  }
  // The rounding mode is the elements'.
  std::vector<float> down = x, up = x;
  TreatRow(Parse("mxfp6_e2m3,round=down"), down.data(), 512, 0);
  TreatRow(Parse("mxfp6_e2m3,round=up,scale=floor"), up.data(), 512, 0);
  for (size_t i = 0; i < 512; ++i) EXPECT_LE(down[i], up[i]);
  EXPECT_NE(down, up);
  float over[] = {957, 1};
  EXPECT_EQ(TreatRow(Parse("mxfp8_e4m3,overflow=nan"), over, 2, 0).saturated, 1u);
  EXPECT_TRUE(std::isnan(over[0]));
  float infinite[] = {0x1.fp15f, 1};
  TreatRow(Parse("mxfp8_e5m2,overflow=inf"), infinite, 2, 0);
  EXPECT_TRUE(std::isinf(infinite[0]));
  float small[] = {8, 0.5f};  // X = 2: 0.25 is subnormal in e2m1, rounded to even 0; in e2m3 kept
  TreatRow(Parse("mxfp6_e2m3"), small, 2, 0);
  EXPECT_EQ(small[1], 0.5f);
  TreatRow(Parse("mxfp6_e2m3,subnormals=flush"), small, 2, 0);
  EXPECT_EQ(small[1], 0);
}

TEST(Mx, PerTensorAndThreads) {
  for (const char* text : {"mxfp4,per=tensor", "mxint8,per=tensor,scale=even", "mxfp4", "nvfp4",
                           "nvfp4,per=channel", "mxfp8_e4m3,round=stochastic"}) {
    const Treatment t = Parse(text, TreatedThing::kWeight);
    const std::vector<float> x = Rows(64 * 1024, 8);
    std::vector<float> one = x, many = x;
    Workers workers(4);
    EXPECT_EQ(TreatTensor(t, one.data(), 64, 1024, 3),
              TreatTensor(t, many.data(), 64, 1024, 3, &workers));
    EXPECT_EQ(one, many) << text;
    if (t.per != Granularity::kTensor || t.IsNvfp4()) continue;
    std::vector<float> row = x;
    Treatment whole = t;
    whole.per = Granularity::kRow;
    TreatRow(whole, row.data(), row.size(), 3);
    EXPECT_EQ(row, one) << text;
  }
}

// All arithmetic of the oracle is exact in double: products of 24, 4 and 3 bits.
void CheckNvfp4(const std::vector<float>& x, const std::vector<float>& y, float tensor_scale) {
  const std::vector<double> e4m3 = Numbers({"", 4, 3, 7, 448, 8}), e2m1 = Numbers(kElements[4]);
  for (size_t at = 0; at < x.size(); at += 16) {
    const size_t n = std::min<size_t>(16, x.size() - at);
    const double amax = Amax(x.data() + at, n), unit = 6 * static_cast<double>(tensor_scale);
    size_t code = 0;
    while (code + 1 < e4m3.size()) {
      const double middle = (e4m3[code] + e4m3[code + 1]) * unit;  // of twice the block's amax
      if (2 * amax < middle || (2 * amax == middle && code % 2 == 0)) break;
      ++code;
    }
    const double scale = e4m3[code] * static_cast<double>(tensor_scale);
    for (size_t i = at; i < at + n; ++i) {
      const double u = 2 * std::abs(static_cast<double>(x[i]));
      size_t k = 0;
      while (k + 1 < e2m1.size() && scale > 0) {
        const double middle = (e2m1[k] + e2m1[k + 1]) * scale;
        if (u < middle || (u == middle && k % 2 == 0)) break;
        ++k;
      }
      ASSERT_EQ(y[i], static_cast<float>(std::copysign(e2m1[k] * scale, x[i]))) << x[i];
    }
  }
}

TEST(Nvfp4, EqualsTheDefinition) {
  std::mt19937 random(9);
  std::normal_distribution<float> normal;
  for (int round = 0; round < 50; ++round) {
    std::vector<float> x(1000);
    for (size_t i = 0; i < x.size(); ++i)
      x[i] = std::ldexp(normal(random), -static_cast<int>(i / 16 % 25));
    std::vector<float> y = x;
    TreatRow(Parse("nvfp4"), y.data(), y.size(), 0);
    CheckNvfp4(x, y, Amax(x.data(), x.size()) / 2688.0f);
    y = x;
    TreatRow(Parse("nvfp4,scale=none"), y.data(), y.size(), 0);
    CheckNvfp4(x, y, 1);
    y = x;
    TreatRow(Parse("nvfp4,scale=0.1"), y.data(), y.size(), 0);
    CheckNvfp4(x, y, 0.1f);
    y = x;
    TreatRow(Parse("nvfp4,scale=absmax:2"), y.data(), y.size(), 0);
    CheckNvfp4(x, y, 2 / 2688.0f);
    y = x;
    TreatTensor(Parse("nvfp4", TreatedThing::kWeight), y.data(), 2, 500, 0);
    const float scale = Amax(x.data(), x.size()) / 2688.0f;
    CheckNvfp4({x.begin(), x.begin() + 500}, {y.begin(), y.begin() + 500}, scale);
    CheckNvfp4({x.begin() + 500, x.end()}, {y.begin() + 500, y.end()}, scale);
  }
}

TEST(Nvfp4, LargestElementStaysAndSmallBlocksVanish) {
  std::vector<float> x(32, 0);
  x[0] = 2688;     // tensor scale 1, block scale 448
  x[16] = 0.005f;  // 0.005 / 6 is below half of 2^-9, the smallest block scale
  x[17] = -0.005f;
  const TreatmentCounts counts = TreatRow(Parse("nvfp4"), x.data(), 32, 0);
  EXPECT_EQ(x[0], 2688);
  EXPECT_EQ(x[16], 0);
  EXPECT_TRUE(x[17] == 0 && std::signbit(x[17]));
  EXPECT_EQ(counts, (TreatmentCounts{32, 2, 0, 2}));
  std::vector<float> zeros(16, 0);
  EXPECT_EQ(TreatRow(Parse("nvfp4"), zeros.data(), 16, 0), (TreatmentCounts{16, 0, 0, 0}));
  std::vector<double> huge = {1e308, -1};
  TreatRow(Parse("nvfp4"), huge.data(), 2, 0);
  EXPECT_TRUE(std::isfinite(huge[0]));
}

TEST(Stored, Q4_0AndQ8_0ByHand) {
  // d = -4 / -8 = 0.5: q = trunc(x / d + 8.5), held to 15.
  std::vector<float> x(32, 0);
  const float values[] = {-4, 3.9f, 0.25f, 0.24f, -0.25f, 1};
  std::copy(std::begin(values), std::end(values), x.begin());
  std::vector<float> y = x;
  const TreatmentCounts counts = TreatRow(Parse("q4_0"), y.data(), 32, 0);
  const float expected[] = {-4, 3.5f, 0.5f, 0, 0, 1};
  for (size_t i = 0; i < std::size(expected); ++i) EXPECT_EQ(y[i], expected[i]) << x[i];
  EXPECT_EQ(counts, (TreatmentCounts{32, 4, 0, 2}));
  x.assign(32, 0);
  x[3] = 127;  // d = 1
  x[4] = 1.25f;
  x[5] = -2.75f;
  TreatRow(Parse("q8_0"), x.data(), 32, 0);
  EXPECT_EQ(x[3], 127);
  EXPECT_EQ(x[4], 1);
  EXPECT_EQ(x[5], -3);
}

TEST(Stored, EveryTypeIsEncodedAndDecoded) {
  const std::vector<float> x = Rows(512, 10);
  size_t types = 0;
  for (const BlockFormat& format : BlockFormats()) {
    if (format.family != BlockFamily::kStored) continue;
    ++types;
    const TensorTypeInfo& info = Info(format.stored);
    std::vector<std::byte> bytes(512 / static_cast<size_t>(info.block_elements) *
                                 static_cast<size_t>(info.block_bytes));
    EncodeRows(info.type, x.data(), 1, 512, {}, bytes);
    std::vector<float> expected(512), y = x;
    DecodeToFloat(info.type, bytes, expected);
    std::vector<double> d(x.begin(), x.end());
    const TreatmentCounts counts = TreatRow(Parse(format.name), y.data(), 512, 0);
    EXPECT_EQ(y, expected) << format.name;
    EXPECT_EQ(TreatRow(Parse(format.name), d.data(), 512, 0), counts);
    EXPECT_GT(counts.changed, 0u);
    EXPECT_FALSE(HoldsExactly(Parse(format.name), x.data(), 512));
    for (size_t i = 0; i < 512; ++i) ASSERT_EQ(d[i], static_cast<double>(y[i]));
    const auto block = static_cast<size_t>(info.block_elements);
    EXPECT_TRUE(CheckWidth(Parse(format.name), 2 * block));
    const Status short_row = CheckWidth(Parse(format.name), block + block / 2);
    ASSERT_FALSE(short_row);
    EXPECT_EQ(short_row.error().message,
              fmt::format("{}: a row of {} elements is not whole blocks of {}", format.name,
                          block + block / 2, block));
    EXPECT_THROW(TreatRow(Parse(format.name), y.data(), block / 2, 0), Defect);
  }
  EXPECT_GE(types, 18u);
  std::vector<float> zeros(256, 0);
  for (const char* name : {"q8_0", "q4_k"})
    EXPECT_TRUE(HoldsExactly(Parse(name), zeros.data(), 256)) << name;
  std::vector<float> integers(32);
  for (size_t i = 0; i < 32; ++i) integers[i] = static_cast<float>(i % 15) - 8;
  EXPECT_TRUE(HoldsExactly(Parse("q4_0"), integers.data(), 32));
}

TEST(Stored, NanAndInfinityTakeTheBlock) {
  for (const char* name : {"q4_0", "q4_k", "ggml:mxfp4"}) {
    std::vector<float> x = Rows(512, 11), y;
    const size_t block = static_cast<size_t>(FindBlockFormat(name)->block);
    y = x;
    TreatRow(Parse(name), y.data(), 512, 0);
    x[300] = -HUGE_VALF;
    const TreatmentCounts counts = TreatRow(Parse(name), x.data(), 512, 0);
    for (size_t i = 0; i < 512; ++i) {
      if (i / block == 300 / block)
        EXPECT_TRUE(std::isnan(x[i]));
      else
        EXPECT_EQ(x[i], y[i]);
    }
    EXPECT_EQ(counts.saturated, block);
  }
}

TEST(BlockFormats, Facts) {
  const struct {
    const char* name;
    int block;
    double bits;
  } facts[] = {{"mxfp8_e4m3", 32, 8.25}, {"mxfp8_e5m2", 32, 8.25}, {"mxfp6_e3m2", 32, 6.25},
               {"mxfp6_e2m3", 32, 6.25}, {"mxfp4", 32, 4.25},      {"mxint8", 32, 8.25},
               {"nvfp4", 16, 4.5},       {"q4_0", 32, 4.5},        {"q8_0", 32, 8.5},
               {"q4_k", 256, 4.5},       {"q6_k", 256, 6.5625},    {"ggml:mxfp4", 32, 4.25},
               {"iq4_xs", 256, 4.25},    {"ggml:nvfp4", 64, 4.5}};
  for (const auto& f : facts) {
    const BlockFormat* format = FindBlockFormat(f.name);
    ASSERT_NE(format, nullptr) << f.name;
    EXPECT_EQ(format->block, f.block);
    EXPECT_EQ(format->bits_per_weight, f.bits);
  }
  std::vector<std::string> names = BlockFormatNames();
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
  for (const BlockFormat& format : BlockFormats()) {
    EXPECT_FALSE(format.doc.empty() || format.doc.ends_with(": ")) << format.name;
    EXPECT_FALSE(FindFormat(format.name)) << format.name;
    EXPECT_EQ(FindBlockFormat(format.name), &format);
  }
  EXPECT_EQ(FindBlockFormat("ggml:q4_0"), FindBlockFormat("q4_0"));
  EXPECT_NE(FindBlockFormat("ggml:mxfp4"), FindBlockFormat("mxfp4"));
  EXPECT_EQ(FindBlockFormat("ggml:mxint8"), nullptr);
  EXPECT_EQ(FindBlockFormat("f16"), nullptr);
}

}  // namespace
}  // namespace vernier
