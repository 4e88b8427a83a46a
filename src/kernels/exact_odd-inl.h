// Sums of 116 bits as doubles rounded to odd (see ExactKernels::odd).
#ifndef VERNIER_KERNELS_EXACT_ODD_INL_H_
#define VERNIER_KERNELS_EXACT_ODD_INL_H_

#include "kernels/exact.h"
#include "kernels/vec-inl.h"

namespace vernier::VERNIER_TARGET {

__extension__ typedef __int128 Wide;
__extension__ typedef unsigned __int128 UnsignedWide;

inline constexpr uint64_t kLowMask = (uint64_t{1} << 52) - 1;

#if defined(VERNIER_IFMA)

// 8 of 64 bits: sums are modulo 2^64, and some pass through numbers that are.
typedef uint64_t Words __attribute__((vector_size(64)));
using SignedWords = Native<double>::Bits;

// -1 where the top bit is set, else 0; v / 2 rounded down, as signed numbers.
VERNIER_INLINE Words Signs(Words v) {
  return reinterpret_cast<Words>(reinterpret_cast<SignedWords>(v) >> 63);
}
VERNIER_INLINE Words Halved(Words v) {
  return reinterpret_cast<Words>(reinterpret_cast<SignedWords>(v) >> 1);
}

VERNIER_INLINE Words LoadWords(const void* p) {
  Words v;
  memcpy(&v, p, sizeof v);
  return v;
}
VERNIER_INLINE Words ShiftLeft(Words v, Words by) {  // by 64: 0
  return reinterpret_cast<Words>(
      _mm512_maskz_sllv_epi64(0xff, reinterpret_cast<__m512i>(v), reinterpret_cast<__m512i>(by)));
}
VERNIER_INLINE Words ShiftRight(Words v, Words by) {
  return reinterpret_cast<Words>(
      _mm512_maskz_srlv_epi64(0xff, reinterpret_cast<__m512i>(v), reinterpret_cast<__m512i>(by)));
}

// Eight at once: the magnitude is shifted until its top bit is that of a word, of which 53 bits are
// kept; the lowest says whether there was more.
VERNIER_INLINE __m512d OddPart(Words high, Words low, Words unit) {
  const Words negative = Signs(high);
  low = (low ^ negative) - negative;  // 0 - low, where it is negative
  high = (high ^ negative) - (negative & reinterpret_cast<Words>(low == 0));
  low &= kLowMask;
  const Words left =
      reinterpret_cast<Words>(_mm512_maskz_lzcnt_epi64(0xff, reinterpret_cast<__m512i>(high)));
  const Words tail = low << 12;
  const Words top = ShiftLeft(high, left) | ShiftRight(tail, 64 - left);
  const Words rest = ShiftLeft(tail, left) | (top & 0x7ff);
  const Words kept = (top >> 11) | (reinterpret_cast<Words>(rest != 0) & 1);
  const Words power = (unit + (63 + 1023) - left) << 52;
  const __m512d value = _mm512_maskz_cvtepi64_pd(0xff, reinterpret_cast<__m512i>(kept)) *
                        reinterpret_cast<__m512d>(power);
  return reinterpret_cast<__m512d>(reinterpret_cast<Words>(value) |
                                   (negative & (uint64_t{1} << 63)));
}

inline void OddRows(const int64_t* high, const uint64_t* low, size_t n, const int* x_units,
                    const int* w_units, double* out) {
  Words units[2];
  for (size_t l = 0; l < kLanes; ++l) units[l / 8][l % 8] = static_cast<uint64_t>(w_units[l]);
  for (size_t r = 0; r < n; ++r) {
#pragma GCC unroll 2
    for (size_t q = 0; q < 2; ++q) {
      const size_t at = r * kLanes + 8 * q;
      const __m512d odd = OddPart(LoadWords(high + at), LoadWords(low + at),
                                  units[q] + static_cast<uint64_t>(x_units[r]));
      memcpy(out + at, &odd, sizeof odd);
    }
  }
}

#else

inline void OddRows(const int64_t* high, const uint64_t* low, size_t n, const int* x_units,
                    const int* w_units, double* out) {
  for (size_t i = 0; i < n * kLanes; ++i) {
    const bool negative = high[i] < 0;
    uint64_t h = static_cast<uint64_t>(high[i]), l = low[i];
    if (negative) {
      h = l == 0 ? 0 - h : ~h;
      l = (0 - l) & kLowMask;
    }
    const int left = h == 0 ? 64 : __builtin_clzll(h);
    const uint64_t tail = l << 12;
    const uint64_t top = left == 64 ? tail : left == 0 ? h : h << left | tail >> (64 - left);
    const uint64_t rest = (left == 64 ? 0 : tail << left) | (top & 0x7ff);
    const uint64_t m = top >> 11 | static_cast<uint64_t>(rest != 0);
    const uint64_t power =
        static_cast<uint64_t>(x_units[i / kLanes] + w_units[i % kLanes] + 63 + 1023 - left) << 52;
    const double value = static_cast<double>(m) * __builtin_bit_cast(double, power);
    out[i] = negative ? -value : value;
  }
}

#endif

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_EXACT_ODD_INL_H_
