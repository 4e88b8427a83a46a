// One register of numbers rounded: the arithmetic under round-inl.h, which says how it is used.
//
// Written with GCC's vector types in the width of the target, so that every instruction set runs
// the same source.
#ifndef VERNIER_KERNELS_ROUND_LANES_INL_H_
#define VERNIER_KERNELS_ROUND_LANES_INL_H_

#include "kernels/round.h"
#include "kernels/vec-inl.h"

namespace vernier::VERNIER_TARGET {

template <class T>
struct Lane;
template <>
struct Lane<float> {
  typedef float F __attribute__((vector_size(VERNIER_VECTOR_BYTES)));
  typedef uint32_t U __attribute__((vector_size(VERNIER_VECTOR_BYTES)));
  typedef int32_t I __attribute__((vector_size(VERNIER_VECTOR_BYTES)));
  static constexpr int kFraction = 23, kBias = 127;
};
template <>
struct Lane<double> {
  typedef double F __attribute__((vector_size(VERNIER_VECTOR_BYTES)));
  typedef uint64_t U __attribute__((vector_size(VERNIER_VECTOR_BYTES)));
  typedef int64_t I __attribute__((vector_size(VERNIER_VECTOR_BYTES)));
  static constexpr int kFraction = 52, kBias = 1023;
};

template <class T>
struct RoundTypes {
  using F = typename Lane<T>::F;
  using U = typename Lane<T>::U;
  using I = typename Lane<T>::I;
  using Bits = typename HostBits<T>::Type;
  static constexpr int kFraction = Lane<T>::kFraction, kBias = Lane<T>::kBias;
  static constexpr size_t kWidth = VERNIER_VECTOR_BYTES / sizeof(T);
  static constexpr Bits kSign = Bits{1} << (sizeof(T) * 8 - 1), kMagnitude = kSign - 1,
                        kInfinity = Bits{2 * kBias + 1} << kFraction;

  static VERNIER_INLINE F AsF(U u) { return reinterpret_cast<F>(u); }
  static VERNIER_INLINE U AsU(F f) { return reinterpret_cast<U>(f); }
  static VERNIER_INLINE U AsU(I i) { return reinterpret_cast<U>(i); }
  static VERNIER_INLINE U All(Bits b) { return U{} + b; }
  static VERNIER_INLINE F AllF(T x) {  // through the bits: 0 + -0 is not -0
    Bits b;
    memcpy(&b, &x, sizeof b);
    return AsF(All(b));
  }
  // All ones where a < b as signed integers.
  static VERNIER_INLINE U Less(U a, U b) {
    return AsU(reinterpret_cast<I>(a) < reinterpret_cast<I>(b));
  }
  static VERNIER_INLINE U Select(U mask, U yes, U no) { return (mask & yes) | (~mask & no); }
  // The larger of two positive numbers, as bits; one instruction where there is no comparison of
  // 64-bit integers.
  static VERNIER_INLINE U Larger(U a, U b) { return AsU(AsF(a) > AsF(b) ? AsF(a) : AsF(b)); }
  // A number of places, the same for all lanes; where there are shifts by lanes, they are faster.
#if VERNIER_VECTOR_BYTES > 16
  using Shift = U;
  static VERNIER_INLINE Shift MakeShift(int places) { return All(static_cast<Bits>(places)); }
#else
  using Shift = int;
  static VERNIER_INLINE Shift MakeShift(int places) { return places; }
#endif
  // Half of a negative integer, rounded down.
  static VERNIER_INLINE U HalfNegative(U x) {
    if constexpr (sizeof(T) == 4 || VERNIER_VECTOR_BYTES == 64)
      return AsU(reinterpret_cast<I>(x) >> 1);
    return (x >> 1) | All(kSign);
  }
  static VERNIER_INLINE U LargerInteger(U a, U b) {
    return reinterpret_cast<I>(a) > reinterpret_cast<I>(b) ? a : b;
  }
#if VERNIER_VECTOR_BYTES == 64
  // One more, and one less, where the mask is. Masks are registers of their own here.
  static VERNIER_INLINE U Increment(U x, I mask) { return mask ? x + 1 : x; }
  static VERNIER_INLINE U Decrement(U x, I mask) { return mask ? x - 1 : x; }
  static VERNIER_INLINE U SignMask(U x) {
    return AsU(reinterpret_cast<I>(x) >> (sizeof(T) * 8 - 1));
  }
#else
  static VERNIER_INLINE U Increment(U x, I mask) { return x - AsU(mask); }
  static VERNIER_INLINE U Decrement(U x, I mask) { return x + AsU(mask); }
  static VERNIER_INLINE U SignMask(U x) {
    if constexpr (sizeof(T) == 4) return AsU(reinterpret_cast<I>(x) >> 31);
    return Less(x, U{});
  }
#endif
  static VERNIER_INLINE U LoadBits(const T* p) {
    U u;
    memcpy(&u, p, sizeof u);
    return u;
  }
};

// The random words of neighbours: triple32 of C. Wellons with the stream's key added half way.
template <class W>
VERNIER_INLINE W RandomWord(W x, uint32_t key) {
  x ^= x >> 17;
  x *= 0xed5ad4bb;
  x ^= x >> 11;
  x += key;
  x *= 0xac4c1b51;
  x ^= x >> 15;
  x *= 0x31848bab;
  return x ^ (x >> 14);
}

// The words of elements in order, from an element at the start of a block on; R = word >> 1 is what
// stochastic rounding takes, 31 bits. A register of words serves two of doubles: a lane's lower
// half the first, its upper half the second.
template <class T, Rounding kMode>
struct Randoms {
  using R = RoundTypes<T>;
  using U = typename R::U;
  static constexpr size_t kShare = sizeof(T) / 4;
  Lane<float>::U next;
  uint32_t key;
  U second;
  VERNIER_INLINE Randoms(const RandomStream& stream, size_t first)
      : next(), key(stream.key), second() {
    if constexpr (kMode == Rounding::kStochastic) {
      for (size_t l = 0; l < R::kWidth * kShare; ++l) {
        const size_t element = first + l % kShare * R::kWidth + l / kShare;
        next[l] = stream.start + static_cast<uint32_t>(element) * kRandomStep;
      }
    }
  }
  // Of the k-th register; call with 0, 1, 2, ...
  VERNIER_INLINE U Next(size_t k) {
    if constexpr (kMode != Rounding::kStochastic) return U{};
    if (k % kShare != 0) return second;
    const U word = reinterpret_cast<U>(RandomWord(next, key));
    next += static_cast<uint32_t>(R::kWidth * kShare) * kRandomStep;
    if constexpr (kShare == 1) return word >> 1;
    second = word >> 33;
    return (word << 32) >> 33;
  }
  VERNIER_INLINE void Skip(size_t registers) {
    next += static_cast<uint32_t>(R::kWidth * registers) * kRandomStep;
  }
};

// What the loops keep in registers.
template <class T>
struct RoundConstants {
  using R = RoundTypes<T>;
  using U = typename R::U;
  U mask, low, half, half_less, odd, unit;  // of the dropped bits
  typename R::Shift shift, random_shift;
  U normal, c_offset;
  VERNIER_INLINE explicit RoundConstants(const RoundGrid<T>& g) {
    using Bits = typename R::Bits;
    shift = R::MakeShift(g.shift);
    // Of doubles 21 places more.
    random_shift = R::MakeShift(sizeof(T) == 4 ? 31 - g.shift : 52 - g.shift);
    const bool any = g.shift > 0;
    const Bits rest = (Bits{1} << g.shift) - 1, middle = any ? Bits{1} << (g.shift - 1) : 0;
    mask = R::All(~rest);
    low = R::All(rest);
    half = R::All(middle);
    half_less = R::All(any ? middle - 1 : 0);
    odd = R::All(any ? 1 : 0);
    unit = R::All(rest + 1);
    normal = R::All(g.normal);
    c_offset = R::All(static_cast<Bits>(g.shift) << R::kFraction);
  }
};

// Cuts the dropped bits of x, sign and all, whose magnitude is normal and does not overflow.
template <class T, Rounding kMode>
VERNIER_INLINE typename RoundTypes<T>::U Cut(const RoundConstants<T>& c,
                                             typename RoundTypes<T>::U x,
                                             typename RoundTypes<T>::U random) {
  using R = RoundTypes<T>;
  if constexpr (kMode == Rounding::kNearestEven)
    return (x + c.half_less + ((x >> c.shift) & c.odd)) & c.mask;
  if constexpr (kMode == Rounding::kNearestAway) return (x + c.half) & c.mask;
  if constexpr (kMode == Rounding::kTowardZero) return x & c.mask;
  if constexpr (kMode == Rounding::kUp) return (x + (c.low & ~R::SignMask(x))) & c.mask;
  if constexpr (kMode == Rounding::kDown) return (x + (c.low & R::SignMask(x))) & c.mask;
  if constexpr (kMode == Rounding::kOdd) return (x & c.mask) | (((x & c.low) + c.low) & c.unit);
  // Stochastic: 31 random bits at the top of the dropped ones, or the top of the 31 where fewer are
  // dropped.
  if constexpr (sizeof(T) == 4) return (x + (random >> c.random_shift)) & c.mask;
  return (x + ((random << 21) >> c.random_shift)) & c.mask;
}

// 2^c of the magnitude of x, as bits.
template <class T>
VERNIER_INLINE typename RoundTypes<T>::U GridPower(const RoundConstants<T>& c,
                                                   typename RoundTypes<T>::U x) {
  using R = RoundTypes<T>;
  return R::Larger(x & R::All(R::kInfinity), c.normal) + c.c_offset;
}

// floor(y) for 0 <= y < 2^31, as integers.
VERNIER_INLINE Lane<float>::U Floor(Lane<float>::F y) {
  return reinterpret_cast<Lane<float>::U>(__builtin_convertvector(y, Lane<float>::I));
}
VERNIER_INLINE Lane<double>::U Floor(Lane<double>::F y) {
  using R = RoundTypes<double>;
  const auto integer = R::AllF(0x1p52);
  const auto sum = y + integer;
  return R::AsU(sum) + R::AsU(sum - integer > y) - R::AsU(integer);
}

// x rounded to the grid whose quantum is the unit in the last place of numbers from `power` = 2^c
// on; its result has the sign of x. kSignedZero: zero too; otherwise +0.
template <class T, Rounding kMode, bool kSignedZero>
VERNIER_INLINE typename RoundTypes<T>::U RoundToGrid(typename RoundTypes<T>::U bits,
                                                     typename RoundTypes<T>::U power,
                                                     typename RoundTypes<T>::U random) {
  using R = RoundTypes<T>;
  using F = typename R::F;
  using U = typename R::U;
  using Bits = typename R::Bits;
  constexpr bool kSigned =
      kMode == Rounding::kNearestEven || kMode == Rounding::kUp || kMode == Rounding::kDown;
  const F c = R::AsF(kSigned ? power | R::All(Bits{1} << (R::kFraction - 1)) : power);
  const F x = R::AsF(kSigned ? bits : bits & R::All(R::kMagnitude));
  const F sum = x + c, nearest = sum - c;
  const U sum_bits = R::AsU(sum);
  F r = nearest;
  if constexpr (kMode == Rounding::kUp) r = R::AsF(R::Increment(sum_bits, nearest < x)) - c;
  if constexpr (kMode == Rounding::kDown) r = R::AsF(R::Decrement(sum_bits, nearest > x)) - c;
  const U below = R::Decrement(sum_bits, nearest > x);  // C + the number below, of magnitudes
  if constexpr (kMode == Rounding::kTowardZero) r = R::AsF(below) - c;
  if constexpr (kMode == Rounding::kOdd) r = R::AsF(below | (R::AsU(nearest != x) & R::All(1))) - c;
  if constexpr (kMode == Rounding::kNearestAway) {
    const U half = power - R::All(Bits{R::kFraction + 1} << R::kFraction);
    r = R::AsF(R::Increment(sum_bits, x - nearest >= R::AsF(half))) - c;
  }
  if constexpr (kMode == Rounding::kStochastic) {
    const U scale =
        R::All(Bits{2 * R::kBias + 31 + R::kFraction} << R::kFraction) - power;  // 2^31/q
    const F fraction = (x - (R::AsF(below) - c)) * R::AsF(scale);
    r = R::AsF(below + ((Floor(fraction) + random) >> 31)) - c;
  }
  if constexpr (kSigned && !kSignedZero) return R::AsU(r);  // -1 + 1 is +0
  const U with_sign = R::AsU(r) | (bits & R::All(R::kSign));
  return kSignedZero ? with_sign : R::AsU(R::AsF(with_sign) + R::AllF(0));
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_ROUND_LANES_INL_H_
