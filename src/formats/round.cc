#include "formats/round.h"

#include <bit>
#include <cmath>

#include "formats/round-inl.h"

namespace vernier {
namespace {

using internal::Host;
using internal::HostMax;

constexpr uint64_t kGolden = 0x9e3779b97f4a7c15;

uint64_t Mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

// Whether significand `m` with its low `shift` > 0 bits dropped goes to the next number away from
// zero. m < 2^53; shift may exceed 64.
bool GoesAway(uint64_t m, int shift, bool negative, Rounding rounding, uint64_t random) {
  const uint64_t rest = shift >= 64 ? m : m & ((uint64_t{1} << shift) - 1);
  if (rest == 0) return false;
  // From 55 dropped bits on, m < 2^53 is below half.
  const uint64_t half = shift >= 55 ? uint64_t{1} << 54 : uint64_t{1} << (shift - 1);
  const bool odd = shift < 64 && ((m >> shift) & 1) != 0;
  switch (rounding) {
    case Rounding::kNearestEven:
      return rest > half || (rest == half && odd);
    case Rounding::kNearestAway:
      return rest >= half;
    case Rounding::kTowardZero:
      return false;
    case Rounding::kUp:
      return !negative;
    case Rounding::kDown:
      return negative;
    case Rounding::kOdd:
      return !odd;
    case Rounding::kStochastic:
      break;
  }
  if (shift >= 128) return false;
  return random < (shift > 64 ? rest >> (shift - 64) : rest << (64 - shift));
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
double RoundMagnitude(Parts x, int quantum, bool negative, Rounding rounding, uint64_t random) {
  const int shift = quantum - x.e;
  if (shift <= 0) return Scaled(x.m, x.e);
  const uint64_t kept = shift >= 64 ? 0 : x.m >> shift;
  const uint64_t away = GoesAway(x.m, shift, negative, rounding, random) ? 1 : 0;
  return Scaled(kept + away, quantum);
}

bool StaysFinite(Rounding rounding, bool negative) {
  return rounding == Rounding::kTowardZero || rounding == Rounding::kOdd ||
         rounding == (negative ? Rounding::kUp : Rounding::kDown);
}

template <class T>
T Round(const RoundSpec& spec, T x, uint64_t random, bool* overflowed) {
  using H = Host<T>;
  using Bits = typename H::Bits;
  const Bits bits = std::bit_cast<Bits>(x), sign = bits & H::kSign, u = bits ^ sign;
  if (overflowed != nullptr) *overflowed = false;
  if (u == 0 || u > H::kInfinity || (u == H::kInfinity && spec.has_infinity)) return x;
  double r = 0;
  if (u != H::kInfinity) {
    const Parts parts = Decompose<T>(u);
    const int quantum = std::max(parts.Exponent(), spec.emin) - spec.precision + 1;
    r = RoundMagnitude(parts, quantum, sign != 0, spec.rounding, random);
  }
  const T max = HostMax<T>(spec);
  if (u == H::kInfinity || r > static_cast<double>(max)) {
    if (overflowed != nullptr) *overflowed = true;
    const bool finite = u != H::kInfinity && StaysFinite(spec.rounding, sign != 0);
    const Bits result = finite ? std::bit_cast<Bits>(max) : internal::OverflowBits<T>(spec);
    return std::bit_cast<T>(result | sign);
  }
  if (spec.flush && r < Scaled(1, spec.emin)) r = 0;
  return std::bit_cast<T>(std::bit_cast<Bits>(static_cast<T>(r)) | sign);
}

template <class T>
TreatmentCounts Row(const RoundSpec& spec, T* row, size_t n, uint64_t key, uint64_t first) {
  using Bits = typename Host<T>::Bits;
  if (internal::HasFastRow<T>(spec)) return internal::FastRoundRow(spec, row, n);
  const bool stochastic = spec.rounding == Rounding::kStochastic;
  TreatmentCounts counts{n, 0, 0, 0};
  for (size_t i = 0; i < n; ++i) {
    bool over = false;
    const uint64_t random = stochastic ? RandomBits(key, first + i) : 0;
    const T x = row[i], r = Round(spec, x, random, &over);
    row[i] = r;
    counts.changed += std::bit_cast<Bits>(x) != std::bit_cast<Bits>(r);
    counts.saturated += over;
    counts.flushed += r == 0 && x != 0;
  }
  return counts;
}

}  // namespace

TreatmentCounts& TreatmentCounts::operator+=(const TreatmentCounts& other) {
  touched += other.touched;
  changed += other.changed;
  saturated += other.saturated;
  flushed += other.flushed;
  return *this;
}

uint64_t RandomBits(uint64_t key, uint64_t index) {
  return Mix(Mix(key ^ kGolden) + index * kGolden);
}

RoundSpec MakeRoundSpec(const Format& format, Rounding rounding, Overflow overflow, bool flush) {
  CHECK(format.kind == FormatKind::kFloat);
  return {.precision = format.precision,
          .emin = format.emin,
          .max_float = LargestFloat(format),
          .max_double = format.max_finite,
          .has_infinity = format.has_infinity,
          .flush = flush || !format.has_subnormals,
          .rounding = rounding,
          .overflow = overflow};
}

float RoundValue(const RoundSpec& spec, float x, uint64_t random, bool* overflowed) {
  return Round(spec, x, random, overflowed);
}

double RoundValue(const RoundSpec& spec, double x, uint64_t random, bool* overflowed) {
  return Round(spec, x, random, overflowed);
}

double RoundToMultiple(double x, int quantum, Rounding rounding, uint64_t random) {
  const uint64_t bits = std::bit_cast<uint64_t>(x), u = bits & ~Host<double>::kSign;
  if (u == 0) return x;
  const bool negative = bits != u;
  const double r = RoundMagnitude(Decompose<double>(u), quantum, negative, rounding, random);
  return negative ? -r : r;
}

TreatmentCounts RoundRow(const RoundSpec& spec, float* row, size_t n, uint64_t key,
                         uint64_t first) {
  return Row(spec, row, n, key, first);
}

TreatmentCounts RoundRow(const RoundSpec& spec, double* row, size_t n, uint64_t key,
                         uint64_t first) {
  return Row(spec, row, n, key, first);
}

}  // namespace vernier
