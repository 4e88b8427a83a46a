// The decoders behind formats/decode.h, one per storage type, in one file a family. Internal to
// formats/: SIMD kernels and quantisers test themselves against these. Each is the scalar reference
// that docs/decoding.md states.
#ifndef VERNIER_FORMATS_DECODE_BLOCKS_H_
#define VERNIER_FORMATS_DECODE_BLOCKS_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include "kernels/block_bits.h"
#include "kernels/half.h"
#include "kernels/quantise.h"

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
void DecodeQ8_1(const uint8_t* source, size_t blocks, float* out);
// decode_k.cc
void DecodeQ2_K(const uint8_t* source, size_t blocks, float* out);
void DecodeQ3_K(const uint8_t* source, size_t blocks, float* out);
void DecodeQ4_K(const uint8_t* source, size_t blocks, float* out);
void DecodeQ5_K(const uint8_t* source, size_t blocks, float* out);
void DecodeQ6_K(const uint8_t* source, size_t blocks, float* out);
void DecodeQ8_K(const uint8_t* source, size_t blocks, float* out);
// decode_iq4.cc
void DecodeIQ4_NL(const uint8_t* source, size_t blocks, float* out);
void DecodeIQ4_XS(const uint8_t* source, size_t blocks, float* out);
// decode_tq.cc
void DecodeTQ1_0(const uint8_t* source, size_t blocks, float* out);
void DecodeTQ2_0(const uint8_t* source, size_t blocks, float* out);
// decode_fp4.cc
void DecodeMXFP4(const uint8_t* source, size_t blocks, float* out);
void DecodeNVFP4(const uint8_t* source, size_t blocks, float* out);

// 2^(e - 128), half of MXFP4's E8M0 scale 2^(e - 127); 255 is NaN (MX v1.0, section 5.4.1).
inline float HalfE8M0(uint32_t e) {
  if (e == 255) return std::numeric_limits<float>::quiet_NaN();
  if (e < 2) return std::bit_cast<float>(uint32_t{0x200000} << e);  // subnormal
  return std::bit_cast<float>((e - 1) << 23);
}

// Half of NVFP4's UE4M3 scale: 4 bits of exponent (bias 7) and 3 of fraction, the top bit ignored.
// 127, a NaN in E4M3, is 0 here as in ggml.
inline float HalfUE4M3(uint32_t code) {
  const uint32_t exponent = code >> 3 & 15, fraction = code & 7;
  if (code == 127) return 0;
  if (exponent == 0) return static_cast<float>(fraction) * 0x1p-10f;
  return std::bit_cast<float>((exponent - 8 + 127) << 23 | fraction << 20);
}

// The bits of `bytes` as a little-endian number.
static_assert(std::endian::native == std::endian::little);
inline uint32_t LoadU16(const uint8_t* bytes) {
  uint16_t value;
  std::memcpy(&value, bytes, sizeof(value));
  return value;
}
inline uint32_t LoadU32(const uint8_t* bytes) {
  uint32_t value;
  std::memcpy(&value, bytes, sizeof(value));
  return value;
}
inline float LoadHalf(const uint8_t* bytes) { return HalfBitsToFloat(LoadU16(bytes)); }

// An integer of at most 24 bits times a float32, rounded once.
inline float Times(float scale, int q) { return scale * static_cast<float>(q); }

}  // namespace vernier

#endif  // VERNIER_FORMATS_DECODE_BLOCKS_H_
