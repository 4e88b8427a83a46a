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
// Where the exponents are the host's nearly all blocks are plain, and the look comes with the
// rounding. Posits and powers of two have files of their own.
#ifndef VERNIER_KERNELS_ROUND_INL_H_
#define VERNIER_KERNELS_ROUND_INL_H_

#include "kernels/round_blocks-inl.h"
#include "kernels/round_posit-inl.h"
#include "kernels/round_powers-inl.h"

namespace vernier::VERNIER_TARGET {

// The loops, over n elements, a multiple of the width.
template <class T, Rounding kMode>
void PlainBlock(const RoundConstants<T>& constants, Randoms<T, kMode> randoms, const T* x, size_t n,
                T* y, LaneCounts<T>* counts) {
  using R = RoundTypes<T>;
  const RoundConstants<T> c = constants;
  auto same = counts->same;
#pragma GCC unroll 4
  for (size_t i = 0; i < n; i += R::kWidth) {
    const auto bits = R::LoadBits(x + i), r = Cut<T, kMode>(c, bits, randoms.Next(i / R::kWidth));
    same = R::Increment(same, r == bits);
    memcpy(y + i, &r, sizeof r);
  }
  counts->same = same;
}

template <class T, Rounding kMode, bool kSignedZero>
void UniformBlock(const RoundConstants<T>& constants, Randoms<T, kMode> randoms, const T* x,
                  size_t n, T* y, LaneCounts<T>* counts) {
  using R = RoundTypes<T>;
  const RoundConstants<T> c = constants;
  auto same = counts->same, flushed = counts->flushed;
#pragma GCC unroll 2
  for (size_t i = 0; i < n; i += R::kWidth) {
    const auto bits = R::LoadBits(x + i);
    const auto r = RoundToGrid<T, kMode, kSignedZero>(bits, GridPower<T>(c, bits),
                                                      randoms.Next(i / R::kWidth));
    same = R::Increment(same, r == bits);
    const auto is_zero = R::AsF(r) == R::AllF(0);
    const auto was = kSignedZero ? r == bits : R::AsF(bits) == R::AllF(0);
    flushed = R::Increment(flushed, is_zero & ~was);
    memcpy(y + i, &r, sizeof r);
  }
  counts->same = same;
  counts->flushed = flushed;
}

template <class T, GridKind kKind, Rounding kMode>
void SpecialBlock(const RoundGrid<T>& g, const RoundConstants<T>& c, Randoms<T, kMode> randoms,
                  const T* x, size_t n, T* y, LaneCounts<T>* counts) {
  using R = RoundTypes<T>;
  const auto beyond = R::All(g.beyond), max = R::All(g.max);
  for (size_t i = 0; i < n; i += R::kWidth) {
    const auto bits = R::LoadBits(x + i), u = bits & R::All(R::kMagnitude), sign = bits ^ u;
    const auto cut = R::Select(R::Less(beyond, u), beyond, u) | sign,
               random = randoms.Next(i / R::kWidth);
    auto r = kKind == GridKind::kWide
                 ? Cut<T, kMode>(c, cut, random)
                 : RoundToGrid<T, kMode, true>(cut, GridPower<T>(c, cut), random);
    r &= R::All(R::kMagnitude);
    r &= ~R::Less(r, R::All(g.smallest_kept));
    r = Settle(g, bits, u, r, R::Less(max, r), counts);
    memcpy(y + i, &r, sizeof r);
  }
}

template <class T, Rounding kMode>
RoundCounts RoundWideRow(const RoundGrid<T>& g, const RandomStream& stream, const T* x, size_t n,
                         T* y) {
  const RoundConstants<T> c(g);
  const BlockLimits<T> limits(g);
  LaneCounts<T> lanes;
  ForBlocks(x, n, y, [&](const T* from, T* to, size_t size, size_t first) {
    const auto cut = [c, &limits](auto bits, auto random, auto* farthest, auto*) VERNIER_LAMBDA {
      limits.Look(bits, farthest);
      return Cut<T, kMode>(c, bits, random);
    };
    const auto otherwise = [&](const Randoms<T, kMode>& randoms, size_t i, size_t count) {
      if (limits.template Classify<true>(from + i, count) == BlockClass::kPlain)
        PlainBlock<T, kMode>(c, randoms, from + i, count, to + i, &lanes);
      else
        SpecialBlock<T, GridKind::kWide, kMode>(g, c, randoms, from + i, count, to + i, &lanes);
    };
    RoundInPassing<T, kMode>(limits, Randoms<T, kMode>(stream, first), from, size, to, &lanes, cut,
                             otherwise);
  });
  return lanes.Sum(WholeRegisters<T>(n));
}

template <class T, Rounding kMode>
RoundCounts RoundNarrowRow(const RoundGrid<T>& g, const RandomStream& stream, const T* x, size_t n,
                           T* y) {
  const RoundConstants<T> c(g);
  const BlockLimits<T> limits(g);
  LaneCounts<T> lanes;
  size_t look = 0;  // the lower limit is looked at when it is 0
  ForBlocks(x, n, y, [&](const T* from, T* to, size_t size, size_t first) {
    const Randoms<T, kMode> randoms(stream, first);
    // The loop for numbers below does all that are not special. After a block that had some it is
    // taken for the next ones without looking for them: that costs as much as it could save.
    const BlockClass what = look == 0 ? limits.template Classify<true>(from, size)
                                      : limits.template Classify<false>(from, size);
    look = what == BlockClass::kBelow ? (look + 1) % kLookEvery : 0;
    if (what == BlockClass::kPlain) {
      PlainBlock<T, kMode>(c, randoms, from, size, to, &lanes);
    } else if (what == BlockClass::kSpecial || g.smallest_kept != 0) {
      SpecialBlock<T, GridKind::kNarrow, kMode>(g, c, randoms, from, size, to, &lanes);
    } else if (g.signed_zero) {
      UniformBlock<T, kMode, true>(c, randoms, from, size, to, &lanes);
    } else {
      UniformBlock<T, kMode, false>(c, randoms, from, size, to, &lanes);
    }
  });
  return lanes.Sum(WholeRegisters<T>(n));
}

template <class T, Rounding kMode>
constexpr void FillMode(RoundKernels<T>* k) {
  const auto row = [k](GridKind kind) -> typename RoundKernels<T>::Row& {
    return k->row[static_cast<int>(kind)][static_cast<int>(kMode)];
  };
  row(GridKind::kWide) = RoundWideRow<T, kMode>;
  row(GridKind::kNarrow) = RoundNarrowRow<T, kMode>;
  row(GridKind::kTapered) = RoundPositRow<T, kMode>;
  row(GridKind::kPowers) = RoundPowersRow<T, PowersMode(kMode)>;
}

template <class T>
constexpr RoundKernels<T> MakeRoundKernels() {
  RoundKernels<T> k = {};
  FillMode<T, Rounding::kNearestEven>(&k);
  FillMode<T, Rounding::kNearestAway>(&k);
  FillMode<T, Rounding::kTowardZero>(&k);
  FillMode<T, Rounding::kUp>(&k);
  FillMode<T, Rounding::kDown>(&k);
  FillMode<T, Rounding::kOdd>(&k);
  FillMode<T, Rounding::kStochastic>(&k);
  return k;
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_ROUND_INL_H_
