#include "ops/glibc_math.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace vernier {
namespace {

// 2^(i / 32), rounded to nearest.
constexpr double kPowers[32] = {
    0x1p0,
    0x1.059b0d3158574p0,
    0x1.0b5586cf9890fp0,
    0x1.11301d0125b51p0,
    0x1.172b83c7d517bp0,
    0x1.1d4873168b9aap0,
    0x1.2387a6e756238p0,
    0x1.29e9df51fdee1p0,
    0x1.306fe0a31b715p0,
    0x1.371a7373aa9cbp0,
    0x1.3dea64c123422p0,
    0x1.44e086061892dp0,
    0x1.4bfdad5362a27p0,
    0x1.5342b569d4f82p0,
    0x1.5ab07dd485429p0,
    0x1.6247eb03a5585p0,
    0x1.6a09e667f3bcdp0,
    0x1.71f75e8ec5f74p0,
    0x1.7a11473eb0187p0,
    0x1.82589994cce13p0,
    0x1.8ace5422aa0dbp0,
    0x1.93737b0cdc5e5p0,
    0x1.9c49182a3f090p0,
    0x1.a5503b23e255dp0,
    0x1.ae89f995ad3adp0,
    0x1.b7f76f2fb5e47p0,
    0x1.c199bdd85529cp0,
    0x1.cb720dcef9069p0,
    0x1.d5818dcfba487p0,
    0x1.dfc97337b9b5fp0,
    0x1.ea4afa2a490dap0,
    0x1.f50765b6e4540p0,
};

// 1 / c and ln c of a number c near the middle of each sixteenth of [0.7, 1.4): c is such that both
// are close to doubles.
struct Sixteenth {
  double inverse, log;
};
constexpr Sixteenth kSixteenths[16] = {
    {0x1.661ec79f8f3bep0, -0x1.57bf7808caadep-2}, {0x1.571ed4aaf883dp0, -0x1.2bef0a7c06ddbp-2},
    {0x1.49539f0f010bp0, -0x1.01eae7f513a67p-2},  {0x1.3c995b0b80385p0, -0x1.b31d8a68224e9p-3},
    {0x1.30d190c8864a5p0, -0x1.6574f0ac07758p-3}, {0x1.25e227b0b8eap0, -0x1.1aa2bc79c81p-3},
    {0x1.1bb4a4a1a343fp0, -0x1.a4e76ce8c0e5ep-4}, {0x1.12358f08ae5bap0, -0x1.1973c5a611cccp-4},
    {0x1.0953f419900a7p0, -0x1.252f438e10c1ep-5}, {1, 0},
    {0x1.e608cfd9a47acp-1, 0x1.aa5aa5df25984p-5}, {0x1.ca4b31f026aap-1, 0x1.c5e53aa362eb4p-4},
    {0x1.b2036576afce6p-1, 0x1.526e57720db08p-3}, {0x1.9c2d163a1aa2dp-1, 0x1.bc2860d22477p-3},
    {0x1.886e6037841edp-1, 0x1.1058bc8a07ee1p-2}, {0x1.767dcf5534862p-1, 0x1.4043057b6ee09p-2},
};

}  // namespace

// The argument reduced in double by a multiple of pi/2, a polynomial of degree 7 or 8, one rounding
// to float. Arguments of 120 and more glibc reduces by integer arithmetic, here pi/2 in two parts
// does it (60 million floats up to 10^6, and every integer, gave the same).
FloatSinCos GlibcSinCos(float x) {
  constexpr double kS1 = -0x1.555545995a603p-3, kS2 = 0x1.1107605230bc4p-7,
                   kS3 = -0x1.994eb3774cf24p-13;
  constexpr double kC1 = -0x1.ffffffd0c621cp-2, kC2 = 0x1.55553e1068f19p-5,
                   kC3 = -0x1.6c087e89a359dp-10, kC4 = 0x1.99343027bf8c3p-16;
  constexpr double kHalfPi = 0x1.921fb54442d18p0, kHalfPiLow = 0x1.1a62633145c07p-54;
  double r = static_cast<double>(x);
  int64_t quadrant = 0;
  if (std::fabs(x) >= 120.0f) {
    const double q = std::nearbyint(r * 0x1.45f306dc9c883p-1);
    quadrant = static_cast<int64_t>(q);
    r = std::fma(-q, kHalfPiLow, std::fma(-q, kHalfPi, r));
  } else if (std::fabs(x) >= 0x1.921fb6p-1f) {
    quadrant = (static_cast<int64_t>(r * 0x1.45f306dc9c883p23) + 0x800000) >> 24;
    r = std::fma(-static_cast<double>(quadrant), kHalfPi, r);
  }
  const double r2 = r * r, r3 = r * r2, r4 = r2 * r2, r6 = r4 * r2, r7 = r3 * r2;
  const double sine = std::fma(r7, std::fma(r2, kS3, kS2), std::fma(r3, kS1, r));
  const double cosine =
      std::fma(r6, std::fma(r2, kC4, kC3), std::fma(r4, kC2, std::fma(r2, kC1, 1.0)));
  const bool swap = (quadrant & 1) != 0;
  const double s = swap ? cosine : sine, c = swap ? sine : cosine;
  return {static_cast<float>((quadrant & 2) != 0 ? -s : s),
          static_cast<float>(((quadrant + 1) & 2) != 0 ? -c : c)};
}

// x / ln 2 in 32nds, the nearest of them by the table, the rest by a polynomial of degree 3.
float GlibcExp(float x) {
  constexpr double kScale = 0x1.71547652b82fep5, kShift = 0x1.8p52;  // 32 / ln 2
  constexpr double kC3 = 0x1.c6af84b912394p-20, kC2 = 0x1.ebfce50fac4f3p-13,
                   kC1 = 0x1.62e42ff0c52d6p-6;
  if (x > 0x1.62e42ep6f) return std::numeric_limits<float>::infinity();
  if (x < -0x1.9fe368p6f) return 0;
  const double z = kScale * static_cast<double>(x), shifted = z + kShift;
  const uint64_t n = std::bit_cast<uint64_t>(shifted);
  const double r = std::fma(kScale, static_cast<double>(x), -(shifted - kShift)), r2 = r * r;
  const uint64_t power = std::bit_cast<uint64_t>(kPowers[n % 32]) + ((n - n % 32) << 47);
  const double y = std::fma(std::fma(kC3, r, kC2), r2, std::fma(kC1, r, 1.0));
  return static_cast<float>(y * std::bit_cast<double>(power));
}

// x = 2^k z, z near c: ln x = k ln 2 + ln c + a polynomial of degree 4 in z / c - 1.
float GlibcLog(float x) {
  constexpr double kLn2 = 0x1.62e42fefa39efp-1, kA4 = -0x1.00ea348b88334p-2,
                   kA3 = 0x1.5575b0be00b6ap-2, kA2 = -0x1.ffffef20a4123p-2;
  const uint32_t bits = std::bit_cast<uint32_t>(x), from = bits - 0x3f330000u;
  if (bits == 0x3f800000u) return 0;
  const Sixteenth& c = kSixteenths[from >> 19 & 15];
  const double z = static_cast<double>(std::bit_cast<float>(bits - (from & 0xff800000u)));
  const double k = static_cast<double>(static_cast<int32_t>(from) >> 23);
  const double r = std::fma(z, c.inverse, -1.0), r2 = r * r;
  const double start = std::fma(k, kLn2, c.log);
  const double high = std::fma(kA4, r2, std::fma(kA3, r, kA2));
  return static_cast<float>(std::fma(high, r2, start + r));
}

}  // namespace vernier
