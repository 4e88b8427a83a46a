// Rounding of rows to the numbers of a format, as the inner loops see it: which bits or which grid,
// nothing of formats. formats/round.h defines the rounding and makes these structures; every table
// gives what its scalar RoundValue gives, bit for bit, counts included.
#ifndef VERNIER_KERNELS_ROUND_H_
#define VERNIER_KERNELS_ROUND_H_

#include <stddef.h>
#include <stdint.h>

namespace vernier {

enum class Rounding {
  kNearestEven,  // to the nearest number; halfway to the one with even significand m
  kNearestAway,  // to the nearest; halfway to the larger magnitude
  kTowardZero,
  kUp,    // towards +infinity
  kDown,  // towards -infinity
  kOdd,   // a number of the grid stays, all else goes to the neighbour with odd m (von Neumann)
  kStochastic,  // away from zero with probability (|x| - below) / gap, see RandomBits
};
inline constexpr int kRoundingModes = 7;

template <class T>
struct HostBits;
template <>
struct HostBits<float> {
  using Type = uint32_t;
};
template <>
struct HostBits<double> {
  using Type = uint64_t;
};

enum class GridKind {
  kWide,     // the host's exponents: the same number of bits is dropped from every number
  kNarrow,   // the same down to a smallest normal number, below it a uniform grid
  kTapered,  // posits: the number of bits dropped grows with the distance of the exponent from 0
  kPowers    // powers of two, without sign and zero
};
inline constexpr int kGridKinds = 4;

// What to do with the numbers of a row. Magnitudes are given as bits of the host, which ascend with
// them. "Plain" magnitudes are zero and those in [lowest, highest]: rounding them neither overflows
// nor meets an infinity or NaN.
template <class T>
struct RoundGrid {
  using Bits = typename HostBits<T>::Type;
  GridKind kind;
  bool zero_is_plain;  // numbers that are zero need only the loop of plain ones
  int shift;           // host bits dropped; kNarrow: at `normal` and above, >= 2; kTapered: where
                       // the exponent is in [-2^es, 2^es), below 0 where the host is coarser
  Bits lowest, highest;
  bool signed_zero;  // results that are zero have the sign of x; otherwise they are +0
  Bits normal;       // kNarrow: 2^emin; kPowers: 2 * smallest, or the host's smallest normal number
                     // where that is more
  Bits max;          // results above it overflow; kTapered: magnitudes above it
  Bits overflow[2];  // what becomes of overflows, x >= 0 and x < 0: magnitudes; kPowers: what
                     // becomes of those and of all x < 0, sign and all
  Bits infinite;     // what becomes of an infinity: a magnitude
  Bits untouched;    // magnitudes above this stay: NaN, and infinities where they exist
  // kWide and kNarrow:
  Bits beyond;         // magnitudes are cut to this power of two above `max` before rounding
  Bits smallest_kept;  // results below this become zero; 0: none
  // kTapered and kPowers:
  Bits smallest;  // the smallest number above zero
  // kTapered:
  int es;           // log2 of the number of binades that drop the same bits
  bool odd_ends;    // codes are odd where k, the exponent over 2^es, is even, when es + the host's
                    // fraction bits are dropped
  bool plain_stay;  // plain numbers are on the grid
  Bits below[2];    // what becomes of magnitudes between 0 and `smallest`, x > 0 and x < 0
  // Not null: rounds what is not plain.
  T (*slow)(const void* context, T x, uint32_t random, bool* overflowed);
  const void* context;
};

// Where the random words of a row come from (formats/round.h: RandomBits): element i uses the word
// of `start` + i * kRandomStep and `key`.
struct RandomStream {
  uint32_t start = 0, key = 0;
};
inline constexpr uint32_t kRandomStep = 0x9e3779b1;

struct RoundCounts {
  uint64_t changed = 0, saturated = 0, flushed = 0;
};

template <class T>
struct RoundKernels {
  // y[i] = x[i] rounded, 0 <= i < n < 2^31; y is x or does not overlap it. By kind and mode.
  using Row = RoundCounts (*)(const RoundGrid<T>& grid, const RandomStream& random, const T* x,
                              size_t n, T* y);
  Row row[kGridKinds][kRoundingModes];
};

}  // namespace vernier

#endif  // VERNIER_KERNELS_ROUND_H_
