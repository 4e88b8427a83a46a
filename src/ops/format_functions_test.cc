// Functions in formats against MPFR, whose results are cut to odd doubles and rounded by
// RoundValue.
#include "ops/format_functions.h"

#include <gtest/gtest.h>
#include <mpfr.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <random>

#include "formats/codes.h"

namespace vernier {
namespace {

constexpr Rounding kModes[] = {Rounding::kNearestEven, Rounding::kNearestAway,
                               Rounding::kTowardZero,  Rounding::kUp,
                               Rounding::kDown,        Rounding::kOdd};

class Mpfr {
 public:
  explicit Mpfr(int bits = 400) { mpfr_init2(x, bits); }
  ~Mpfr() { mpfr_clear(x); }
  Mpfr(const Mpfr&) = delete;
  mpfr_t x;
};

enum class Function { kExp, kSigmoid, kSoftplus, kReciprocalRoot };
constexpr Function kFunctions[] = {Function::kExp, Function::kSigmoid, Function::kSoftplus,
                                   Function::kReciprocalRoot};

// The function's value cut to 53 bits, the last of them set where something was cut off. x finite.
double OddOf(Function function, double x) {
  static Mpfr v, t;
  if (function == Function::kSigmoid && x > 200) return std::nextafter(1.0, 0.0);
  if (function == Function::kSoftplus && x > 20) return x;
  // Beyond all formats, and in the end MPFR.
  if (function != Function::kReciprocalRoot && x < -2000)
    return std::numeric_limits<double>::denorm_min();
  if (function == Function::kExp && x > 2000) return std::numeric_limits<double>::max();
  mpfr_set_d(v.x, x, MPFR_RNDN);
  int inexact = 0;
  switch (function) {
    case Function::kExp:
      inexact = mpfr_exp(v.x, v.x, MPFR_RNDZ);
      break;
    case Function::kSigmoid:
      mpfr_neg(v.x, v.x, MPFR_RNDN);
      mpfr_exp(v.x, v.x, MPFR_RNDN);
      mpfr_add_ui(v.x, v.x, 1, MPFR_RNDN);
      mpfr_ui_div(v.x, 1, v.x, MPFR_RNDN);
      break;
    case Function::kSoftplus:
      mpfr_exp(v.x, v.x, MPFR_RNDN);
      mpfr_log1p(v.x, v.x, MPFR_RNDN);
      break;
    case Function::kReciprocalRoot:
      inexact = mpfr_rec_sqrt(v.x, v.x, MPFR_RNDZ);
      break;
  }
  double d = mpfr_get_d(v.x, MPFR_RNDZ);
  mpfr_set_d(t.x, d, MPFR_RNDN);
  const bool cut = inexact != 0 || !mpfr_equal_p(t.x, v.x);
  if (cut) d = std::bit_cast<double>(std::bit_cast<uint64_t>(d) | 1);
  return d;
}

double Got(Function function, const RoundSpec& spec, double x) {
  switch (function) {
    case Function::kExp:
      return RoundedExp(spec, x);
    case Function::kSigmoid:
      return RoundedSigmoid(spec, x);
    case Function::kSoftplus:
      return RoundedSoftplus(spec, x);
    case Function::kReciprocalRoot:
      break;
  }
  return RoundedReciprocalRoot(spec, x);
}

uint64_t Bits(double x) { return std::bit_cast<uint64_t>(x); }

// Every mode; also of rows, which take the fast way.
void Check(const Format& format, const std::vector<double>& inputs) {
  for (const Function function : kFunctions) {
    std::vector<double> x, odd;
    for (const double v : inputs) {
      if (!std::isfinite(v) || (function == Function::kReciprocalRoot && v <= 0)) continue;
      x.push_back(v);
      odd.push_back(OddOf(function, v));
    }
    for (const Rounding mode : kModes) {
      const RoundSpec spec = MakeRoundSpec(format, mode);
      std::vector<double> row(x.size());
      if (function != Function::kReciprocalRoot)
        RoundedRow(function == Function::kExp       ? FormatFunction::kExp
                   : function == Function::kSigmoid ? FormatFunction::kSigmoid
                                                    : FormatFunction::kSoftplus,
                   spec, BestKernels(), x.data(), x.size(), row.data());
      for (size_t i = 0; i < x.size(); ++i) {
        const double right = RoundValue(spec, odd[i]);
        if (function != Function::kReciprocalRoot) {
          ASSERT_EQ(Bits(row[i]), Bits(right))
              << format.name << " function " << static_cast<int>(function) << " mode "
              << static_cast<int>(mode) << " of " << x[i] << ": " << row[i] << " " << right;
          if (i % 16 != 0) continue;  // the slow way is the same for all
        }
        ASSERT_EQ(Bits(Got(function, spec, x[i])), Bits(right))
            << format.name << " function " << static_cast<int>(function) << " mode "
            << static_cast<int>(mode) << " of " << x[i];
      }
    }
  }
}

std::vector<double> AllNumbers(const Format& format) {
  std::vector<double> all;
  for (uint64_t code = 0; code < uint64_t{1} << format.bits; ++code)
    all.push_back(ToDouble(DecodeCode(format, code)));
  return all;
}

TEST(FormatFunctions, AllNumbersOfSmallFormats) {
  for (const char* name : {"f16", "bf16", "posit16", "e4m3", "posit8", "e2m1"}) {
    const Format format = FindFormat(name).value();
    std::vector<double> x = AllNumbers(format);
    // All of 16 bits where there is time; elsewhere every seventh, which meets all exponents.
    if (format.bits == 16 && std::getenv("VERNIER_TEST_ALL") == nullptr) {
      std::vector<double> some;
      for (size_t i = 0; i < x.size(); i += 7) some.push_back(x[i]);
      x = some;
    }
    Check(format, x);
  }
}

// Random numbers of all sizes, those about zero, powers of two (whose exponentials are just beside
// the middle of two numbers), and around the ends.
std::vector<double> Inputs(const Format& format, size_t count) {
  std::mt19937_64 random(count);
  std::normal_distribution<double> normal(0, 8);
  std::vector<double> x = {0.0, -0.0, 1, -1, 20, 20.000001, 21, 45.9, 46.1, 88.7, -87.4, -103.9};
  for (size_t i = 0; i < count; ++i) {
    x.push_back(normal(random));
    x.push_back(std::ldexp(normal(random), -static_cast<int>(random() % 130)));
  }
  for (int e = -140; e < 10; ++e)
    for (const double m : {1.0, 1.5, 3.0, 1 + 0x1p-20, 1 - 0x1p-20}) {
      x.push_back(std::ldexp(m, e));
      x.push_back(-std::ldexp(m, e));
    }
  const RoundSpec spec = MakeRoundSpec(format);
  for (double& v : x) v = RoundValue(spec, v);
  return x;
}

TEST(FormatFunctions, WideFormats) {
  const size_t count = std::getenv("VERNIER_TEST_ALL") == nullptr ? 2000 : 200000;
  for (const char* name : {"posit32", "f32", "e8m26", "posit24es1", "tf32"}) {
    const Format format = FindFormat(name).value();
    Check(format, Inputs(format, count));
  }
}

// Formats of 52 and 53 bits: MPFR rounds to them itself.
TEST(FormatFunctions, F64) {
  const Format format = FindFormat("f64").value();
  const std::pair<Rounding, mpfr_rnd_t> modes[] = {{Rounding::kNearestEven, MPFR_RNDN},
                                                   {Rounding::kTowardZero, MPFR_RNDZ},
                                                   {Rounding::kUp, MPFR_RNDU},
                                                   {Rounding::kDown, MPFR_RNDD}};
  Mpfr v, t;
  for (const double x : Inputs(format, 1000)) {
    for (const auto& [mode, mpfr_mode] : modes) {
      const RoundSpec spec = MakeRoundSpec(format, mode);
      mpfr_set_d(v.x, x, MPFR_RNDN);
      mpfr_exp(t.x, v.x, mpfr_mode);
      ASSERT_EQ(RoundedExp(spec, x), mpfr_get_d(t.x, mpfr_mode)) << x;
      if (x <= 0) continue;
      mpfr_rec_sqrt(t.x, v.x, mpfr_mode);
      ASSERT_EQ(RoundedReciprocalRoot(spec, x), mpfr_get_d(t.x, mpfr_mode)) << x;
    }
  }
}

TEST(FormatFunctions, Quotients) {
  Mpfr a, b, t;
  for (const char* name : {"posit32", "f32", "bf16", "f16", "posit16"}) {
    const Format format = FindFormat(name).value();
    const std::vector<double> x = Inputs(format, 500);
    for (size_t i = 0; i + 1 < x.size(); ++i) {
      const double p = x[i], q = x[i * 7 % x.size()];
      if (p == 0 || q == 0) continue;
      mpfr_set_d(a.x, p, MPFR_RNDN);
      mpfr_set_d(b.x, q, MPFR_RNDN);
      const int inexact = mpfr_div(a.x, a.x, b.x, MPFR_RNDZ);
      double odd = mpfr_get_d(a.x, MPFR_RNDZ);
      mpfr_set_d(t.x, odd, MPFR_RNDN);
      if (inexact != 0 || !mpfr_equal_p(t.x, a.x)) odd = std::bit_cast<double>(Bits(odd) | 1);
      for (const Rounding mode : kModes) {
        const RoundSpec spec = MakeRoundSpec(format, mode);
        ASSERT_EQ(Bits(RoundedQuotient(spec, p, q)), Bits(RoundValue(spec, odd)))
            << name << " " << p << " / " << q;
      }
    }
  }
}

TEST(FormatFunctions, WhatIsNoNumber) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const RoundSpec f16 = MakeRoundSpec(FindFormat("f16").value()),
                  posit = MakeRoundSpec(FindFormat("posit32").value());
  EXPECT_EQ(RoundedExp(f16, -kInfinity), 0);
  EXPECT_EQ(RoundedExp(f16, kInfinity), kInfinity);
  EXPECT_EQ(RoundedExp(f16, 700), kInfinity);
  EXPECT_EQ(RoundedExp(f16, 1e9), kInfinity);
  EXPECT_EQ(RoundedExp(posit, 1e9), 0x1p120);
  EXPECT_EQ(RoundedExp(posit, -1e9), 0x1p-120);
  EXPECT_EQ(RoundedExp(posit, -kInfinity), 0);
  EXPECT_EQ(RoundedSigmoid(f16, kInfinity), 1);
  EXPECT_EQ(RoundedSigmoid(f16, -kInfinity), 0);
  EXPECT_EQ(RoundedSoftplus(f16, -kInfinity), 0);
  EXPECT_EQ(RoundedSoftplus(f16, kInfinity), kInfinity);
  EXPECT_EQ(RoundedReciprocalRoot(f16, 0), kInfinity);
  EXPECT_EQ(RoundedReciprocalRoot(f16, kInfinity), 0);
  EXPECT_TRUE(std::isnan(RoundedReciprocalRoot(posit, 0)));
  EXPECT_TRUE(std::isnan(RoundedReciprocalRoot(f16, -1)));
  EXPECT_TRUE(std::isnan(RoundedQuotient(f16, 0, 0)));
  EXPECT_EQ(RoundedQuotient(f16, -1, 0), -kInfinity);
  EXPECT_EQ(RoundedQuotient(f16, 1, kInfinity), 0);
  for (const double v : {RoundedExp(f16, std::nan("")), RoundedSigmoid(f16, std::nan("")),
                         RoundedSoftplus(f16, std::nan("")), RoundedQuotient(f16, std::nan(""), 1)})
    EXPECT_EQ(Bits(v), Bits(std::numeric_limits<double>::quiet_NaN()));
}

}  // namespace
}  // namespace vernier
