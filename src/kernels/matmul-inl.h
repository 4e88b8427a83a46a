// Matrix products (see MatMulArgs). Few rows run with weights decoded in registers (packed-inl.h);
// more of them with weights decoded into a scratch of a block of 256 columns, which then serves
// every row. Either way an output is one chain over a block of 256 terms, blocks added in order;
// which loop computes it never changes its bits.
#ifndef VERNIER_KERNELS_MATMUL_INL_H_
#define VERNIER_KERNELS_MATMUL_INL_H_

#include "kernels/even_rows.h"
#include "kernels/matmul_tile-inl.h"
#include "kernels/packed_kernels.h"
#include "kernels/vec-inl.h"

namespace vernier::VERNIER_TARGET {

// Panels whose sums of some rows are kept beside each other, 64 bytes a row, until they are
// complete and go to Y: rows of Y itself may all fall into the same sets of a cache. With 256 rows
// of floats that is 256 KB, as much as their block of X (kChunkRows), both in the L2 cache.
inline constexpr size_t kPanelsAtOnce = 16;

// Rows of X go in chunks of nearly equal numbers, each at most so many: they pass over the panels
// together, their block of 256 columns (256 KB of floats) in the L2 cache, and decoding a panel's
// block (500 cycles) is under 2 % of its products (32,000).
inline constexpr size_t kChunkRows = 256;

// What a product is made of, however its weights are stored.
template <class T>
struct Product {
  size_t k, outputs, first_panel, last_panel;
  const T* const* x;
  size_t n;
  T* const* y;
};

// Where the weights of a block come from: At(panel, k0, count, p) gives panel `panel`'s, which stay
// valid until it is asked for the p-th again; Source(panel, k0) says where it reads them, and
// SourceBytes(count) how much.
//
// One block of a chunk of rows for the panels from first to last - 1.
template <class T, class Weights>
void BlockOfPanels(Block<T> block, size_t first, size_t last, size_t k0, size_t rows, T* sums,
                   Weights& weights) {
  constexpr size_t kPanels = Tile<T>::kPanels;
  const size_t count = block.count;
  block.next_bytes = weights.SourceBytes(count);
  for (size_t panel = first, step; panel < last; panel += step) {
    step = panel + kPanels <= last ? kPanels : 1;
    for (size_t p = 0; p < step; ++p) {
      block.w[p] = weights.At(panel + p, k0, count, p);
      block.sums[p] = sums + (panel + p - first) * kChunkRows * kLanes;
      const size_t next = panel + step + p;
      block.next[p] = next < last ? weights.Source(next, k0)
                                  : weights.Source(first + p, block.last ? k0 : k0 + count);
    }
    block.fetch = panel == first;
    block.output = panel * kLanes;
    if (step == kPanels) {
      TilesOfBlock<T, static_cast<int>(kPanels)>(block, rows);
    } else {
      TilesOfBlock<T, 1>(block, rows);
    }
  }
}

// All blocks, panels and rows.
template <class T, class Weights>
void MatMulByBlocks(const Product<T>& a, Weights weights) {
  if (a.first_panel >= a.last_panel) return;
  constexpr size_t kCopyStride = EvenStride<T>(kBlock);
  alignas(64) T copy[kChunkRows * kCopyStride];
  alignas(64) T sums[kPanelsAtOnce * kChunkRows * kLanes];
  const size_t stride = StrideOf(a.x, a.n, a.k);
  const size_t pairs = (a.last_panel - a.first_panel + 1) / 2;
  const size_t sets = (pairs + kPanelsAtOnce / 2 - 1) / (kPanelsAtOnce / 2);
  const size_t chunks = (a.n + kChunkRows - 1) / kChunkRows;
  for (size_t chunk = 0; chunk < chunks; ++chunk) {
    const size_t from = a.n * chunk / chunks, rows = a.n * (chunk + 1) / chunks - from;
    for (size_t set = 0; set < sets; ++set) {
      const size_t first = a.first_panel + pairs * set / sets * 2;
      const size_t last =
          set + 1 == sets ? a.last_panel : a.first_panel + pairs * (set + 1) / sets * 2;
      for (size_t k0 = 0; k0 < a.k; k0 += kBlock) {
        const size_t count = a.k - k0 < kBlock ? a.k - k0 : kBlock;
        const T* const x = stride > 0 ? a.x[from] + k0 : copy;
        if (stride == 0)
          for (size_t j = 0; j < rows; ++j)
            memcpy(copy + j * kCopyStride, a.x[from + j] + k0, count * sizeof(T));
        BlockOfPanels<T>({{},
                          x,
                          stride > 0 ? stride : kCopyStride,
                          count,
                          k0 == 0,
                          k0 + count == a.k,
                          false,
                          {},
                          0,
                          a.outputs,
                          a.y + from,
                          {},
                          0},
                         first, last, k0, rows, sums, weights);
      }
    }
  }
}

struct WideWeights {
  const WideMatMulArgs& a;
  const double* At(size_t panel, size_t k0, size_t, size_t) const {
    return a.panels + (panel * a.k + k0) * kLanes;
  }
  const uint8_t* Source(size_t panel, size_t k0) const {
    return static_cast<const uint8_t*>(static_cast<const void*>(At(panel, k0, 0, 0)));
  }
  static size_t SourceBytes(size_t count) { return count * kLanes * sizeof(double); }
};

inline void WideMatMul(const WideMatMulArgs& a) {
  MatMulByBlocks<double>({a.k, a.outputs, a.first_panel, a.last_panel, a.x, a.n, a.y},
                         WideWeights{a});
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

// Packed weights, decoded into a scratch.
template <class T>
struct PackedWeights {
  const MatMulArgs<T>& a;
  const PackedLayout& layout;
  const PackedTypeKernels& type;
  size_t stride;
  T (*scratch)[kBlock * kLanes];

  const uint8_t* Panel(size_t panel) const { return a.panels + (panel - a.first_panel) * stride; }
  const T* At(size_t panel, size_t k0, size_t count, size_t p) const {
    if constexpr (sizeof(T) == sizeof(float)) {
      if (a.type == TensorType::kF32)  // nothing to decode
        return static_cast<const float*>(static_cast<const void*>(Source(panel, k0)));
      type.decode(Panel(panel), a.k, k0, count, scratch[p]);
    } else {
      alignas(64) float narrow[kBlock * kLanes];
      type.decode(Panel(panel), a.k, k0, count, narrow);
      for (size_t i = 0; i < count; ++i)
        Store(Load<T>(narrow + i * kLanes), scratch[p] + i * kLanes);
    }
    return scratch[p];
  }
  const uint8_t* Source(size_t panel, size_t k0) const {
    return Panel(panel) + k0 / layout.group * layout.group_bytes;
  }
  size_t SourceBytes(size_t count) const { return count / layout.group * layout.group_bytes; }
};

template <class T>
void MatMul(const MatMulArgs<T>& a, const PackedTypeKernels* types) {
  const PackedLayout& layout = LayoutOf(a.type);
  const size_t stride = layout.PanelBytes(a.k);
  const PackedTypeKernels& type = types[&layout - kPackedLayouts];
  size_t first_panel = a.first_panel;
  if constexpr (sizeof(T) == sizeof(float)) first_panel = MatMulOfFewRows(a, type, stride);
  alignas(64) T scratch[Tile<T>::kPanels][kBlock * kLanes];
  MatMulByBlocks<T>({a.k, a.outputs, first_panel, a.last_panel, a.x, a.n, a.y},
                    PackedWeights<T>{a, layout, type, stride, scratch});
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_MATMUL_INL_H_
