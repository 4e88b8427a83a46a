// Exact dot products by fixed point: operands become integers of up to 51 bits relative to the
// largest of their row, sums of their products integers of 116 bits, kept whole. One table for each
// instruction set; sums are exact, so all tables give the same ones. kernels/exact_fixed.h makes
// the operands.
//
// An element x of a row is X * 2^unit, |X| < 2^51 (2^50 where elements are split). It is found by
// one addition: x + 1.5 * 2^(unit + 52) has X + 2^51 in its fraction bits. That is what AVX512-IFMA
// multiplies: unsigned integers of 52 bits, the low and the high 52 bits of whose products it adds
// to 64 bits each, two instructions for eight multiply-adds. With B = 2^51,
//   sum X W = sum (X + B)(W + B) - B (sum X + sum W) - terms B^2.
// Where the operands are short the low half is the whole product: one instruction.
#ifndef VERNIER_KERNELS_EXACT_H_
#define VERNIER_KERNELS_EXACT_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"

namespace vernier {

enum class ExactIsa { kPortable, kAvx2, kAvx512Ifma };

inline constexpr int kExactBits = 51;  // of |X|
// Terms between carries: 2^11 products' low halves, and sums of 2^11 operands of both sides, fit 64
// bits.
inline constexpr size_t kExactBlock = 2048;
constexpr size_t ExactBlocks(size_t k) { return (k + kExactBlock - 1) / kExactBlock; }

// Fixed point of `steps` steps of 16 elements; lane l of all steps has its own unit.
template <class T>
struct ExactFixArgs {
  const T* x;  // [steps][16], finite
  size_t steps;
  const double* magic;  // [16]: 1.5 * 2^(unit + 52)
  const int64_t* add;   // [16]: bias - (the bits of magic)
  uint64_t* out;        // [steps][16]: X + bias, or as the table's wide products want it
  T* rest;              // [steps][16]: x - X * 2^unit, exact; null: not asked for
  // [16] each, updated: the sum of X + bias, its bits, and bits of `rest` (not zero where it has a
  // number that is not).
  int64_t* sums;
  uint64_t* any;
  uint64_t* inexact;
};

// sums[r][l] = sum over i < k of X[r][i] W[i][l] = high * 2^52 + low, 0 <= low < 2^52.
struct ExactProductOfPanel {
  size_t k;
  const uint64_t* w;             // [k][16]
  const int64_t* w_sums;         // [blocks][16]: sums of W
  const uint64_t* const* x;      // n rows of k
  const int64_t* const* x_sums;  // n rows of [blocks]: sums of X
  size_t n;
  int64_t* high;  // [n][16]
  uint64_t* low;
  int x_bits = 0, w_bits = 0;  // narrow: |X| <= 2^x_bits
};

struct ExactKernels {
  ExactIsa isa;
  const char* name;    // "portable", "avx2", "avx512ifma"
  int64_t wide_bias;   // of operands of `wide`
  bool narrow_biased;  // operands of `narrow` are biased by 2^x_bits and 2^w_bits; else not
  int narrow_most;     // bits of an operand of `narrow`
  int narrow_sum;      // and of both together
  // largest[l] = the largest of it and the magnitudes of lane l, as bits of T: from the bits of
  // infinity on where the lane has an infinity or NaN.
  void (*largest_f32)(const float* x, size_t steps, uint32_t* largest);
  void (*largest_f64)(const double* x, size_t steps, uint64_t* largest);
  void (*fix_f32)(const ExactFixArgs<float>&, bool wide);
  void (*fix_f64)(const ExactFixArgs<double>&, bool wide);
  // |X|, |W| <= 2^51, and all sums of products below 2^115.
  void (*wide)(const ExactProductOfPanel&);
  // x_bits + w_bits <= narrow_sum, each <= narrow_most, and sums of products below 2^63.
  void (*narrow)(const ExactProductOfPanel&);
  // out[r][l] = (high * 2^52 + low) * 2^(x_units[r] + w_units[l]) rounded to odd in 53 bits.
  // Sums of units from -960 on, results below 2^1000.
  void (*odd)(const int64_t* high, const uint64_t* low, size_t n, const int* x_units,
              const int* w_units, double* out);
};

// Null where this machine cannot run it (or the build has no such path).
const ExactKernels* ExactKernelsFor(ExactIsa isa);
// The best of those that go with a table of kernels.h.
const ExactKernels& ExactKernelsOf(Isa isa);

}  // namespace vernier

#endif  // VERNIER_KERNELS_EXACT_H_
