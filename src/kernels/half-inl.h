// Rows of IEEE binary16 numbers (kernels.h, floats_of_halves). Included once per instruction set.
#ifndef VERNIER_KERNELS_HALF_INL_H_
#define VERNIER_KERNELS_HALF_INL_H_

#include <stdint.h>
#include <string.h>
#if VERNIER_VECTOR_BYTES > 16
#include <immintrin.h>
#else
#include "kernels/half.h"
#endif

namespace vernier::VERNIER_TARGET {

#if VERNIER_VECTOR_BYTES > 16
inline void FloatsOfHalves(const uint8_t* halves, size_t n, float* out) {
  size_t i = 0;
#if VERNIER_VECTOR_BYTES == 64
  for (; i + 16 <= n; i += 16) {
    __m256i bits;
    memcpy(&bits, halves + 2 * i, sizeof bits);
    // Masked, because GCC 12 warns of the unmasked one (it reads an undefined operand).
    _mm512_storeu_ps(out + i, _mm512_maskz_cvtph_ps(0xffff, bits));
  }
#endif
  for (; i < n; i += 8) {
    const size_t count = n - i < 8 ? n - i : 8;
    __m128i bits = _mm_setzero_si128();
    memcpy(&bits, halves + 2 * i, 2 * count);
    const __m256 floats = _mm256_cvtph_ps(bits);
    memcpy(out + i, &floats, 4 * count);
  }
}
#else
inline void FloatsOfHalves(const uint8_t* halves, size_t n, float* out) {
  for (size_t i = 0; i < n; ++i) {
    uint16_t bits;
    memcpy(&bits, halves + 2 * i, sizeof bits);
    out[i] = HalfBitsToFloat(bits);
  }
}
#endif

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_HALF_INL_H_
