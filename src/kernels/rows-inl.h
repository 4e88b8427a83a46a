// Row kernels: norms, softmax, attention, activations, rotations (see RowKernels). Reductions use
// 16 lanes and the fixed tree.
#ifndef VERNIER_KERNELS_ROWS_INL_H_
#define VERNIER_KERNELS_ROWS_INL_H_

#include "kernels/recurrence-inl.h"
#include "kernels/vec-inl.h"

namespace vernier::VERNIER_TARGET {

template <class T>
void Normalise(const T* x, size_t n, T eps, T* y) {
  Vec<T> squares = Set(T{0});
  ForLanes(x, n, T{0}, [&](size_t, const Vec<T>& v, size_t) { squares = Fma(v, v, squares); });
  const T mean = SumLanes(squares) / static_cast<T>(n);
  const T root = static_cast<T>(sizeof(T) == 4 ? __builtin_sqrtf(static_cast<float>(mean + eps))
                                               : __builtin_sqrt(mean + eps));
  const Vec<T> scale = Set(T{1} / root);
  ForLanes(x, n, T{0},
           [&](size_t i, const Vec<T>& v, size_t valid) { StoreLanes(v * scale, y + i, valid); });
}

template <class T>
void Multiply(const T* a, const T* b, size_t n, T* y) {
  for (size_t i = 0; i < n; ++i) y[i] = a[i] * b[i];
}

template <class T>
void AddRows(const T* a, const T* b, size_t n, T* y) {
  for (size_t i = 0; i < n; ++i) y[i] = a[i] + b[i];
}

VERNIER_INLINE Vec<double> Silu(const Vec<double>& g) { return g / (Set(1.0) + Exp(Set(0.0) - g)); }

template <class T>
void SiluRow(const T* x, size_t n, T* y) {
  ForLanes(x, n, T{0}, [&](size_t i, const Vec<T>& v, size_t valid) {
    StoreLanes(InDouble(v, [](const Vec<double>& d) { return Silu(d); }), y + i, valid);
  });
}

template <class T>
void SoftplusRow(const T* x, size_t n, T* y) {
  ForLanes(x, n, T{0}, [&](size_t i, const Vec<T>& v, size_t valid) {
    StoreLanes(InDouble(v, [](const Vec<double>& d) { return Softplus(d); }), y + i, valid);
  });
}

template <class T>
void SwiGlu(const T* gate, const T* up, size_t n, T* y) {
  ForLanes(gate, n, T{0}, [&](size_t i, const Vec<T>& g, size_t valid) {
    const Vec<T> u = valid == kLanes ? Load<T>(up + i) : LoadFirst(up + i, valid, T{0});
    StoreLanes(InDouble(g, [](const Vec<double>& d) { return Silu(d); }) * u, y + i, valid);
  });
}

template <class T>
void Softmax(T* p, size_t n, T scale) {
  const T lowest = -static_cast<T>(__builtin_inf());
  const Vec<T> factor = Set(scale);
  Vec<T> most = Set(lowest);
  ForLanes(p, n, lowest, [&](size_t i, const Vec<T>& v, size_t valid) {
    const Vec<T> scaled = v * factor;
    StoreLanes(scaled, p + i, valid);
    most = Greater(most, valid == kLanes ? scaled : LoadFirst(p + i, valid, lowest));
  });
  const Vec<T> max = Set(MaxLanes(most));
  Vec<T> sums = Set(T{0});
  ForLanes(p, n, lowest, [&](size_t i, const Vec<T>& v, size_t valid) {
    const Vec<T> e = InDouble(v - max, [](const Vec<double>& d) { return Exp(d); });
    StoreLanes(e, p + i, valid);
    sums = sums + e;
  });
  const Vec<T> sum = Set(SumLanes(sums));
  ForLanes(p, n, T{0},
           [&](size_t i, const Vec<T>& v, size_t valid) { StoreLanes(v / sum, p + i, valid); });
}

// Scores against 16 keys at a time: their head's parts are interleaved in `scratch` as a weight
// panel, then each query row runs its chains.
template <class T>
void Scores(const T* const* q, const size_t* keys, size_t rows, const T* const* k, size_t heads,
            size_t kv_heads, size_t head_dim, T* const* scores, size_t stride, T* scratch) {
  const size_t group = heads / kv_heads;
  size_t most = 0;
  for (size_t r = 0; r < rows; ++r) most = keys[r] > most ? keys[r] : most;
  for (size_t g = 0; g < kv_heads; ++g) {
    for (size_t j0 = 0; j0 < most; j0 += kLanes) {
      for (size_t l = 0; l < kLanes; ++l) {
        const T* key = j0 + l < most ? k[j0 + l] + g * head_dim : nullptr;
        for (size_t i = 0; i < head_dim; ++i) scratch[i * kLanes + l] = key ? key[i] : T{0};
      }
      for (size_t r = 0; r < rows; ++r) {
        if (keys[r] <= j0) continue;
        for (size_t h = g * group; h < (g + 1) * group; ++h) {
          const T* query = q[r] + h * head_dim;
          Vec<T> total = Set(T{0});
          for (size_t i0 = 0; i0 < head_dim; i0 += kBlock) {
            Vec<T> t = Set(T{0});
            for (size_t i = i0; i < head_dim && i < i0 + kBlock; ++i)
              t = Fma(Load<T>(scratch + i * kLanes), Set(query[i]), t);
            total = i0 == 0 ? t : total + t;
          }
          Store(total, scores[r] + h * stride + j0);
        }
      }
    }
  }
}

template <class T>
void WeightedSum(const T* p, size_t stride, const T* const* v, size_t keys, size_t heads,
                 size_t kv_heads, size_t head_dim, T* out) {
  const size_t group = heads / kv_heads;
  for (size_t h = 0; h < heads; ++h) {
    const T* weight = p + h * stride;
    const size_t column = h / group * head_dim;
    for (size_t d = 0; d < head_dim; d += kLanes) {
      const size_t valid = head_dim - d < kLanes ? head_dim - d : kLanes;
      Vec<T> total = Set(T{0});
      for (size_t j0 = 0; j0 < keys; j0 += kBlock) {
        Vec<T> t = Set(T{0});
        const size_t j1 = j0 + kBlock < keys ? j0 + kBlock : keys;
        for (size_t j = j0; j < j1; ++j) {
          const T* row = v[j] + column + d;
          t = Fma(valid == kLanes ? Load<T>(row) : LoadFirst(row, valid, T{0}), Set(weight[j]), t);
        }
        total = j0 == 0 ? t : total + t;
      }
      StoreLanes(total, out + h * head_dim + d, valid);
    }
  }
}

// Each product is rounded, then the difference or sum.
template <class T>
void RopePairs(const T* x, size_t heads, size_t head_dim, const T* cos, const T* sin, size_t pairs,
               T* y, size_t step, size_t apart) {
  for (size_t h = 0; h < heads; ++h, x += head_dim, y += head_dim) {
    for (size_t i = 0; i < pairs; ++i) {
      const T a = x[i * step], b = x[i * step + apart];
      y[i * step] = a * cos[i] - b * sin[i];
      y[i * step + apart] = b * cos[i] + a * sin[i];
    }
    for (size_t i = 2 * pairs; i < head_dim; ++i) y[i] = x[i];
  }
}
template <class T>
void RopeNeighbours(const T* x, size_t heads, size_t head_dim, const T* cos, const T* sin,
                    size_t pairs, T* y) {
  RopePairs(x, heads, head_dim, cos, sin, pairs, y, 2, 1);
}
template <class T>
void RopeHalves(const T* x, size_t heads, size_t head_dim, const T* cos, const T* sin, size_t pairs,
                T* y) {
  RopePairs(x, heads, head_dim, cos, sin, pairs, y, 1, pairs);
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
  ForLanes(x, n, 0.0,
           [&](size_t i, const Vec<double>& v, size_t valid) { StoreLanes(Exp(v), y + i, valid); });
}

template <class T>
constexpr RowKernels<T> MakeRowKernels() {
  return {Scores<T>,      WeightedSum<T>, Softmax<T>,        Normalise<T>,  Multiply<T>,
          AddRows<T>,     SwiGlu<T>,      RopeNeighbours<T>, RopeHalves<T>, SiluRow<T>,
          SoftplusRow<T>, Convolve<T>,    Scan<T>,           ReadState<T>};
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_ROWS_INL_H_
