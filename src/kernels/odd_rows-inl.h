// Rows rounded to odd (OddKernels). With rounding modes in the instructions this is right for all
// doubles; elsewhere it is not done here.
#ifndef VERNIER_KERNELS_ODD_ROWS_INL_H_
#define VERNIER_KERNELS_ODD_ROWS_INL_H_

#include "kernels/chain_lanes-inl.h"

namespace vernier::VERNIER_TARGET {

#if VERNIER_VECTOR_BYTES == 64
// f(i, mask) for the eight elements from i on that the mask has.
template <class F>
VERNIER_INLINE void ForEights(size_t n, F f) {
  size_t i = 0;
  for (; i + 8 <= n; i += 8) f(i, static_cast<__mmask8>(0xff));
  if (i < n) f(i, static_cast<__mmask8>((1u << (n - i)) - 1));
}

inline void OddProducts(double x, const double* w, size_t n, double* y) {
  const __m512d xs = _mm512_set1_pd(x);
  ForEights(n, [&](size_t i, __mmask8 m) {
    _mm512_mask_storeu_pd(y + i, m, MultiplyOdd(xs, _mm512_maskz_loadu_pd(m, w + i)));
  });
}
inline void OddFused(double x, const double* w, const double* s, size_t n, double* y) {
  const __m512d xs = _mm512_set1_pd(x);
  ForEights(n, [&](size_t i, __mmask8 m) {
    _mm512_mask_storeu_pd(
        y + i, m, FmaOdd(xs, _mm512_maskz_loadu_pd(m, w + i), _mm512_maskz_loadu_pd(m, s + i)));
  });
}
inline void OddSums(const double* a, const double* b, size_t n, double* y) {
  ForEights(n, [&](size_t i, __mmask8 m) {
    _mm512_mask_storeu_pd(y + i, m,
                          AddOdd(_mm512_maskz_loadu_pd(m, a + i), _mm512_maskz_loadu_pd(m, b + i)));
  });
}
inline void OddDifferences(const double* a, const double* b, size_t n, double* y) {
  const __m512d sign = _mm512_set1_pd(-0.0);
  ForEights(n, [&](size_t i, __mmask8 m) {
    const __m512d minus = _mm512_xor_pd(_mm512_maskz_loadu_pd(m, b + i), sign);
    _mm512_mask_storeu_pd(y + i, m, AddOdd(_mm512_maskz_loadu_pd(m, a + i), minus));
  });
}
inline constexpr OddKernels kOddTable = {OddProducts, OddFused, OddSums, OddDifferences};
inline constexpr const OddKernels* kOddRows = &kOddTable;
#else
inline constexpr const OddKernels* kOddRows = nullptr;
#endif

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_ODD_ROWS_INL_H_
