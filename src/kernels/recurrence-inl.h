// Kernels of state-space layers: the short causal convolution and the scan (see RowKernels and
// ScanArgs). Lanes run over channels, so no sum crosses lanes.
#ifndef VERNIER_KERNELS_RECURRENCE_INL_H_
#define VERNIER_KERNELS_RECURRENCE_INL_H_

#include "kernels/math-inl.h"
#include "kernels/transpose-inl.h"

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

// The first numbers of sixteen channels, four at a time (of doubles: none); how many.
template <bool kToLanes, class T, class U>
VERNIER_INLINE size_t MoveFours(T* h, size_t states, U* lanes) {
  size_t n = 0;
  if constexpr (sizeof(T) == sizeof(float)) {
    for (; n + 4 <= states; n += 4) {
#pragma GCC unroll 4
      for (size_t l = 0; l < kLanes; l += 4) {
        const auto move = [](const float* from, size_t row, float* to, size_t to_row) {
          TransposeFour(from, from + row, from + 2 * row, from + 3 * row, to, to_row);
        };
        if constexpr (kToLanes) {
          move(h + l * states + n, states, lanes + n * kLanes + l, kLanes);
        } else {
          move(lanes + n * kLanes + l, kLanes, h + l * states + n, states);
        }
      }
    }
  }
  return n;
}

// The states of up to 16 channels, as [n][16] in `lanes`, from and to memory's [channel][n]. A
// token decoded by itself spends half its scan here.
template <class T>
VERNIER_INLINE void GatherState(const T* h, size_t states, size_t valid, T* lanes) {
  const size_t moved = valid == kLanes ? MoveFours<true>(h, states, lanes) : 0;
  for (size_t n = moved; n < states; ++n)
    for (size_t l = 0; l < kLanes; ++l)
      lanes[n * kLanes + l] = l < valid ? h[l * states + n] : T{0};
}
template <class T>
VERNIER_INLINE void ScatterState(const T* lanes, size_t states, size_t valid, T* h) {
  const size_t moved = valid == kLanes ? MoveFours<false>(h, states, lanes) : 0;
  for (size_t l = 0; l < valid; ++l)
    for (size_t n = moved; n < states; ++n) h[l * states + n] = lanes[n * kLanes + l];
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

// The lanes of a panel: sixteen channels, or the last of a group.
struct ScanLanes {
  size_t first, valid, group;
};
VERNIER_INLINE ScanLanes LanesOf(size_t panel, size_t width, size_t groups) {
  const size_t run = width / groups, panels = (run + kLanes - 1) / kLanes;
  const size_t group = panel / panels, offset = panel % panels * kLanes;
  return {group * run + offset, run - offset < kLanes ? run - offset : kLanes, group};
}

template <class T>
void ReadState(const T* h, const T* c, size_t states, size_t width, size_t groups, T* y,
               T* scratch) {
  const size_t panels = groups * ((width / groups + kLanes - 1) / kLanes);
  for (size_t p = 0; p < panels; ++p) {
    const ScanLanes lanes = LanesOf(p, width, groups);
    GatherState(h + lanes.first * states, states, lanes.valid, scratch);
    StoreLanes(ReadLanes(scratch, c + lanes.group * states, states), y + lanes.first, lanes.valid);
  }
}

template <class T>
VERNIER_INLINE Vec<T> Exponential(const Vec<T>& x) {
  return InDouble(
      x, [](const Vec<double>& d, auto exponential) VERNIER_LAMBDA { return exponential(d); });
}

template <class T>
VERNIER_INLINE void FillLanes(T value, size_t n, T* lanes) {
  for (size_t i = 0; i < n; ++i) lanes[i] = value;
}

// Numbers of the heads, `channels` wide, as the lanes have them.
template <class T>
VERNIER_INLINE Vec<T> OfHeads(const T* row, const ScanLanes& lanes, size_t channels) {
  const size_t head = lanes.first / channels;
  if (lanes.first + lanes.valid <= (head + 1) * channels) return Set(row[head]);
  T of[kLanes];
  for (size_t l = 0; l < kLanes; ++l)
    of[l] = l < lanes.valid ? row[(lanes.first + l) / channels] : T{0};
  return Load<T>(of);
}

// `n` panels of one group together: they share B and C, and the chains that read their states do
// not wait for each other.
template <int n, class T>
VERNIER_INLINE void ScanHeadPanels(const ScanArgs<T>& a, size_t panel) {
  const size_t channels = a.width / a.heads, size = a.states * kLanes;
  ScanLanes lanes[n];
  Vec<T> rates[n];
  for (int i = 0; i < n; ++i) {
    lanes[i] = LanesOf(panel + static_cast<size_t>(i), a.width, a.groups);
    rates[i] = OfHeads(a.panels, lanes[i], channels);
    T* const h = a.scratch + static_cast<size_t>(i) * size;
    if (a.start) {
      GatherState(a.start + lanes[i].first * a.states, a.states, lanes[i].valid, h);
    } else {
      FillLanes(T{0}, size, h);
    }
  }
  for (size_t t = 0; t < a.tokens; ++t) {
    Vec<T> u[n], decay[n], total[n];
    for (int i = 0; i < n; ++i) {
      const Vec<T> dt = OfHeads(a.dt[t], lanes[i], channels);
      u[i] = dt * LoadLanes(a.x[t] + lanes[i].first, lanes[i].valid);
      decay[i] = Exponential(dt * rates[i]);
    }
    const T* const b = a.b[t] + lanes[0].group * a.states;
    const T* const c = a.y[t] ? a.c[t] + lanes[0].group * a.states : b;  // b: read for nothing
    for (size_t s0 = 0; s0 < a.states; s0 += kBlock) {
      const size_t end = a.states < s0 + kBlock ? a.states : s0 + kBlock;
      Vec<T> sum[n];
#pragma GCC unroll 4
      for (int i = 0; i < n; ++i) sum[i] = Set(T{0});
      for (size_t s = s0; s < end; ++s) {
#pragma GCC unroll 4
        for (int i = 0; i < n; ++i) {
          T* const h = a.scratch + static_cast<size_t>(i) * size + s * kLanes;
          const Vec<T> state = Fma(decay[i], Load<T>(h), u[i] * Set(b[s]));
          Store(state, h);
          sum[i] = Fma(Set(c[s]), state, sum[i]);
        }
      }
#pragma GCC unroll 4
      for (int i = 0; i < n; ++i) total[i] = s0 == 0 ? sum[i] : total[i] + sum[i];
    }
    for (int i = 0; i < n; ++i) {
      T* const h = a.scratch + static_cast<size_t>(i) * size;
      if (a.kept[t])
        ScatterState(h, a.states, lanes[i].valid, a.kept[t] + lanes[i].first * a.states);
      if (a.y[t]) StoreLanes(total[i], a.y[t] + lanes[i].first, lanes[i].valid);
    }
  }
}

// The states of four panels of 128 states fill 32 KB of float32: the first-level cache.
template <class T>
void ScanHeads(const ScanArgs<T>& a) {
  constexpr int kTile = VERNIER_VECTOR_BYTES == 64 && sizeof(T) == 4 ? 4 : 2;
  const size_t panels = (a.width / a.groups + kLanes - 1) / kLanes;  // of a group
  size_t p = a.first_panel;
  while (p < a.last_panel) {
    const size_t left = panels - p % panels;
    if (left >= kTile && p + kTile <= a.last_panel) {
      ScanHeadPanels<kTile>(a, p);
      p += kTile;
    } else {
      ScanHeadPanels<1>(a, p++);
    }
  }
}

// Scratch: h, base, p, l, as the state in memory.
template <class T>
void ScanChunked(const ScanArgs<T>& a) {
  const size_t size = a.states * kLanes, block = a.width * a.states;
  T *const h = a.scratch, *const base = h + size, *const p = base + size, *const l = p + size;
  for (size_t panel = a.first_panel; panel < a.last_panel; ++panel) {
    const ScanLanes lanes = LanesOf(panel, a.width, a.groups);
    const size_t at = lanes.first * a.states;
    FillLanes(T{0}, 4 * size, h);
    FillLanes(T{1}, size, p);
    for (size_t i = 0; i < 4 && a.start; ++i)
      GatherState(a.start + i * block + at, a.states, lanes.valid, h + i * size);
    const size_t channels = a.heads > 0 ? a.width / a.heads : 1;
    const T* const rates = a.panels + panel * size;  // without heads
    for (size_t t = 0; t < a.tokens; ++t) {
      if ((a.position + t) % a.chunk == 0) {
        memcpy(base, h, size * sizeof(T));
        FillLanes(T{1}, size, p);
        FillLanes(T{0}, size, l);
      }
      const Vec<T> dt = a.heads > 0 ? OfHeads(a.dt[t], lanes, channels)
                                    : LoadLanes(a.dt[t] + lanes.first, lanes.valid);
      const Vec<T> u = dt * LoadLanes(a.x[t] + lanes.first, lanes.valid);
      const T* const b = a.b[t] + lanes.group * a.states;
      Vec<T> decay = a.heads > 0 ? Exponential(dt * OfHeads(a.panels, lanes, channels)) : dt;
      for (size_t n = 0; n < size; n += kLanes) {
        if (a.heads == 0) decay = Exponential(dt * Load<T>(rates + n));
        const Vec<T> carried = decay * Load<T>(p + n);
        const Vec<T> local = Fma(decay, Load<T>(l + n), u * Set(b[n / kLanes]));
        Store(carried, p + n);
        Store(local, l + n);
        Store(Fma(carried, Load<T>(base + n), local), h + n);
      }
      for (size_t i = 0; i < 4 && a.kept[t]; ++i)
        ScatterState(h + i * size, a.states, lanes.valid, a.kept[t] + i * block + at);
      if (a.y[t])
        StoreLanes(ReadLanes(h, a.c[t] + lanes.group * a.states, a.states), a.y[t] + lanes.first,
                   lanes.valid);
    }
  }
}

// Sixteen channels stay in `scratch` (a kilobyte of float32 for 16 states: the first-level cache)
// over all tokens. The exponentials take most of the time.
template <class T>
void Scan(const ScanArgs<T>& a) {
  if (a.chunk > 0) return ScanChunked(a);
  if (a.heads > 0) return ScanHeads(a);
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
