// The inner loops of evaluation: one table of functions for each instruction set, chosen at run
// time. docs/numerics.md states what each computes, operation by operation; every table gives the
// same bits (kernels_test.cc holds them to kernels/reference.h), so the choice is one of speed
// alone.
//
// T is float (arithmetic `f32`) or double (`f64`). Rows are contiguous; sizes are in elements;
// outputs may not overlap inputs unless a line says so. Nothing allocates, nothing fails.
#ifndef VERNIER_KERNELS_KERNELS_H_
#define VERNIER_KERNELS_KERNELS_H_

#include <cstddef>
#include <cstdint>

#include "kernels/ggml.h"
#include "kernels/packed.h"
#include "kernels/quantise.h"
#include "kernels/round.h"

namespace vernier {

enum class Isa { kPortable, kAvx2, kAvx512 };

inline constexpr size_t kLanes = 16;   // logical lanes of a reduction, and rows of a weight panel
inline constexpr size_t kBlock = 256;  // terms of a matrix product's inner chain

// Y = X W^T for `n` rows of X and the outputs [first_panel * 16, last_panel * 16) of W that are
// below `outputs`. y[j][o] = sum of blocks in order; a block is one chain t = fma(W[o][i], x[j][i],
// t) over ascending i, from zero. Panel p holds rows 16p .. 16p+15 of W.
//
// Packed panels (kernels/packed.h), PanelBytes(k) apart; weights are decoded to float32 as
// docs/decoding.md states, then widened to T.
template <class T>
struct MatMulArgs {
  TensorType type;
  const uint8_t* panels;  // panel `first_panel`, 64-byte aligned
  size_t k;
  size_t outputs;
  size_t first_panel, last_panel;
  const T* const* x;  // n rows of k; read where they are if they lie evenly (even_rows.h)
  size_t n;
  T* const* y;  // n rows of `outputs`
};

// Interleaved panels, for weights that are not float32 numbers: panels[(p * k + i) * 16 + r]
// = W[16p + r][i], zeros past the last row; `panels` is panel 0.
struct WideMatMulArgs {
  const double* panels;
  size_t k;
  size_t outputs;
  size_t first_panel, last_panel;
  const double* const* x;
  size_t n;
  double* const* y;
};

// Consecutive tokens of one sequence through a diagonal state space, the state h of each of `width`
// channels being `states` numbers. A token t changes channel c's state and reads it:
//   u = dt[t][c] * x[t][c]
//   h[n] = fma(exp(dt[t][c] * A[c][n]), h[n], u * B[t][n])     for each n
//   y[t][c] = one chain: s = 0, then s = fma(C[t][n], h[n], s) for ascending n, in blocks of 256
// each product rounded to T before it is used, exp evaluated in double and rounded once to T. A is
// a weight matrix as of WideMatMulArgs, with `states` columns. States in memory are
// [width][states].
//
// With `heads`, the width / heads channels of head k have dt[t][k] for dt[t][c] and A[k] (the
// numbers of `panels`, one a head) for A[c][n]. The channels of group g of `groups` equal runs read
// the g-th `states` numbers of B and C.
//
// With `chunk` the order is another: tokens at positions k * chunk begin a chunk, at which base =
// h, p = 1 and l = 0 for every number of the state; then a token has, with the exponential e,
//   p = e * p,  l = fma(e, l, u * B[t][n]),  h = fma(p, base, l)
// and a state in memory is four blocks [width][states]: h, base, p, l.
//
// Runs the panels [first_panel, last_panel): sixteen channels each, those of a group by themselves
// (ceil(width / groups / 16) panels a group).
template <class T>
struct ScanArgs {
  const T* panels;
  size_t width, states;
  size_t first_panel, last_panel;
  size_t tokens;
  const T* const* dt;  // rows of `width`
  const T* const* x;
  const T* const* b;  // rows of `states`
  const T* const* c;  // a token's entry may be null where its y is
  const T* start;     // the state before the first token; null: zeros
  T* const* kept;  // where the state after each token goes (perhaps `start`); null entries: nowhere
  T* const* y;     // rows of `width`; null entries: not computed
  T* scratch;      // states * 16 elements; with `heads` or `chunk` four times as many
  size_t heads = 0, groups = 1;
  size_t chunk = 0;     // 0: one token after another
  size_t position = 0;  // with `chunk`: of the first token in its text
};

// y[r][o] = sum over i < terms[r] of panels[o / 16 * panel_stride + i * 16 + o % 16] * x[r][i]: one
// fma chain over ascending i from zero in each block of 256, block sums added in order. With `add`
// the first sum is added to what y holds (an earlier block's). A row without terms is left as it
// is.
template <class T>
struct ChainArgs {
  const T* panels;
  size_t panel_stride;
  size_t outputs;
  size_t k;             // terms of every row, where `terms` is null
  const T* const* x;    // n rows
  const size_t* terms;  // by row, at most k
  size_t n;
  T* const* y;
  bool add;
};

template <class T>
struct RowKernels {
  // The two products of attention, on keys and values packed head by head, a block of at most 256
  // keys a time: scores = chains over the elements of the head on packed keys, and weighted sums =
  // chains over keys on packed values.
  void (*chains)(const ChainArgs<T>&);
  // panels[(p * head_dim + i) * 16 + l] = k[16p + l][column + i]; zeros past the last key.
  void (*pack_keys)(const T* const* k, size_t column, size_t keys, size_t head_dim, T* panels);
  // panels[(p * 256 + j) * 16 + l] = v[j][column + 16p + l] for j < keys; zeros past the head.
  void (*pack_values)(const T* const* v, size_t column, size_t keys, size_t head_dim, T* panels);
  // p[j] = exp(scale * p[j] - max) / sum, in place.
  void (*softmax)(T* p, size_t n, T scale);
  // y = x / sqrt(mean(x^2) + eps).
  void (*normalise)(const T* x, size_t n, T eps, T* y);
  void (*multiply)(const T* a, const T* b, size_t n, T* y);  // y = a * b; y may be a or b
  void (*add)(const T* a, const T* b, size_t n, T* y);       // y = a + b; y may be a or b
  // y = silu(gate) * up, silu(g) = g / (1 + exp(-g)) evaluated in double and rounded once to T; y
  // may be gate or up.
  void (*swiglu)(const T* gate, const T* up, size_t n, T* y);
  // Rotates pairs (x[a], x[b]) of each head by the angles whose cosines and sines are given,
  // `pairs` of them: neighbours (2i, 2i+1) or halves (i, i + pairs); elements past 2 * pairs of a
  // head are copied.
  void (*rope_neighbours)(const T* x, size_t heads, size_t head_dim, const T* cos, const T* sin,
                          size_t pairs, T* y);
  void (*rope_halves)(const T* x, size_t heads, size_t head_dim, const T* cos, const T* sin,
                      size_t pairs, T* y);
  void (*silu)(const T* x, size_t n, T* y);  // x / (1 + exp(-x)), as in swiglu; y may be x
  // ln(1 + exp(x)), x itself above 20; evaluated in double (within 4 ulp) and rounded once to T; y
  // may be x.
  void (*softplus)(const T* x, size_t n, T* y);
  // y[c] = sum over i of W[c][i] x[i][c], one chain t = fma(W[c][i], x[i][c], t) over ascending i,
  // in blocks of 256; W as the panels of WideMatMulArgs, x the last `taps` rows, the newest last
  // (null: zeros).
  void (*convolve)(const T* panels, const T* const* x, size_t taps, size_t width, T* y);
  void (*scan)(const ScanArgs<T>&);
  // y[c] = one chain over ascending n of C[n] and h[c][n], as a scan reads its state; `scratch`
  // holds states * 16 elements.
  void (*read_state)(const T* h, const T* c, size_t states, size_t width, size_t groups, T* y,
                     T* scratch);
};

// What a row holds. NaN and infinities are counted and left out of the rest.
struct RowExtent {
  double squares = 0;   // sum of x^2
  double largest = 0;   // magnitude; 0 where there is none
  double smallest = 0;  // magnitude that is not zero; infinity where there is none
  uint64_t zeros = 0, nans = 0, infinities = 0;
};
// How far two rows are apart, where the difference is a finite number.
struct RowDistance {
  double squares = 0;  // sum of (x - y)^2
  double largest = 0;  // max |x - y|
};
// A row as the statistics of a site see it. NaN and infinities are left out of all but the counts
// of exponents.
struct RowMoments {
  double sum = 0, squares = 0;  // of x and x^2
  double deviations = 0;        // of (x - mean)^2 from the row's own mean
  double low = 0, high = 0;     // infinity and -infinity where there is no finite element
};
template <class T>
inline constexpr size_t kExponentFields = sizeof(T) == 4 ? 256 : 2048;

template <class T>
struct MomentKernels {
  // How many elements have each exponent field, added to kExponentFields counters (whoever counts
  // more than fit has to empty them in between).
  void (*exponents)(const T* x, size_t n, uint32_t* tables);
  // `finite`: how many elements are; n of them where there is no other.
  RowMoments (*moments)(const T* x, size_t n, size_t finite);
  RowExtent (*extent)(const T* x, size_t n);
  RowDistance (*distance)(const T* x, const T* y, size_t n);
};

struct Kernels {
  Isa isa;
  const char* name;  // "portable", "avx2", "avx512"
  RowKernels<float> f32;
  RowKernels<double> f64;
  void (*matmul_f32)(const MatMulArgs<float>&);
  void (*matmul_f64)(const MatMulArgs<double>&);
  void (*matmul_f64_wide)(const WideMatMulArgs&);
  // Sum of exp(x[i] - max) in double, 16 lanes and their tree; x is float or double.
  double (*sum_exp_f32)(const float* x, size_t n, double max);
  double (*sum_exp_f64)(const double* x, size_t n, double max);
  void (*exp_f64)(const double* x, size_t n, double* y);  // y = exp(x) within 1 ulp; y may be x
  QuantiseKernels quantise;
  GgmlKernels ggml;
  RoundKernels<float> round_f32;
  RoundKernels<double> round_f64;
  MomentKernels<float> moments_f32;
  MomentKernels<double> moments_f64;
  // float32 of n binary16 numbers, little-endian, at any address: exact; a NaN becomes quiet.
  void (*floats_of_halves)(const uint8_t* halves, size_t n, float* out);
};

template <class T>
const RowKernels<T>& RowKernelsOf(const Kernels& kernels) {
  if constexpr (sizeof(T) == sizeof(float)) {
    return kernels.f32;
  } else {
    return kernels.f64;
  }
}

template <class T>
const MomentKernels<T>& MomentKernelsOf(const Kernels& kernels) {
  if constexpr (sizeof(T) == sizeof(float)) {
    return kernels.moments_f32;
  } else {
    return kernels.moments_f64;
  }
}

// Null where this machine cannot run it (or the build has no such path).
const Kernels* KernelsFor(Isa isa);
const Kernels& BestKernels();

}  // namespace vernier

#endif  // VERNIER_KERNELS_KERNELS_H_
