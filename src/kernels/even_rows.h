// Rows that lie evenly in memory, which kernels read from one address on. Files of every
// instruction set include this: its functions are always in line, or a program would share one of
// them that was compiled for the newest machine.
#ifndef VERNIER_KERNELS_EVEN_ROWS_H_
#define VERNIER_KERNELS_EVEN_ROWS_H_

#include <cstddef>
#include <cstdint>

namespace vernier {

// Elements from row to row where rows of k are laid out anew: an odd number of cache lines, so that
// the rows of a tile fall into different sets of a cache.
template <class T>
[[gnu::always_inline]] constexpr size_t EvenStride(size_t k) {
  constexpr size_t kLine = 64;
  return ((k * sizeof(T) + kLine - 1) / kLine | 1) * kLine / sizeof(T);
}

// Elements from row to row of n rows of k; 0 where they do not lie evenly, or so that most of them
// fall into the same few sets.
template <class T>
[[gnu::always_inline]] inline size_t StrideOf(const T* const* x, size_t n, size_t k) {
  if (n < 2) return EvenStride<T>(k);
  constexpr size_t kFewSets = 1024;  // every fourth of 64 sets
  const uintptr_t start = reinterpret_cast<uintptr_t>(x[0]);
  const uintptr_t step = reinterpret_cast<uintptr_t>(x[1]) - start;
  // A step down is beyond all sizes.
  if (step < k * sizeof(T) || step > UINT32_MAX) return 0;
  if (step % sizeof(T) != 0 || step % kFewSets == 0) return 0;
  for (size_t j = 2; j < n; ++j)
    if (reinterpret_cast<uintptr_t>(x[j]) != start + j * step) return 0;
  return step / sizeof(T);
}

}  // namespace vernier

#endif  // VERNIER_KERNELS_EVEN_ROWS_H_
