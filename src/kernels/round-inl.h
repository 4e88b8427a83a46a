// Rounding of rows (kernels/round.h). A row goes in blocks. A first look at a block finds its
// smallest and largest magnitude; they choose one of
//   plain    all within the normal numbers: the dropped bits are cut from the integer
//            representation, a carry out of the fraction increments the exponent, which is what
//            rounding up to the next binade means;
//   uniform  some below: rounded to the grid of quantum q by adding and subtracting C = 1.5 * 2^c,
//            whose unit in the last place is q (c follows the exponent of x down to emin). C + x
//            lies in [2^c, 2^(c+1)) because q is at least 4 units of x. From the sum rounded to
//            nearest even the other modes follow: its integer representation is one step of the
//            grid up or down, by the sign of the exact difference x - ((C + x) - C);
//   special  some overflow, or are infinite or NaN, or may be flushed: everything is looked at.
// Posits have the second only; c grows with the distance of the exponent from zero as well.
//
// Written with GCC's vector types in the width of the target, so that every instruction set runs
// the same source.
#ifndef VERNIER_KERNELS_ROUND_INL_H_
#define VERNIER_KERNELS_ROUND_INL_H_

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
  typedef U Word;  // as many 32-bit words
  static constexpr int kFraction = 23, kBias = 127;
};
template <>
struct Lane<double> {
  typedef double F __attribute__((vector_size(VERNIER_VECTOR_BYTES)));
  typedef uint64_t U __attribute__((vector_size(VERNIER_VECTOR_BYTES)));
  typedef int64_t I __attribute__((vector_size(VERNIER_VECTOR_BYTES)));
  typedef uint32_t Word __attribute__((vector_size(VERNIER_VECTOR_BYTES / 2)));
  static constexpr int kFraction = 52, kBias = 1023;
};

template <class T>
struct RoundTypes {
  using F = typename Lane<T>::F;
  using U = typename Lane<T>::U;
  using I = typename Lane<T>::I;
  using Word = typename Lane<T>::Word;
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

VERNIER_INLINE Lane<float>::U Widen(Lane<float>::U w, float) { return w; }
VERNIER_INLINE Lane<double>::U Widen(Lane<double>::Word w, double) {
  return __builtin_convertvector(w, Lane<double>::U);
}

// The words of elements in order, one register's lanes at a time; R = word >> 1 is what stochastic
// rounding takes, 31 bits.
template <class T, Rounding kMode>
struct Randoms {
  using R = RoundTypes<T>;
  using Word = typename R::Word;
  Word next;
  uint32_t key;
  VERNIER_INLINE Randoms(const RandomStream& stream, size_t first) : next(), key(stream.key) {
    if constexpr (kMode == Rounding::kStochastic) {
      for (size_t l = 0; l < R::kWidth; ++l)
        next[l] = stream.start + static_cast<uint32_t>(first + l) * kRandomStep;
    }
  }
  VERNIER_INLINE typename R::U Next() {
    if constexpr (kMode != Rounding::kStochastic) return typename R::U{};
    const Word word = RandomWord(next, key);
    next += static_cast<uint32_t>(R::kWidth) * kRandomStep;
    return Widen(word >> 1, T{});
  }
};

// What the loops keep in registers.
template <class T>
struct RoundConstants {
  using R = RoundTypes<T>;
  using U = typename R::U;
  U mask, low, half, half_less, odd, unit;  // of the dropped bits
  int shift, random_shift;
  U normal, lowest, c_offset;
  int es;
  VERNIER_INLINE explicit RoundConstants(const RoundGrid<T>& g) {
    using Bits = typename R::Bits;
    shift = g.shift;
    random_shift = 31 - shift;
    const Bits rest = (Bits{1} << shift) - 1, middle = shift > 0 ? Bits{1} << (shift - 1) : 0;
    mask = R::All(~rest);
    low = R::All(rest);
    half = R::All(middle);
    half_less = R::All(shift > 0 ? middle - 1 : 0);
    odd = R::All(shift > 0 ? 1 : 0);
    unit = R::All(rest + 1);
    normal = R::All(g.normal);
    lowest = R::All(g.lowest);
    c_offset = R::All(static_cast<Bits>(shift) << R::kFraction);
    es = g.es;
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
  return (x + ((random << 21) >> (c.random_shift + 21))) & c.mask;
}

// 2^c of the magnitude of x, as bits.
template <class T, GridKind kKind>
VERNIER_INLINE typename RoundTypes<T>::U GridPower(const RoundConstants<T>& c,
                                                   typename RoundTypes<T>::U x) {
  using R = RoundTypes<T>;
  const auto exponents = R::All(R::kInfinity);
  const auto e = x & exponents;
  if constexpr (kKind == GridKind::kNarrow) {
    return R::Larger(e, c.normal) + c.c_offset;
  } else {
    // With E the exponent and k = floor(E / 2^es), k or -k-1 bits more are dropped.
    const auto distance =
        (x & R::All(R::kMagnitude)) - R::All(typename R::Bits{R::kBias} << R::kFraction);
    return e + c.c_offset + (((distance ^ R::SignMask(distance)) >> c.es) & exponents);
  }
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

// True where any bit is set.
#if VERNIER_VECTOR_BYTES == 64
VERNIER_INLINE bool AnyBit(Lane<float>::U mask) {
  const __m512i m = reinterpret_cast<__m512i>(mask);
  return _mm512_test_epi32_mask(m, m) != 0;
}
#elif VERNIER_VECTOR_BYTES == 32
VERNIER_INLINE bool AnyBit(Lane<float>::U mask) {
  const __m256i m = reinterpret_cast<__m256i>(mask);
  return _mm256_testz_si256(m, m) == 0;
}
#else
VERNIER_INLINE bool AnyBit(Lane<float>::U mask) {
  uint64_t w[2];
  memcpy(w, &mask, sizeof w);
  return (w[0] | w[1]) != 0;
}
#endif

template <class T>
VERNIER_INLINE uint64_t SumCounts(typename RoundTypes<T>::U counts) {
  uint64_t sum = 0;
  for (size_t l = 0; l < RoundTypes<T>::kWidth; ++l) sum += counts[l];
  return sum;
}

enum class BlockClass { kPlain, kBelow, kSpecial };

// Looks at a block of whole registers. Only the upper halves of doubles are compared, so that a
// block may be called special or below without need at the very limits.
template <class T>
class BlockLimits {
 public:
  using R = RoundTypes<T>;
  using Words = Lane<float>::U;
  VERNIER_INLINE explicit BlockLimits(const RoundGrid<T>& g)
      : one_(R::All(g.zero_is_plain ? 1 : 0)) {
    // Magnitudes less one are compared with the lower limit, so that zero is the largest.
    const auto lowest = g.zero_is_plain && g.lowest > 0 ? g.lowest - 1 : g.lowest;
    if constexpr (sizeof(T) == 4) {
      lowest_ = Words{} + lowest;
      highest_ = Words{} + g.highest;
    } else {
      const auto up = (lowest + 0xffffffffu) >> 32;
      const auto down = (g.highest + 1) >> 32;  // magnitudes with an upper half below this
      lowest_ = reinterpret_cast<Words>(R::All(up << 32));
      highest_ = reinterpret_cast<Words>(R::All((down - 1) << 32 | 0xffffffffu));
    }
  }
  // Without kLow a block that is not special is called below.
  template <bool kLow>
  VERNIER_INLINE BlockClass Classify(const T* x, size_t n) const {
    using Int = Lane<float>::I;
    const auto magnitude = R::All(R::kMagnitude);
    Int high = {};
    Words low = ~Words{};
#pragma GCC unroll 4
    for (size_t i = 0; i < n; i += R::kWidth) {
      const auto u = R::LoadBits(x + i) & magnitude;
      const auto h = reinterpret_cast<Int>(u);
      high = h > high ? h : high;
      if constexpr (kLow) {
        const auto l = reinterpret_cast<Words>(u - one_);
        low = l < low ? l : low;
      }
    }
    if (Any(reinterpret_cast<Words>(high > reinterpret_cast<Int>(highest_))))
      return BlockClass::kSpecial;
    return !kLow || Any(reinterpret_cast<Words>(low < lowest_)) ? BlockClass::kBelow
                                                                : BlockClass::kPlain;
  }

 private:
  static VERNIER_INLINE bool Any(Words mask) {
    if constexpr (sizeof(T) == 8)
      mask &= reinterpret_cast<Words>(R::All(uint64_t{0xffffffff} << 32));
    return AnyBit(mask);
  }
  typename R::U one_;
  Words lowest_, highest_;
};

// Counts of each lane.
template <class T>
struct LaneCounts {
  using U = typename RoundTypes<T>::U;
  U same = {}, saturated = {}, flushed = {};
};

// The loops, over n elements, a multiple of the width.
template <class T, Rounding kMode>
void PlainBlock(const RoundConstants<T>& constants, Randoms<T, kMode> randoms, const T* x, size_t n,
                T* y, LaneCounts<T>* counts) {
  using R = RoundTypes<T>;
  const RoundConstants<T> c = constants;
  auto same = counts->same;
#pragma GCC unroll 4
  for (size_t i = 0; i < n; i += R::kWidth) {
    const auto bits = R::LoadBits(x + i), r = Cut<T, kMode>(c, bits, randoms.Next());
    same = R::Increment(same, r == bits);
    memcpy(y + i, &r, sizeof r);
  }
  counts->same = same;
}

template <class T, GridKind kKind, Rounding kMode, bool kSignedZero>
void UniformBlock(const RoundConstants<T>& constants, Randoms<T, kMode> randoms, const T* x,
                  size_t n, T* y, LaneCounts<T>* counts) {
  using R = RoundTypes<T>;
  const RoundConstants<T> c = constants;
  auto same = counts->same, flushed = counts->flushed;
#pragma GCC unroll 2
  for (size_t i = 0; i < n; i += R::kWidth) {
    const auto bits = R::LoadBits(x + i);
    // These modes divide by the quantum, which must be in range for zeros too.
    constexpr bool kDivides = kMode == Rounding::kNearestAway || kMode == Rounding::kStochastic;
    const auto at = kKind == GridKind::kTapered && kDivides
                        ? R::Larger(bits & R::All(R::kMagnitude), c.lowest)
                        : bits;
    const auto r =
        RoundToGrid<T, kMode, kSignedZero>(bits, GridPower<T, kKind>(c, at), randoms.Next());
    same = R::Increment(same, r == bits);
    if constexpr (kKind == GridKind::kNarrow) {
      const auto is_zero = R::AsF(r) == R::AllF(0);
      const auto was = kSignedZero ? r == bits : R::AsF(bits) == R::AllF(0);
      flushed = R::Increment(flushed, is_zero & ~was);
    }
    memcpy(y + i, &r, sizeof r);
  }
  counts->same = same;
  counts->flushed = flushed;
}

template <class T, GridKind kKind, Rounding kMode>
void SpecialBlock(const RoundGrid<T>& g, const RoundConstants<T>& c, Randoms<T, kMode> randoms,
                  const T* x, size_t n, T* y, LaneCounts<T>* counts) {
  using R = RoundTypes<T>;
  const auto beyond = R::All(g.beyond), max = R::All(g.max), zero = R::All(0);
  for (size_t i = 0; i < n; i += R::kWidth) {
    const auto bits = R::LoadBits(x + i), u = bits & R::All(R::kMagnitude), sign = bits ^ u;
    const auto cut = R::Select(R::Less(beyond, u), beyond, u) | sign, random = randoms.Next();
    auto r = kKind == GridKind::kWide ? Cut<T, kMode>(c, cut, random)
                                      : RoundToGrid<T, kMode, true>(
                                            cut, GridPower<T, GridKind::kNarrow>(c, cut), random);
    r &= R::All(R::kMagnitude);
    r &= ~R::Less(r, R::All(g.smallest_kept));
    const auto stays = R::Less(R::All(g.untouched), u), over = R::Less(max, r) & ~stays;
    const auto finite =
        R::Select(R::Less(bits, zero), R::All(g.overflow[1]), R::All(g.overflow[0]));
    const auto what = R::Select(R::AsU(u == R::All(R::kInfinity)), R::All(g.infinite), finite);
    r = R::Select(stays, u, R::Select(over, what, r));
    const auto is_zero = R::AsU(r == zero);
    // Where -0 does not exist, zeros lose their sign.
    r |= g.signed_zero ? sign : sign & ~is_zero;
    counts->same = R::Increment(counts->same, r == bits);
    counts->saturated -= over;
    counts->flushed -= is_zero & R::AsU(u != zero);
    memcpy(y + i, &r, sizeof r);
  }
}

// One number through grid.slow, unless it is plain.
template <class T>
VERNIER_INLINE T RoundSlowly(const RoundGrid<T>& g, const RandomStream& stream, size_t i, T x,
                             T plain, RoundCounts* counts) {
  using R = RoundTypes<T>;
  typename R::Bits bits, after;
  memcpy(&bits, &x, sizeof bits);
  const auto u = bits & R::kMagnitude;
  T y = plain;
  bool over = false;
  if (bits != 0 && (u < g.lowest || u > g.highest)) {
    const uint32_t word = stream.start + static_cast<uint32_t>(i) * kRandomStep;
    y = g.slow(g.context, x, RandomWord(word, stream.key), &over);
  }
  memcpy(&after, &y, sizeof after);
  counts->changed += after != bits;
  counts->saturated += over;
  counts->flushed += u != 0 && (after & R::kMagnitude) == 0;
  return y;
}

inline constexpr size_t kRoundBlock = 256, kLookEvery = 8;

// Calls f(x, y, size, first) on blocks of whole registers; the last one is padded with zeros.
template <class T, class F>
VERNIER_INLINE void ForBlocks(const T* x, size_t n, T* y, F f) {
  constexpr size_t kVector = RoundTypes<T>::kWidth;
  const size_t whole = n - n % kVector;
  for (size_t i = 0; i < whole; i += kRoundBlock)
    f(x + i, y + i, whole - i < kRoundBlock ? whole - i : kRoundBlock, i);
  if (whole == n) return;
  T last[kVector] = {};
  memcpy(last, x + whole, (n - whole) * sizeof(T));
  f(static_cast<const T*>(last), last, kVector, whole);
  memcpy(y + whole, last, (n - whole) * sizeof(T));
}

template <class T, GridKind kKind, Rounding kMode>
RoundCounts RoundRow(const RoundGrid<T>& g, const RandomStream& stream, const T* x, size_t n,
                     T* y) {
  const RoundConstants<T> c(g);
  const BlockLimits<T> limits(g);
  LaneCounts<T> lanes;
  RoundCounts counts;
  uint64_t seen = 0;  // by the loops that count in lanes
  size_t look = 0;    // the lower limit is looked at when it is 0
  ForBlocks(x, n, y, [&](const T* from, T* to, size_t size, size_t first) {
    const Randoms<T, kMode> randoms(stream, first);
    if constexpr (kKind == GridKind::kTapered) {
      if (limits.template Classify<true>(from, size) == BlockClass::kPlain) {
        seen += size;
        return UniformBlock<T, kKind, kMode, false>(c, randoms, from, size, to, &lanes);
      }
      T before[kRoundBlock];
      LaneCounts<T> unused;
      memcpy(before, from, size * sizeof(T));
      UniformBlock<T, kKind, kMode, false>(c, randoms, from, size, to, &unused);
      for (size_t i = 0; i < size; ++i)
        to[i] = RoundSlowly(g, stream, first + i, before[i], to[i], &counts);
    } else {
      // The loop for numbers below does all that are not special. After a block that had some it is
      // taken for the next ones without looking for them: that costs as much as it could save.
      const BlockClass what = look == 0 ? limits.template Classify<true>(from, size)
                                        : limits.template Classify<false>(from, size);
      look = kKind == GridKind::kNarrow && what == BlockClass::kBelow ? (look + 1) % kLookEvery : 0;
      seen += size;
      if (what == BlockClass::kPlain) {
        PlainBlock<T, kMode>(c, randoms, from, size, to, &lanes);
      } else if (kKind == GridKind::kWide || what == BlockClass::kSpecial || g.smallest_kept != 0) {
        SpecialBlock<T, kKind, kMode>(g, c, randoms, from, size, to, &lanes);
      } else if (g.signed_zero) {
        UniformBlock<T, GridKind::kNarrow, kMode, true>(c, randoms, from, size, to, &lanes);
      } else {
        UniformBlock<T, GridKind::kNarrow, kMode, false>(c, randoms, from, size, to, &lanes);
      }
    }
  });
  counts.changed += seen - SumCounts<T>(lanes.same);
  counts.saturated += SumCounts<T>(lanes.saturated);
  counts.flushed += SumCounts<T>(lanes.flushed);
  return counts;
}

template <class T>
RoundCounts RoundHeldRow(const RoundGrid<T>& g, const RandomStream& stream, const T* x, size_t n,
                         T* y) {
  const BlockLimits<T> limits(g);
  RoundCounts counts;
  ForBlocks(x, n, y, [&](const T* from, T* to, size_t size, size_t first) {
    if (limits.template Classify<true>(from, size) == BlockClass::kPlain) {
      if (from != to) memcpy(to, from, size * sizeof(T));
      return;
    }
    for (size_t i = 0; i < size; ++i)
      to[i] = RoundSlowly(g, stream, first + i, from[i], from[i], &counts);
  });
  return counts;
}

template <class T, GridKind kKind>
constexpr void FillModes(RoundKernels<T>* k) {
  auto& row = k->row[static_cast<int>(kKind)];
  row[static_cast<int>(Rounding::kNearestEven)] = RoundRow<T, kKind, Rounding::kNearestEven>;
  row[static_cast<int>(Rounding::kNearestAway)] = RoundRow<T, kKind, Rounding::kNearestAway>;
  row[static_cast<int>(Rounding::kTowardZero)] = RoundRow<T, kKind, Rounding::kTowardZero>;
  row[static_cast<int>(Rounding::kUp)] = RoundRow<T, kKind, Rounding::kUp>;
  row[static_cast<int>(Rounding::kDown)] = RoundRow<T, kKind, Rounding::kDown>;
  row[static_cast<int>(Rounding::kOdd)] = RoundRow<T, kKind, Rounding::kOdd>;
  row[static_cast<int>(Rounding::kStochastic)] = RoundRow<T, kKind, Rounding::kStochastic>;
}

template <class T>
constexpr RoundKernels<T> MakeRoundKernels() {
  RoundKernels<T> k = {};
  FillModes<T, GridKind::kWide>(&k);
  FillModes<T, GridKind::kNarrow>(&k);
  FillModes<T, GridKind::kTapered>(&k);
  k.held = RoundHeldRow<T>;
  return k;
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_ROUND_INL_H_
