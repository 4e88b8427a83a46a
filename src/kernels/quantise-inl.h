// kernels/quantise.h, one register of lanes at a time: in the searches lane g holds a group, and
// every operation of quantise_reference.h is one operation on all lanes, its branches selections.
#ifndef VERNIER_KERNELS_QUANTISE_INL_H_
#define VERNIER_KERNELS_QUANTISE_INL_H_

#include "kernels/quantise.h"
#include "kernels/vec-inl.h"

namespace vernier::VERNIER_TARGET {

using Lanes = Native<float>::Type;
using Mask = Native<float>::Bits;  // all ones or zero in each lane
constexpr size_t kWidth = VERNIER_VECTOR_BYTES / sizeof(float);

VERNIER_INLINE Lanes LoadLanes(const float* p) { return LoadPart(p, 0.0f); }
VERNIER_INLINE void StoreLanes(const Lanes& v, float* p) { memcpy(p, &v, sizeof v); }
VERNIER_INLINE Lanes Abs(const Lanes& a) {
  return reinterpret_cast<Lanes>(reinterpret_cast<Mask>(a) & 0x7fffffff);
}
VERNIER_INLINE Lanes Lesser(const Lanes& a, const Lanes& b) { return a < b ? a : b; }
VERNIER_INLINE Lanes Larger(const Lanes& a, const Lanes& b) { return a > b ? a : b; }
VERNIER_INLINE bool Any(const Mask& m) {
  int64_t words[sizeof(m) / 8], any = 0;
  memcpy(words, &m, sizeof m);
  for (const int64_t word : words) any |= word;
  return any != 0;
}

// The integer that the low 23 bits of v + 1.5 * 2^23 are, less 2^22: the nearest to v, ties to
// even, where |v| <= 2^22. Limited to low .. high, and a float: the bits under the exponent of 2^23
// are the number 2^23 + bits.
template <bool kLow = true>
VERNIER_INLINE Lanes NearestWithin(const Lanes& v, int low, int high) {
  const Lanes magic = SetPart(0x1.8p23f);
  const Mask bits = (reinterpret_cast<Mask>(v + magic) & 0x7fffff) | 0x4b000000;
  Lanes y = reinterpret_cast<Lanes>(bits);
  if constexpr (kLow) y = Larger(y, SetPart(0x1.8p23f + static_cast<float>(low)));
  return Lesser(y, SetPart(0x1.8p23f + static_cast<float>(high))) - magic;
}

// n elements of each of kWidth groups: row i has element i of every group.
template <size_t n>
struct Rows {
  alignas(64) float data[n * kWidth];
  VERNIER_INLINE Lanes operator[](size_t i) const { return LoadLanes(data + i * kWidth); }
  VERNIER_INLINE void Put(size_t i, const Lanes& v) { StoreLanes(v, data + i * kWidth); }
};

// Four elements of four groups, transposed.
typedef float Quad __attribute__((vector_size(16)));
VERNIER_INLINE void SpreadQuads(const float* x, size_t n, float* rows) {
  Quad a, b, c, d;
  memcpy(&a, x, sizeof a);
  memcpy(&b, x + n, sizeof b);
  memcpy(&c, x + 2 * n, sizeof c);
  memcpy(&d, x + 3 * n, sizeof d);
  const Quad ab = __builtin_shufflevector(a, b, 0, 4, 1, 5),
             cd = __builtin_shufflevector(c, d, 0, 4, 1, 5),
             ab2 = __builtin_shufflevector(a, b, 2, 6, 3, 7),
             cd2 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  const Quad out[4] = {
      __builtin_shufflevector(ab, cd, 0, 1, 4, 5), __builtin_shufflevector(ab, cd, 2, 3, 6, 7),
      __builtin_shufflevector(ab2, cd2, 0, 1, 4, 5), __builtin_shufflevector(ab2, cd2, 2, 3, 6, 7)};
#pragma GCC unroll 4
  for (size_t i = 0; i < 4; ++i) memcpy(rows + i * kWidth, &out[i], sizeof(Quad));
}
template <size_t n>
VERNIER_INLINE Rows<n> Spread(const float* x) {
  Rows<n> rows;
  for (size_t g = 0; g < kWidth; g += 4)
    for (size_t i = 0; i < n; i += 4) SpreadQuads(x + g * n + i, n, rows.data + i * kWidth + g);
  return rows;
}
template <size_t n>
VERNIER_INLINE void Collect(const Rows<n>& rows, int32_t offset, uint8_t* codes) {
  for (size_t i = 0; i < n; ++i) {
    const Mask integers = __builtin_convertvector(rows[i], Mask) + offset;
    int32_t row[kWidth];
    memcpy(row, &integers, sizeof integers);
    for (size_t g = 0; g < kWidth; ++g) codes[g * n + i] = static_cast<uint8_t>(row[g]);
  }
}

template <size_t n>
VERNIER_INLINE Rows<n> Squares(const Rows<n>& x) {
  Rows<n> y;
  for (size_t i = 0; i < n; ++i) y.Put(i, x[i] * x[i]);
  return y;
}

// Sums of w x q and w q q.
struct Fit {
  Lanes xq = {}, qq = {};
  VERNIER_INLINE void Add(const Lanes& wx, const Lanes& w, const Lanes& q) {
    xq += wx * q;
    qq += w * q * q;
  }
};

template <size_t n>
VERNIER_INLINE Lanes AffineError(bool absolute, const Rows<n>& x, const Rows<n>& w,
                                 const Rows<n>& codes, const Lanes& scale, const Lanes& min) {
  Lanes error = {};
  if (absolute) {
    for (size_t i = 0; i < n; ++i) error += w[i] * Abs(scale * codes[i] + min - x[i]);
  } else {
    for (size_t i = 0; i < n; ++i) {
      const Lanes difference = scale * codes[i] + min - x[i];
      error += w[i] * (difference * difference);
    }
  }
  return error;
}

template <size_t n>
void AffineLanes(const AffineSearch& s, const float* x_in, const float* w_in, float* scales,
                 float* minima, float* inverses, float* offsets) {
  const Rows<n> x = Spread<n>(x_in), w = Spread<n>(w_in);
  Rows<n> codes;
  Lanes min = x[0], max = min, sum_w = w[0], sum_x = sum_w * min;
  for (size_t i = 1; i < n; ++i) {
    min = Lesser(x[i], min);
    max = Larger(x[i], max);
    sum_w += w[i];
    sum_x += w[i] * x[i];
  }
  const Lanes zero = {}, top = SetPart(static_cast<float>(s.top));
  min = min > zero ? zero : min;
  const Mask varies = max > min;
  Lanes inverse = top / (max - min), scale = SetPart(1.0f) / inverse;
  for (size_t i = 0; i < n; ++i) codes.Put(i, NearestWithin(inverse * (x[i] - min), 0, s.top));
  Lanes best_error = AffineError(s.absolute, x, w, codes, scale, min);
  Lanes best_inverse = inverse, best_offset = min;
  for (int t = 0; t <= s.tries; ++t) {
    const float steps = s.first + s.step * static_cast<float>(t) + static_cast<float>(s.top);
    inverse = SetPart(steps) / (max - min);
    Lanes sum_l = zero, sum_l2 = zero, sum_xl = zero;
    for (size_t i = 0; i < n; ++i) {
      const Lanes l = NearestWithin(inverse * (x[i] - min), 0, s.top), wl = w[i] * l;
      codes.Put(i, l);
      sum_l += wl;
      sum_l2 += wl * l;
      sum_xl += wl * x[i];
    }
    const Lanes determinant = sum_w * sum_l2 - sum_l * sum_l;
    Lanes this_scale = (sum_w * sum_xl - sum_x * sum_l) / determinant;
    Lanes this_min = (sum_l2 * sum_x - sum_l * sum_xl) / determinant;
    const Mask above = this_min > zero;
    this_scale = above ? sum_xl / sum_l2 : this_scale;
    this_min = above ? zero : this_min;
    const Lanes error = AffineError(s.absolute, x, w, codes, this_scale, this_min);
    const Mask better = (determinant > zero) & (error < best_error);
    best_inverse = better ? inverse : best_inverse;
    best_offset = better ? min : best_offset;
    best_error = better ? error : best_error;
    scale = better ? this_scale : scale;
    min = better ? this_min : min;
  }
  StoreLanes(varies ? scale : zero, scales);
  StoreLanes(-min, minima);
  StoreLanes(varies ? best_inverse : SetPart(__builtin_inff()), inverses);
  StoreLanes(varies ? best_offset : zero, offsets);
}

inline void Affine(const AffineSearch& s, const float* x, const float* w, float* scales,
                   float* minima, float* inverses, float* offsets) {
  auto* const lanes = s.n == 16 ? &AffineLanes<16> : &AffineLanes<32>;
  for (size_t g = 0; g < kGroups; g += kWidth)
    lanes(s, x + g * s.n, w + g * s.n, scales + g, minima + g, inverses + g, offsets + g);
}

// The first element of largest magnitude; `some`: where that is not below kZeroGroup.
template <size_t n>
VERNIER_INLINE Lanes SignedMost(const Rows<n>& x, Mask* some) {
  Lanes most = {}, signed_most = {};
  for (size_t i = 0; i < n; ++i) {
    const Mask more = Abs(x[i]) > most;
    most = more ? Abs(x[i]) : most;
    signed_most = more ? x[i] : signed_most;
  }
  *some = ~(most < SetPart(kZeroGroup));
  return signed_most;
}

template <size_t n>
void SymmetricLanes(int top, const float* x_in, const float* w_in, float* scales, float* inverses) {
  const Rows<n> x = Spread<n>(x_in), w = w_in != nullptr ? Spread<n>(w_in) : Squares(x);
  Rows<n> wx;
  for (size_t i = 0; i < n; ++i) wx.Put(i, w[i] * x[i]);
  Mask some;
  const Lanes most = SignedMost(x, &some), zero = {};
  const auto fit = [&](const Lanes& inverse) {
    Fit f;
    for (size_t i = 0; i < n; ++i) f.Add(wx[i], w[i], NearestWithin(inverse * x[i], -top, top - 1));
    return f;
  };
  Lanes best_inverse = SetPart(-static_cast<float>(top)) / most;
  const Fit first = fit(best_inverse);
  Lanes scale = first.qq != zero ? first.xq / first.qq : zero;
  Lanes best = scale * first.xq;
  for (int t = -9; t <= 9; ++t) {
    if (t == 0) continue;
    const float steps = static_cast<float>(top) + 0.1f * static_cast<float>(t);
    const Lanes inverse = SetPart(-steps) / most;
    const Fit f = fit(inverse);
    const Mask better = (f.qq > zero) & (f.xq * f.xq > best * f.qq);
    best_inverse = better ? inverse : best_inverse;
    scale = better ? f.xq / f.qq : scale;
    best = better ? scale * f.xq : best;
  }
  StoreLanes(some ? scale : zero, scales);
  StoreLanes(some ? best_inverse : SetPart(__builtin_inff()), inverses);
}

inline void Symmetric(size_t n, int top, const float* x, const float* w, float* scales,
                      float* inverses) {
  auto* const lanes = n == 16 ? &SymmetricLanes<16> : &SymmetricLanes<32>;
  for (size_t g = 0; g < kGroups; g += kWidth)
    lanes(top, x + g * n, w != nullptr ? w + g * n : nullptr, scales + g, inverses + g);
}

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
// keep the machine busy (four: 2.6 times the rate of one).
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
  // A group that a pass leaves as it is is left so by all later ones.
  const auto keep = [](const Lanes& v) { return v; };
  for (int pass = 0; pass < 5; ++pass) {
    Mask changed = {};
    for (size_t i = 0; i < n; ++i) {
#pragma GCC unroll 4
      for (size_t u = 0; u < kSets; ++u)
        changed |= DescendAt<false>(i, x[u], w[u], codes[u], fits[u], limit, keep);
    }
    if (!Any(changed)) break;
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

// The level nearest to v, or its index: what it is past, of the 15 halves between neighbours.
template <bool kIndex>
VERNIER_INLINE Lanes NearestLevel(const Lanes& v) {
  Lanes y = SetPart(kIndex ? 0.0f : static_cast<float>(kIQ4Levels[0]));
#pragma GCC unroll 15
  for (int i = 1; i < 16; ++i) {
    const Lanes half = SetPart(0.5f * static_cast<float>(kIQ4Levels[i - 1] + kIQ4Levels[i]));
    y = v < half ? y : SetPart(static_cast<float>(kIndex ? i : kIQ4Levels[i]));
  }
  return y;
}

inline void LevelsLanes(const float* x_in, const float* w_in, float* scales) {
  constexpr size_t n = 32;
  const Rows<n> x = Spread<n>(x_in), w = w_in != nullptr ? Spread<n>(w_in) : Squares(x);
  Mask some;
  const Lanes most = SignedMost(x, &some), zero = {};
  const auto fit = [&](const Lanes& inverse) {
    Fit f;
    for (size_t i = 0; i < n; ++i) {
      const Lanes level = NearestLevel<false>(inverse * x[i]), wl = w[i] * level;
      f.xq += wl * x[i];
      f.qq += wl * level;
    }
    return f;
  };
  const Fit first = fit(SetPart(1.0f) / (-most / SetPart(-127.0f)));
  Lanes scale = first.qq > zero ? first.xq / first.qq : zero;
  Lanes best = scale * first.xq;
  for (int t = -7; t <= 7; ++t) {
    const Fit f = fit(SetPart(static_cast<float>(t - 127)) / most);
    const Mask better = (f.qq > zero) & (f.xq * f.xq > best * f.qq);
    scale = better ? f.xq / f.qq : scale;
    best = better ? scale * f.xq : best;
  }
  StoreLanes(some ? scale : zero, scales);
}

inline void Levels(const float* x, const float* w, float* scales) {
  for (size_t g = 0; g < kGroups; g += kWidth)
    LevelsLanes(x + g * 32, w != nullptr ? w + g * 32 : nullptr, scales + g);
}

constexpr size_t kParts = kGroups / kWidth;

// The low 8 bits of sixteen lanes.
VERNIER_INLINE void StoreBytes(const Mask (&v)[kParts], uint8_t* out) {
#if VERNIER_VECTOR_BYTES == 64
  const __m128i bytes = _mm512_maskz_cvtepi32_epi8(0xffff, reinterpret_cast<__m512i>(v[0]));
  memcpy(out, &bytes, sizeof bytes);
#elif VERNIER_VECTOR_BYTES == 32
  const __m256i words =
      _mm256_permute4x64_epi64(_mm256_packus_epi32(reinterpret_cast<__m256i>(v[0] & 255),
                                                   reinterpret_cast<__m256i>(v[1] & 255)),
                               0xd8);  // packing works in halves
  const __m128i bytes =
      _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  memcpy(out, &bytes, sizeof bytes);
#elif defined(__SSE2__)
  const auto pair = [&](int i) {
    return _mm_packs_epi32(reinterpret_cast<__m128i>(v[i] & 255),
                           reinterpret_cast<__m128i>(v[i + 1] & 255));
  };
  const __m128i bytes = _mm_packus_epi16(pair(0), pair(2));
  memcpy(out, &bytes, sizeof bytes);
#else
  for (size_t i = 0; i < kGroups; ++i) out[i] = static_cast<uint8_t>(v[i / kWidth][i % kWidth]);
#endif
}

// codes[i] = f(x[i]), an integer in each lane.
template <class F>
VERNIER_INLINE void EachCode(const float* x, size_t n, void* codes, F f) {
  for (size_t i = 0; i < n; i += kGroups) {
    Mask v[kParts];
#pragma GCC unroll 4
    for (size_t q = 0; q < kParts; ++q) v[q] = f(LoadLanes(x + i + q * kWidth));
    StoreBytes(v, static_cast<uint8_t*>(codes) + i);
  }
}

VERNIER_INLINE Mask Integers(const Lanes& v) { return __builtin_convertvector(v, Mask); }
// Towards zero; what no int32 holds gives -2^31.
VERNIER_INLINE Mask Truncate(const Lanes& v) {
  const Lanes limit = SetPart(0x1p31f);
  return Integers(((v > -limit) & (v < limit)) ? v : -limit);
}

inline void Codes(const float* x, size_t n, float factor, float offset, int low, int high,
                  uint8_t* codes) {
  EachCode(x, n, codes, [&](const Lanes& v) {
    return Integers(NearestWithin(SetPart(factor) * (v - SetPart(offset)), low, high)) - low;
  });
}

inline void Requantise(const float* x, size_t n, float d, float m, int low, int high,
                       uint8_t* codes) {
  EachCode(x, n, codes, [&](const Lanes& v) {
    return Integers(NearestWithin((v + SetPart(m)) / SetPart(d), low, high)) - low;
  });
}

inline void NearestLevels(const float* x, size_t n, float factor, uint8_t* codes) {
  EachCode(x, n, codes,
           [&](const Lanes& v) { return Integers(NearestLevel<true>(v * SetPart(factor))); });
}

// The distances of x and -x to a code and its negative are the same, those to the numbers of the
// other sign at least |x|, the distance of zero, and zero's lower code wins.
inline void NearestE2M1(const float* x, size_t n, float d, uint8_t* codes) {
  EachCode(x, n, codes, [&](const Lanes& v) {
    const Lanes magnitude = Abs(v);
    Lanes least = magnitude;
    Mask code = {};
#pragma GCC unroll 7
    for (int c = 1; c < 8; ++c) {
      const Lanes distance = Abs(SetPart(static_cast<float>(kTwiceE2M1[c]) * d) - magnitude);
      code = distance < least ? Mask{} + c : code;
      least = Lesser(distance, least);
    }
    return code | ((code > 0) & (v < Lanes{}) & 8);
  });
}

inline void Weigh(const float* x, const float* importance, size_t n, float variance,
                  float* weights) {
  for (size_t i = 0; i < n; i += kWidth) {
    const Lanes v = LoadLanes(x + i);
    StoreLanes(LoadLanes(importance + i) * SqrtPart(SetPart(variance) + v * v), weights + i);
  }
}

// f over all lanes, in an order that does not matter to it.
template <class F>
VERNIER_INLINE float Reduce(const Lanes& v, F f) {
#if VERNIER_VECTOR_BYTES == 64
  const Quad a = f(__builtin_shufflevector(v, v, 0, 1, 2, 3),
                   __builtin_shufflevector(v, v, 4, 5, 6, 7)),
             b = f(__builtin_shufflevector(v, v, 8, 9, 10, 11),
                   __builtin_shufflevector(v, v, 12, 13, 14, 15)),
             four = f(a, b);
#elif VERNIER_VECTOR_BYTES == 32
  const Quad four =
      f(__builtin_shufflevector(v, v, 0, 1, 2, 3), __builtin_shufflevector(v, v, 4, 5, 6, 7));
#else
  const Quad four = v;
#endif
  const Quad two = f(four, __builtin_shufflevector(four, four, 2, 3, 0, 1));
  return f(two, __builtin_shufflevector(two, two, 1, 0, 3, 2))[0];
}

inline float Most(const float* x, size_t n) {
  Lanes most = {};
  for (size_t i = 0; i < n; i += kWidth) most = Larger(Abs(LoadLanes(x + i)), most);
  return Reduce(most, [](auto a, auto b) { return a > b ? a : b; });
}

inline void Extremes(const float* x, size_t n, float* least, float* most) {
  Lanes low = SetPart(__FLT_MAX__), high = -low;
  for (size_t i = 0; i < n; i += kWidth) {
    low = Lesser(LoadLanes(x + i), low);
    high = Larger(LoadLanes(x + i), high);
  }
  *least = Reduce(low, [](auto a, auto b) { return a < b ? a : b; });
  *most = Reduce(high, [](auto a, auto b) { return a > b ? a : b; });
}

// Adding 0.5 itself would lift 0.5 - 2^-25 to 1.
inline void RoundAway(const float* x, size_t n, float factor, int8_t* codes) {
  EachCode(x, n, codes, [&](const Lanes& value) {
    const Lanes v = value * SetPart(factor);
    const Mask half =
        (reinterpret_cast<Mask>(v) & INT32_MIN) | reinterpret_cast<Mask>(SetPart(0x1.fffffep-2f));
    return Truncate(v + reinterpret_cast<Lanes>(half));
  });
}

inline void Cut(const float* x, size_t n, float offset, float factor, float bias, int top,
                uint8_t* codes) {
  EachCode(x, n, codes, [&](const Lanes& v) {
    const Mask code = Truncate((v - SetPart(offset)) * SetPart(factor) + SetPart(bias));
    return code < top ? code : Mask{} + top;
  });
}

inline constexpr QuantiseKernels kQuantise = {
    Affine,        Symmetric,   Descent, Positive, Levels,    Codes, Requantise,
    NearestLevels, NearestE2M1, Weigh,   Most,     RoundAway, Cut,   Extremes};

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_QUANTISE_INL_H_
