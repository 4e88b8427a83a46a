// Kernels of state-space layers: the short causal convolution and the scan (see RowKernels and
// ScanArgs). Lanes run over channels, so no sum crosses lanes.
#ifndef VERNIER_KERNELS_RECURRENCE_INL_H_
#define VERNIER_KERNELS_RECURRENCE_INL_H_

#include "kernels/math-inl.h"

namespace vernier::VERNIER_TARGET {

// 16 elements of a row of which `valid` are there.
template <class T>
VERNIER_INLINE Vec<T> LoadLanes(const T* p, size_t valid) {
  return valid == kLanes ? Load<T>(p) : LoadFirst(p, valid, T{0});
}

template <class T>
void Convolve(const T* panels, const T* const* x, size_t taps, size_t width, T* y) {
  for (size_t c = 0; c < width; c += kLanes, panels += taps * kLanes) {
    const size_t valid = width - c < kLanes ? width - c : kLanes;
    Vec<T> total = Set(T{0});
    for (size_t i0 = 0; i0 < taps; i0 += kBlock) {
      Vec<T> t = Set(T{0});
      for (size_t i = i0; i < taps && i < i0 + kBlock; ++i)
        t = Fma(Load<T>(panels + i * kLanes), x[i] ? LoadLanes(x[i] + c, valid) : Set(T{0}), t);
      total = i0 == 0 ? t : total + t;
    }
    StoreLanes(total, y + c, valid);
  }
}

// The states of up to 16 channels, as [n][16] in `lanes`, from and to memory's [channel][n].
template <class T>
VERNIER_INLINE void GatherState(const T* h, size_t states, size_t valid, T* lanes) {
  for (size_t n = 0; n < states; ++n)
    for (size_t l = 0; l < kLanes; ++l)
      lanes[n * kLanes + l] = l < valid ? h[l * states + n] : T{0};
}
template <class T>
VERNIER_INLINE void ScatterState(const T* lanes, size_t states, size_t valid, T* h) {
  for (size_t l = 0; l < valid; ++l)
    for (size_t n = 0; n < states; ++n) h[l * states + n] = lanes[n * kLanes + l];
}

template <class T>
VERNIER_INLINE Vec<T> ReadLanes(const T* lanes, const T* c, size_t states) {
  Vec<T> total = Set(T{0});
  for (size_t n0 = 0; n0 < states; n0 += kBlock) {
    Vec<T> t = Set(T{0});
    for (size_t n = n0; n < states && n < n0 + kBlock; ++n)
      t = Fma(Set(c[n]), Load<T>(lanes + n * kLanes), t);
    total = n0 == 0 ? t : total + t;
  }
  return total;
}

template <class T>
void ReadState(const T* h, const T* c, size_t states, size_t width, T* y, T* scratch) {
  for (size_t first = 0; first < width; first += kLanes) {
    const size_t valid = width - first < kLanes ? width - first : kLanes;
    GatherState(h + first * states, states, valid, scratch);
    StoreLanes(ReadLanes(scratch, c, states), y + first, valid);
  }
}

// Sixteen channels stay in `scratch` (a kilobyte of float32 for 16 states: the first-level cache)
// over all tokens. The exponentials take most of the time.
template <class T>
void Scan(const ScanArgs<T>& a) {
  T* h = a.scratch;
  for (size_t p = a.first_panel; p < a.last_panel; ++p) {
    const size_t first = p * kLanes;
    const size_t valid = a.width - first < kLanes ? a.width - first : kLanes;
    const T* rates = a.panels + p * a.states * kLanes;
    if (a.start) {
      GatherState(a.start + first * a.states, a.states, valid, h);
    } else {
      for (size_t i = 0; i < a.states * kLanes; ++i) h[i] = T{0};
    }
    for (size_t t = 0; t < a.tokens; ++t) {
      const Vec<T> dt = LoadLanes(a.dt[t] + first, valid);
      const Vec<T> u = dt * LoadLanes(a.x[t] + first, valid);
      const T* b = a.b[t];
      for (size_t n = 0; n < a.states; ++n) {
        const Vec<T> decay =
            InDouble(dt * Load<T>(rates + n * kLanes),
                     [](const Vec<double>& d, auto exponential) { return exponential(d); });
        Store(Fma(decay, Load<T>(h + n * kLanes), u * Set(b[n])), h + n * kLanes);
      }
      if (a.kept[t]) ScatterState(h, a.states, valid, a.kept[t] + first * a.states);
      if (a.y[t]) StoreLanes(ReadLanes(h, a.c[t], a.states), a.y[t] + first, valid);
    }
  }
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_RECURRENCE_INL_H_
