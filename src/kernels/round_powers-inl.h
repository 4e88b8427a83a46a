// Rounding of rows to powers of two without sign and zero (e8m0): all fraction bits are cut, so the
// significand kept is always 1, and odd.
#ifndef VERNIER_KERNELS_ROUND_POWERS_INL_H_
#define VERNIER_KERNELS_ROUND_POWERS_INL_H_

#include "kernels/round_blocks-inl.h"

namespace vernier::VERNIER_TARGET {

// The mode that does the same to numbers above zero.
constexpr Rounding PowersMode(Rounding mode) {
  if (mode == Rounding::kNearestEven) return Rounding::kNearestAway;
  return mode == Rounding::kOdd || mode == Rounding::kDown ? Rounding::kTowardZero : mode;
}

// x rounded, right where x >= 0 is not beyond the largest number.
template <class T, Rounding kMode>
VERNIER_INLINE typename RoundTypes<T>::U RoundToPower(const RoundConstants<T>& c,
                                                      typename RoundTypes<T>::U smallest,
                                                      typename RoundTypes<T>::U x,
                                                      typename RoundTypes<T>::U random) {
  using R = RoundTypes<T>;
  auto v = R::LargerInteger(x, smallest);
  // The binade below `normal`, where the host's numbers are subnormal and have a bit less, as if it
  // had the exponent field 0: its lower end becomes 0.
  if constexpr (sizeof(T) == 4) v -= R::LargerInteger(c.normal - v, R::All(0));
  return R::LargerInteger(Cut<T, kMode>(c, v, random), smallest);
}

// Any x.
template <class T, Rounding kMode>
void PowersBlock(const RoundGrid<T>& g, const RoundConstants<T>& constants,
                 Randoms<T, kMode> randoms, const T* x, size_t n, T* y, LaneCounts<T>* total) {
  using R = RoundTypes<T>;
  const auto zero = R::All(0), smallest = R::All(g.smallest), max = R::All(g.max),
             infinity = R::All(R::kInfinity);
  const RoundConstants<T> c = constants;
  LaneCounts<T> counts = *total;
  for (size_t i = 0; i < n; i += R::kWidth) {
    const auto bits = R::LoadBits(x + i), u = bits & R::All(R::kMagnitude);
    const auto negative = R::Less(bits, zero) & R::AsU(u != zero);
    auto r = RoundToPower<T, kMode>(c, smallest, bits, randoms.Next(i / R::kWidth));
    const auto stays = R::Less(infinity, u), over = (R::Less(max, r) | negative) & ~stays;
    const auto above = R::Select(R::AsU(u == infinity), R::All(g.infinite), R::All(g.overflow[0]));
    const auto what = R::Select(negative, R::All(g.overflow[1]), above);
    r = R::Select(stays, bits, R::Select(over, what, r));
    counts.same = R::Increment(counts.same, r == bits);
    counts.saturated -= over;
    memcpy(y + i, &r, sizeof r);
  }
  *total = counts;
}

template <class T, Rounding kMode>
RoundCounts RoundPowersRow(const RoundGrid<T>& g, const RandomStream& stream, const T* x, size_t n,
                           T* y) {
  const RoundConstants<T> c(g);
  const BlockLimits<T> limits(g);
  const auto smallest = RoundTypes<T>::All(g.smallest), below = RoundTypes<T>::All(g.overflow[1]);
  LaneCounts<T> lanes;
  ForBlocks(x, n, y, [&](const T* from, T* to, size_t size, size_t first) {
    const auto round = [c, &limits, smallest, below](auto bits, auto random, auto* farthest,
                                                     auto* saturated) VERNIER_LAMBDA {
      const auto r = RoundToPower<T, kMode>(c, smallest, bits, random);
      limits.Look(bits, farthest);
      const auto negative = bits > RoundTypes<T>::All(RoundTypes<T>::kSign);
      *saturated = RoundTypes<T>::Increment(*saturated, negative);
      return negative ? below : r;
    };
    const auto otherwise = [&](const Randoms<T, kMode>& randoms, size_t i, size_t count) {
      PowersBlock<T, kMode>(g, c, randoms, from + i, count, to + i, &lanes);
    };
    RoundInPassing<T, kMode>(limits, Randoms<T, kMode>(stream, first), from, size, to, &lanes,
                             round, otherwise);
  });
  RoundCounts counts = lanes.Sum(WholeRegisters<T>(n));
  const size_t padding = WholeRegisters<T>(n) - n;  // its zeros changed
  counts.changed -= padding;
  return counts;
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_ROUND_POWERS_INL_H_
