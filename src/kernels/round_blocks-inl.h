// What the loops over rows share (kernels/round.h): the look at a block, counts, the outcomes of
// numbers that are not plain, and the cutting of a row into blocks.
#ifndef VERNIER_KERNELS_ROUND_BLOCKS_INL_H_
#define VERNIER_KERNELS_ROUND_BLOCKS_INL_H_

#include "kernels/round_lanes-inl.h"

namespace vernier::VERNIER_TARGET {

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
      : one_(R::All(g.zero_is_plain ? 1 : 0)), twice_lowest_(R::All(2 * g.lowest)) {
    // Magnitudes less one are compared with the lower limit, so that zero is the largest.
    const auto lowest = g.zero_is_plain && g.lowest > 0 ? g.lowest - 1 : g.lowest;
    using Bits = typename R::Bits;
    constexpr Bits kOne = Bits{R::kBias} << R::kFraction;
    Bits span = 2 * (g.highest - g.lowest);
    if (g.kind == GridKind::kTapered) {
      const Bits above = 2 * (g.highest - kOne) + 1, below = 2 * (kOne - g.lowest) - 1;
      span = above < below ? above : below;
    }
    if constexpr (sizeof(T) == 4) {
      lowest_ = Words{} + lowest;
      highest_ = Words{} + g.highest;
      span_ = Words{} + span;
    } else {
      const auto up = (lowest + 0xffffffffu) >> 32;
      const auto down = (g.highest + 1) >> 32;  // magnitudes with an upper half below this
      lowest_ = reinterpret_cast<Words>(R::All(up << 32));
      highest_ = reinterpret_cast<Words>(R::All((down - 1) << 32 | 0xffffffffu));
      span_ = reinterpret_cast<Words>(R::All((((span + 1) >> 32) - 1) << 32));
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
  // The cheaper look in passing, which calls zeros, and doubles at the upper limit, not plain
  // though they may be: the distances of magnitudes from the lower limit, unsigned, so that what is
  // less comes out large. Twice all, which drops the sign.
  VERNIER_INLINE void Look(typename R::U bits, Words* farthest) const {
    Farther(bits + bits - twice_lowest_, farthest);
  }
  // For posits the distances are those of exponents from 0.
  static VERNIER_INLINE void Farther(typename R::U distance, Words* farthest) {
    const auto words = reinterpret_cast<Words>(distance);
    *farthest = words > *farthest ? words : *farthest;
  }
  VERNIER_INLINE bool Within(Words farthest) const {
    return !Any(reinterpret_cast<Words>(farthest > span_));
  }

 private:
  static VERNIER_INLINE bool Any(Words mask) {
    if constexpr (sizeof(T) == 8)
      mask &= reinterpret_cast<Words>(R::All(uint64_t{0xffffffff} << 32));
    return AnyBit(mask);
  }
  typename R::U one_, twice_lowest_;
  Words lowest_, highest_, span_;
};

// Counts of each lane.
template <class T>
struct LaneCounts {
  using U = typename RoundTypes<T>::U;
  U same = {}, saturated = {}, flushed = {};
  // Of `seen` elements.
  RoundCounts Sum(uint64_t seen) const {
    return {seen - SumCounts<T>(same), SumCounts<T>(saturated), SumCounts<T>(flushed)};
  }
};

// Ends the rounding of `bits`, of magnitude u, to the magnitude r: what stays or overflows (`over`:
// masks, of what stays too) gets its outcome, all else the sign of x. Counts.
template <class T>
VERNIER_INLINE typename RoundTypes<T>::U Settle(
    const RoundGrid<T>& g, typename RoundTypes<T>::U bits, typename RoundTypes<T>::U u,
    typename RoundTypes<T>::U r, typename RoundTypes<T>::U over, LaneCounts<T>* counts) {
  using R = RoundTypes<T>;
  const auto zero = R::All(0), sign = bits ^ u;
  const auto stays = R::Less(R::All(g.untouched), u);
  over &= ~stays;
  const auto finite = R::Select(R::Less(bits, zero), R::All(g.overflow[1]), R::All(g.overflow[0]));
  const auto what = R::Select(R::AsU(u == R::All(R::kInfinity)), R::All(g.infinite), finite);
  r = R::Select(stays, u, R::Select(over, what, r));
  const auto is_zero = R::AsU(r == zero);
  // Where -0 does not exist, zeros lose their sign.
  r |= g.signed_zero ? sign : sign & ~is_zero;
  counts->same = R::Increment(counts->same, r == bits);
  counts->saturated -= over;
  counts->flushed -= is_zero & R::AsU(u != zero);
  return r;
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

// Rows longer than this are fetched ahead: a processor does not do so by itself far enough where a
// loop computes much (e4m3 from memory: 70 to 74 % of memcpy's speed without, over 90 % with).
// Fetching what is written as well gains nothing more.
inline constexpr size_t kCachedBytes = 256 * 1024, kAhead = 4 * kRoundBlock;

// Rounds n elements, a multiple of the width, some registers at a time, with `round` (bits, random,
// &the farthest, &counts of what it saturates), which is right for those within the limits, looking
// at them meanwhile. Others go to otherwise(randoms, i, size) with their neighbours; after them the
// next registers go there untried.
template <class T, Rounding kMode, class Round, class Otherwise>
VERNIER_INLINE void RoundInPassing(const BlockLimits<T>& block_limits, Randoms<T, kMode> randoms,
                                   const T* x, size_t n, T* y, LaneCounts<T>* total, Round round,
                                   Otherwise otherwise) {
  using R = RoundTypes<T>;
  constexpr size_t kStep = 4 * R::kWidth;
  const BlockLimits<T> limits = block_limits;
  typename R::U same = {}, saturated = {};
  for (size_t i = 0, untried = 0; i < n; i += kStep) {
    const Randoms<T, kMode> at = randoms;
    const size_t size = n - i < kStep ? n - i : kStep;
    if (untried == 0 && size == kStep) {
      auto tried_same = same, tried_saturated = saturated;
      typename BlockLimits<T>::Words farthest = {};
      const auto next = [&](size_t k) VERNIER_LAMBDA {
        const auto bits = R::LoadBits(x + i + k * R::kWidth);
        const auto r = round(bits, randoms.Next(k), &farthest, &tried_saturated);
        tried_same = R::Increment(tried_same, r == bits);
        return r;
      };
      const auto r0 = next(0), r1 = next(1), r2 = next(2), r3 = next(3);
      if (__builtin_expect(limits.Within(farthest), 1)) {
        memcpy(y + i, &r0, sizeof r0);
        memcpy(y + i + R::kWidth, &r1, sizeof r1);
        memcpy(y + i + 2 * R::kWidth, &r2, sizeof r2);
        memcpy(y + i + 3 * R::kWidth, &r3, sizeof r3);
        same = tried_same;
        saturated = tried_saturated;
        continue;
      }
      untried = kLookEvery;
    } else {
      randoms.Skip(4);
    }
    otherwise(at, i, size);
    if (untried > 0) --untried;
  }
  total->same += same;
  total->saturated += saturated;
}

// The elements of a row of n with the padding of the last register.
template <class T>
VERNIER_INLINE uint64_t WholeRegisters(size_t n) {
  constexpr size_t kVector = RoundTypes<T>::kWidth;
  return (n + kVector - 1) / kVector * kVector;
}

// Calls f(x, y, size, first) on blocks of whole registers; the last one is padded with zeros.
template <class T, class F>
VERNIER_INLINE void ForBlocks(const T* x, size_t n, T* y, F f) {
  constexpr size_t kVector = RoundTypes<T>::kWidth;
  const size_t whole = n - n % kVector;
  for (size_t i = 0; i < whole; i += kRoundBlock) {
    if (n > kCachedBytes / sizeof(T) && i + kAhead + kRoundBlock <= whole) {
      for (size_t l = 0; l < kRoundBlock; l += 64 / sizeof(T))
        __builtin_prefetch(x + i + kAhead + l);
    }
    f(x + i, y + i, whole - i < kRoundBlock ? whole - i : kRoundBlock, i);
  }
  if (whole == n) return;
  T last[kVector] = {};
  memcpy(last, x + whole, (n - whole) * sizeof(T));
  f(static_cast<const T*>(last), last, kVector, whole);
  memcpy(y + whole, last, (n - whole) * sizeof(T));
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_ROUND_BLOCKS_INL_H_
