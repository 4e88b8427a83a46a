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
#ifndef VERNIER_KERNELS_ROUND_INL_H_
#define VERNIER_KERNELS_ROUND_INL_H_

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

// Rows longer than this are fetched ahead: a processor does not do so by itself far enough where a
// loop computes much (e4m3 from memory: 70 to 74 % of memcpy's speed without, over 90 % with).
// Fetching what is written as well gains nothing more.
inline constexpr size_t kCachedBytes = 256 * 1024, kAhead = 4 * kRoundBlock;

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
