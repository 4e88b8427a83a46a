// Matrix products (see MatMulArgs). Few rows run with weights decoded in registers (packed-inl.h);
// more of them with weights decoded into a scratch of a block of 256 columns, which then serves
// every row. Either way an output is one chain over a block of 256 terms, blocks added in order;
// which loop computes it never changes its bits.
#ifndef VERNIER_KERNELS_MATMUL_INL_H_
#define VERNIER_KERNELS_MATMUL_INL_H_

#include "kernels/packed_kernels.h"
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

// Rows of X that pass over the panels together. Their block of 256 columns (256 KB of floats) stays
// in the L2 cache while all panels of a task meet it, and decoding 32 rows of weights (about 1000
// cycles) is under 2 % of their products (65,000).
inline constexpr size_t kRowsAtOnce = 256;
// Rows of a copied block of X are this far apart: rows of X itself may all fall into the same set
// of the L1 cache, and so do those whose distance is a power of two.
inline constexpr size_t kXStride = kBlock + 16;

// One block of the chains of some panels: 16 weights a column, and the block's columns of X.
template <class T>
struct Block {
  const T* w[2];
  const T* x;  // row j at x + j * kXStride
  size_t k0, count;
  size_t output, outputs;  // the first, and how many W has
  T* const* y;
};

template <class T, int P, int N>
void TileBlock(const Block<T>& a, size_t j0) {
  const T* w[P];
  for (int p = 0; p < P; ++p) w[p] = a.w[p];
  const T* const x = a.x + j0 * kXStride;
  Vec<T> t[P][N];
  constexpr int kPass = Tile<T>::kPass;
  for (int q = 0; q < Vec<T>::kParts; q += kPass) {
    typename Vec<T>::Part sum[P][N][kPass] = {};
    for (size_t i = 0; i < a.count; ++i) {
      typename Vec<T>::Part weight[P][kPass];
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p)
#pragma GCC unroll 2
        for (int c = 0; c < kPass; ++c)
          weight[p][c] = LoadPart(w[p] + i * kLanes + (q + c) * Vec<T>::kWidth, T{});
#pragma GCC unroll 12
      for (int j = 0; j < N; ++j) {
        const typename Vec<T>::Part x_j = SetPart(x[i + static_cast<size_t>(j) * kXStride]);
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
#pragma GCC unroll 2
  for (int p = 0; p < P; ++p) {
    const size_t first = a.output + static_cast<size_t>(p) * kLanes;
    const size_t valid = a.outputs - first < kLanes ? a.outputs - first : kLanes;
#pragma GCC unroll 12
    for (int j = 0; j < N; ++j) {
      T* out = a.y[j0 + j] + first;
      if (valid == kLanes) {
        Store(a.k0 == 0 ? t[p][j] : Load<T>(out) + t[p][j], out);
      } else {
        StoreFirst(a.k0 == 0 ? t[p][j] : LoadFirst(out, valid, T{0}) + t[p][j], out, valid);
      }
    }
  }
}

// Rows in tiles of nearly equal numbers: a small last one would wait for its fma.
template <class T, int P>
void TilesOfBlock(const Block<T>& a, size_t rows) {
  constexpr size_t kRows = Tile<T>::kRows;
  const size_t tiles = (rows + kRows - 1) / kRows;
  for (size_t t = 0; t < tiles; ++t) {
    const size_t from = rows * t / tiles, to = rows * (t + 1) / tiles;
    switch (to - from) {
#define VERNIER_CASE(N)                                    \
  case N:                                                  \
    if constexpr (N <= kRows) TileBlock<T, P, N>(a, from); \
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

// All blocks, panels and rows; weights(panel, k0, count, p) gives panel `panel`'s weights of the
// block, which stay valid until it is asked for the p-th again.
template <class T, class Weights>
void MatMulByBlocks(size_t k, size_t outputs, size_t first_panel, size_t last_panel,
                    const T* const* x, size_t n, T* const* y, Weights weights) {
  constexpr size_t kPanels = Tile<T>::kPanels;
  alignas(64) T rows[kRowsAtOnce * kXStride];
  const size_t chunks = (n + kRowsAtOnce - 1) / kRowsAtOnce;
  for (size_t chunk = 0; chunk < chunks && first_panel < last_panel; ++chunk) {
    const size_t from = n * chunk / chunks, chunk_rows = n * (chunk + 1) / chunks - from;
    for (size_t k0 = 0; k0 < k; k0 += kBlock) {
      const size_t count = k - k0 < kBlock ? k - k0 : kBlock;
      for (size_t j = 0; j < chunk_rows; ++j)
        memcpy(rows + j * kXStride, x[from + j] + k0, count * sizeof(T));
      size_t panel = first_panel;
      Block<T> block{{}, rows, k0, count, 0, outputs, y + from};
      for (; panel + kPanels <= last_panel; panel += kPanels) {
        for (size_t p = 0; p < kPanels; ++p) block.w[p] = weights(panel + p, k0, count, p);
        block.output = panel * kLanes;
        TilesOfBlock<T, static_cast<int>(kPanels)>(block, chunk_rows);
      }
      for (; panel < last_panel; ++panel) {
        block.w[0] = weights(panel, k0, count, 0);
        block.output = panel * kLanes;
        TilesOfBlock<T, 1>(block, chunk_rows);
      }
    }
  }
}

inline void WideMatMul(const WideMatMulArgs& a) {
  MatMulByBlocks(a.k, a.outputs, a.first_panel, a.last_panel, a.x, a.n, a.y,
                 [&](size_t panel, size_t k0, size_t, size_t) {
                   return a.panels + (panel * a.k + k0) * kLanes;
                 });
}

// As many whole sets of panels as there are, by the kernel for n rows or a few more (the last is
// then computed again). Returns the first panel that is left.
inline size_t MatMulOfFewRows(const MatMulArgs<float>& a, const PackedTypeKernels& type,
                              size_t stride) {
  size_t i = 0;
  while (i < 4 && static_cast<size_t>(kFewRows[i]) < a.n) ++i;
  if (i == 4 || type.few[i].run == nullptr) return a.first_panel;
  const size_t rows = static_cast<size_t>(kFewRows[i]);
  const float* x[8];
  float* y[8];
  for (size_t j = 0; j < rows; ++j) x[j] = a.x[j < a.n ? j : a.n - 1];
  size_t panel = a.first_panel, step = static_cast<size_t>(type.few[i].panels);
  auto run = type.few[i].run;
  for (; panel < a.last_panel; panel += step) {
    if (panel + step > a.last_panel) {
      if (a.n > 1) break;
      step = 1;
      run = type.one_row;
    }
    const size_t last = (panel + step - 1) * kLanes;
    for (size_t j = 0; j < rows; ++j) y[j] = a.y[j < a.n ? j : a.n - 1] + panel * kLanes;
    run({a.panels + (panel - a.first_panel) * stride, stride, a.k, x, y,
         a.outputs - last < kLanes ? a.outputs - last : kLanes});
  }
  return panel;
}

template <class T>
void MatMul(const MatMulArgs<T>& a, const PackedTypeKernels* types) {
  const PackedLayout& layout = LayoutOf(a.type);
  const size_t stride = layout.PanelBytes(a.k);
  const PackedTypeKernels& type = types[&layout - kPackedLayouts];
  size_t first_panel = a.first_panel;
  if constexpr (sizeof(T) == sizeof(float)) first_panel = MatMulOfFewRows(a, type, stride);
  alignas(64) T scratch[Tile<T>::kPanels][kBlock * kLanes];
  MatMulByBlocks(a.k, a.outputs, first_panel, a.last_panel, a.x, a.n, a.y,
                 [&](size_t panel, size_t k0, size_t count, size_t p) -> const T* {
                   const uint8_t* data = a.panels + (panel - a.first_panel) * stride;
                   if constexpr (sizeof(T) == sizeof(float)) {
                     if (a.type == PackedType::kF32)  // nothing to decode
                       return static_cast<const float*>(static_cast<const void*>(data)) +
                              k0 * kLanes;
                     type.decode(data, a.k, k0, count, scratch[p]);
                   } else {
                     alignas(64) float narrow[kBlock * kLanes];
                     type.decode(data, a.k, k0, count, narrow);
                     for (size_t i = 0; i < count; ++i)
                       Store(Load<T>(narrow + i * kLanes), scratch[p] + i * kLanes);
                   }
                   return scratch[p];
                 });
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_MATMUL_INL_H_
