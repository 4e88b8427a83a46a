#include "formats/exact_sum.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "base/result.h"
#include "formats/away.h"
#include "formats/round-inl.h"

namespace vernier {
namespace {

using internal::Host;
__extension__ using uint128 = unsigned __int128;
__extension__ using int128 = __int128;

constexpr int kFraction = Host<double>::kFraction;
// Rounding to odd needs two bits more than the format has.
constexpr int kMostBits = kFraction + 1 - 2;

// |x| = m * 2^e of a finite x.
struct Parts {
  uint64_t m;
  int e;
};
Parts Decompose(double x) {
  const uint64_t u = std::bit_cast<uint64_t>(x) & ~Host<double>::kSign;
  const int field = static_cast<int>(u >> kFraction);
  const uint64_t fraction = u & ((uint64_t{1} << kFraction) - 1);
  return {field > 0 ? fraction | uint64_t{1} << kFraction : fraction,
          std::max(field, 1) - Host<double>::kEmax - kFraction};
}

// x without its low `shift` bits, to odd.
uint64_t ShiftToOdd(uint64_t m, int shift) {
  if (shift <= 0) return m;
  if (shift >= 64) return m != 0;
  return m >> shift | static_cast<uint64_t>((m << (64 - shift)) != 0);
}

// The magnitude as a double rounded to odd: of 53 bits, fewer where it is subnormal. What is too
// large is the largest double, whose fraction is odd.
double OddDouble(OddMagnitude x) {
  const int exponent = x.e + 63;
  if (exponent > Host<double>::kEmax) return std::numeric_limits<double>::max();
  const int quantum = std::max(exponent, Host<double>::kEmin) - kFraction;
  return std::ldexp(static_cast<double>(ShiftToOdd(x.m, quantum - x.e)), quantum);
}

struct Rounded {
  uint64_t m;
  int e;
};

// To a multiple of 2^quantum; quantum >= x.e + 2, so that the bits dropped show on which side of
// the middle they are.
Rounded RoundToQuantum(OddMagnitude x, int quantum, bool negative, Rounding rounding) {
  const int shift = quantum - x.e;
  const uint64_t kept = shift >= 64 ? 0 : x.m >> shift;
  if (shift > 64) return {internal::GoesAway(rounding, -1, false, negative) ? 1u : 0u, quantum};
  const uint64_t rest = shift == 64 ? x.m : x.m & ((uint64_t{1} << shift) - 1);
  const uint64_t half = uint64_t{1} << (shift - 1);
  if (rest == 0) return {kept, quantum};
  const int side = rest < half ? -1 : rest > half;
  return {kept + (internal::GoesAway(rounding, side, kept % 2 != 0, negative) ? 1 : 0), quantum};
}

// Formats of 52 and 53 bits: rounded to the grid here; RoundValue does what is left, which is
// overflow, flushing and signs.
double RoundWideFloat(const RoundSpec& spec, bool negative, OddMagnitude x) {
  const int exponent = x.e + 63;
  if (exponent <= Host<double>::kEmax + 1) {
    const int quantum = std::max(exponent, spec.emin) - spec.precision + 1;
    const Rounded r = RoundToQuantum(x, quantum, negative, spec.rounding);
    const double value = std::ldexp(static_cast<double>(r.m), r.e);
    if (value == 0) return RoundValue(spec, negative ? -0.0 : 0.0);
    if (std::isfinite(value)) return RoundValue(spec, negative ? -value : value);
  }
  const uint64_t magnitude = internal::Overflowed<double>(spec, false, negative);
  return std::bit_cast<double>(magnitude | (negative ? Host<double>::kSign : 0));
}

// A posit whose numbers near x have at least 51 fraction bits: to the posit, then to a double.
double RoundWidePosit(const RoundSpec& spec, bool negative, OddMagnitude x, int fraction_bits) {
  const int exponent = x.e + 63;
  const Rounded r = RoundToQuantum(x, exponent - fraction_bits, negative, spec.rounding);
  const double value = std::ldexp(static_cast<double>(r.m), r.e);
  return negative ? -value : value;
}

}  // namespace

bool RoundsFromOddDouble(const RoundSpec& spec) {
  return (spec.posit_bits != 0 ? spec.posit_bits - 2 - spec.es : spec.precision) <= kMostBits;
}

double RoundFixed(const RoundSpec& spec, int64_t high, uint64_t low, int e) {
  const int128 x = static_cast<int128>(high) * (int128{1} << kFraction) + static_cast<int128>(low);
  if (x == 0) return RoundValue(spec, 0.0);
  const uint128 m = x < 0 ? -static_cast<uint128>(x) : static_cast<uint128>(x);
  const uint64_t upper = static_cast<uint64_t>(m >> 64);
  const int zeros =
      upper != 0 ? std::countl_zero(upper) : 64 + std::countl_zero(static_cast<uint64_t>(m));
  const uint128 normal = m << zeros;
  const bool rest = static_cast<uint64_t>(normal) != 0;
  return RoundExact(
      spec, x < 0,
      {static_cast<uint64_t>(normal >> 64) | static_cast<uint64_t>(rest), e + 64 - zeros});
}

double RoundExact(const RoundSpec& spec, bool negative, OddMagnitude x) {
  CHECK(spec.rounding != Rounding::kStochastic);
  if (spec.posit_bits != 0) {
    const int exponent = x.e + 63, k = exponent >> spec.es;
    const int fraction_bits = spec.posit_bits - 1 - (k < 0 ? 1 - k : k + 2) - spec.es;
    if (fraction_bits >= kMostBits) return RoundWidePosit(spec, negative, x, fraction_bits);
  } else if (spec.precision > kMostBits) {
    return RoundWideFloat(spec, negative, x);
  }
  const double odd = OddDouble(x);
  return RoundValue(spec, negative ? -odd : odd);
}

void ExactSum::AddNonFinite(double x) {
  if (std::isnan(x)) {
    nan_ = true;
  } else {
    (x > 0 ? positive_infinity_ : negative_infinity_) = true;
  }
}

// Adds +-(high * 2^64 + low) * 2^e, high < 2^52.
void ExactSum::AddBits(bool negative, uint64_t low, uint64_t high, int e) {
  const int at = (e - kUnit) >> 5, shift = (e - kUnit) & 31;
  const uint128 a = uint128{low} << shift, b = uint128{high} << shift;
  const int64_t sign = negative ? -1 : 0;  // (d ^ sign) - sign: without a branch
  const auto digit = [sign](uint128 v) {
    return (static_cast<int64_t>(static_cast<uint32_t>(v)) ^ sign) - sign;
  };
  int64_t* d = digits_ + at;
  d[0] += digit(a);
  d[1] += digit(a >> 32);
  d[2] += digit(a >> 64) + digit(b);
  d[3] += digit(b >> 32);
  d[4] += digit(b >> 64);
  lowest_ = std::min(lowest_, at);
  highest_ = std::max(highest_, at + 4);
  if (++terms_ == kMostTerms) Carry();
}

void ExactSum::Add(double x) {
  if (!std::isfinite(x)) return AddNonFinite(x);
  const Parts p = Decompose(x);
  if (p.m != 0) AddBits(std::signbit(x), p.m, 0, p.e);
}

void ExactSum::AddProduct(double a, double b) {
  if (!std::isfinite(a) || !std::isfinite(b)) return AddNonFinite(a * b);
  const Parts p = Decompose(a), q = Decompose(b);
  const uint128 m = uint128{p.m} * q.m;
  if (m == 0) return;
  AddBits(std::signbit(a) != std::signbit(b), static_cast<uint64_t>(m),
          static_cast<uint64_t>(m >> 64), p.e + q.e);
}

void ExactSum::AddFixed(int64_t high, uint64_t low, int e) {
  const int128 x = static_cast<int128>(high) * (int128{1} << 52) + static_cast<int128>(low);
  if (x == 0) return;
  const uint128 m = x < 0 ? -static_cast<uint128>(x) : static_cast<uint128>(x);
  AddBits(x < 0, static_cast<uint64_t>(m), static_cast<uint64_t>(m >> 64), e);
}

// Every digit but the highest becomes one of 32 bits.
void ExactSum::Carry() {
  terms_ = 1;
  for (int i = lowest_; i < highest_ || (i == highest_ && std::abs(digits_[i]) >> 31 != 0); ++i) {
    const int64_t carry = digits_[i] >> 32;
    digits_[i] &= 0xffffffff;
    digits_[i + 1] += carry;
    highest_ = std::max(highest_, i + 1);
  }
}

void ExactSum::Clear() {
  for (int i = lowest_; i <= highest_; ++i) digits_[i] = 0;
  lowest_ = kDigits;
  highest_ = -1;
  terms_ = 0;
  nan_ = positive_infinity_ = negative_infinity_ = false;
}

int ExactSum::Sign() const {
  if (IsNan()) return 0;
  if (IsInfinite()) return positive_infinity_ ? 1 : -1;
  // The highest digit that is not zero has it: those below it are not negative.
  ExactSum sum = *this;
  sum.Carry();
  int top = sum.highest_;
  while (top >= sum.lowest_ && sum.digits_[top] == 0) --top;
  return top < sum.lowest_ ? 0 : sum.digits_[top] < 0 ? -1 : 1;
}

double ExactSum::Round(const RoundSpec& spec) const {
  CHECK(spec.rounding != Rounding::kStochastic);
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (IsNan()) return RoundValue(spec, std::numeric_limits<double>::quiet_NaN());
  if (IsInfinite()) return RoundValue(spec, positive_infinity_ ? kInfinity : -kInfinity);
  // With all digits but the highest from 0 to 2^32 - 1, that one has the sign of the sum.
  int64_t d[kDigits];
  int64_t carry = 0;
  int top = -1;
  for (int i = lowest_; i <= highest_; ++i) {
    const int64_t t = digits_[i] + carry;
    d[i] = t & 0xffffffff;
    carry = t >> 32;
    if (d[i] != 0) top = i;
  }
  const bool negative = carry < 0;
  int end = highest_ + 1;
  if (negative) {
    // 2^(32 n) less the digits, and the carry's complement above.
    int64_t borrow = 0;
    top = -1;
    for (int i = lowest_; i < end; ++i) {
      const int64_t t = -d[i] - borrow;
      d[i] = t & 0xffffffff;
      borrow = -(t >> 32);
      if (d[i] != 0) top = i;
    }
    carry = -carry - borrow;
  }
  if (carry != 0) {
    d[end] = carry;
    top = end++;
  }
  if (top < 0) return RoundValue(spec, 0.0);
  // 128 bits from the top digit on: at least 97 of them are of the number.
  uint128 bits = 0;
  for (int i = top; i > top - 4; --i)
    bits = bits << 32 | static_cast<uint128>(i >= lowest_ ? d[i] : 0);
  bool rest = false;
  for (int i = lowest_; i <= top - 4; ++i) rest = rest || d[i] != 0;
  const uint64_t upper = static_cast<uint64_t>(bits >> 64);
  const int shift = std::countl_zero(upper);  // below 32
  const uint128 normal = bits << shift;
  rest = rest || static_cast<uint64_t>(normal) != 0;
  return RoundExact(spec, negative,
                    {static_cast<uint64_t>(normal >> 64) | static_cast<uint64_t>(rest),
                     (top - 1) * 32 + kUnit - shift});
}

namespace {

// Integers x / 2^unit of up to `bits` bits, by one addition each: x + 1.5 * 2^(unit + 52) has them
// in its fraction bits (kernels/exact.h does the same for rows).
struct Scale {
  int unit;
  double magic;
  int64_t bits;  // of magic

  // For elements up to `largest`; false: out of range, or not finite.
  bool Choose(double largest, int operand_bits) {
    constexpr double kLeast = 0x1p-400, kMost = 0x1p400;
    if (largest == 0) largest = 1;
    if (!(largest >= kLeast && largest <= kMost)) return false;
    const int exponent =
        static_cast<int>(std::bit_cast<uint64_t>(largest) >> kFraction) - Host<double>::kEmax;
    unit = exponent + 1 - operand_bits;
    bits = static_cast<int64_t>(
        (static_cast<uint64_t>(unit + kFraction + Host<double>::kEmax) << kFraction) |
        uint64_t{1} << (kFraction - 1));
    magic = std::bit_cast<double>(bits);
    return true;
  }
};

// The largest magnitude of n >= 1 elements; infinite or NaN where one is.
template <class T>
double Largest(const T* x, size_t stride, size_t n) {
  typename Host<T>::Bits most = 0;
  for (size_t i = 0; i < n; ++i)
    most = std::max(most, std::bit_cast<typename Host<T>::Bits>(x[i * stride]) & ~Host<T>::kSign);
  return static_cast<double>(std::bit_cast<T>(most));
}

// The dot product in 128-bit integers, where both rows fit 51 bits below their largest elements.
template <class T>
bool DotOfIntegers(const RoundSpec& spec, const T* x, size_t x_stride, const T* w, size_t w_stride,
                   size_t n, double* result) {
  const int operand_bits = std::min(51, (115 - static_cast<int>(std::bit_width(n - 1))) / 2);
  Scale a, b;
  if (!a.Choose(Largest(x, x_stride, n), operand_bits) ||
      !b.Choose(Largest(w, w_stride, n), operand_bits))
    return false;
  int128 sum = 0;
  uint64_t inexact = 0;
  for (size_t i = 0; i < n; ++i) {
    const double u = static_cast<double>(x[i * x_stride]), v = static_cast<double>(w[i * w_stride]);
    const double p = u + a.magic, q = v + b.magic;
    // +0 where it is exact, also of -0.
    inexact |=
        std::bit_cast<uint64_t>((p - a.magic) - u) | std::bit_cast<uint64_t>((q - b.magic) - v);
    sum += static_cast<int128>(std::bit_cast<int64_t>(p) - a.bits) *
           (std::bit_cast<int64_t>(q) - b.bits);
  }
  if (inexact != 0) return false;
  *result =
      RoundFixed(spec, static_cast<int64_t>(sum >> kFraction),
                 static_cast<uint64_t>(sum) & ((uint64_t{1} << kFraction) - 1), a.unit + b.unit);
  return true;
}

}  // namespace

template <class T>
T ExactDot(const RoundSpec& spec, const T* x, size_t x_stride, const T* w, size_t w_stride,
           size_t n) {
  if (n == 0) return static_cast<T>(RoundValue(spec, 0.0));
  double result = 0;
  if (DotOfIntegers(spec, x, x_stride, w, w_stride, n, &result)) return static_cast<T>(result);
  ExactSum sum;
  for (size_t i = 0; i < n; ++i)
    sum.AddProduct(static_cast<double>(x[i * x_stride]), static_cast<double>(w[i * w_stride]));
  return static_cast<T>(sum.Round(spec));
}
template float ExactDot<float>(const RoundSpec&, const float*, size_t, const float*, size_t,
                               size_t);
template double ExactDot<double>(const RoundSpec&, const double*, size_t, const double*, size_t,
                                 size_t);

}  // namespace vernier
