// Tiles of matrix products (matmul-inl.h): a few rows of X with two panels of weights over a block
// of 256 columns, their sums in registers.
#ifndef VERNIER_KERNELS_MATMUL_TILE_INL_H_
#define VERNIER_KERNELS_MATMUL_TILE_INL_H_

#include "kernels/tile-inl.h"
#include "kernels/vec-inl.h"

namespace vernier::VERNIER_TARGET {

// One block of the chains of some panels: 16 weights a column, and the block's columns of X.
template <class T>
struct Block {
  const T* w[2];
  const T* x;  // row j at x + j * stride
  size_t stride;
  size_t count;
  bool first, last;        // of the blocks of these chains
  T* sums[2];              // of the blocks before; row j at + j * kLanes
  size_t output, outputs;  // the first, and how many W has
  T* const* y;
  const uint8_t* next[2];  // what the next block's weights are made of
  size_t next_bytes;
};

// Sums of a tile after a block: to be added to, or complete.
template <class T, int P, int N>
VERNIER_INLINE void EndOfBlock(const Block<T>& a, size_t j0, Vec<T> (&t)[P][N]) {
  if (!a.first) {
#pragma GCC unroll 2
    for (int p = 0; p < P; ++p)
#pragma GCC unroll 12
      for (int j = 0; j < N; ++j)
        t[p][j] = Load<T>(a.sums[p] + (j0 + static_cast<size_t>(j)) * kLanes) + t[p][j];
  }
  if (!a.last) {
#pragma GCC unroll 2
    for (int p = 0; p < P; ++p)
#pragma GCC unroll 12
      for (int j = 0; j < N; ++j)
        Store(t[p][j], a.sums[p] + (j0 + static_cast<size_t>(j)) * kLanes);
    return;
  }
#pragma GCC unroll 2
  for (int p = 0; p < P; ++p) {
    const size_t output = a.output + static_cast<size_t>(p) * kLanes;
    const size_t valid = a.outputs - output < kLanes ? a.outputs - output : kLanes;
#pragma GCC unroll 12
    for (int j = 0; j < N; ++j) {
      T* out = a.y[j0 + static_cast<size_t>(j)] + output;
      if (valid == kLanes) {
        Store(t[p][j], out);
      } else {
        StoreFirst(t[p][j], out, valid);
      }
    }
  }
}

template <class T, int P, int N>
void TileBlock(const Block<T>& a, size_t j0, const uint8_t* ahead, size_t step) {
  const T* w[P];
  for (int p = 0; p < P; ++p) w[p] = a.w[p];
  const size_t stride = a.stride;
  // Every third row: the two after it are one and two strides away, which an address can say.
  const T* row[(N + 2) / 3];
  for (int j = 0; j < N; j += 3) row[j / 3] = a.x + (j0 + static_cast<size_t>(j)) * stride;
  const T* next = a.x + (j0 + static_cast<size_t>(N)) * stride;
  size_t column = 0;
  Vec<T> t[P][N];
  constexpr int kPass = Tile<T>::kPass;
  for (int q = 0; q < Vec<T>::kParts; q += kPass) {
    typename Vec<T>::Part sum[P][N][kPass] = {};
#pragma GCC unroll 2
    for (size_t i = 0; i < a.count; ++i) {
      // The next tile's rows, into the L2 cache (the first panels of a task find them in L3).
      __builtin_prefetch(next + column, 0, 2);
      column += 64 / sizeof(T);
      if (column >= a.count) {
        column = 0;
        next += stride;
      }
      // A few bytes of the next weights at a time: many requests at once would hold up loads.
      __builtin_prefetch(ahead + i * step, 0, 2);
      typename Vec<T>::Part weight[P][kPass];
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p)
#pragma GCC unroll 2
        for (int c = 0; c < kPass; ++c)
          weight[p][c] = LoadPart(w[p] + i * kLanes + (q + c) * Vec<T>::kWidth, T{});
#pragma GCC unroll 12
      for (int j = 0; j < N; ++j) {
        const typename Vec<T>::Part x_j =
            SetPart(row[j / 3][i + static_cast<size_t>(j % 3) * stride]);
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p)
#pragma GCC unroll 2
          for (int c = 0; c < kPass; ++c) sum[p][j][c] = FmaPart(weight[p][c], x_j, sum[p][j][c]);
      }
    }
#pragma GCC unroll 2
    for (int p = 0; p < P; ++p)
#pragma GCC unroll 12
      for (int j = 0; j < N; ++j)
#pragma GCC unroll 2
        for (int c = 0; c < kPass; ++c) t[p][j].part[q + c] = sum[p][j][c];
  }
  EndOfBlock<T, P, N>(a, j0, t);
}

// Rows in tiles of nearly equal numbers: a small last one would wait for its fma.
template <class T, int P>
void TilesOfBlock(const Block<T>& a, size_t rows) {
  constexpr size_t kRows = Tile<T>::kRows;
  const size_t tiles = (rows + kRows - 1) / kRows;
  for (size_t t = 0; t < tiles; ++t) {
    const size_t from = rows * t / tiles, to = rows * (t + 1) / tiles;
    // Each tile asks for a share of the next block's weights: half of the tiles for each panel's.
    const size_t p = P == 2 ? 2 * t / tiles : 0, share = P * a.next_bytes / tiles;
    const uint8_t* const ahead = a.next[p] + (t - (p * tiles + 1) / 2) * share;
    const size_t step = (share + a.count - 1) / a.count;
    if (a.last)
      for (size_t j = from; j < to; ++j)
        for (int q = 0; q < P; ++q) __builtin_prefetch(a.y[j] + a.output + q * kLanes, 1, 3);
    switch (to - from) {
#define VERNIER_CASE(N)                                                 \
  case N:                                                               \
    if constexpr (N <= kRows) TileBlock<T, P, N>(a, from, ahead, step); \
    break;
      VERNIER_CASE(1)
      VERNIER_CASE(2)
      VERNIER_CASE(3)
      VERNIER_CASE(4)
      VERNIER_CASE(5)
      VERNIER_CASE(6)
      VERNIER_CASE(7)
      VERNIER_CASE(8)
      VERNIER_CASE(9)
      VERNIER_CASE(10)
      VERNIER_CASE(11)
      VERNIER_CASE(12)
#undef VERNIER_CASE
      default:
        break;
    }
  }
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_MATMUL_TILE_INL_H_
