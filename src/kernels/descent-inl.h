// The searches of kernels/quantise.h that change one code after another.
#ifndef VERNIER_KERNELS_DESCENT_INL_H_
#define VERNIER_KERNELS_DESCENT_INL_H_

#include "kernels/lanes-inl.h"

namespace vernier::VERNIER_TARGET {

// Changes the codes of element i where that betters the fit; where it did. limit(v) makes v a code,
// keep(code) is what of it the next passes see; kPositive: a fit without the element needs qq > 0.
template <bool kPositive, size_t n, class Limit, class Keep>
VERNIER_INLINE Mask DescendAt(size_t i, const Rows<n>& x, const Rows<n>& w, Rows<n>& codes, Fit& f,
                              const Limit& limit, const Keep& keep) {
  const Lanes zero = {};
  const Lanes xi = x[i], wi = w[i], wx = wi * xi, old = codes[i];
  const Lanes xq = f.xq - wx * old, qq = f.qq - wi * old * old;
  Mask usable = xq > zero;
  if constexpr (kPositive) usable = usable & (qq > zero);
  const Lanes code = limit(xi * qq / xq);
  const Lanes new_xq = xq + wx * code, new_qq = qq + wi * code * code;
  Mask take = usable & (code != old) & (new_xq * new_xq * f.qq > f.xq * f.xq * new_qq);
  if constexpr (!kPositive) take = take & (new_qq > zero);
  codes.Put(i, take ? keep(code) : old);
  f.xq = take ? new_xq : f.xq;
  f.qq = take ? new_qq : f.qq;
  return take;
}

// kSets times kWidth groups: a pass is one long chain of operations, so that several are needed to
// keep the machine busy (AVX-512, M elements/s: 365 with two, 475 with four).
template <size_t kSets>
void DescentLanes(const float* x_in, float* scales, uint8_t* codes_out) {
  constexpr size_t n = 16;
  Rows<n> x[kSets], w[kSets], codes[kSets];
  Fit fits[kSets];
  Mask some[kSets];
  const Lanes zero = {};
  const auto limit = [](const Lanes& v) { return NearestWithin(v, -4, 3); };
  for (size_t u = 0; u < kSets; ++u) {
    x[u] = Spread<n>(x_in + u * kWidth * n);
    w[u] = Squares(x[u]);
    const Lanes inverse = SetPart(-4.0f) / SignedMost(x[u], &some[u]);
    for (size_t i = 0; i < n; ++i) {
      const Lanes l = limit(inverse * x[u][i]);
      codes[u].Put(i, l);
      fits[u].Add(w[u][i] * x[u][i], w[u][i], l);
    }
  }
  // What a pass leaves as it is is left so by all later ones.
  const auto keep = [](const Lanes& v) { return v; };
  bool active[kSets];
  for (bool& a : active) a = true;
  for (int pass = 0; pass < 5; ++pass) {
    Mask changed[kSets] = {};
    for (size_t i = 0; i < n; ++i) {
#pragma GCC unroll 4
      for (size_t u = 0; u < kSets; ++u)
        if (active[u])
          changed[u] |= DescendAt<false>(i, x[u], w[u], codes[u], fits[u], limit, keep);
    }
    bool any = false;
    for (size_t u = 0; u < kSets; ++u) any |= active[u] = Any(changed[u]);
    if (!any) break;
  }
  for (size_t u = 0; u < kSets; ++u) {
    const Fit& f = fits[u];
    StoreLanes((some[u] & (f.qq > zero)) ? f.xq / f.qq : zero, scales + u * kWidth);
    if (codes_out == nullptr) continue;
    for (size_t i = 0; i < n; ++i) codes[u].Put(i, some[u] ? codes[u][i] : SetPart(-4.0f));
    Collect(codes[u], 4, codes_out + u * kWidth * n);
  }
}

inline void Descent(const float* x, size_t groups, float* scales, uint8_t* codes) {
  size_t g = 0;
  const auto codes_at = [&] { return codes != nullptr ? codes + g * 16 : nullptr; };
  for (; g + 4 * kWidth <= groups; g += 4 * kWidth)
    DescentLanes<4>(x + g * 16, scales + g, codes_at());
  for (; g < groups; g += kWidth) DescentLanes<1>(x + g * 16, scales + g, codes_at());
}

template <size_t n>
void PositiveLanes(int top, const float* x_in, const float* w_in, float* scales,
                   uint8_t* codes_out) {
  const Rows<n> x = Spread<n>(x_in), w = Spread<n>(w_in);
  Rows<n> codes;
  const Lanes zero = {};
  Lanes max = zero;
  for (size_t i = 0; i < n; ++i) max = Larger(max, x[i]);
  const Mask some = ~(max < SetPart(kZeroGroup));
  const auto limit = [&](const Lanes& v) { return NearestWithin<false>(v, 0, top); };
  const auto modulo_256 = [](const Lanes& v) {
    return __builtin_convertvector(__builtin_convertvector(v, Mask) & 255, Lanes);
  };
  const auto error = [&](const Lanes& scale, const auto& code) {
    Lanes sum = {};
    for (size_t i = 0; i < n; ++i) {
      const Lanes difference = x[i] - scale * code(x[i]);
      sum += w[i] * difference * difference;
    }
    return sum;
  };
  Lanes inverse = SetPart(static_cast<float>(top)) / max;
  Lanes least = error(SetPart(1.0f) / inverse, [&](const Lanes& v) {
    return modulo_256(NearestWithin<false>(inverse * v, 0, 0x3fffff));
  });
  for (int t = -4; t <= 4; ++t) {
    if (t == 0) continue;
    const Lanes other = SetPart(0.1f * static_cast<float>(t) + static_cast<float>(top)) / max;
    const Lanes e = error(SetPart(1.0f) / other, [&](const Lanes& v) { return limit(other * v); });
    const Mask better = e < least;
    least = better ? e : least;
    inverse = better ? other : inverse;
  }
  Fit f;
  for (size_t i = 0; i < n; ++i) {
    const Lanes l = limit(inverse * x[i]);
    codes.Put(i, modulo_256(l));
    f.Add(w[i] * x[i], w[i], l);
  }
  for (int pass = 0; pass < 5; ++pass) {
    Mask changed = {};
    for (size_t i = 0; i < n; ++i) changed |= DescendAt<true>(i, x, w, codes, f, limit, modulo_256);
    if (!Any(changed)) break;
  }
  StoreLanes((some & (f.qq > zero)) ? f.xq / f.qq : zero, scales);
  for (size_t i = 0; i < n; ++i) codes.Put(i, some ? codes[i] : zero);
  Collect(codes, 0, codes_out);
}

inline void Positive(size_t n, int top, const float* x, const float* w, float* scales,
                     uint8_t* codes) {
  auto* const lanes = n == 8 ? &PositiveLanes<8> : &PositiveLanes<16>;
  for (size_t g = 0; g < kGroups; g += kWidth)
    lanes(top, x + g * n, w + g * n, scales + g, codes + g * n);
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_DESCENT_INL_H_
