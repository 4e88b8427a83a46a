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
  for (size_t i = 0; i < n; ++i) p[i] = static_cast<T>(Exp(p[i] - max));
  const T sum = LaneSum<T>(n, [&](size_t i, T lane) { return lane + p[i]; });
  for (size_t i = 0; i < n; ++i) p[i] /= sum;
}

template <class T>
T SwiGlu(T gate, T up) {
  const double g = gate;
  return static_cast<T>(g / (1.0 + Exp(0.0 - g))) * up;
}

}  // namespace vernier::reference

#endif  // VERNIER_KERNELS_REFERENCE_H_
