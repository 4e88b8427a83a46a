// Dot products whose every operation is rounded to a number format: 16 outputs of a panel of
// weights against rows, a block of terms a time. What a format is these loops know as constants of
// a grid; ops/format_chains.h chooses them, and the loop, and says in which range of operands a
// loop rounds as the format does. Every table gives the same bits.
//
// Rounding is to nearest even, by adding and subtracting C = 1.5 * 2^c, whose unit in the last
// place is the distance of the format's numbers at the magnitude of what is rounded.
#ifndef VERNIER_KERNELS_CHAIN_H_
#define VERNIER_KERNELS_CHAIN_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"

namespace vernier {

enum class ChainGrid : uint8_t {
  kHost,   // all numbers of T: operations are T's own
  kFloat,  // significands of fewer bits, down to a smallest normal number, below it a uniform grid
  kTapered,  // posits, where they have fraction bits: a bit less in every regime away from 1
  kPosit     // all posits, and NaN: slower
};
inline constexpr int kChainGrids = 4;

template <class T>
struct ChainFormat {
  using Bits = typename HostBits<T>::Type;
  // kFloat: C is max(2^floor(log2 |x|), normal) with `offset` added to its bits.
  Bits normal = 0, offset = 0;
  Bits sign = 0;  // the sign bit where the format has -0
  // kTapered, kPosit: the posit has `fraction` fraction bits in the regimes next to 1.
  int es = 0, fraction = 0;
  Bits smallest = 0, largest = 0;  // kPosit
};

template <class T>
struct ChainBlock {
  using Bits = typename HostBits<T>::Type;
  ChainFormat<T> product, sum;
  size_t count;       // terms
  const T* const* w;  // by panel: count * 16 numbers
  size_t panels;      // at most kChainPanels
  const T* const* x;  // by row
  size_t column;      // where the terms start in a row
  size_t rows;
  T* const* sums;  // by panel: the sums of row r at r * 16, before and after
  // Sums before must be zero or of a magnitude (as bits) in [lowest, highest], and all sums at most
  // `largest`. A row whose are not is left as it is, and marked.
  Bits lowest, highest;
  T largest;
  // By panel and row: not 0: left as it is. In and out.
  uint8_t* left;
};
inline constexpr size_t kChainPanels = 4;

// Magnitudes, as bits; of all but zeros.
template <class T>
struct ChainExtent {
  using Bits = typename HostBits<T>::Type;
  Bits lowest = static_cast<Bits>(-1) >> 1, highest = 0;
};

template <class T>
struct ChainKernels {
  using Run = void (*)(const ChainBlock<T>&);
  // s = A(s + R(x w)), by the grids of R and A; null where there is no such loop. `plain`: s +
  // R(..) may be rounded to T first. `odd`: it may not, and is rounded to odd.
  Run plain[kChainGrids][kChainGrids];
  Run odd[kChainGrids][kChainGrids];
  Run fused[kChainGrids];  // s = A(s + x w)
  ChainExtent<T> (*extent)(const T* x, size_t n);
  // y = x rounded, n a multiple of 16; kFloat and kTapered, numbers that do not overflow or have
  // fraction bits. Null for the others.
  void (*convert[kChainGrids])(const ChainFormat<T>& format, const float* x, size_t n, T* y);
};

// Rows of doubles rounded to odd (von Neumann): exact results stay, others become the neighbour
// whose last bit is 1. All doubles, infinities and NaN included. y may be an operand.
struct OddKernels {
  void (*product)(double x, const double* w, size_t n, double* y);                 // x w
  void (*fused)(double x, const double* w, const double* s, size_t n, double* y);  // x w + s
  void (*sum)(const double* a, const double* b, size_t n, double* y);              // a + b
  void (*difference)(const double* a, const double* b, size_t n, double* y);       // a - b
};

struct ChainTables {
  ChainKernels<float> f32;
  ChainKernels<double> f64;
  const OddKernels* odd;  // null: formats/number.h has it, a number at a time
};
const ChainTables& ChainTablesOf(Isa isa);

template <class T>
const ChainKernels<T>& ChainKernelsOf(const ChainTables& tables) {
  if constexpr (sizeof(T) == sizeof(float)) {
    return tables.f32;
  } else {
    return tables.f64;
  }
}

}  // namespace vernier

#endif  // VERNIER_KERNELS_CHAIN_H_
