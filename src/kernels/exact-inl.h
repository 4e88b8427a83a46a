// The loops of kernels/exact.h for one instruction set: fixed point here, products in
// exact_tile-inl.h, their sums as doubles in exact_odd-inl.h.
#ifndef VERNIER_KERNELS_EXACT_INL_H_
#define VERNIER_KERNELS_EXACT_INL_H_

#include "kernels/exact.h"
#include "kernels/exact_odd-inl.h"
#include "kernels/exact_tile-inl.h"
#include "kernels/vec-inl.h"

namespace vernier::VERNIER_TARGET {

// 256-bit multiplication is of 32 bits: there wide operands are two signed digits of 26 bits, the
// upper one in the upper half.
#if VERNIER_VECTOR_BYTES == 32
inline constexpr bool kSplit = true;
#else
inline constexpr bool kSplit = false;
#endif

template <class T>
void ExactLargest(const T* x, size_t steps, typename HostBits<T>::Type* largest) {
  using V = Vec<T>;
  using B = typename Native<T>::Bits;
  B most[V::kParts];
  memcpy(most, largest, sizeof most);
  const B magnitude = B{} + static_cast<decltype(B{}[0] + 0)>(~typename HostBits<T>::Type{0} >> 1);
  for (size_t i = 0; i < steps; ++i) {
#pragma GCC unroll 8
    for (int q = 0; q < V::kParts; ++q) {
      B bits;
      memcpy(&bits, x + i * kLanes + static_cast<size_t>(q) * V::kWidth, sizeof bits);
      bits &= magnitude;
      most[q] = bits > most[q] ? bits : most[q];
    }
  }
  memcpy(largest, most, sizeof most);
}

// Lanes that have an infinity or NaN, or a unit that does not suit them, may wrap.
typedef uint64_t FixedBits __attribute__((vector_size(VERNIER_VECTOR_BYTES)));

// X + 2^51 as two digits in [-2^25, 2^25], the lower one below 2^25.
VERNIER_INLINE FixedBits SplitDigits(FixedBits v) {
  const FixedBits u = v + (uint64_t{1} << 25);
  const FixedBits low = ((u & ((uint64_t{1} << 26) - 1)) - (uint64_t{1} << 25)) & 0xffffffff;
  return ((u >> 26) - (uint64_t{1} << 25)) << 32 | low;
}

template <class T, bool kWide, bool kRest>
void FixLanes(const ExactFixArgs<T>& a) {
  using V = Vec<double>;
  using F = Native<double>::Type;
  using B = FixedBits;
  // A few registers of lanes at a time, so that all of theirs stay in registers.
  constexpr int kAtOnce = V::kParts < 2 ? V::kParts : 2;
  for (int first = 0; first < V::kParts; first += kAtOnce) {
    const size_t at = static_cast<size_t>(first) * V::kWidth;
    F magic[kAtOnce];
    B add[kAtOnce], sums[kAtOnce], any[kAtOnce], inexact[kAtOnce];
    memcpy(magic, a.magic + at, sizeof magic);
    memcpy(add, a.add + at, sizeof add);
    memcpy(sums, a.sums + at, sizeof sums);
    memcpy(any, a.any + at, sizeof any);
    memcpy(inexact, a.inexact + at, sizeof inexact);
    for (size_t i = 0; i < a.steps; ++i) {
#pragma GCC unroll 2
      for (int q = 0; q < kAtOnce; ++q) {
        const size_t o = i * kLanes + at + static_cast<size_t>(q) * V::kWidth;
        const F x = LoadPart(a.x + o, 0.0), sum = x + magic[q];
        const F less = (sum - magic[q]) - x;  // (not its negative: +0 also where x is -0)
        const B v = reinterpret_cast<B>(sum) + add[q];
        sums[q] += v;
        any[q] |= v;
        inexact[q] |= reinterpret_cast<B>(less);
        const B out = kWide && kSplit ? SplitDigits(v) : v;
        memcpy(a.out + o, &out, sizeof out);
        if constexpr (kRest) {
          if constexpr (sizeof(T) == 4) {
            const auto narrow = NarrowPart(-less);
            memcpy(a.rest + o, &narrow, sizeof narrow);
          } else {
            const F rest = -less;
            memcpy(a.rest + o, &rest, sizeof rest);
          }
        }
      }
    }
    memcpy(a.sums + at, sums, sizeof sums);
    memcpy(a.any + at, any, sizeof any);
    memcpy(a.inexact + at, inexact, sizeof inexact);
  }
}

template <class T>
void ExactFix(const ExactFixArgs<T>& a, bool wide) {
  if (a.rest != nullptr) {
    wide ? FixLanes<T, true, true>(a) : FixLanes<T, false, true>(a);
  } else {
    wide ? FixLanes<T, true, false>(a) : FixLanes<T, false, false>(a);
  }
}

constexpr ExactKernels MakeExactKernels(ExactIsa isa, const char* name) {
  return {isa,
          name,
          kWideBias,
          kNarrowBiased,
          kNarrowMost,
          kNarrowSum,
          ExactLargest<float>,
          ExactLargest<double>,
          ExactFix<float>,
          ExactFix<double>,
          WideProduct,
          NarrowProduct,
          OddRows};
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_EXACT_INL_H_
