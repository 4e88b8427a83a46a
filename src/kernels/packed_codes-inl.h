// The codes of packed panels (docs/kernels.md) as bytes: quad p of octet o of the group of 32
// columns at `codes`, four columns of 16 rows, signed where the type's codes are.
#ifndef VERNIER_KERNELS_PACKED_CODES_INL_H_
#define VERNIER_KERNELS_PACKED_CODES_INL_H_

#include "kernels/packed_vec-inl.h"

namespace vernier::VERNIER_TARGET {

using Floats = Vec<float>;

inline constexpr int8_t kLevelsIQ4[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                          1,    13,   25,  38,  53,  69,  89,  113};
inline constexpr int8_t kLevelsE2M1[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// How codes are read: FloatsOfByte gives 2^24 times a code, kCodeScale undoes it.
inline constexpr float kCodeScale = 0x1p-24f;

struct None {};

// The vector that is `n` vectors from `codes`.
VERNIER_INLINE Dwords Vector(const uint8_t* codes, size_t n) { return LoadDwords(codes + n * 64); }
// Quad p of octet o from nibbles whose octets start at `codes`.
template <int p>
VERNIER_INLINE Dwords NibbleBytes(const uint8_t* codes, size_t o) {
  return And(Shift<p * 4>(Vector(codes, o)), 0x0f0f0f0f);
}
// From vectors of single bits, or of pairs of bits.
template <int p>
VERNIER_INLINE Dwords OneBitBytes(const uint8_t* codes, size_t o) {
  return And(ShiftBy(Vector(codes, 0), static_cast<uint32_t>(2 * o) + p), 0x01010101);
}
template <int p>
VERNIER_INLINE Dwords TwoBitBytes(const uint8_t* codes, size_t o) {
  return And(ShiftBy(Vector(codes, o / 2), static_cast<uint32_t>(o % 2 * 4) + 2 * p), 0x03030303);
}

// Codes by quads of bytes.
struct EightBits {
  template <int p>
  static VERNIER_INLINE Dwords Bytes(const uint8_t* codes, size_t o) {
    return Vector(codes, 2 * o + p);
  }
};
template <int kZero>
struct FourBits {
  template <int p>
  static VERNIER_INLINE Dwords Bytes(const uint8_t* codes, size_t o) {
    const Dwords bytes = NibbleBytes<p>(codes, o);
    return kZero == 0 ? bytes : MinusBytes(bytes, kZero);
  }
};
template <const int8_t* kLevels>
struct Levels {
  template <int p>
  static VERNIER_INLINE Dwords Bytes(const uint8_t* codes, size_t o) {
    return LookUpBytes(kLevels, NibbleBytes<p>(codes, o));
  }
};
template <int kZero>
struct FiveBits {
  template <int p>
  static VERNIER_INLINE Dwords Bytes(const uint8_t* codes, size_t o) {
    const Dwords bytes = Or(NibbleBytes<p>(codes + 64, o), Shift<-4>(OneBitBytes<p>(codes, o)));
    return kZero == 0 ? bytes : MinusBytes(bytes, kZero);
  }
};
struct SixBits {
  template <int p>
  static VERNIER_INLINE Dwords Bytes(const uint8_t* codes, size_t o) {
    return MinusBytes(Or(NibbleBytes<p>(codes + 128, o), Shift<-4>(TwoBitBytes<p>(codes, o))), 32);
  }
};
struct TwoBits {
  template <int p>
  static VERNIER_INLINE Dwords Bytes(const uint8_t* codes, size_t o) {
    return TwoBitBytes<p>(codes, o);
  }
};
struct ThreeBits {
  template <int p>
  static VERNIER_INLINE Dwords Bytes(const uint8_t* codes, size_t o) {
    return MinusBytes(Or(TwoBitBytes<p>(codes + 64, o), Shift<-2>(OneBitBytes<p>(codes, o))), 4);
  }
};

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_PACKED_CODES_INL_H_
