// The shape of register tiles.
#ifndef VERNIER_KERNELS_TILE_INL_H_
#define VERNIER_KERNELS_TILE_INL_H_

#include "kernels/vec-inl.h"

namespace vernier::VERNIER_TARGET {

// Tiles that fill the register file, of matrix products and of attention's: of a panel's registers
// kPass at a time are held for a term, with one broadcast of X and P * N * kPass accumulators (16
// registers for AVX2: 2 + 1 + 12; 32 for AVX-512). More of either and accumulators spill.
template <class T>
struct Tile {
  static constexpr int kPass = Vec<T>::kParts < 2 ? Vec<T>::kParts : 2;
  static constexpr int kRows = VERNIER_VECTOR_BYTES == 16   ? 1
                               : VERNIER_VECTOR_BYTES == 64 ? 12 / kPass
                                                            : 6;
  static constexpr int kPanels = VERNIER_VECTOR_BYTES == 64 ? 2 : 1;
};

// Calls f with n, of 1 to kMost, as a constant: f(rows) has rows.value.
template <int N>
struct RowCount {
  static constexpr int value = N;
};
template <int kMost, class F>
VERNIER_INLINE void WithRows(size_t n, F f) {
  if constexpr (kMost > 0) {
    if (n == kMost) {
      f(RowCount<kMost>{});
    } else {
      WithRows<kMost - 1>(n, f);
    }
  }
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_TILE_INL_H_
