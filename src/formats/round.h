// Rounding into a floating-point or posit format. The result is a value of the host type (float or
// double) that the format holds; codes exist only where something is stored.
//
// Rounding of x, in this order (docs/formats.md says the same at length):
//   1. NaN stays as it is, bit for bit, in every format. An infinity stays where the format has
//      infinities; elsewhere it goes by the overflow policy, whatever the rounding mode.
//   2. x is rounded in the given mode to the grid of the format as if its exponents had no upper
//      bound: the multiples of 2^(max(E, emin) - p + 1), E = floor(log2 |x|).
//   3. The result overflows when its magnitude exceeds max_finite (IEEE 754-2019, section 7.4; for
//      formats with a cut top binade the same test: e4m3 overflows from 480 on, so 464, halfway
//      between 448 and 480, does not in nearest-even). Then the sign stays and the magnitude is
//        max_finite            under kSaturate, and under every policy in modes that round towards
//                              zero on that side (toward-zero; up for x < 0; down for x > 0) and
//                              in odd;
//        infinity, quiet NaN   under kInfinity, kNan in the other modes.
//   4. With flush, or where the format has no subnormals, a result below 2^emin becomes zero.
//   Zeros and results that become zero keep the sign of x; in formats without -0 they are +0.
//
// e8m0 has neither zero nor sign: zeros of either sign and results that would be zero become its
// smallest number in every mode; negative x counts as an overflow, which is the smallest number
// under kSaturate and a NaN under kNan, in every mode.
//
// Posits (Posit Standard 2022, section 4.1, and what follows from it for the modes it does not
// have):
//   1. NaN stays as it is, bit for bit, and stands for NaR; an infinity becomes a quiet NaN of its
//      sign in every mode and under every policy, and counts as saturated.
//   2. |x| above the largest posit is the overflow: the largest posit under kSaturate (the
//   standard's
//      rule), else as step 3 above says.
//   3. 0 < |x| below the smallest posit becomes the smallest in the nearest modes and in odd; else
//      zero is its neighbour below.
//   4. All else lies between posits u < |x| < w with the codes U and U+1. Nearest goes by the
//      (n+1)-bit posit v whose code is U followed by a one: below it to u, above it to w, at it to
//      the even code or, in nearest-away, to w. Where a posit has no fraction bits v is not the
//      arithmetic middle. Odd takes the odd code; stochastic goes by (|x| - u) / (w - u).
//   Zeros become +0.
//
// A host type cannot hold more than its own numbers: p, emax and max_finite act as if the format
// were cut to the host's precision and range (`f64` on a float row changes nothing; max_finite of
// e5m30 on a float row is the float below 65536). The same holds for the smallest posit. All posits
// are in the range of double; where they are finer than it, nothing changes.
//
// Nothing here depends on the dynamic rounding mode except the fast rows, which need the default
// one (to nearest even); nothing allocates or throws.
#ifndef VERNIER_FORMATS_ROUND_H_
#define VERNIER_FORMATS_ROUND_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "formats/format.h"
#include "kernels/round.h"

namespace vernier {

struct Kernels;  // kernels/kernels.h

// The names of the modes in rules and options, each at the index of its value.
inline constexpr std::array<std::pair<const char*, Rounding>, kRoundingModes> kRoundingNames = {
    {{"nearest-even", Rounding::kNearestEven},
     {"nearest-away", Rounding::kNearestAway},
     {"toward-zero", Rounding::kTowardZero},
     {"up", Rounding::kUp},
     {"down", Rounding::kDown},
     {"odd", Rounding::kOdd},
     {"stochastic", Rounding::kStochastic}}};

enum class Overflow { kSaturate, kInfinity, kNan };

// kInfinity where the format has infinities; posits and what has no NaN saturate; else kNan.
Overflow DefaultOverflow(const Format& format);

// What rounding or treating elements did.
struct TreatmentCounts {
  uint64_t touched = 0;    // elements seen
  uint64_t changed = 0;    // whose bits are different afterwards (a NaN that stays NaN is not)
  uint64_t saturated = 0;  // beyond the largest finite number or the integer range after rounding
                           // (step 3), and infinities that could not stay: clamped, made infinite
                           // or NaN
  uint64_t flushed = 0;    // nonzero before, zero afterwards
  TreatmentCounts& operator+=(const TreatmentCounts& other);
  friend bool operator==(const TreatmentCounts&, const TreatmentCounts&) = default;
};

// The random word of element `index` of the stream `key`: a pure function of the two, so it does
// not matter who asks, when, or in which order. With 64-bit words
//   z = mix(mix(key ^ 0x9e3779b97f4a7c15) + floor(index / 2^32)),
//   mix(z): z ^= z >> 30, z *= 0xbf58476d1ce4e5b9, z ^= z >> 27, z *= 0x94d049bb133111eb,
//           z ^= z >> 31                        (SplitMix64: Steele, Lea, Flood, OOPSLA 2014)
// and then with 32-bit words, which vectorise where there is no 64-bit multiplication,
//   x = z mod 2^32 + (index mod 2^32) * 0x9e3779b1,
//   x ^= x >> 17, x *= 0xed5ad4bb, x ^= x >> 11, x += floor(z / 2^32), x *= 0xac4c1b51,
//   x ^= x >> 15, x *= 0x31848bab, x ^= x >> 14,
// which is triple32 of C. Wellons (hash-prospector) of a Weyl sequence, with the second half of the
// key added in the middle.
//
// Stochastic rounding takes the number whose magnitude is next above |x| exactly when
//   floor(RandomBits(key, index) / 2) + floor(2^31 f) >= 2^31,   f = (|x| - below) / gap:
// 31 random bits. The probability is f exactly unless more than 31 bits are dropped (float32 to a
// format of up to 16 bits drops at most 23 but for subnormals; float64 to float32 29), and then
// less than 2^-31 under it. Numbers of the grid never move.
uint32_t RandomBits(uint64_t key, uint64_t index);

// A format and how to round into it, in the form the loops want. Make it once for many rows.
struct RoundSpec {
  int precision, emin;
  float max_float;  // the largest number that both the format and the host hold, for either host
  double max_double;
  bool has_infinity, flush;
  Rounding rounding;
  Overflow overflow;
  bool has_negative_zero = true, has_sign = true, has_zero = true;
  int posit_bits = 0, es = 0;  // posits; 0 bits: not one
  float smallest_float = 0;    // posits: the smallest number that both the format and the host hold
  double smallest_double = 0;
};
// CHECK: not a kFixed format. Whether the format has what `overflow` asks for is not asked here.
RoundSpec MakeRoundSpec(const Format& format, Rounding rounding, Overflow overflow,
                        bool flush = false);
// With the format's default policy.
RoundSpec MakeRoundSpec(const Format& format, Rounding rounding = Rounding::kNearestEven);

// The scalar reference: rounds one value in integer arithmetic. `random` is used by kStochastic
// only. `overflowed` (may be null) is set to whether the value counts as saturated.
float RoundValue(const RoundSpec& spec, float x, uint32_t random = 0, bool* overflowed = nullptr);
double RoundValue(const RoundSpec& spec, double x, uint32_t random = 0, bool* overflowed = nullptr);

// |x| rounded to a multiple of 2^quantum, the sign kept; no overflow, no flush. x finite, quantum
// in [-1074, 971]. The heart of RoundValue, also used for the integer formats (quantum 0).
double RoundToMultiple(double x, int quantum, Rounding rounding, uint32_t random = 0);

// y[i] = x[i] rounded, 0 <= i < n, equal to RoundValue bit for bit; element i uses
// RandomBits(key, first + i). y is x or does not overlap it. Vector loops (kernels/round.h) do all
// formats of at least 2 significand bits fewer than the host, all posits, and e8m0; what no format
// of the table is (e5m22 on floats) goes through RoundValue. `kernels` other than the best
// ones are for tests.
TreatmentCounts RoundRow(const RoundSpec& spec, const float* x, size_t n, float* y,
                         uint64_t key = 0, uint64_t first = 0, const Kernels* kernels = nullptr);
TreatmentCounts RoundRow(const RoundSpec& spec, const double* x, size_t n, double* y,
                         uint64_t key = 0, uint64_t first = 0, const Kernels* kernels = nullptr);

// In place.
TreatmentCounts RoundRow(const RoundSpec& spec, float* row, size_t n, uint64_t key = 0,
                         uint64_t first = 0);
TreatmentCounts RoundRow(const RoundSpec& spec, double* row, size_t n, uint64_t key = 0,
                         uint64_t first = 0);

}  // namespace vernier

#endif  // VERNIER_FORMATS_ROUND_H_
