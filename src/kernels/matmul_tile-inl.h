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
  bool fetch;              // X is not in the L2 cache yet: the tile after each is asked for
  T* sums[2];              // of the blocks before; row j at + j * kLanes
  size_t output, outputs;  // the first, and how many W has
  T* const* y;
  const uint8_t* next[2];  // what the next block's weights are made of, for the L2 cache
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

// Rows j0 to j0 + N - 1. For each 64 bytes of a row it asks for `step` bytes of the next weights: a
// few at a time, as many requests at once would hold up loads.
template <class T, int P, int N>
void TileBlock(const Block<T>& a, size_t j0, const uint8_t* ahead, size_t step) {
  constexpr size_t kLine = 64 / sizeof(T);
  constexpr int kPass = Tile<T>::kPass;
  const T *const w0 = a.w[0], *const w1 = a.w[P - 1];
  const size_t stride = a.stride;
  // Every third row: the two after it are one and two strides away, which an address can say.
  const T* row[(N + 2) / 3] = {a.x + j0 * stride};
#pragma GCC unroll 4
  for (int r = 1; r < (N + 2) / 3; ++r) row[r] = row[r - 1] + 3 * stride;
  Vec<T> t[P][N];
  for (int q = 0; q < Vec<T>::kParts; q += kPass) {
    typename Vec<T>::Part sum[P][N][kPass] = {};
    for (size_t i = 0; i < a.count;) {
      for (size_t line = 0; line < step; line += 64) __builtin_prefetch(ahead + line, 0, 2);
      ahead += step;
      if (a.fetch) {
#pragma GCC unroll 12
        for (int j = 0; j < N; ++j)
          __builtin_prefetch(row[j / 3] + static_cast<size_t>(N + j % 3) * stride + i, 0, 2);
      }
      const size_t end = a.count - i < kLine ? a.count : i + kLine;
#pragma GCC unroll 2
      for (; i < end; ++i) {
        typename Vec<T>::Part weight[P][kPass];
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p)
#pragma GCC unroll 2
          for (int c = 0; c < kPass; ++c)
            weight[p][c] =
                LoadPart((p == 0 ? w0 : w1) + i * kLanes + (q + c) * Vec<T>::kWidth, T{});
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
  const size_t tiles = (rows + kRows - 1) / kRows, least = rows / tiles, larger = rows % tiles;
  // Each tile asks for a share of the next block's weights: half of the tiles for each panel's.
  const size_t share = P * a.next_bytes / tiles, lines = (a.count * sizeof(T) + 63) / 64;
  const size_t step = (share + lines - 1) / lines;
  const uint8_t* ahead = a.next[0];
  for (size_t t = 0, from = 0, n; t < tiles; ++t, from += n, ahead += share) {
    n = least + (t < larger);
    if (P == 2 && t == (tiles + 1) / 2) ahead = a.next[1];
    if (a.last)
      for (size_t j = from; j < from + n; ++j)
        for (int q = 0; q < P; ++q) __builtin_prefetch(a.y[j] + a.output + q * kLanes, 1, 3);
    WithRows<Tile<T>::kRows>(
        n, [&](auto count) VERNIER_LAMBDA { TileBlock<T, P, count.value>(a, from, ahead, step); });
  }
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_MATMUL_TILE_INL_H_
