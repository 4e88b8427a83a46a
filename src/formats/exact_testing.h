// For tests: sums of products in GMP's integers, rounded by the definitions of formats/round.h and
// formats/posit.h spelled out. Nothing of the code under test is used.
#ifndef VERNIER_FORMATS_EXACT_TESTING_H_
#define VERNIER_FORMATS_EXACT_TESTING_H_

#include <gmp.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "formats/format.h"
#include "formats/round.h"

namespace vernier {

// A multiple of 2^kUnit.
class ExactOracle {
 public:
  static constexpr int kUnit = -2300;

  ExactOracle() { mpz_inits(sum_, a_, b_, nullptr); }
  ~ExactOracle() { mpz_clears(sum_, a_, b_, nullptr); }
  ExactOracle(const ExactOracle&) = delete;
  ExactOracle& operator=(const ExactOracle&) = delete;

  void Clear() {
    mpz_set_ui(sum_, 0);
    nan_ = up_ = down_ = false;
  }
  void AddProduct(double a, double b) {
    if (std::isnan(a) || std::isnan(b)) {
      nan_ = true;
    } else if (std::isinf(a) || std::isinf(b)) {
      if (a == 0 || b == 0) {
        nan_ = true;
      } else {
        ((a > 0) == (b > 0) ? up_ : down_) = true;
      }
    } else if (a != 0 && b != 0) {
      mpz_addmul(sum_, *Set(a, kUnit / 2, a_), *Set(b, kUnit / 2, b_));
    }
  }

  double Round(const Format& format, Rounding rounding, Overflow overflow, bool flush) {
    if (nan_ || (up_ && down_)) return std::numeric_limits<double>::quiet_NaN();
    const bool negative = down_ || (!up_ && mpz_sgn(sum_) < 0);
    const Target t{format, rounding, overflow, flush, negative};
    if (up_ || down_) {
      if (format.has_infinity && format.kind == FormatKind::kFloat) return Signed(kInfinity, t);
      if (format.kind == FormatKind::kPosit) return std::numeric_limits<double>::quiet_NaN();
      return Signed(Beyond(t), t);
    }
    if (mpz_sgn(sum_) == 0) return 0.0;
    mpz_abs(sum_, sum_);
    const double magnitude = format.kind == FormatKind::kPosit ? RoundPosit(t) : RoundFloat(t);
    if (negative) mpz_neg(sum_, sum_);
    if (magnitude == 0 && !format.has_negative_zero) return 0.0;
    return Signed(magnitude, t);
  }

 private:
  static constexpr double kInfinity = std::numeric_limits<double>::infinity();
  struct Target {
    const Format& format;
    Rounding rounding;
    Overflow overflow;
    bool flush, negative;
  };

  static double Signed(double magnitude, const Target& t) {
    return t.negative ? -magnitude : magnitude;
  }
  // x / 2^unit.
  static mpz_t* Set(double x, int unit, mpz_t& out) {
    int e = 0;
    const double m = std::frexp(x, &e);
    mpz_set_d(out, std::ldexp(m, 53));
    mpz_mul_2exp(out, out, static_cast<unsigned>(e - 53 - unit));
    return &out;
  }
  static double Beyond(const Target& t) {
    if (t.overflow == Overflow::kSaturate) return t.format.max_finite;
    return t.overflow == Overflow::kInfinity ? kInfinity : std::numeric_limits<double>::quiet_NaN();
  }
  static double Overflowed(const Target& t) {
    const bool inward = t.rounding == Rounding::kTowardZero || t.rounding == Rounding::kOdd ||
                        t.rounding == (t.negative ? Rounding::kUp : Rounding::kDown);
    return inward ? t.format.max_finite : Beyond(t);
  }
  static bool Away(const Target& t, int side, bool odd) {
    switch (t.rounding) {
      case Rounding::kNearestEven:
        return side > 0 || (side == 0 && odd);
      case Rounding::kNearestAway:
        return side >= 0;
      case Rounding::kUp:
        return !t.negative;
      case Rounding::kDown:
        return t.negative;
      case Rounding::kOdd:
        return !odd;
      default:
        return false;
    }
  }

  static int Exponent(const mpz_t& x) { return static_cast<int>(mpz_sizeinbase(x, 2)) - 1 + kUnit; }
  // x rounded to a multiple of 2^quantum, in a_.
  void ToQuantum(const mpz_t& x, int quantum, const Target& t) {
    const unsigned shift = static_cast<unsigned>(quantum - kUnit);
    mpz_tdiv_q_2exp(a_, x, shift);
    mpz_tdiv_r_2exp(b_, x, shift);
    if (mpz_sgn(b_) != 0) {
      mpz_mul_2exp(b_, b_, 1);
      const int side = static_cast<int>(mpz_sizeinbase(b_, 2)) <= static_cast<int>(shift) ? -1
                       : mpz_scan1(b_, 0) == shift                                        ? 0
                                                                                          : 1;
      if (Away(t, side, mpz_odd_p(a_) != 0)) mpz_add_ui(a_, a_, 1);
    }
    mpz_mul_2exp(a_, a_, shift);
  }
  // a_, which is a double.
  double Value() const {
    long e = 0;
    const double m = mpz_get_d_2exp(&e, a_);
    return std::ldexp(m, static_cast<int>(e) + kUnit);
  }

  double RoundFloat(const Target& t) {
    const Format& f = t.format;
    ToQuantum(sum_, std::max(Exponent(sum_), f.emin) - f.precision + 1, t);
    Set(f.max_finite, kUnit, b_);
    if (mpz_cmp(a_, b_) > 0) return Overflowed(t);
    const double value = Value();
    if ((t.flush || !f.has_subnormals) && value < std::ldexp(1.0, f.emin)) return 0;
    return value;
  }

  // The posit of n bits with a positive code, in b_: bit by bit.
  void PositOf(int n, int es, uint64_t hi_code, bool extra) {
    // n-1 bits of code, and one more where `extra` asks for the posit of n+1 bits code·1.
    const int length = n - 1 + (extra ? 1 : 0);
    const auto bit = [&](int i) -> int {
      if (i >= length) return 0;
      if (extra && i == length - 1) return 1;
      return static_cast<int>(hi_code >> (n - 2 - i) & 1);
    };
    const int first = bit(0);
    int i = 0;
    while (i < length && bit(i) == first) ++i;
    const int regime = first == 1 ? i - 1 : -i;
    ++i;
    int exponent = 0;
    for (int j = 0; j < es; ++j) exponent = 2 * exponent + bit(i++);
    exponent += regime * (1 << es);
    mpz_set_ui(b_, 1);
    int e = exponent;
    for (; i < length; ++i, --e) {
      mpz_mul_2exp(b_, b_, 1);
      if (bit(i) != 0) mpz_add_ui(b_, b_, 1);
    }
    mpz_mul_2exp(b_, b_, static_cast<unsigned>(e - kUnit));
  }

  double RoundPosit(const Target& t) {
    const Format& f = t.format;
    const int n = f.bits;
    const uint64_t last = (uint64_t{1} << (n - 1)) - 1;
    PositOf(n, f.es, last, false);
    if (mpz_cmp(sum_, b_) > 0) return Overflowed(t);
    uint64_t low = 0, high = last;  // low: not above the sum, or zero
    while (low < high) {
      const uint64_t middle = low + (high - low + 1) / 2;
      PositOf(n, f.es, middle, false);
      (mpz_cmp(b_, sum_) <= 0 ? low : high) = mpz_cmp(b_, sum_) <= 0 ? middle : middle - 1;
    }
    if (low == 0) {  // towards the smallest posit but where the mode is directed to zero
      const bool nearest = t.rounding == Rounding::kNearestEven ||
                           t.rounding == Rounding::kNearestAway || t.rounding == Rounding::kOdd;
      if (!nearest && !Away(t, -1, false)) return 0;
      low = 1;
    } else {
      PositOf(n, f.es, low, false);
      if (mpz_cmp(b_, sum_) != 0) {
        PositOf(n, f.es, low, true);
        if (Away(t, mpz_cmp(sum_, b_), low % 2 != 0)) ++low;
      }
    }
    PositOf(n, f.es, low, false);
    // To the nearest double, where it is none.
    mpz_t posit;
    mpz_init_set(posit, b_);
    Target nearest = t;
    nearest.rounding = Rounding::kNearestEven;
    ToQuantum(posit, Exponent(posit) - 52, nearest);
    mpz_clear(posit);
    return Value();
  }

  mpz_t sum_, a_, b_;
  bool nan_ = false, up_ = false, down_ = false;
};

}  // namespace vernier

#endif  // VERNIER_FORMATS_EXACT_TESTING_H_
