// The runs of kernels/quantise.h, and its table.
#ifndef VERNIER_KERNELS_QUANTISE_INL_H_
#define VERNIER_KERNELS_QUANTISE_INL_H_

#include "kernels/descent-inl.h"
#include "kernels/search-inl.h"

namespace vernier::VERNIER_TARGET {

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
