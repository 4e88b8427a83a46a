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

// 16 codes: x times factor to the nearest integer, ties to even, where that is within 127; beyond
// (and of NaN) any code but -128. Returns their sum.
VERNIER_INLINE int32_t Encode(const Vec<float>& x, float factor, uint8_t flip, uint8_t* codes) {
  int32_t values[16];
  for (int q = 0; q < kParts; ++q) {
    const Floats shifted = x.part[q] * SetFloats(factor) + SetFloats(kRound);
    Ints v = (reinterpret_cast<Ints>(shifted) & SetInts(0x7fffff)) - SetInts(0x400000);
    const Ints high = v > SetInts(127), low = v < SetInts(-127);
    v = (v & ~(high | low)) | (SetInts(127) & high) | (SetInts(-127) & low);
    StoreInts(v, values + q * kWidth);
  }
  int32_t sum = 0;
  for (int i = 0; i < 16; ++i) {
    sum += values[i];
    codes[i] = static_cast<uint8_t>(values[i]) ^ flip;
  }
  return sum;
}

inline void QuantiseQ8_0(ActivationFormat format, const float* x, size_t k, uint8_t* row) {
  const uint8_t flip = format.flipped ? 128 : 0;
  float* scales = reinterpret_cast<float*>(row + format.Scales(k));
  uint8_t* sums = row + format.Sums(k);
  for (size_t b = 0; b < k / 32; ++b) {
    const Vec<float> low = Load<float>(x + 32 * b), high = Load<float>(x + 32 * b + 16);
    const float most = MaxLanes(Greater(Magnitudes(low), Magnitudes(high)));
    const float d = most / 127.0f, inverse = most != 0 ? 127.0f / most : 0.0f;
    const int32_t sum =
        Encode(low, inverse, flip, row + 32 * b) + Encode(high, inverse, flip, row + 32 * b + 16);
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
  const float magnitude = MaxLanes(most);
  for (size_t i = 0; i < 256; i += 16) {
    bool found = false;
    for (size_t l = i; l < i + 16; ++l) found |= x[l] == magnitude || x[l] == -magnitude;
    if (!found) continue;
    for (size_t l = i; l < i + 16; ++l)
      if (x[l] == magnitude || x[l] == -magnitude) return x[l];
  }
  return 0.0f;
}

inline void QuantiseQ8_K(ActivationFormat format, const float* x, size_t k, uint8_t* row) {
  const uint8_t flip = format.flipped ? 128 : 0;
  float* scales = reinterpret_cast<float*>(row + format.Scales(k));
  int16_t* sums16 = reinterpret_cast<int16_t*>(row + format.Sums(k));
  int16_t* sums32 = sums16 + k / 16;
  for (size_t b = 0; b < k / 256; ++b) {
    const float most = SignedMost(x + 256 * b);
    const float factor = most != 0 ? -127.0f / most : 0.0f;
    scales[b] = most != 0 ? 1.0f / factor : 0.0f;
    for (size_t i = 16 * b; i < 16 * b + 16; ++i)
      sums16[i] = static_cast<int16_t>(Encode(Load<float>(x + 16 * i), factor, flip, row + 16 * i));
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
