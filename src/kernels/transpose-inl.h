// A square of floats transposed, where kernels turn rows into lanes and back.
#ifndef VERNIER_KERNELS_TRANSPOSE_INL_H_
#define VERNIER_KERNELS_TRANSPOSE_INL_H_

#include "kernels/vec-inl.h"

namespace vernier::VERNIER_TARGET {

// Four rows of four; row i of the result, their elements i, goes to `to` + i * to_row.
VERNIER_INLINE void TransposeFour(const float* r0, const float* r1, const float* r2,
                                  const float* r3, float* to, size_t to_row) {
  typedef float Square __attribute__((vector_size(16)));
  Square a, b, c, d;
  memcpy(&a, r0, sizeof a);
  memcpy(&b, r1, sizeof b);
  memcpy(&c, r2, sizeof c);
  memcpy(&d, r3, sizeof d);
  const Square ab = __builtin_shufflevector(a, b, 0, 4, 1, 5),
               cd = __builtin_shufflevector(c, d, 0, 4, 1, 5),
               ab2 = __builtin_shufflevector(a, b, 2, 6, 3, 7),
               cd2 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  const Square y[4] = {
      __builtin_shufflevector(ab, cd, 0, 1, 4, 5), __builtin_shufflevector(ab, cd, 2, 3, 6, 7),
      __builtin_shufflevector(ab2, cd2, 0, 1, 4, 5), __builtin_shufflevector(ab2, cd2, 2, 3, 6, 7)};
#pragma GCC unroll 4
  for (size_t i = 0; i < 4; ++i) memcpy(to + i * to_row, &y[i], sizeof(Square));
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_TRANSPOSE_INL_H_
