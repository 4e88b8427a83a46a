// Arithmetics and operands for tests of dot products in a number format.
#ifndef VERNIER_OPS_FORMAT_TEST_CASES_H_
#define VERNIER_OPS_FORMAT_TEST_CASES_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "ops/format_math.h"

namespace vernier {

inline FormatRounding RoundingOf(const std::string& name,
                                 Rounding rounding = Rounding::kNearestEven) {
  const Format format = FindFormat(name).value();
  return {format, rounding, DefaultOverflow(format), false};
}

inline FormatMath MathOf(FormatMathKind kind, const FormatRounding& values) {
  return {kind, values, {values, SumOrder::kSequential, 0, values}, Arithmetic::kF64};
}

struct DotOperands {
  std::vector<double> x, w;
};

// What is hard about them.
enum class Operands {
  kNormal,     // of a network: normal, a few outliers
  kCancel,     // each product soon followed by one that cancels it, or nearly
  kTies,       // few bits: sums near the middle between two numbers, and terms far below
  kExponents,  // any exponents of the format
  kProducts,   // products next to the middle of two numbers
  kSpecial,    // the same with zeros, infinities, NaN and the largest and smallest numbers
};
inline constexpr Operands kAllOperands[] = {Operands::kNormal,   Operands::kCancel,
                                            Operands::kTies,     Operands::kExponents,
                                            Operands::kProducts, Operands::kSpecial};

// SplitMix64.
struct RandomWords {
  using result_type = uint64_t;
  uint64_t state;
  static constexpr uint64_t min() { return 0; }
  static constexpr uint64_t max() { return ~uint64_t{0}; }
  uint64_t operator()() {
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
};

class OperandSource {
 public:
  OperandSource(const FormatRounding& values, uint64_t seed)
      : spec_(MakeRoundSpec(values.format, Rounding::kNearestEven, values.overflow, values.flush)),
        format_(values.format),
        engine_{seed} {}

  DotOperands Make(Operands kind, size_t n) {
    DotOperands o;
    for (size_t i = 0; i < n; ++i) {
      double x = One(kind), w = One(kind);
      if (kind == Operands::kNormal) w *= 0.03;
      if (kind == Operands::kCancel && i > 0 && engine_() % 3 != 0) {
        const size_t j = i - 1 - engine_() % std::min<size_t>(i, 3);
        x = -o.x[j];
        w = engine_() % 2 == 0 ? o.w[j] : o.w[j] * (1 + std::ldexp(normal_(engine_), -12));
      }
      if (kind == Operands::kProducts) NextToMiddle(&x, &w);
      o.x.push_back(RoundValue(spec_, x));
      o.w.push_back(RoundValue(spec_, w));
    }
    return o;
  }

 private:
  // x and w of p bits, whose product's last p or p - 1 bits are those of a middle, or a few next to
  // it: x is odd, and w its inverse modulo a power of two times what is wanted.
  void NextToMiddle(double* x, double* w) {
    const int p = std::min(format_.precision, 30), dropped = p - static_cast<int>(engine_() % 2);
    if (dropped < 2) return;
    const uint64_t top = uint64_t{1} << (p - 1), mask = (uint64_t{1} << dropped) - 1;
    const uint64_t a = top | (engine_() & (top - 1)) | 1;
    uint64_t inverse = a;  // Newton: right modulo 8, then twice as many bits each time
    for (int i = 0; i < 5; ++i) inverse *= 2 - a * inverse;
    const uint64_t wanted = (mask >> 1) + 1 + engine_() % 7 - 3;
    const uint64_t b = (wanted * inverse & mask) | top;
    *x = std::ldexp(static_cast<double>(a), 1 - p) * (engine_() % 2 == 0 ? 1 : -1);
    *w = std::ldexp(static_cast<double>(b), 1 - p);
  }
  double One(Operands kind) {
    const uint64_t r = engine_();
    const double sign = r % 2 == 0 ? 1 : -1;
    switch (kind) {
      case Operands::kTies: {
        const int p = std::min(format_.precision, 30);
        const double m = 1 + std::ldexp(static_cast<double>(r >> 8 & 3),
                                        -(static_cast<int>(r >> 16 & 3) < 2 ? 1 : p - 1));
        return sign * std::ldexp(m, r % 5 == 0 ? 0 : -static_cast<int>((r >> 24) % (p + 2)));
      }
      case Operands::kExponents:
        return sign * AnyExponent();
      case Operands::kSpecial:
        return sign * Special(r >> 8);
      default:
        return normal_(engine_) * (r % 100 == 0 ? 30 : 1);
    }
  }
  double AnyExponent() {
    const int low = std::max(format_.emin - format_.precision, -1074), high = format_.emax;
    const int e = low + static_cast<int>(engine_() % static_cast<uint64_t>(high - low + 1));
    return std::ldexp(1 + std::ldexp(static_cast<double>(engine_() >> 12), -52), e);
  }
  double Special(uint64_t r) {
    switch (r % 40) {
      case 0:
        return 0;
      case 1:
        return r / 40 % 4 == 0 ? HUGE_VAL : 0;
      case 2:
        return r / 40 % 4 == 0 ? std::numeric_limits<double>::quiet_NaN() : 1;
      case 3:
        return format_.max_finite;
      case 4:
        return std::ldexp(1.0, std::max(format_.emin - format_.precision + 1, -1074));
      case 5:
        return std::ldexp(1.0, format_.emin);
      default:
        return r % 2 == 0 ? AnyExponent() : normal_(engine_);
    }
  }

  RoundSpec spec_;
  Format format_;
  RandomWords engine_;
  std::normal_distribution<double> normal_;
};

}  // namespace vernier

#endif  // VERNIER_OPS_FORMAT_TEST_CASES_H_
