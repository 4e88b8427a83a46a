// The decoders behind formats/decode.h, one per storage type, in one file a family. Internal to
// formats/: SIMD kernels and quantisers test themselves against these. Each is the scalar reference
// that docs/decoding.md states.
#ifndef VERNIER_FORMATS_DECODE_BLOCKS_H_
#define VERNIER_FORMATS_DECODE_BLOCKS_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace vernier {

// Decodes `blocks` consecutive blocks; neither pointer need be aligned beyond its type.
using BlockDecoder = void (*)(const uint8_t* source, size_t blocks, float* out);

// decode_plain.cc
void DecodeF32(const uint8_t* source, size_t blocks, float* out);
void DecodeF16(const uint8_t* source, size_t blocks, float* out);
void DecodeBF16(const uint8_t* source, size_t blocks, float* out);
void DecodeF64(const uint8_t* source, size_t blocks, float* out);
// decode_legacy.cc
void DecodeQ4_0(const uint8_t* source, size_t blocks, float* out);
void DecodeQ4_1(const uint8_t* source, size_t blocks, float* out);
void DecodeQ5_0(const uint8_t* source, size_t blocks, float* out);
void DecodeQ5_1(const uint8_t* source, size_t blocks, float* out);
void DecodeQ8_0(const uint8_t* source, size_t blocks, float* out);
// decode_k.cc
void DecodeQ2_K(const uint8_t* source, size_t blocks, float* out);
void DecodeQ3_K(const uint8_t* source, size_t blocks, float* out);
void DecodeQ4_K(const uint8_t* source, size_t blocks, float* out);
void DecodeQ5_K(const uint8_t* source, size_t blocks, float* out);
void DecodeQ6_K(const uint8_t* source, size_t blocks, float* out);
// decode_iq4.cc
void DecodeIQ4_NL(const uint8_t* source, size_t blocks, float* out);
void DecodeIQ4_XS(const uint8_t* source, size_t blocks, float* out);
// decode_tq.cc
void DecodeTQ1_0(const uint8_t* source, size_t blocks, float* out);
void DecodeTQ2_0(const uint8_t* source, size_t blocks, float* out);
// decode_mxfp4.cc
void DecodeMXFP4(const uint8_t* source, size_t blocks, float* out);

// The float32 of IEEE binary16 bits: exact; a NaN becomes quiet and keeps sign and payload, as
// VCVTPH2PS does.
inline float HalfBitsToFloat(uint32_t half) {
  const uint32_t sign = (half & 0x8000u) << 16;
  const uint32_t exponent = half >> 10 & 31, fraction = half & 0x3ffu;
  if (exponent == 0) {  // zero and subnormals: fraction * 2^-24, exact in float32
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
  }
  if (exponent == 31) {
    const uint32_t quiet = fraction != 0 ? 0x400000u : 0;
    return std::bit_cast<float>(sign | 0x7f800000u | quiet | fraction << 13);
  }
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
}

// The bits of `bytes` as a little-endian number.
inline uint32_t LoadU16(const uint8_t* bytes) {
  return bytes[0] | static_cast<uint32_t>(bytes[1]) << 8;
}
inline uint32_t LoadU32(const uint8_t* bytes) { return LoadU16(bytes) | LoadU16(bytes + 2) << 16; }
inline float LoadHalf(const uint8_t* bytes) { return HalfBitsToFloat(LoadU16(bytes)); }

// An integer of at most 24 bits times a float32, rounded once.
inline float Times(float scale, int q) { return scale * static_cast<float>(q); }

}  // namespace vernier

#endif  // VERNIER_FORMATS_DECODE_BLOCKS_H_
