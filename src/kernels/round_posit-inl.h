// Rounding of rows to posits. With |x| = 2^E * (1 + f), the bits of |x| less those of 1 are an
// integer d = (E + f) * 2^F, F the host's fraction bits. Its bits below the regime, es + F of them,
// are the exponent and the fraction of the posit's string (formats/posit.h), and its part above is
// k, so the posits with this k are the d that are multiples of 2^s, s = shift + (k or -k-1), also
// where exponent bits are missing (s > F); the next multiple after them is the first posit of the
// next regime. 2^s/2 is the bit that a posit one bit longer has: the threshold of the nearest
// modes. So all modes cut s bits of d, but that stochastic rounding goes by x itself, and d only up
// to s = F.
#ifndef VERNIER_KERNELS_ROUND_POSIT_INL_H_
#define VERNIER_KERNELS_ROUND_POSIT_INL_H_

#include "kernels/round_blocks-inl.h"

namespace vernier::VERNIER_TARGET {

template <class T>
struct PositConstants {
  using R = RoundTypes<T>;
  using U = typename R::U;
  U zero = R::All(0), unit = R::All(1), one, twice_one, field, shift, last_shift, odd_ends, lowest,
    smallest, largest;
  typename R::Shift regime, twice_regime;  // the bits below the regime, and one more
  VERNIER_INLINE explicit PositConstants(const RoundGrid<T>& g)
      : regime(R::MakeShift(R::kFraction + g.es)),
        twice_regime(R::MakeShift(R::kFraction + g.es + 1)) {
    using Bits = typename R::Bits;
    one = R::All(Bits{R::kBias} << R::kFraction);
    twice_one = one + one;
    field = R::All(Bits{1} << R::kFraction);
    shift = R::All(static_cast<Bits>(g.shift));
    last_shift = R::All(static_cast<Bits>(R::kFraction + g.es));
    odd_ends = R::All(g.odd_ends ? 1 : 0);
    lowest = R::All(g.lowest);
    smallest = R::All(g.smallest);
    largest = R::All(g.max);
  }
};

// d with its low s bits cut; x is what gives the sign. kPlain: s > 0 and not the last one.
template <class T, Rounding kMode, bool kPlain>
VERNIER_INLINE typename RoundTypes<T>::U CutRegime(const PositConstants<T>& c,
                                                   typename RoundTypes<T>::U d,
                                                   typename RoundTypes<T>::U s,
                                                   typename RoundTypes<T>::U x,
                                                   typename RoundTypes<T>::U random) {
  using R = RoundTypes<T>;
  const auto mask = ~c.zero << s, low = ~mask;
  // At the last shift the code ends in a bit of the regime: its parity is not k's for even N.
  [[maybe_unused]] const auto differs = kPlain ? c.zero : R::AsU(s == c.last_shift) & c.odd_ends;
  if constexpr (kMode == Rounding::kNearestEven) {
    // d + 2^s / 2, less 1 unless what is kept is odd.
    const auto even = kPlain ? ~(d >> s) & c.unit : (((d >> s) ^ differs) & low & c.unit) ^ c.unit;
    return (d - even - R::HalfNegative(mask)) & mask;
  }
  if constexpr (kMode == Rounding::kNearestAway) return (d + (low - (low >> 1))) & mask;
  if constexpr (kMode == Rounding::kTowardZero) return d & mask;
  if constexpr (kMode == Rounding::kUp) return (d + (low & ~R::SignMask(x))) & mask;
  if constexpr (kMode == Rounding::kDown) return (d + (low & R::SignMask(x))) & mask;
  if constexpr (kMode == Rounding::kOdd) {
    const auto below = d & mask, step = ((d & low) + low) & mask;
    if constexpr (kPlain) return below | step;
    return R::Select(R::AsU(differs != c.zero), below + (step & below), below | step);
  }
  // 31 bits at the top of the dropped ones.
  if constexpr (sizeof(T) == 4) return (d + (random >> (R::All(31) - s))) & mask;
  return (d + ((random << 32) >> (R::All(63) - s))) & mask;
}

// Of a number that is plain and not zero. With the exponent field moved up by a half of its range
// less one, which leaves its lower bits those of the exponent, the sign may stay. Looks at it too.
template <class T, Rounding kMode>
VERNIER_INLINE typename RoundTypes<T>::U RoundPlainPosit(const PositConstants<T>& c,
                                                         typename RoundTypes<T>::U bits,
                                                         typename RoundTypes<T>::U random,
                                                         Lane<float>::U* farthest) {
  using R = RoundTypes<T>;
  const auto twice = bits + bits - c.twice_one, distance = twice ^ R::SignMask(twice);
  BlockLimits<T>::Farther(distance, farthest);
  const auto s = (distance >> c.twice_regime) + c.shift;
  return CutRegime<T, kMode, true>(c, bits + c.field, s, bits, random) - c.field;
}

// n elements, a multiple of the width. kPlain: all are.
template <class T, Rounding kMode, bool kPlain>
void PositBlock(const RoundGrid<T>& g, const PositConstants<T>& constants,
                Randoms<T, kMode> randoms, const T* x, size_t n, T* y, LaneCounts<T>* total) {
  using R = RoundTypes<T>;
  const PositConstants<T> c = constants;
  LaneCounts<T> counts = *total;
#pragma GCC unroll 2
  for (size_t i = 0; i < n; i += R::kWidth) {
    const auto bits = R::LoadBits(x + i), u = bits & R::All(R::kMagnitude);
    // Zeros and all that is out of range go through as the end of it, so that every s is good.
    auto v = R::Larger(u, kPlain ? c.lowest : c.smallest);
    if constexpr (!kPlain) v = R::Select(R::Less(c.largest, v), c.largest, v);
    const auto d = v - c.one;
    auto s = ((d ^ R::SignMask(d)) >> c.regime) + c.shift;
    if constexpr (!kPlain) {
      s &= ~R::Less(s, c.zero);
      s = R::Select(R::Less(c.last_shift, s), c.last_shift, s);
    }
    auto r = CutRegime<T, kMode, kPlain>(c, d, s, bits, randoms.Next(i / R::kWidth)) + c.one;
    if constexpr (kPlain) {
      r = u != c.zero ? r | (bits ^ u) : c.zero;
      counts.same = R::Increment(counts.same, r == bits);
    } else {
      const auto tiny = R::Select(R::Less(bits, c.zero), R::All(g.below[1]), R::All(g.below[0]));
      r = R::Select(R::Less(u, c.smallest), tiny & R::AsU(u != c.zero), r);
      r = Settle(g, bits, u, r, R::Less(c.largest, u), &counts);
    }
    memcpy(y + i, &r, sizeof r);
  }
  *total = counts;
}

template <class T, Rounding kMode>
RoundCounts RoundPositRow(const RoundGrid<T>& g, const RandomStream& stream, const T* x, size_t n,
                          T* y) {
  const PositConstants<T> c(g);
  const BlockLimits<T> limits(g);
  LaneCounts<T> lanes;
  RoundCounts counts;
  uint64_t seen = 0;  // by the loops that count in lanes
  ForBlocks(x, n, y, [&](const T* start, T* out, size_t block, size_t first) {
    const auto looked_at = [&](const Randoms<T, kMode>& randoms, size_t i, size_t size) {
      const T* const from = start + i;
      T* const to = out + i;
      const bool plain = limits.template Classify<true>(from, size) == BlockClass::kPlain;
      if (plain && g.plain_stay) {
        if (from != to) memcpy(to, from, size * sizeof(T));
      } else if (plain) {
        seen += size;
        PositBlock<T, kMode, true>(g, c, randoms, from, size, to, &lanes);
      } else if (g.slow == nullptr) {
        seen += size;
        PositBlock<T, kMode, false>(g, c, randoms, from, size, to, &lanes);
      } else {
        T before[kRoundBlock];
        LaneCounts<T> unused;
        memcpy(before, from, size * sizeof(T));
        PositBlock<T, kMode, false>(g, c, randoms, from, size, to, &unused);
        for (size_t k = 0; k < size; ++k)
          to[k] = RoundSlowly(g, stream, first + i + k, before[k], to[k], &counts);
      }
    };
    const Randoms<T, kMode> randoms(stream, first);
    if (g.plain_stay || g.lowest > g.highest) return looked_at(randoms, 0, block);
    seen += block;
    const auto round = [c](auto bits, auto random, auto* farthest, auto*) VERNIER_LAMBDA {
      return RoundPlainPosit<T, kMode>(c, bits, random, farthest);
    };
    const auto otherwise = [&](const Randoms<T, kMode>& at, size_t i, size_t size) {
      seen -= size;
      looked_at(at, i, size);
    };
    RoundInPassing<T, kMode>(limits, randoms, start, block, out, &lanes, round, otherwise);
  });
  const RoundCounts fast = lanes.Sum(seen);
  return {counts.changed + fast.changed, counts.saturated + fast.saturated,
          counts.flushed + fast.flushed};
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_ROUND_POSIT_INL_H_
