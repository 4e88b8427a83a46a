#include "formats/round.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "formats/away.h"
#include "formats/posit.h"
#include "formats/round-inl.h"

namespace vernier {
namespace {

using internal::Host;
using internal::HostMax;
using internal::Overflowed;
using internal::PositPlace;

// Whether significand `m` with its low `shift` > 0 bits dropped goes to the next number away from
// zero. m < 2^53; shift may exceed 64.
bool GoesAway(uint64_t m, int shift, bool negative, Rounding rounding, uint32_t random) {
  const uint64_t rest = shift >= 64 ? m : m & ((uint64_t{1} << shift) - 1);
  if (rest == 0) return false;
  // From 55 dropped bits on, m < 2^53 is below half.
  const uint64_t half = shift >= 55 ? uint64_t{1} << 54 : uint64_t{1} << (shift - 1);
  const bool odd = shift < 64 && ((m >> shift) & 1) != 0;
  if (rounding != Rounding::kStochastic)
    return internal::GoesAway(rounding, rest < half ? -1 : rest > half, odd, negative);
  // floor(2^31 f), f = rest / 2^shift.
  const uint64_t f = shift <= 31 ? rest << (31 - shift) : shift < 95 ? rest >> (shift - 31) : 0;
  return (random >> 1) + f >= uint64_t{1} << 31;
}

// The largest float that the format holds.
float LargestFloat(const Format& format) {
  using H = Host<float>;
  const int p = std::min(format.precision, H::kPrecision);
  const double top = std::ldexp(2 - std::ldexp(1.0, 1 - p), H::kEmax);
  if (format.max_finite >= top) return static_cast<float>(top);
  const float nearest = static_cast<float>(format.max_finite);
  return nearest <= format.max_finite ? nearest : std::nextafter(nearest, 0.0f);
}

struct Parts {
  uint64_t m;  // |x| = m * 2^e, m > 0
  int e;
  int Exponent() const { return e + std::bit_width(m) - 1; }  // floor(log2 |x|)
};

// Of a finite nonzero magnitude.
template <class T>
Parts Decompose(typename Host<T>::Bits magnitude) {
  using H = Host<T>;
  const int field = static_cast<int>(magnitude >> H::kFraction);
  uint64_t m = magnitude & ((typename H::Bits{1} << H::kFraction) - 1);
  if (field > 0) m |= uint64_t{1} << H::kFraction;
  return {m, std::max(field, 1) - H::kEmax - H::kFraction};
}

// k * 2^e as std::ldexp gives it, without the call where 2^e is a normal double (ldexp took half of
// the scalar reference's time).
double Scaled(uint64_t k, int e) {
  const auto x = static_cast<double>(k);
  if (e < Host<double>::kEmin || e > Host<double>::kEmax) return std::ldexp(x, e);
  return x * std::bit_cast<double>(static_cast<uint64_t>(e + Host<double>::kEmax)
                                   << Host<double>::kFraction);
}

// The magnitude m * 2^e rounded to a multiple of 2^quantum; exact in double but for overflow, which
// gives infinity.
double RoundMagnitude(Parts x, int quantum, bool negative, Rounding rounding, uint32_t random) {
  const int shift = quantum - x.e;
  if (shift <= 0) return Scaled(x.m, x.e);
  const uint64_t kept = shift >= 64 ? 0 : x.m >> shift;
  const uint64_t away = GoesAway(x.m, shift, negative, rounding, random) ? 1 : 0;
  return Scaled(kept + away, quantum);
}

double PositValue(const RoundSpec& spec, uint64_t code) {
  const internal::PositNumber x = internal::DecodePosit(spec.posit_bits, spec.es, code);
  return Scaled(x.m, x.e);
}

// Whether floor(random / 2) + floor(2^31 f) >= 2^31, f = (x - 2^exponent) / (2^(exponent + gap) -
// 2^exponent): the posits around x are powers of two, gap <= 16, and x < 2^(exponent + gap). Exact:
// the same as (2^31 - floor(random / 2)) (2^gap - 1) <= 2^31 (x / 2^exponent - 1), whose left side
// is an integer.
bool RandomlyAbove(Parts x, int exponent, int gap, uint32_t random) {
  __extension__ using uint128 = unsigned __int128;
  const int shift = x.e - exponent + 64;  // 2^64 x / 2^exponent = m 2^shift < 2^80
  const uint128 scaled = shift >= 0 ? uint128{x.m} << shift : uint128{x.m} >> -shift;
  const uint64_t left = ((uint64_t{1} << 31) - (random >> 1)) * ((uint64_t{1} << gap) - 1);
  return uint128{left} << 33 <= scaled - (uint128{1} << 64);
}

bool PositGoesAway(const RoundSpec& spec, Parts x, PositPlace place, bool negative,
                   uint32_t random) {
  if (spec.rounding != Rounding::kStochastic)
    return internal::GoesAway(spec.rounding, place.middle, place.below % 2 != 0, negative);
  const auto u = internal::DecodePosit(spec.posit_bits, spec.es, place.below);
  const auto w = internal::DecodePosit(spec.posit_bits, spec.es, place.below + 1);
  if (u.m == 1 && w.m == 1) return RandomlyAbove(x, u.e, w.e - u.e, random);
  return GoesAway(x.m, std::min(u.e, w.e) - x.e, negative, Rounding::kStochastic, random);
}

// The magnitude of x, nonzero and not above the largest posit of the host, rounded to a posit.
// `smallest` is that of the host, a power of two.
double RoundPosit(const RoundSpec& spec, Parts x, double smallest, bool negative, uint32_t random) {
  const double value = Scaled(x.m, x.e);
  if (value < smallest) {
    switch (spec.rounding) {
      case Rounding::kTowardZero:
        return 0;
      case Rounding::kUp:
        return negative ? 0 : smallest;
      case Rounding::kDown:
        return negative ? smallest : 0;
      case Rounding::kStochastic: {
        const int shift = std::ilogb(smallest) - x.e;
        return GoesAway(x.m, shift, negative, spec.rounding, random) ? smallest : 0;
      }
      default:
        return smallest;
    }
  }
  const PositPlace place = internal::LocatePosit(spec.posit_bits, spec.es, x.m, x.e);
  if (place.exact) return value;
  const bool away = PositGoesAway(spec, x, place, negative, random);
  return PositValue(spec, place.below + (away ? 1 : 0));
}

template <class T>
T RoundToPosit(const RoundSpec& spec, T x, uint32_t random, bool* overflowed) {
  using H = Host<T>;
  using Bits = typename H::Bits;
  const Bits bits = std::bit_cast<Bits>(x), sign = bits & H::kSign, u = bits ^ sign;
  if (u == 0) return T{0};
  if (u > H::kInfinity) return x;
  if (u == H::kInfinity || std::bit_cast<T>(u) > HostMax<T>(spec)) {
    if (overflowed != nullptr) *overflowed = true;
    const Bits magnitude = u == H::kInfinity ? H::kQuietNan : Overflowed<T>(spec, false, sign != 0);
    return std::bit_cast<T>(magnitude | sign);
  }
  const double smallest = sizeof(T) == 4 ? double{spec.smallest_float} : spec.smallest_double;
  const double r = RoundPosit(spec, Decompose<T>(u), smallest, sign != 0, random);
  return r == 0 ? T{0} : static_cast<T>(sign != 0 ? -r : r);
}

// Of a format without zero and sign.
template <class T>
T RoundUnsigned(const RoundSpec& spec, T x, T rounded, bool* overflowed) {
  const T smallest = static_cast<T>(Scaled(1, spec.emin));
  if (std::isnan(rounded) || rounded > 0) return rounded;
  if (x == 0 || !std::signbit(x)) return smallest;
  if (overflowed != nullptr) *overflowed = true;
  if (spec.overflow == Overflow::kSaturate) return smallest;
  return std::bit_cast<T>(internal::OverflowBits<T>(spec) | Host<T>::kSign);
}

template <class T>
T RoundToFloat(const RoundSpec& spec, T x, uint32_t random, bool* overflowed) {
  using H = Host<T>;
  using Bits = typename H::Bits;
  const Bits bits = std::bit_cast<Bits>(x), sign = bits & H::kSign, u = bits ^ sign;
  const Bits sign_of_zero = spec.has_negative_zero ? sign : 0;
  if (u == 0) return std::bit_cast<T>(sign_of_zero);
  if (u > H::kInfinity || (u == H::kInfinity && spec.has_infinity)) return x;
  double r = 0;
  if (u != H::kInfinity) {
    const Parts parts = Decompose<T>(u);
    const int quantum = std::max(parts.Exponent(), spec.emin) - spec.precision + 1;
    r = RoundMagnitude(parts, quantum, sign != 0, spec.rounding, random);
  }
  if (u == H::kInfinity || r > static_cast<double>(HostMax<T>(spec))) {
    if (overflowed != nullptr) *overflowed = true;
    return std::bit_cast<T>(Overflowed<T>(spec, u == H::kInfinity, sign != 0) | sign);
  }
  if (spec.flush && r < Scaled(1, spec.emin)) r = 0;
  if (r == 0) return std::bit_cast<T>(sign_of_zero);
  return std::bit_cast<T>(std::bit_cast<Bits>(static_cast<T>(r)) | sign);
}

template <class T>
T Round(const RoundSpec& spec, T x, uint32_t random, bool* overflowed) {
  if (overflowed != nullptr) *overflowed = false;
  if (spec.posit_bits != 0) return RoundToPosit(spec, x, random, overflowed);
  if (spec.has_sign) return RoundToFloat(spec, x, random, overflowed);
  if (std::signbit(x)) return RoundUnsigned(spec, x, std::isnan(x) ? x : T{0}, overflowed);
  return RoundUnsigned(spec, x, RoundToFloat(spec, x, random, overflowed), overflowed);
}

}  // namespace

TreatmentCounts& TreatmentCounts::operator+=(const TreatmentCounts& other) {
  touched += other.touched;
  changed += other.changed;
  saturated += other.saturated;
  flushed += other.flushed;
  return *this;
}

Overflow DefaultOverflow(const Format& format) {
  if (format.has_infinity) return Overflow::kInfinity;
  if (format.kind == FormatKind::kPosit) return Overflow::kSaturate;
  return format.has_nan ? Overflow::kNan : Overflow::kSaturate;
}

RoundSpec MakeRoundSpec(const Format& format, Rounding rounding) {
  return MakeRoundSpec(format, rounding, DefaultOverflow(format));
}

RoundSpec MakeRoundSpec(const Format& format, Rounding rounding, Overflow overflow, bool flush) {
  CHECK(format.kind != FormatKind::kFixed);
  RoundSpec spec{.precision = format.precision,
                 .emin = format.emin,
                 .max_float = LargestFloat(format),
                 .max_double = format.max_finite,
                 .has_infinity = format.has_infinity,
                 .flush = flush || !format.has_subnormals,
                 .rounding = rounding,
                 .overflow = overflow,
                 .has_negative_zero = format.has_negative_zero,
                 .has_sign = format.has_sign,
                 .has_zero = format.has_zero};
  if (format.kind != FormatKind::kPosit) return spec;
  constexpr float kLargest = std::numeric_limits<float>::max();
  constexpr float kSmallest = std::numeric_limits<float>::denorm_min();
  spec.flush = false;
  spec.posit_bits = format.bits;
  spec.es = format.es;
  spec.smallest_double = std::ldexp(1.0, format.emin);
  RoundSpec inward = spec;
  inward.rounding = Rounding::kTowardZero;
  spec.max_float = static_cast<float>(RoundPosit(
      inward,
      Decompose<double>(std::bit_cast<uint64_t>(std::min<double>(kLargest, format.max_finite))),
      spec.smallest_double, false, 0));
  inward.rounding = Rounding::kUp;
  spec.smallest_float = static_cast<float>(RoundPosit(
      inward,
      Decompose<double>(std::bit_cast<uint64_t>(std::max<double>(kSmallest, spec.smallest_double))),
      spec.smallest_double, false, 0));
  return spec;
}

float RoundValue(const RoundSpec& spec, float x, uint32_t random, bool* overflowed) {
  return Round(spec, x, random, overflowed);
}

double RoundValue(const RoundSpec& spec, double x, uint32_t random, bool* overflowed) {
  return Round(spec, x, random, overflowed);
}

double RoundToMultiple(double x, int quantum, Rounding rounding, uint32_t random) {
  const uint64_t bits = std::bit_cast<uint64_t>(x), u = bits & ~Host<double>::kSign;
  if (u == 0) return x;
  const bool negative = bits != u;
  const double r = RoundMagnitude(Decompose<double>(u), quantum, negative, rounding, random);
  return negative ? -r : r;
}

}  // namespace vernier
