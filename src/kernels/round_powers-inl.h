// Rounding of rows to powers of two without sign and zero (e8m0): all fraction bits are cut, so the
// significand kept is always 1, and odd. One loop does all numbers.
#ifndef VERNIER_KERNELS_ROUND_POWERS_INL_H_
#define VERNIER_KERNELS_ROUND_POWERS_INL_H_

#include "kernels/round_blocks-inl.h"

namespace vernier::VERNIER_TARGET {

// The mode that does the same to numbers above zero.
constexpr Rounding PowersMode(Rounding mode) {
  if (mode == Rounding::kNearestEven) return Rounding::kNearestAway;
  return mode == Rounding::kOdd || mode == Rounding::kDown ? Rounding::kTowardZero : mode;
}

template <class T, Rounding kMode>
void PowersBlock(const RoundGrid<T>& g, const RoundConstants<T>& c, Randoms<T, kMode> randoms,
                 const T* x, size_t n, T* y, LaneCounts<T>* total) {
  using R = RoundTypes<T>;
  const auto zero = R::All(0), smallest = R::All(g.smallest), normal = R::All(g.normal),
             max = R::All(g.max), infinity = R::All(R::kInfinity);
  LaneCounts<T> counts = *total;
  for (size_t i = 0; i < n; i += R::kWidth) {
    const auto bits = R::LoadBits(x + i), u = bits & R::All(R::kMagnitude);
    const auto negative = R::Less(bits, zero) & R::AsU(u != zero);
    auto v = R::Select(R::Less(bits, smallest), smallest, bits);
    // The binade below `normal`, where the host's numbers are subnormal and have a bit less, as if
    // it had the exponent field 0: its lower end becomes 0.
    v = R::Select(R::Less(v, normal), v + v - normal, v);
    auto r = Cut<T, kMode>(c, v, randoms.Next());
    r = R::Select(R::Less(r, smallest), smallest, r);
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
  LaneCounts<T> lanes;
  ForBlocks(x, n, y, [&](const T* from, T* to, size_t size, size_t first) {
    PowersBlock<T, kMode>(g, c, Randoms<T, kMode>(stream, first), from, size, to, &lanes);
  });
  RoundCounts counts = lanes.Sum(WholeRegisters<T>(n));
  const size_t padding = WholeRegisters<T>(n) - n;  // its zeros changed
  counts.changed -= padding;
  return counts;
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_ROUND_POWERS_INL_H_
