#include "ops/elementary.h"

#include <gtest/gtest.h>
#include <mpfr.h>

#include <cmath>

namespace vernier {
namespace {

class Mpfr {
 public:
  Mpfr() { mpfr_init2(x, 300); }
  ~Mpfr() { mpfr_clear(x); }
  Mpfr(const Mpfr&) = delete;
  mpfr_t x;
};

// Error of `got` in units in the last place of the exact value.
double Ulps(double got, mpfr_t exact) {
  const double near = mpfr_get_d(exact, MPFR_RNDN);
  const double ulp = std::nextafter(std::abs(near), INFINITY) - std::abs(near);
  mpfr_sub_d(exact, exact, got, MPFR_RNDN);
  return std::abs(mpfr_get_d(exact, MPFR_RNDN)) / ulp;
}

TEST(Power, RopeFrequencies) {
  Mpfr e, b;
  for (const double base : {10000.0, 1e6, 500000.0, 2.0, 0.3}) {
    for (int i = 0; i <= 256; ++i) {
      const double exponent = -i / 128.0;
      mpfr_set_d(b.x, base, MPFR_RNDN);
      mpfr_set_d(e.x, exponent, MPFR_RNDN);
      mpfr_pow(e.x, b.x, e.x, MPFR_RNDN);
      EXPECT_LE(Ulps(Power(base, exponent), e.x), 0.5000001) << base << " " << exponent;
    }
  }
}

TEST(LogarithmAndExponential, WholeRange) {
  Mpfr e;
  for (int i = -1000; i <= 1000; ++i) {
    const double x = std::ldexp(1 + (i * 37 % 101) / 101.0, i);
    mpfr_set_d(e.x, x, MPFR_RNDN);
    mpfr_log(e.x, e.x, MPFR_RNDN);
    if (x != 1) {
      EXPECT_LE(Ulps(Logarithm(x), e.x), 0.5000001) << x;
    }
    const double y = i * 0.7071;
    mpfr_set_d(e.x, y, MPFR_RNDN);
    mpfr_exp(e.x, e.x, MPFR_RNDN);
    EXPECT_LE(Ulps(Exponential(y), e.x), 0.5000001) << y;
  }
  EXPECT_EQ(Logarithm(1), 0.0);
  EXPECT_EQ(Logarithm(0), -INFINITY);
  EXPECT_TRUE(std::isnan(Logarithm(-1)));
  EXPECT_EQ(Exponential(0), 1.0);
  EXPECT_EQ(Exponential(-800), 0.0);
  EXPECT_EQ(Exponential(800), INFINITY);
}

TEST(SineCosine, AnglesOfLongContexts) {
  Mpfr e;
  for (int i = -2000; i <= 200000; i += 7) {
    const double angle = i < 20000 ? i * 0.01237 : i * 655.36 * (1 + 1e-9 * i);
    const SinCos got = SineCosine(angle);
    mpfr_set_d(e.x, angle, MPFR_RNDN);
    mpfr_sin(e.x, e.x, MPFR_RNDN);
    EXPECT_LE(Ulps(got.sin, e.x), 0.5001) << angle;
    mpfr_set_d(e.x, angle, MPFR_RNDN);
    mpfr_cos(e.x, e.x, MPFR_RNDN);
    EXPECT_LE(Ulps(got.cos, e.x), 0.5001) << angle;
  }
  EXPECT_EQ(SineCosine(0).sin, 0.0);
  EXPECT_EQ(SineCosine(0).cos, 1.0);
}

}  // namespace
}  // namespace vernier
