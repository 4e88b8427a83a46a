// The two products of attention (see ChainArgs): one register tile for scores and for weighted
// sums, its lanes running over keys or over elements of the head, as a matrix product's run over
// outputs. Which tile computes an output never changes its bits.
#ifndef VERNIER_KERNELS_ATTENTION_INL_H_
#define VERNIER_KERNELS_ATTENTION_INL_H_

#include "kernels/tile-inl.h"
#include "kernels/transpose-inl.h"
#include "kernels/vec-inl.h"

namespace vernier::VERNIER_TARGET {

// The accumulators of one pass over terms [i0, i1) that all N rows have.
template <class T, int P, int N>
struct ChainSums {
  static constexpr int kPass = Tile<T>::kPass;
  typename Vec<T>::Part sum[P][N][kPass] = {};

  // Adds term i to the rows that `has` holds of.
  template <class Has>
  VERNIER_INLINE void Add(const T* const* panel, const T* const* row, size_t i, int q, Has has) {
    typename Vec<T>::Part w[P][kPass];
#pragma GCC unroll 2
    for (int p = 0; p < P; ++p)
#pragma GCC unroll 2
      for (int c = 0; c < kPass; ++c)
        w[p][c] = LoadPart(panel[p] + i * kLanes + (q + c) * Vec<T>::kWidth, T{});
#pragma GCC unroll 12
    for (int j = 0; j < N; ++j) {
      if (!has(j)) continue;
      const typename Vec<T>::Part x = SetPart(row[j][i]);
#pragma GCC unroll 2
      for (int p = 0; p < P; ++p)
#pragma GCC unroll 2
        for (int c = 0; c < kPass; ++c) sum[p][j][c] = FmaPart(w[p][c], x, sum[p][j][c]);
    }
  }
};

// One block of the chains of P panels for rows j0 .. j0 + N - 1.
template <class T, int P, int N>
VERNIER_INLINE void ChainBlock(const ChainArgs<T>& a, size_t first_panel, size_t i0, size_t i1,
                               size_t j0) {
  const T *panel[P], *row[N];
  for (int p = 0; p < P; ++p)
    panel[p] = a.panels + (first_panel + static_cast<size_t>(p)) * a.panel_stride;
  size_t terms[N], common = i1, most = 0;
  for (int j = 0; j < N; ++j) {
    row[j] = a.x[j0 + static_cast<size_t>(j)];
    terms[j] = a.terms != nullptr ? a.terms[j0 + static_cast<size_t>(j)] : a.k;
    common = terms[j] < common ? terms[j] : common;
    most = terms[j] > most ? terms[j] : most;
  }
  if (most > i1) most = i1;
  Vec<T> t[P][N];
  constexpr int kPass = Tile<T>::kPass;
  for (int q = 0; q < Vec<T>::kParts; q += kPass) {
    ChainSums<T, P, N> sums;
    for (size_t i = i0; i < common; ++i) sums.Add(panel, row, i, q, [](int) { return true; });
    for (size_t i = common < i0 ? i0 : common; i < most; ++i)
      sums.Add(panel, row, i, q, [&](int j) { return i < terms[j]; });
    for (int p = 0; p < P; ++p)
      for (int j = 0; j < N; ++j)
        for (int c = 0; c < kPass; ++c) t[p][j].part[q + c] = sums.sum[p][j][c];
  }
  const bool add = a.add || i0 > 0;
  for (int j = 0; j < N; ++j) {
    if (terms[j] <= i0) continue;  // nothing of this block
    for (int p = 0; p < P; ++p) {
      const size_t first = (first_panel + static_cast<size_t>(p)) * kLanes;
      const size_t valid = a.outputs - first < kLanes ? a.outputs - first : kLanes;
      T* out = a.y[j0 + static_cast<size_t>(j)] + first;
      if (valid == kLanes) {
        Store(add ? Load<T>(out) + t[p][j] : t[p][j], out);
      } else {
        StoreFirst(add ? LoadFirst(out, valid, T{0}) + t[p][j] : t[p][j], out, valid);
      }
    }
  }
}

// All rows of one panel group and block: full tiles, then one of what is left.
template <class T, int P>
void ChainRows(const ChainArgs<T>& a, size_t panel, size_t i0, size_t i1) {
  constexpr int kRows = Tile<T>::kRows;
  size_t j = 0;
  for (; j + kRows <= a.n; j += kRows) ChainBlock<T, P, kRows>(a, panel, i0, i1, j);
  WithRows<kRows - 1>(a.n - j, [&](auto count) VERNIER_LAMBDA {
    ChainBlock<T, P, count.value>(a, panel, i0, i1, j);
  });
}

template <class T>
void Chains(const ChainArgs<T>& a) {
  const size_t panels = (a.outputs + kLanes - 1) / kLanes;
  size_t panel = 0;
  for (size_t step = 0; panel < panels; panel += step) {
    step = Tile<T>::kPanels == 2 && panel + 2 <= panels ? 2 : 1;
    for (size_t i0 = 0; i0 < a.k; i0 += kBlock) {
      const size_t i1 = i0 + kBlock < a.k ? i0 + kBlock : a.k;
      if constexpr (Tile<T>::kPanels == 2) {
        if (step == 2) ChainRows<T, 2>(a, panel, i0, i1);
      }
      if (step == 1) ChainRows<T, 1>(a, panel, i0, i1);
    }
  }
}

// Four elements of sixteen keys.
VERNIER_INLINE void PackFour(const float* const* k, size_t column, float* out) {
#pragma GCC unroll 4
  for (size_t l = 0; l < kLanes; l += 4)
    TransposeFour(k[l] + column, k[l + 1] + column, k[l + 2] + column, k[l + 3] + column, out + l,
                  kLanes);
}
VERNIER_INLINE void PackFour(const double* const* k, size_t column, double* out) {
  for (size_t i = 0; i < 4; ++i)
    for (size_t l = 0; l < kLanes; ++l) out[i * kLanes + l] = k[l][column + i];
}

// Rows of a head are short and lie apart: nothing but this has them come from memory in time.
template <class T>
VERNIER_INLINE void PrefetchRow(const T* row, size_t n) {
  for (size_t i = 0; i < n; i += 64 / sizeof(T)) __builtin_prefetch(row + i);
}

template <class T>
void PackKeys(const T* const* k, size_t column, size_t keys, size_t head_dim, T* panels) {
  for (size_t j = 0; j < keys; j += kLanes, panels += head_dim * kLanes) {
    for (size_t l = j + kLanes; l < keys && l < j + 2 * kLanes; ++l)
      PrefetchRow(k[l] + column, head_dim);
    size_t i = 0;
    if (j + kLanes <= keys)
      for (; i + 4 <= head_dim; i += 4) PackFour(k + j, column + i, panels + i * kLanes);
    for (; i < head_dim; ++i)
      for (size_t l = 0; l < kLanes; ++l)
        panels[i * kLanes + l] = j + l < keys ? k[j + l][column + i] : T{0};
  }
}

template <class T>
void PackValues(const T* const* v, size_t column, size_t keys, size_t head_dim, T* panels) {
  constexpr size_t kRowsAhead = 16;
  for (size_t d = 0; d < head_dim; d += kLanes, panels += kBlock * kLanes) {
    const size_t valid = head_dim - d < kLanes ? head_dim - d : kLanes;
    for (size_t j = 0; j < keys; ++j) {
      if (d == 0 && j + kRowsAhead < keys) PrefetchRow(v[j + kRowsAhead] + column, head_dim);
      const T* from = v[j] + column + d;
      Store(valid == kLanes ? Load<T>(from) : LoadFirst(from, valid, T{0}), panels + j * kLanes);
    }
  }
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_ATTENTION_INL_H_
