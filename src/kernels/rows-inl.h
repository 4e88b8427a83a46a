// Row kernels: norms, softmax, attention, activations, rotations (see RowKernels). Reductions use
// 16 lanes and the fixed tree.
#ifndef VERNIER_KERNELS_ROWS_INL_H_
#define VERNIER_KERNELS_ROWS_INL_H_

#include "kernels/attention-inl.h"
#include "kernels/math-inl.h"
#include "kernels/recurrence-inl.h"

namespace vernier::VERNIER_TARGET {

template <class T>
void Normalise(const T* x, size_t n, T eps, T* y) {
  Vec<T> squares = Set(T{0});
  ForLanes(x, n, T{0},
           [&](size_t, const Vec<T>& v, size_t) VERNIER_LAMBDA { squares = Fma(v, v, squares); });
  const T mean = SumLanes(squares) / static_cast<T>(n);
  const T root = static_cast<T>(sizeof(T) == 4 ? __builtin_sqrtf(static_cast<float>(mean + eps))
                                               : __builtin_sqrt(mean + eps));
  const Vec<T> scale = Set(T{1} / root);
  ForLanes(x, n, T{0}, [&](size_t i, const Vec<T>& v, size_t valid) VERNIER_LAMBDA {
    StoreLanes(v * scale, y + i, valid);
  });
}

template <class T>
void Multiply(const T* a, const T* b, size_t n, T* y) {
  for (size_t i = 0; i < n; ++i) y[i] = a[i] * b[i];
}

template <class T>
void AddRows(const T* a, const T* b, size_t n, T* y) {
  for (size_t i = 0; i < n; ++i) y[i] = a[i] + b[i];
}

template <class T>
VERNIER_INLINE Vec<T> Silu(const Vec<T>& x) {
  return InDouble(x, [](const Vec<double>& g, auto exponential)
                         VERNIER_LAMBDA { return g / (Set(1.0) + exponential(Set(0.0) - g)); });
}

template <class T>
void SiluRow(const T* x, size_t n, T* y) {
  ForLanes(x, n, T{0}, [&](size_t i, const Vec<T>& v, size_t valid) VERNIER_LAMBDA {
    StoreLanes(Silu(v), y + i, valid);
  });
}

template <class T>
void SoftplusRow(const T* x, size_t n, T* y) {
  ForLanes(x, n, T{0}, [&](size_t i, const Vec<T>& v, size_t valid) VERNIER_LAMBDA {
    StoreLanes(InDouble(v, [](const Vec<double>& d, auto) VERNIER_LAMBDA { return Softplus(d); }),
               y + i, valid);
  });
}

template <class T>
void SwiGlu(const T* gate, const T* up, size_t n, T* y) {
  ForLanes(gate, n, T{0}, [&](size_t i, const Vec<T>& g, size_t valid) VERNIER_LAMBDA {
    const Vec<T> u = valid == kLanes ? Load<T>(up + i) : LoadFirst(up + i, valid, T{0});
    StoreLanes(Silu(g) * u, y + i, valid);
  });
}

// e / sum of each element, correctly rounded, where e is zero or at least 2^-80 and 1 <= sum <
// 2^32: then nothing below over- or underflows. With r the rounded reciprocal the first correction
// brings q within a unit in the last place of the quotient, and the second is Markstein's, whose
// result is the rounded quotient (P. Markstein, Computation of elementary functions on the IBM RISC
// System/6000 processor, theorem 7).
VERNIER_INLINE void DivideAll(float* e, size_t n, float sum) {
  const Vec<float> minus = Set(-sum), r = Set(1 / sum);
  ForLanes(e, n, 0.0f, [&](size_t i, const Vec<float>& v, size_t valid) VERNIER_LAMBDA {
    Vec<float> q = v * r;
    q = Fma(Fma(q, minus, v), r, q);
    q = Fma(Fma(q, minus, v), r, q);
    StoreLanes(q, e + i, valid);
  });
}

// Where multiply-adds are instructions.
template <class T>
inline constexpr bool kByReciprocal = sizeof(T) == 4 && VERNIER_VECTOR_BYTES > 16;

template <class T>
void Softmax(T* p, size_t n, T scale) {
  const T lowest = -static_cast<T>(__builtin_inf());
  const Vec<T> factor = Set(scale);
  Vec<T> most = Set(lowest);
  ForLanes(p, n, lowest,
           [&](size_t, const Vec<T>& v, size_t) VERNIER_LAMBDA { most = Greater(most, v); });
  // Rounding keeps order: the largest product is that of the largest score.
  const Vec<T> max = Set(MaxLanes(most) * scale);
  Vec<T> sums = Set(T{0}), least = Set(T{1});
  ForLanes(p, n, lowest, [&](size_t i, const Vec<T>& v, size_t valid) VERNIER_LAMBDA {
    const Vec<T> e = InDouble(v * factor - max, [](const Vec<double>& d, auto exponential)
                                                    VERNIER_LAMBDA { return exponential(d); });
    StoreLanes(e, p + i, valid);
    sums = sums + e;
    if constexpr (kByReciprocal<T>)
      least = Less(least, valid == kLanes ? e : LoadFirst(p + i, valid, T{1}));
  });
  const T sum = SumLanes(sums);
  if constexpr (kByReciprocal<T>) {
    if (-MaxLanes(Set(0.0f) - least) >= 0x1p-80f && sum >= 1 && sum < 0x1p32f)
      return DivideAll(p, n, sum);
  }
  const Vec<T> divisor = Set(sum);
  ForLanes(p, n, T{0}, [&](size_t i, const Vec<T>& v, size_t valid) VERNIER_LAMBDA {
    StoreLanes(v / divisor, p + i, valid);
  });
}

// Each product is rounded, then the difference or sum.
template <class T, size_t kStep>
void RopePairs(const T* x, size_t heads, size_t head_dim, const T* cos, const T* sin, size_t pairs,
               T* y, size_t apart) {
  for (size_t h = 0; h < heads; ++h, x += head_dim, y += head_dim) {
#pragma GCC ivdep
    for (size_t i = 0; i < pairs; ++i) {
      const T a = x[i * kStep], b = x[i * kStep + apart];
      y[i * kStep] = a * cos[i] - b * sin[i];
      y[i * kStep + apart] = b * cos[i] + a * sin[i];
    }
    for (size_t i = 2 * pairs; i < head_dim; ++i) y[i] = x[i];
  }
}
template <class T>
void RopeNeighbours(const T* x, size_t heads, size_t head_dim, const T* cos, const T* sin,
                    size_t pairs, T* y) {
  RopePairs<T, 2>(x, heads, head_dim, cos, sin, pairs, y, 1);
}
template <class T>
void RopeHalves(const T* x, size_t heads, size_t head_dim, const T* cos, const T* sin, size_t pairs,
                T* y) {
  RopePairs<T, 1>(x, heads, head_dim, cos, sin, pairs, y, pairs);
}

template <class T>
double SumExp(const T* x, size_t n, double max) {
  const Vec<double> top = Set(max);
  Vec<double> sums = Set(0.0);
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) sums = sums + Exp(Load<double>(x + i) - top);
  if (i < n) sums = sums + Exp(LoadFirst(x + i, n - i, -__builtin_inf()) - top);
  return SumLanes(sums);
}

inline void ExpRow(const double* x, size_t n, double* y) {
  ForLanes(x, n, 0.0, [&](size_t i, const Vec<double>& v, size_t valid) VERNIER_LAMBDA {
    StoreLanes(Exp(v), y + i, valid);
  });
}

template <class T>
constexpr RowKernels<T> MakeRowKernels() {
  return {Chains<T>,   PackKeys<T>,    PackValues<T>, Softmax<T>,        Normalise<T>,
          Multiply<T>, AddRows<T>,     SwiGlu<T>,     RopeNeighbours<T>, RopeHalves<T>,
          SiluRow<T>,  SoftplusRow<T>, Convolve<T>,   Scan<T>,           ReadState<T>};
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_ROWS_INL_H_
