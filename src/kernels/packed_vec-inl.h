// Sixteen dwords, one a row of a panel, and how the codes in them become floats.
#ifndef VERNIER_KERNELS_PACKED_VEC_INL_H_
#define VERNIER_KERNELS_PACKED_VEC_INL_H_

#include "kernels/half.h"
#include "kernels/vec-inl.h"

namespace vernier::VERNIER_TARGET {

// Calls f with Index<0> .. Index<n - 1>, each call in line.
template <int i>
struct Index {
  static constexpr int value = i;
};
template <int n, int i = 0, class F>
VERNIER_INLINE void Unroll(F&& f) {
  if constexpr (i < n) {
    f(Index<i>{});
    Unroll<n, i + 1>(f);
  }
}

struct Dwords {
  typedef uint32_t Part __attribute__((vector_size(VERNIER_VECTOR_BYTES)));
  typedef int32_t Signed __attribute__((vector_size(VERNIER_VECTOR_BYTES)));
  typedef int8_t Bytes __attribute__((vector_size(VERNIER_VECTOR_BYTES)));
  static constexpr int kParts = Vec<float>::kParts, kWidth = Vec<float>::kWidth;
  Part part[kParts];
};

template <class F>
VERNIER_INLINE Dwords ForDwords(F f) {
  Dwords y;
  Unroll<Dwords::kParts>([&](auto q) VERNIER_LAMBDA { y.part[q.value] = f(q.value); });
  return y;
}
template <class F>
VERNIER_INLINE Vec<float> ForFloats(F f) {
  Vec<float> y;
  Unroll<Dwords::kParts>([&](auto q) VERNIER_LAMBDA { y.part[q.value] = f(q.value); });
  return y;
}

VERNIER_INLINE Dwords LoadDwords(const uint8_t* p) {
  return ForDwords([&](int q) VERNIER_LAMBDA {
    Dwords::Part v;
    memcpy(&v, p + q * VERNIER_VECTOR_BYTES, sizeof v);
    return v;
  });
}
// Bits shifted down by `kShift`, or up where it is negative.
template <int kShift>
VERNIER_INLINE Dwords Shift(const Dwords& a) {
  return ForDwords([&](int q) VERNIER_LAMBDA {
    if constexpr (kShift >= 0) {
      return a.part[q] >> kShift;
    } else {
      return a.part[q] << -kShift;
    }
  });
}
// Bits shifted down by a number that the compiler does not know.
VERNIER_INLINE Dwords ShiftBy(const Dwords& a, uint32_t shift) {
  return ForDwords([&](int q) VERNIER_LAMBDA { return a.part[q] >> (Dwords::Part{} + shift); });
}
VERNIER_INLINE Dwords And(const Dwords& a, uint32_t mask) {
  return ForDwords([&](int q) VERNIER_LAMBDA { return a.part[q] & mask; });
}
VERNIER_INLINE Dwords Or(const Dwords& a, const Dwords& b) {
  return ForDwords([&](int q) VERNIER_LAMBDA { return a.part[q] | b.part[q]; });
}
// Every byte less `n`.
VERNIER_INLINE Dwords MinusBytes(const Dwords& a, int8_t n) {
  return ForDwords([&](int q) VERNIER_LAMBDA {
    return reinterpret_cast<Dwords::Part>(reinterpret_cast<Dwords::Bytes>(a.part[q]) - n);
  });
}

// 2^24 times the signed byte b of each dword.
template <int b>
VERNIER_INLINE Vec<float> FloatsOfByte(const Dwords& a) {
  return ForFloats([&](int q) VERNIER_LAMBDA {
    Dwords::Part top;
    if constexpr (b == 3) {
      top = a.part[q] & 0xff000000u;
    } else {
#if VERNIER_VECTOR_BYTES == 64  // one shuffle instead of a shift and a mask
      constexpr int64_t kPair =
          static_cast<int64_t>(0x0080808000808080u | uint64_t{b} << 24 | uint64_t{b + 4} << 56);
      const __m512i pick =
          _mm512_set4_epi64(kPair + 0x0800000008000000, kPair, kPair + 0x0800000008000000, kPair);
      top = reinterpret_cast<Dwords::Part>(
          _mm512_shuffle_epi8(reinterpret_cast<__m512i>(a.part[q]), pick));
#else
      top = a.part[q] << (24 - 8 * b) & 0xff000000u;
#endif
    }
    return __builtin_convertvector(reinterpret_cast<Dwords::Signed>(top), Vec<float>::Part);
  });
}

// Sixteen binary16 or bfloat16 numbers, or integers of 8 bits.
VERNIER_INLINE Vec<float> FloatsOfHalves16(const uint8_t* p) {
#if VERNIER_VECTOR_BYTES == 64
  __m256i bits;
  memcpy(&bits, p, sizeof bits);
  return {{_mm512_maskz_cvtph_ps(0xffff, bits)}};  // GCC 12 warns of the unmasked one
#elif VERNIER_VECTOR_BYTES == 32
  return ForFloats([&](int q) VERNIER_LAMBDA {
    __m128i bits;
    memcpy(&bits, p + 16 * q, sizeof bits);
    return _mm256_cvtph_ps(bits);
  });
#else
  float out[16];
  for (int i = 0; i < 16; ++i) {
    uint16_t bits;
    memcpy(&bits, p + 2 * i, sizeof bits);
    out[i] = HalfBitsToFloat(bits);
  }
  return Load<float>(out);
#endif
}
// Written out, because GCC 12 takes __builtin_convertvector of narrow integers apart.
VERNIER_INLINE Vec<float> FloatsOfBrainHalves16(const uint8_t* p) {
#if VERNIER_VECTOR_BYTES == 64
  __m256i bits;
  memcpy(&bits, p, sizeof bits);
  return {{_mm512_castsi512_ps(
      _mm512_maskz_slli_epi32(0xffff, _mm512_maskz_cvtepu16_epi32(0xffff, bits), 16))}};
#elif VERNIER_VECTOR_BYTES == 32
  return ForFloats([&](int q) VERNIER_LAMBDA {
    __m128i bits;
    memcpy(&bits, p + 16 * q, sizeof bits);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
  });
#else
  float out[16];
  for (int i = 0; i < 16; ++i) {
    uint16_t half;
    memcpy(&half, p + 2 * i, sizeof half);
    out[i] = __builtin_bit_cast(float, uint32_t{half} << 16);
  }
  return Load<float>(out);
#endif
}
struct Integers {
  Dwords::Signed part[Dwords::kParts];
};
template <class Byte>
VERNIER_INLINE Integers IntegersOfBytes16(const uint8_t* p) {
  [[maybe_unused]] constexpr bool kSigned = Byte(-1) < 0;
  Integers y;
#if VERNIER_VECTOR_BYTES == 64
  __m128i bytes;
  memcpy(&bytes, p, sizeof bytes);
  y.part[0] = reinterpret_cast<Dwords::Signed>(kSigned ? _mm512_maskz_cvtepi8_epi32(0xffff, bytes)
                                                       : _mm512_maskz_cvtepu8_epi32(0xffff, bytes));
#elif VERNIER_VECTOR_BYTES == 32
  for (int q = 0; q < 2; ++q) {
    const __m128i bytes =
        _mm_loadl_epi64(static_cast<const __m128i*>(static_cast<const void*>(p + 8 * q)));
    y.part[q] = reinterpret_cast<Dwords::Signed>(kSigned ? _mm256_cvtepi8_epi32(bytes)
                                                         : _mm256_cvtepu8_epi32(bytes));
  }
#else
  int32_t values[16];
  for (int i = 0; i < 16; ++i) values[i] = static_cast<Byte>(p[i]);
  memcpy(&y, values, sizeof y);
#endif
  return y;
}
template <class Byte>
VERNIER_INLINE Vec<float> FloatsOfBytes16(const uint8_t* p) {
  const Integers integers = IntegersOfBytes16<Byte>(p);
  return ForFloats([&](int q) VERNIER_LAMBDA {
    return __builtin_convertvector(integers.part[q], Vec<float>::Part);
  });
}

VERNIER_INLINE Vec<float> Negative(const Vec<float>& a) {
  return ForFloats([&](int q) VERNIER_LAMBDA { return -a.part[q]; });
}

// Entry v of a table of 16 signed bytes, for each byte v < 16 of a.
VERNIER_INLINE Dwords LookUpBytes(const int8_t* table, const Dwords& a) {
#if VERNIER_VECTOR_BYTES == 64
  const __m512i levels = _mm512_maskz_broadcast_i32x4(
      0xffff, _mm_loadu_si128(static_cast<const __m128i*>(static_cast<const void*>(table))));
  return {{reinterpret_cast<Dwords::Part>(
      _mm512_shuffle_epi8(levels, reinterpret_cast<__m512i>(a.part[0])))}};
#elif VERNIER_VECTOR_BYTES == 32
  const __m256i levels = _mm256_broadcastsi128_si256(
      _mm_loadu_si128(static_cast<const __m128i*>(static_cast<const void*>(table))));
  return ForDwords([&](int q) VERNIER_LAMBDA {
    return reinterpret_cast<Dwords::Part>(
        _mm256_shuffle_epi8(levels, reinterpret_cast<__m256i>(a.part[q])));
  });
#else
  uint8_t bytes[64];
  memcpy(bytes, &a, sizeof bytes);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(table[byte & 15]);
  Dwords y;
  memcpy(&y, bytes, sizeof y);
  return y;
#endif
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_PACKED_VEC_INL_H_
