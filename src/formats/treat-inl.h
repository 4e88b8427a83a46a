// What the loops of treatments share: treat.cc and treat_blocks.cc.
#ifndef VERNIER_FORMATS_TREAT_INL_H_
#define VERNIER_FORMATS_TREAT_INL_H_

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "formats/round-inl.h"
#include "formats/treatment.h"

namespace vernier::internal {

template <class T>
using BitsOf = typename Host<T>::Bits;

// Magnitude bits, and all ones where the value is finite (0 elsewhere).
template <class T>
BitsOf<T> Magnitude(T x) {
  return std::bit_cast<BitsOf<T>>(x) & ~Host<T>::kSign;
}
template <class T>
BitsOf<T> FiniteMask(BitsOf<T> magnitude) {
  return MaskLess(magnitude, Host<T>::kInfinity);
}

inline double Limit(double x, double low, double high) {  // as two selections, which GCC vectorises
  x = x < low ? low : x;
  return x > high ? high : x;
}

// Within the finite numbers of the host type.
template <class T>
double LimitToHost(double v) {
  constexpr double kMax = std::numeric_limits<T>::max();
  return Limit(v, -kMax, kMax);
}

// x[i] = after[i] but where x[i] is NaN; counts changed and flushed elements. n < 2^31.
template <class T>
TreatmentCounts Store(const T* after, T* x, size_t n) {
  using Bits = BitsOf<T>;
  Bits same = 0, flushed = 0;  // counted downwards: a mask is -1
  for (size_t i = 0; i < n; ++i) {
    const Bits v = std::bit_cast<Bits>(x[i]), u = v & ~Host<T>::kSign;
    const Bits nan = MaskLess(Host<T>::kInfinity, u);
    const Bits r = Select(nan, v, std::bit_cast<Bits>(after[i]));
    x[i] = std::bit_cast<T>(r);
    const Bits difference = v ^ r;  // its sign bit put below, as MaskLess wants
    same += MaskLess((difference & ~Host<T>::kSign) | (difference >> 1), Bits{1});
    flushed += MaskLess(r & ~Host<T>::kSign, Bits{1}) & ~MaskLess(u, Bits{1});
  }
  TreatmentCounts counts;
  counts.changed = n - static_cast<Bits>(0 - same);
  counts.flushed = static_cast<Bits>(0 - flushed);
  return counts;
}

constexpr size_t kPiece = 256;      // elements that pass through the stages of a treatment together
constexpr double kBeyond = 0x1p20;  // beyond every integer range, zero point and all

// q[i], within +-kBeyond, to integers. Element i uses RandomBits(key, first + i).
void RoundToIntegers(Rounding rounding, double* q, size_t n, uint64_t key, uint64_t first);

// The largest finite magnitude, and whether all elements are finite. treat_blocks.cc
struct Largest {
  double magnitude = 0;
  bool all_finite = true;
};
template <class T>
Largest FindLargest(const T* x, size_t n);

// treat_blocks.cc: a row in MX or NVFP4; `shared` is of all that has one scale (MX with per=tensor
// or a row) or one tensor scale (NVFP4).
template <class T>
TreatmentCounts TreatBlocks(const Treatment& t, T* row, size_t n, uint64_t key, Largest shared);

// treat_stored.cc: storage types of GGUF files, encoded and decoded.
template <class T>
TreatmentCounts TreatStored(const Treatment& t, T* row, size_t n);

}  // namespace vernier::internal

#endif  // VERNIER_FORMATS_TREAT_INL_H_
