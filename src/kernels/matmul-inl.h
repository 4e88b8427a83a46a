// Matrix products on 16-row panels (see MatMulArgs). One register tile for every number of rows: P
// panels by N rows of X, each output one chain over a block of 256 terms, blocks added in order;
// which tile computes an output never changes its bits.
#ifndef VERNIER_KERNELS_MATMUL_INL_H_
#define VERNIER_KERNELS_MATMUL_INL_H_

#include "kernels/vec-inl.h"

namespace vernier::VERNIER_TARGET {

// Tiles that fill the register file: of a panel's registers kPass at a time are held for a term,
// with one broadcast of X and P * N * kPass accumulators (16 registers for AVX2: 2 + 1 + 12; 32 for
// AVX-512). More of either and accumulators spill.
template <class T>
struct Tile {
  static constexpr int kPass = Vec<T>::kParts < 2 ? Vec<T>::kParts : 2;
  static constexpr int kRows = VERNIER_VECTOR_BYTES == 16   ? 1
                               : VERNIER_VECTOR_BYTES == 64 ? 12 / kPass
                                                            : 6;
  static constexpr int kPanels = VERNIER_VECTOR_BYTES == 64 ? 2 : 1;
};

inline constexpr size_t kRowsAtOnce =
    96;  // rows of X that pass over a panel together: their block stays in the L2 cache

// One block of the chains of P panels for N rows; `sum` says whether earlier blocks are in y
// already.
template <class T, class W, int P, int N>
VERNIER_INLINE void TileBlock(const MatMulArgs<T, W>& a, size_t panel, size_t k0, size_t k1,
                              const T* const* x, T* const* y) {
  const W* w[P];
  for (int p = 0; p < P; ++p) w[p] = a.panels + (panel + p) * a.k * kLanes;
  const T* row[N];
  for (int j = 0; j < N; ++j) row[j] = x[j];
  Vec<T> t[P][N];
  constexpr int kPass = Tile<T>::kPass;
  for (int q = 0; q < Vec<T>::kParts; q += kPass) {
    typename Vec<T>::Part sum[P][N][kPass] = {};
    for (size_t i = k0; i < k1; ++i) {
      typename Vec<T>::Part weight[P][kPass];
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p)
#pragma GCC unroll 2
        for (int c = 0; c < kPass; ++c)
          weight[p][c] = LoadPart(w[p] + i * kLanes + (q + c) * Vec<T>::kWidth, T{});
#pragma GCC unroll 12
      for (int j = 0; j < N; ++j) {
        const typename Vec<T>::Part x_j = SetPart(row[j][i]);
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p)
#pragma GCC unroll 2
          for (int c = 0; c < kPass; ++c) sum[p][j][c] = FmaPart(weight[p][c], x_j, sum[p][j][c]);
      }
    }
    for (int p = 0; p < P; ++p)
      for (int j = 0; j < N; ++j)
        for (int c = 0; c < kPass; ++c) t[p][j].part[q + c] = sum[p][j][c];
  }
  for (int p = 0; p < P; ++p) {
    const size_t first = (panel + p) * kLanes;
    const size_t valid = a.outputs - first < kLanes ? a.outputs - first : kLanes;
    for (int j = 0; j < N; ++j) {
      T* out = y[j] + first;
      if (valid == kLanes) {
        Store(k0 == 0 ? t[p][j] : Load<T>(out) + t[p][j], out);
      } else {
        StoreFirst(k0 == 0 ? t[p][j] : LoadFirst(out, valid, T{0}) + t[p][j], out, valid);
      }
    }
  }
}

template <class T, class W, int P, int N>
VERNIER_INLINE void Tiles(const MatMulArgs<T, W>& a, size_t panel, size_t k0, size_t k1, size_t j) {
  TileBlock<T, W, P, N>(a, panel, k0, k1, a.x + j, a.y + j);
}

// Rows [j, end) of one panel group and block: full tiles, then one tile of what is left.
template <class T, class W, int P>
void RowsOfBlock(const MatMulArgs<T, W>& a, size_t panel, size_t k0, size_t k1, size_t j,
                 size_t end) {
  constexpr int kRows = Tile<T>::kRows;
  for (; j + kRows <= end; j += kRows) Tiles<T, W, P, kRows>(a, panel, k0, k1, j);
  if constexpr (kRows > 1) {
    switch (end - j) {
#define VERNIER_CASE(N)                                              \
  case N:                                                            \
    if constexpr (N < kRows) Tiles<T, W, P, N>(a, panel, k0, k1, j); \
    break;
      VERNIER_CASE(1)
      VERNIER_CASE(2)
      VERNIER_CASE(3)
      VERNIER_CASE(4) VERNIER_CASE(5) VERNIER_CASE(6) VERNIER_CASE(7) VERNIER_CASE(8)
          VERNIER_CASE(9) VERNIER_CASE(10) VERNIER_CASE(11)
#undef VERNIER_CASE
              default : break;
    }
  }
}

template <class T, class W, int P>
void PanelsInGroups(const MatMulArgs<T, W>& a, size_t* panel, size_t j, size_t end) {
  for (; *panel + P <= a.last_panel; *panel += P)
    for (size_t k0 = 0; k0 < a.k; k0 += kBlock)
      RowsOfBlock<T, W, P>(a, *panel, k0, k0 + kBlock < a.k ? k0 + kBlock : a.k, j, end);
}

template <class T, class W>
void MatMul(const MatMulArgs<T, W>& a) {
  for (size_t j = 0; j < a.n; j += kRowsAtOnce) {
    const size_t end = j + kRowsAtOnce < a.n ? j + kRowsAtOnce : a.n;
    size_t panel = a.first_panel;
    // One row alone has one chain an output: several panels at once hide the latency of fma.
    if (a.n == 1) {
      for (; panel + 4 <= a.last_panel; panel += 4)
        for (size_t k0 = 0; k0 < a.k; k0 += kBlock)
          Tiles<T, W, 4, 1>(a, panel, k0, k0 + kBlock < a.k ? k0 + kBlock : a.k, 0);
    }
    if constexpr (Tile<T>::kPanels > 1) PanelsInGroups<T, W, Tile<T>::kPanels>(a, &panel, j, end);
    PanelsInGroups<T, W, 1>(a, &panel, j, end);
  }
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_MATMUL_INL_H_
