// Rows of X as the matrix kernels read them. Rows go in chunks of nearly equal numbers, each at
// most 256 rows: so many pass over the panels together, their block of 256 columns (256 KB of
// floats) in the L2 cache, and decoding a panel's block (500 cycles) is under 2 % of its products
// (32,000). The columns of a block lie together for a chunk: the kernels read memory from beginning
// to end.
//
// Only constants and constexpr functions: files of every instruction set include this.
#ifndef VERNIER_KERNELS_ARRANGED_H_
#define VERNIER_KERNELS_ARRANGED_H_

#include <cstddef>

namespace vernier {

inline constexpr size_t kArrangedRows = 256;
// From row to row of a chunk's block of 256 columns. Not a power of two, so that rows do not fall
// into the same set of the L1 cache.
inline constexpr size_t kArrangedStride = 256 + 16;

// Chunk c of n rows starts at row n * c / chunks.
constexpr size_t ArrangedChunks(size_t n) { return (n + kArrangedRows - 1) / kArrangedRows; }
constexpr size_t ArrangedSize(size_t n, size_t k) {
  return n * ((k + 255) / 256) * kArrangedStride;
}
// Where the block from column k0 on of the chunk of `rows` rows from row `first` on starts.
constexpr size_t ArrangedOffset(size_t first, size_t rows, size_t k, size_t k0) {
  return (first * ((k + 255) / 256) + rows * (k0 / 256)) * kArrangedStride;
}

// Writes the block of columns k0 .. k0 + 255 of n rows of k to where it belongs in `out`, which
// holds ArrangedSize(n, k) elements.
template <class T>
void ArrangeBlock(const T* const* x, size_t n, size_t k, size_t k0, T* out);

}  // namespace vernier

#endif  // VERNIER_KERNELS_ARRANGED_H_
