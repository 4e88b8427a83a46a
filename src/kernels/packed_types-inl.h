// The packed types (kernels/packed.h) as the matrix kernels see them: how eight columns (an octet)
// of a group of 32 are read, and what weights they are, for 16 rows at once.
//
//   kColumns                   columns that share scales: 16 or 32
//   kPiece                     columns that are read together: 1, 4 or 8
//   Unit(scales)               what the columns of a unit share
//   Scales(unit, scales, s)    what the s-th kColumns of the unit share
//   Piece<p>(codes, o)         the codes of piece p of octet o of the group at `codes`
//   Weight<c>(piece, scales)   the weights of column c of the piece
//
// docs/decoding.md says why a product d*s*q is exact in float32 whatever its order, so that scaling
// by powers of two and fusing the last addition change no bit.
#ifndef VERNIER_KERNELS_PACKED_TYPES_INL_H_
#define VERNIER_KERNELS_PACKED_TYPES_INL_H_

#include "kernels/packed.h"
#include "kernels/packed_codes-inl.h"

namespace vernier::VERNIER_TARGET {

// Weights: scale times code, plus an offset where the type has one.
struct Scaled {
  Floats scale;
  template <class Q>
  VERNIER_INLINE Floats Of(const Q& q) const {
    return q * scale;
  }
};
struct ScaledPlus {
  Floats scale, offset;
  template <class Q>
  VERNIER_INLINE Floats Of(const Q& q) const {
    return Fma(q, scale, offset);
  }
};
template <class Codes, int columns = 32>
struct ByQuads {
  static constexpr int kPiece = 4, kColumns = columns;
  static constexpr float kScale = kCodeScale;
  template <int p>
  static VERNIER_INLINE Dwords Piece(const uint8_t* codes, size_t o) {
    return Codes::template Bytes<p>(codes, o);
  }
  template <int c, class S>
  static VERNIER_INLINE Floats Weight(const Dwords& piece, const S& s) {
    return s.Of(FloatsOfByte<c>(piece));
  }
};

#if VERNIER_VECTOR_BYTES == 64
// Nibbles through a table of 16 floats, which a permutation looks up.
template <const int8_t* kLevels>
struct ByOctets {
  static constexpr int kPiece = 8, kColumns = 32;
  static constexpr float kScale = 1;
  template <int p>
  static VERNIER_INLINE Dwords Piece(const uint8_t* codes, size_t o) {
    return Vector(codes, o);
  }
  template <int c, class S>
  static VERNIER_INLINE Floats Weight(const Dwords& piece, const S& s) {
    constexpr int kShift = c % 4 * 8 + c / 4 * 4;
    const Floats table =
        FloatsOfBytes16<int8_t>(static_cast<const uint8_t*>(static_cast<const void*>(kLevels)));
    return s.Of(Floats{{_mm512_maskz_permutexvar_ps(
        0xffff, reinterpret_cast<__m512i>(Shift<kShift>(piece).part[0]), table.part[0])}});
  }
};
inline constexpr int8_t kLevels0[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
inline constexpr int8_t kLevels8[16] = {-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7};
using Nibbles0 = ByOctets<kLevels0>;
using Nibbles8 = ByOctets<kLevels8>;
using NibblesIQ4 = ByOctets<kLevelsIQ4>;
#else
using Nibbles0 = ByQuads<FourBits<0>>;
using Nibbles8 = ByQuads<FourBits<8>>;
using NibblesIQ4 = ByQuads<Levels<kLevelsIQ4>>;
#endif

// Units of 32: d, or d and m.
template <class Codes>
struct UnitOf32D : Codes {
  static VERNIER_INLINE None Unit(const uint8_t*) { return {}; }
  static VERNIER_INLINE Scaled Scales(None, const uint8_t* scales, size_t) {
    return {FloatsOfHalves16(scales) * Set(Codes::kScale)};
  }
};
template <class Codes>
struct UnitOf32DM : Codes {
  static VERNIER_INLINE None Unit(const uint8_t*) { return {}; }
  static VERNIER_INLINE ScaledPlus Scales(None, const uint8_t* scales, size_t) {
    return {FloatsOfHalves16(scales) * Set(Codes::kScale), FloatsOfHalves16(scales + 32)};
  }
};
// Units of 256: d, dmin, eight scales, eight minima.
struct UnitDM {
  Floats d, m;
};
template <class Codes>
struct UnitOfPairs : Codes {
  static VERNIER_INLINE UnitDM Unit(const uint8_t* scales) {
    return {FloatsOfHalves16(scales) * Set(Codes::kScale), Negative(FloatsOfHalves16(scales + 32))};
  }
  static VERNIER_INLINE ScaledPlus Scales(const UnitDM& u, const uint8_t* scales, size_t s) {
    return {u.d * FloatsOfBytes16<uint8_t>(scales + 64 + 16 * s),
            u.m * FloatsOfBytes16<uint8_t>(scales + 192 + 16 * s)};
  }
};
// d and signed scales.
template <class Codes>
struct UnitOfSigned : Codes {
  static VERNIER_INLINE Floats Unit(const uint8_t* scales) {
    return FloatsOfHalves16(scales) * Set(Codes::kScale);
  }
  static VERNIER_INLINE Scaled Scales(const Floats& d, const uint8_t* scales, size_t s) {
    return {d * FloatsOfBytes16<int8_t>(scales + 32 + 16 * s)};
  }
};

template <TensorType type>
struct Packed;
template <>
struct Packed<TensorType::kQ8_0> : UnitOf32D<ByQuads<EightBits>> {};
template <>
struct Packed<TensorType::kQ4_0> : UnitOf32D<Nibbles8> {};
template <>
struct Packed<TensorType::kQ4_1> : UnitOf32DM<Nibbles0> {};
template <>
struct Packed<TensorType::kQ5_0> : UnitOf32D<ByQuads<FiveBits<16>>> {};
template <>
struct Packed<TensorType::kQ5_1> : UnitOf32DM<ByQuads<FiveBits<0>>> {};
template <>
struct Packed<TensorType::kIQ4_NL> : UnitOf32D<NibblesIQ4> {};
template <>
struct Packed<TensorType::kQ4_K> : UnitOfPairs<Nibbles0> {};
template <>
struct Packed<TensorType::kQ5_K> : UnitOfPairs<ByQuads<FiveBits<0>>> {};
template <>
struct Packed<TensorType::kQ6_K> : UnitOfSigned<ByQuads<SixBits, 16>> {};
template <>
struct Packed<TensorType::kQ3_K> : UnitOfSigned<ByQuads<ThreeBits, 16>> {};
template <>
struct Packed<TensorType::kIQ4_XS> : UnitOfSigned<NibblesIQ4> {};

// Sixteen bytes a unit: scale in the low half, minimum in the high half.
template <>
struct Packed<TensorType::kQ2_K> : ByQuads<TwoBits, 16> {
  static VERNIER_INLINE UnitDM Unit(const uint8_t* scales) {
    return {FloatsOfHalves16(scales) * Set(kScale), Negative(FloatsOfHalves16(scales + 32))};
  }
  static VERNIER_INLINE ScaledPlus Scales(const UnitDM& u, const uint8_t* scales, size_t s) {
    typedef uint8_t Bytes __attribute__((vector_size(16)));
    Bytes both;
    memcpy(&both, scales + 64 + 16 * s, sizeof both);
    uint8_t low[16], high[16];
    const Bytes lows = both & 15, highs = both >> 4;
    memcpy(low, &lows, sizeof low);
    memcpy(high, &highs, sizeof high);
    return {u.d * FloatsOfBytes16<uint8_t>(low), u.m * FloatsOfBytes16<uint8_t>(high)};
  }
};

// 2^(e - 128); 255 is NaN. d times 2^-24 could be too small a number, so codes are scaled first.
struct ScaledMXFP4 {
  Floats scale;
  VERNIER_INLINE Floats Of(const Floats& q) const {
#if VERNIER_VECTOR_BYTES == 64
    return q * scale;
#else
    return q * Set(kCodeScale) * scale;
#endif
  }
};
template <>
struct Packed<TensorType::kMXFP4> :
#if VERNIER_VECTOR_BYTES == 64
    ByOctets<kLevelsE2M1>
#else
    ByQuads<Levels<kLevelsE2M1>>
#endif
{
  static VERNIER_INLINE None Unit(const uint8_t*) { return {}; }
  static VERNIER_INLINE ScaledMXFP4 Scales(None, const uint8_t* scales, size_t) {
    const Integers exponents = IntegersOfBytes16<uint8_t>(scales);
    return {ForFloats([&](int q) VERNIER_LAMBDA {
      const Dwords::Signed e = exponents.part[q];
      const Dwords::Signed small =
          e == 1 ? Dwords::Signed{} + 0x400000 : Dwords::Signed{} + 0x200000;
      const Dwords::Signed finite = e < 2 ? small : (e - 1) << 23;
      const Dwords::Signed bits = e == 255 ? Dwords::Signed{} + 0x7fc00000 : finite;
      return reinterpret_cast<Floats::Part>(bits);
    })};
  }
};

// Plain numbers: a piece is one column.
template <class Read>
struct Plain {
  static constexpr int kPiece = 1, kColumns = 32;
  static VERNIER_INLINE None Unit(const uint8_t*) { return {}; }
  static VERNIER_INLINE None Scales(None, const uint8_t*, size_t) { return {}; }
  template <int p>
  static VERNIER_INLINE Floats Piece(const uint8_t* codes, size_t o) {
    return Read::At(codes + (8 * o + p) * Read::kBytes);
  }
  template <int c>
  static VERNIER_INLINE Floats Weight(const Floats& piece, None) {
    return piece;
  }
};
struct ReadF32 {
  static constexpr int kBytes = 64;
  static VERNIER_INLINE Floats At(const uint8_t* p) {
    return ForFloats([&](int q) VERNIER_LAMBDA {
      Floats::Part v;
      memcpy(&v, p + q * VERNIER_VECTOR_BYTES, sizeof v);
      return v;
    });
  }
};
struct ReadF16 {
  static constexpr int kBytes = 32;
  static VERNIER_INLINE Floats At(const uint8_t* p) { return FloatsOfHalves16(p); }
};
struct ReadBF16 {
  static constexpr int kBytes = 32;
  static VERNIER_INLINE Floats At(const uint8_t* p) { return FloatsOfBrainHalves16(p); }
};
template <>
struct Packed<TensorType::kF32> : Plain<ReadF32> {};
template <>
struct Packed<TensorType::kF16> : Plain<ReadF16> {};
template <>
struct Packed<TensorType::kBF16> : Plain<ReadBF16> {};

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_PACKED_TYPES_INL_H_
