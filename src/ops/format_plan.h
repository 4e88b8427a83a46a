// Which loop of kernels/chain.h does an arithmetic, and for which operands it is right.
#ifndef VERNIER_OPS_FORMAT_PLAN_H_
#define VERNIER_OPS_FORMAT_PLAN_H_

#include <cstddef>

#include "kernels/chain.h"
#include "ops/format_math.h"

namespace vernier {

// Exponents of some operands: floor(log2 |x|) of the smallest that is not zero (or of its last
// place in its format), and of the largest.
struct OperandRange {
  int low = 0, high = 0;
};

template <class T>
struct ChainPlan {
  using Bits = typename HostBits<T>::Type;
  typename ChainKernels<T>::Run run = nullptr;   // null: no loop does it
  typename ChainKernels<T>::Run rest = nullptr;  // what `run` leaves; null: no loop
  ChainFormat<T> product, sum;
  // For blocks of at most kBlock terms: lows of x and w may sum to `low` or more, highs to `high`
  // or less.
  int low = 0, high = 0;
  bool low_is_last_place = false;
  Bits lowest = 0, highest = 0;  // of sums before a block, and
  T largest = 0;                 // of all: as of ChainBlock
};
template <class T>
ChainPlan<T> PlanChains(const FormatMath& math, const ChainTables& tables);

// How floats become numbers of the values of an arithmetic, to nearest even.
template <class T>
struct ChainConversion {
  void (*run)(const ChainFormat<T>&, const float*, size_t, T*) = nullptr;  // null: no loop does it
  ChainFormat<T> format;
  float lowest = 0, highest = 0;  // magnitudes that it is right for, and zero
};
template <class T>
ChainConversion<T> PlanConversion(const FormatRounding& values, const ChainTables& tables);

// The range of x, numbers of `format`.
template <class T>
OperandRange RangeOf(const ChainPlan<T>& plan, const Format& format, const ChainExtent<T>& extent);

// Whether the sum of any two posits that have fraction bits, rounded to nearest in a binary format
// of `precision` bits and then to the posit, is the sum rounded once, where it has fraction bits
// too. docs/posit-sums.md has the proof.
bool PlainSumIsRight(const Format& posit, int precision);

// Whether the format is T, operations and all.
template <class T>
bool IsHostFormat(const FormatRounding& rounding);

}  // namespace vernier

#endif  // VERNIER_OPS_FORMAT_PLAN_H_
