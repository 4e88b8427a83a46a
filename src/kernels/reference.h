// docs/numerics.md as plain scalar loops: what every vector path is held to, bit for bit. For
// tests.
#ifndef VERNIER_KERNELS_REFERENCE_H_
#define VERNIER_KERNELS_REFERENCE_H_

#include <cmath>
#include <cstddef>
#include <vector>

#include "kernels/kernels.h"

namespace vernier::reference {

// sum of a[i] b[i]: one fma chain in each block of 256, block sums added in order.
template <class T, class A, class B>
T Dot(A a, B b, size_t n) {
  T total = 0;
  for (size_t i0 = 0; i0 < n; i0 += kBlock) {
    T t = 0;
    for (size_t i = i0; i < n && i < i0 + kBlock; ++i) t = std::fma(a(i), b(i), t);
    total = i0 == 0 ? t : total + t;
  }
  return total;
}

// Term i goes to lane i mod 16, lanes are added by the tree 8, 4, 2, 1.
template <class T, class F>
T LaneSum(size_t n, F add) {
  T lanes[kLanes] = {};
  for (size_t i = 0; i < n; ++i) lanes[i % kLanes] = add(i, lanes[i % kLanes]);
  for (size_t half = kLanes / 2; half > 0; half /= 2)
    for (size_t l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  return lanes[0];
}

// The exponential of docs/numerics.md.
inline double Exp(double argument) {
  double x = -746.0 > argument ? -746.0 : argument;
  x = 710.0 < x ? 710.0 : x;
  const double round = 6755399441055744.0;  // 1.5 * 2^52
  const double n = (x * 0x1.71547652b82fep0 + round) - round;
  const double r = std::fma(n, -0x1.a39ef35793c76p-33, std::fma(n, -0x1.62e42feep-1, x));
  double p = 1.0 / 6227020800.0;  // 1/13!
  double factorial = 6227020800.0;
  for (int i = 13; i >= 1; --i) {
    factorial /= i;
    p = std::fma(p, r, 1.0 / factorial);
  }
  const double half = (n * 0.5 + round) - round;
  return std::ldexp(std::ldexp(p, static_cast<int>(half)), static_cast<int>(n - half));
}

// The shorter one, whose results are rounded to float32.
inline double ShortExp(double argument) {
  double x = -708.0 > argument ? -708.0 : argument;
  x = 709.0 < x ? 709.0 : x;
  const double round = 6755399441055744.0;  // 1.5 * 2^52
  const double n = std::fma(x, 0x1.71547652b82fep0, round) - round;
  const double r = std::fma(n, -0x1.a39ef35793c76p-33, std::fma(n, -0x1.62e42feep-1, x));
  double factorial = 362880.0, p = 1.0 / factorial;  // 1/9!
  for (int i = 9; i >= 1; --i) {
    factorial /= i;
    p = std::fma(p, r, 1.0 / factorial);
  }
  return std::ldexp(p, static_cast<int>(n));
}

// The exponential of a node that runs in T, before it is rounded to T.
template <class T>
double ExpFor(double x) {
  return sizeof(T) == sizeof(float) ? ShortExp(x) : Exp(x);
}

template <class T>
void Normalise(const T* x, size_t n, T eps, T* y) {
  const T sum = LaneSum<T>(n, [&](size_t i, T lane) { return std::fma(x[i], x[i], lane); });
  const T scale = T{1} / std::sqrt(sum / static_cast<T>(n) + eps);
  for (size_t i = 0; i < n; ++i) y[i] = x[i] * scale;
}

template <class T>
void Softmax(T* p, size_t n, T scale) {
  T max = -INFINITY;
  for (size_t i = 0; i < n; ++i) {
    p[i] *= scale;
    max = p[i] > max ? p[i] : max;
  }
  for (size_t i = 0; i < n; ++i) p[i] = static_cast<T>(ExpFor<T>(p[i] - max));
  const T sum = LaneSum<T>(n, [&](size_t i, T lane) { return lane + p[i]; });
  for (size_t i = 0; i < n; ++i) p[i] /= sum;
}

template <class T>
T SwiGlu(T gate, T up) {
  const double g = gate;
  return static_cast<T>(g / (1.0 + ExpFor<T>(0.0 - g))) * up;
}

template <class T>
T Silu(T x) {
  return static_cast<T>(x / (1.0 + ExpFor<T>(0.0 - x)));
}

inline double Softplus(double x) {
  if (x > 20) return x;
  const double t = Exp(x < 0.0 - x ? x : 0.0 - x), s = t / (2.0 + t);
  double p = 0;
  for (int i = 33; i >= 1; i -= 2) p = std::fma(p, s * s, 1.0 / i);
  return (x < 0 ? 0 : x) + (s + s) * p;
}

// x[i]: the last rows, oldest first; null: zeros.
template <class T>
T Convolve(const T* weights, const T* const* x, size_t taps, size_t channel) {
  return Dot<T>([&](size_t i) { return weights[i]; },
                [&](size_t i) { return x[i] ? x[i][channel] : T{0}; }, taps);
}

// One token of one channel: the state h[0 .. states) changes; the result is what is read from it.
// The rate of number n is a[n * stride].
template <class T>
T ScanStep(const T* a, T dt, T x, const T* b, const T* c, size_t states, T* h, size_t stride = 1) {
  const T u = dt * x;
  for (size_t n = 0; n < states; ++n) {
    const T product = dt * a[n * stride], drive = u * b[n];
    h[n] = std::fma(static_cast<T>(ExpFor<T>(product)), h[n], drive);
  }
  return Dot<T>([&](size_t n) { return c[n]; }, [&](size_t n) { return h[n]; }, states);
}

// The state of one channel in the order chunked:N.
template <class T>
struct ChunkedState {
  std::vector<T> h, base, p, l;
};

// `begins`: the token is the first of a chunk.
template <class T>
T ChunkedScanStep(const T* a, size_t stride, T dt, T x, const T* b, const T* c, size_t states,
                  bool begins, ChunkedState<T>* s) {
  const T u = dt * x;
  for (size_t n = 0; n < states; ++n) {
    if (begins) s->base[n] = s->h[n], s->p[n] = 1, s->l[n] = 0;
    const T product = dt * a[n * stride], drive = u * b[n];
    const T e = static_cast<T>(ExpFor<T>(product));
    s->p[n] = e * s->p[n];
    s->l[n] = std::fma(e, s->l[n], drive);
    s->h[n] = std::fma(s->p[n], s->base[n], s->l[n]);
  }
  return Dot<T>([&](size_t n) { return c[n]; }, [&](size_t n) { return s->h[n]; }, states);
}

}  // namespace vernier::reference

#endif  // VERNIER_KERNELS_REFERENCE_H_
