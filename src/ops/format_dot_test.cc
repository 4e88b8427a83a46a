// Dot products in a format, one term at a time, against big integers.
#include "ops/format_dot.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>

#include "ops/format_oracle.h"
#include "ops/format_product.h"
#include "ops/format_test_cases.h"

namespace vernier {
namespace {

// Dot products of each arithmetic and kind of operands.
size_t Repeats() { return std::getenv("VERNIER_TEST_ALL") != nullptr ? 2000 : 6; }

bool Same(double a, double b) {
  return std::memcmp(&a, &b, sizeof a) == 0 || (std::isnan(a) && std::isnan(b));
}

std::string Show(const FormatMath& m) {
  return m.values.format.name + " kind " + std::to_string(static_cast<int>(m.kind)) + " mode " +
         std::to_string(static_cast<int>(m.values.rounding)) + " partial " +
         m.sum.partial.format.name + " order " + std::to_string(static_cast<int>(m.sum.order)) +
         " chunk " + std::to_string(m.sum.chunk);
}

void Check(const FormatMath& math, size_t repeats, size_t length, uint64_t seed) {
  OperandSource source(math.values, seed);
  std::mt19937_64 engine(seed);
  const FormatRules rules = MakeFormatRules(math);
  for (size_t i = 0; i < repeats; ++i) {
    for (const Operands kind : kAllOperands) {
      const DotOperands o = source.Make(kind, engine() % (length + 1));
      const double got = FormatDotOf(rules, o.x.size(), Strided<double>{o.x.data(), 1},
                                     Strided<double>{o.w.data(), 1});
      const double expected = oracle::Dot(math, o.x, o.w);
      ASSERT_TRUE(Same(got, expected)) << Show(math) << " operands " << static_cast<int>(kind)
                                       << " n " << o.x.size() << ": " << got << " not " << expected;
    }
  }
}

constexpr const char* kFormats[] = {
    "f64",        "f32",        "tf32",        "f16",     "bf16",    "e5m2",       "e4m3",
    "e5m2fnuz",   "e4m3fnuz",   "e4m3b11fnuz", "e3m2",    "e2m3",    "e2m1",       "posit64",
    "posit32",    "posit16",    "posit8",      "e8m13",   "e11m51",  "e9m52",      "e11m50",
    "e5m22",      "e2m1",       "posit57",     "posit55", "posit33", "posit32es3", "posit64es0",
    "posit64es4", "posit16es1", "posit10es0",  "posit3"};
constexpr FormatMathKind kKinds[] = {FormatMathKind::kStep, FormatMathKind::kFused};
constexpr Rounding kModes[] = {Rounding::kNearestEven, Rounding::kNearestAway,
                               Rounding::kTowardZero,  Rounding::kUp,
                               Rounding::kDown,        Rounding::kOdd};

TEST(FormatDot, IsRoundedOncePerOperation) {
  uint64_t seed = 1;
  for (const char* name : kFormats)
    for (const FormatMathKind kind : kKinds)
      for (const Rounding mode : kModes)
        Check(MathOf(kind, RoundingOf(name, mode)), Repeats(), 24, ++seed);
}

TEST(FormatDot, OverflowsByThePolicy) {
  uint64_t seed = 1000;
  for (const char* name : {"f64", "f16", "bf16", "e4m3", "e5m2", "e2m1", "posit16", "posit64"})
    for (const FormatMathKind kind : kKinds)
      for (const Rounding mode : kModes)
        for (const Overflow overflow : {Overflow::kSaturate, Overflow::kInfinity, Overflow::kNan})
          for (const bool flush : {false, true}) {
            FormatRounding r = RoundingOf(name, mode);
            r.overflow = overflow;
            r.flush = flush;
            Check(MathOf(kind, r), Repeats() / 6, 12, ++seed);
          }
}

// Formats of operands, partial sums and sums of chunks.
constexpr const char* kAccumulations[][3] = {
    {"bf16", "f32", "f32"},        {"e4m3", "f16", "f32"},
    {"f32", "e8m13", "f32"},       {"f32", "f64", "f64"},
    {"f16", "bf16", "f32"},        {"posit16", "posit32", "posit32"},
    {"posit32", "f32", "f64"},     {"f32", "f16", "bf16"},
    {"posit64", "f32", "posit64"}, {"posit32", "posit64", "posit64"},
    {"f64", "f32", "f64"},         {"e5m2", "posit8", "f16"}};

TEST(FormatDot, AddsInOtherFormatsAndOrders) {
  uint64_t seed = 2000;
  for (const auto& [values, partial, into] : kAccumulations)
    for (const FormatMathKind kind : kKinds)
      for (const SumOrder order : {SumOrder::kSequential, SumOrder::kPairwise, SumOrder::kKahan})
        for (const size_t chunk : {0, 1, 5, 16}) {
          FormatMath math = MathOf(kind, RoundingOf(values));
          math.sum = {RoundingOf(partial), order, chunk, RoundingOf(into)};
          Check(math, Repeats() / 2, 40, ++seed);
        }
}

TEST(FormatDot, AddsThousands) {
  uint64_t seed = 3000;
  for (const char* name : {"posit32", "posit64", "e4m3"})
    for (const FormatMathKind kind : kKinds) Check(MathOf(kind, RoundingOf(name)), 1, 8192, ++seed);
}

TEST(FormatDot, OfStridedRows) {
  const FormatMath math = MathOf(FormatMathKind::kStep, RoundingOf("posit16"));
  const float x[] = {1, 9, 2, 9, 3}, w[] = {0.5f, 0.25f, 2};
  EXPECT_EQ(FormatDot(math, x, 2, w, 1, 3), 7.0f);
}

TEST(FormatMathHost, IsFloatWhereRoundingTwiceIsOnce) {
  const auto host = [](const char* values, const char* partial) {
    FormatMath math = MathOf(FormatMathKind::kStep, RoundingOf(values));
    math.sum.partial = RoundingOf(partial);
    return FormatMathHost(math);
  };
  for (const char* name : {"f32", "tf32", "f16", "bf16", "e4m3", "e2m1", "posit16", "posit8"})
    EXPECT_EQ(host(name, name), Arithmetic::kF32) << name;
  for (const char* name : {"f64", "posit32", "e8m13", "e5m11", "posit16es1", "e9m3"})
    EXPECT_EQ(host(name, name), Arithmetic::kF64) << name;
  EXPECT_EQ(host("bf16", "f32"), Arithmetic::kF32);
  EXPECT_EQ(host("f32", "bf16"), Arithmetic::kF64);
  EXPECT_EQ(host("e4m3", "e8m13"), Arithmetic::kF64);
}

}  // namespace
}  // namespace vernier
