// Rows of activations as ggml quantises them on x86 (ggml-org/ggml: src/ggml-cpu/arch/x86/quants.c
// and repack.cpp, src/ggml-quants.c; facts of arithmetic), in the layout of ActivationFormat.
#ifndef VERNIER_KERNELS_INTDOT_ROWS_INL_H_
#define VERNIER_KERNELS_INTDOT_ROWS_INL_H_

#include "kernels/intdot.h"
#include "kernels/ints-inl.h"

namespace vernier::VERNIER_TARGET {

// Rounded to binary16, ties to even, and widened again.
#if VERNIER_VECTOR_BYTES > 16
VERNIER_INLINE float ThroughHalf(float x) {
  return _cvtsh_ss(_cvtss_sh(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
#else
VERNIER_INLINE float ThroughHalf(float x) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, x), u = bits & 0x7fffffffu;
  const uint32_t normal = (u + 0xfffu + ((u >> 13) & 1u) - (112u << 23)) >> 13;
  // Below 2^-14 the grid is 2^-24, the unit in the last place of 0.5.
  const uint32_t small = __builtin_bit_cast(uint32_t, __builtin_bit_cast(float, u) + 0.5f) -
                         __builtin_bit_cast(uint32_t, 0.5f);
  const uint32_t special = u > 0x7f800000u ? (0x7e00u | ((u >> 13) & 0x3ffu)) : 0x7c00u;
  const uint32_t finite = u < 0x38800000u ? small : normal;
  return HalfBitsToFloat((bits >> 16 & 0x8000u) | (u >= 0x477ff000u ? special : finite));
}
#endif

VERNIER_INLINE Vec<float> Magnitudes(const Vec<float>& x) {
  return ForParts<float>([&](int q) {
    return reinterpret_cast<Floats>(reinterpret_cast<Ints>(x.part[q]) & SetInts(0x7fffffff));
  });
}

inline constexpr float kRound = 0x1.8p23f;  // added to a small number: its low bits are the integer

// 16 codes as dwords.
struct Codes {
  Ints part[kParts];
};

#if VERNIER_VECTOR_BYTES == 64
VERNIER_INLINE Ints Clamp(const Ints& v) {
  return OfBits(_mm512_maskz_max_epi32(
      0xffff, _mm512_maskz_min_epi32(0xffff, Bits(v), Bits(SetInts(127))), Bits(SetInts(-127))));
}
VERNIER_INLINE __m128i BytesOf(const Codes& c) {
  return _mm512_maskz_cvtepi32_epi8(0xffff, Bits(c.part[0]));
}
// Lanes where x is y.
VERNIER_INLINE uint32_t Equal(const Vec<float>& x, float y) {
  return _mm512_cmp_ps_mask(x.part[0], SetFloats(y), _CMP_EQ_OQ);
}
#elif VERNIER_VECTOR_BYTES == 32
VERNIER_INLINE Ints Clamp(const Ints& v) {
  return OfBits(
      _mm256_max_epi32(_mm256_min_epi32(Bits(v), Bits(SetInts(127))), Bits(SetInts(-127))));
}
VERNIER_INLINE __m128i BytesOf(const Codes& c) {
  const __m256i words =
      _mm256_permute4x64_epi64(_mm256_packs_epi32(Bits(c.part[0]), Bits(c.part[1])), 0xd8);
  return _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
}
VERNIER_INLINE uint32_t Equal(const Vec<float>& x, float y) {
  const auto mask = [&](int q) {
    return static_cast<uint32_t>(
        _mm256_movemask_ps(_mm256_cmp_ps(x.part[q], SetFloats(y), _CMP_EQ_OQ)));
  };
  return mask(0) | mask(1) << 8;
}
#else
VERNIER_INLINE Ints Clamp(const Ints& v) {
  const Ints high = v > SetInts(127), low = v < SetInts(-127);
  return (v & ~(high | low)) | (SetInts(127) & high) | (SetInts(-127) & low);
}
typedef uint8_t Bytes16 __attribute__((vector_size(16)));
VERNIER_INLINE Bytes16 BytesOf(const Codes& c) {
  Bytes16 bytes;
  for (int i = 0; i < 16; ++i) bytes[i] = static_cast<uint8_t>(c.part[i / kWidth][i % kWidth]);
  return bytes;
}
VERNIER_INLINE uint32_t Equal(const Vec<float>& x, float y) {
  uint32_t mask = 0;
  for (int i = 0; i < 16; ++i)
    mask |= static_cast<uint32_t>(x.part[i / kWidth][i % kWidth] == y) << i;
  return mask;
}
#endif

VERNIER_INLINE void StoreCodes(const Codes& c, bool flipped, uint8_t* out) {
  typedef uint8_t Bytes __attribute__((vector_size(16)));
  const uint8_t flip = flipped ? 128 : 0;
  const Bytes bytes = reinterpret_cast<Bytes>(BytesOf(c)) ^ flip;
  memcpy(out, &bytes, sizeof bytes);
}

// x times factor to the nearest integer, ties to even, where that is within 127; beyond (and of
// NaN) some code within 127.
VERNIER_INLINE Codes RoundCodes(const Vec<float>& x, float factor) {
  Codes codes;
  for (int q = 0; q < kParts; ++q) {
    const Floats shifted = x.part[q] * SetFloats(factor) + SetFloats(kRound);
    codes.part[q] =
        Clamp((reinterpret_cast<Ints>(shifted) & SetInts(0x7fffff)) - SetInts(0x400000));
  }
  return codes;
}

// Lanes joined by halves: neither integers nor maxima (there is no NaN) depend on the order.
inline constexpr int32_t kTurns[32] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
                                       0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
VERNIER_INLINE Ints Turned(const Ints& v, int by) {  // lane i from lane i + by, modulo kWidth
  return __builtin_shuffle(v, LoadInts(kTurns + by));
}
VERNIER_INLINE int32_t SumOf(const Codes& c) {
  Ints v = c.part[0];
  for (int q = 1; q < kParts; ++q) v += c.part[q];
#pragma GCC unroll 4
  for (int half = kWidth / 2; half > 0; half /= 2) v += Turned(v, half);
  return v[0];
}
VERNIER_INLINE float MostOf(const Vec<float>& x) {
  Floats v = x.part[0];
  for (int q = 1; q < kParts; ++q) v = x.part[q] > v ? x.part[q] : v;
#pragma GCC unroll 4
  for (int half = kWidth / 2; half > 0; half /= 2) {
    const Floats other = reinterpret_cast<Floats>(Turned(reinterpret_cast<Ints>(v), half));
    v = other > v ? other : v;
  }
  return v[0];
}

inline void QuantiseQ8_0(ActivationFormat format, const float* x, size_t k, uint8_t* row) {
  float* scales = reinterpret_cast<float*>(row + format.Scales(k));
  uint8_t* sums = row + format.Sums(k);
  for (size_t b = 0; b < k / 32; ++b) {
    const Vec<float> low = Load<float>(x + 32 * b), high = Load<float>(x + 32 * b + 16);
    const float most = MostOf(Greater(Greater(Set(0.0f), Magnitudes(low)), Magnitudes(high)));
    const float d = most / 127.0f, inverse = most != 0 ? 127.0f / most : 0.0f;
    const Codes first = RoundCodes(low, inverse), second = RoundCodes(high, inverse);
    StoreCodes(first, format.flipped, row + 32 * b);
    StoreCodes(second, format.flipped, row + 32 * b + 16);
    Codes both;
    for (int q = 0; q < kParts; ++q) both.part[q] = first.part[q] + second.part[q];
    const int32_t sum = SumOf(both);
    scales[b] = ThroughHalf(d);
    if (format.kind == ActivationKind::kQ8_1) {
      const float s = ThroughHalf(d * static_cast<float>(sum));
      memcpy(sums + 4 * b, &s, 4);
    } else {
      const int32_t bias = sum * -static_cast<int32_t>(format.offset);
      memcpy(sums + 4 * b, &bias, 4);
    }
  }
}

// The element of the largest magnitude of 256, the first of them (of NaN alone, zero). ggml's rows
// of four take the positive one instead: codes and scale change their signs, no product does.
VERNIER_INLINE float SignedMost(const float* x) {
  Vec<float> most = Set(0.0f);
  for (size_t i = 0; i < 256; i += 16) most = Greater(most, Magnitudes(Load<float>(x + i)));
  const float magnitude = MostOf(most);
  for (size_t i = 0; i < 256; i += 16) {
    const uint32_t mask = Equal(Magnitudes(Load<float>(x + i)), magnitude);
    if (mask != 0) return x[i + static_cast<size_t>(__builtin_ctz(mask))];
  }
  return 0.0f;
}

inline void QuantiseQ8_K(ActivationFormat format, const float* x, size_t k, uint8_t* row) {
  float* scales = reinterpret_cast<float*>(row + format.Scales(k));
  int16_t* sums16 = reinterpret_cast<int16_t*>(row + format.Sums(k));
  int16_t* sums32 = sums16 + k / 16;
  for (size_t b = 0; b < k / 256; ++b) {
    const float most = SignedMost(x + 256 * b);
    const float factor = most != 0 ? -127.0f / most : 0.0f;
    scales[b] = most != 0 ? 1.0f / factor : 0.0f;
    for (size_t i = 16 * b; i < 16 * b + 16; ++i) {
      const Codes codes = RoundCodes(Load<float>(x + 16 * i), factor);
      StoreCodes(codes, format.flipped, row + 16 * i);
      sums16[i] = static_cast<int16_t>(SumOf(codes));
    }
    for (size_t i = 8 * b; i < 8 * b + 8; ++i)
      sums32[i] = static_cast<int16_t>(sums16[2 * i] + sums16[2 * i + 1]);
  }
}

inline void Quantise(ActivationFormat format, const float* x, size_t k, uint8_t* row) {
  if (format.kind == ActivationKind::kQ8_K) {
    QuantiseQ8_K(format, x, k, row);
  } else {
    QuantiseQ8_0(format, x, k, row);
  }
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_INTDOT_ROWS_INL_H_
