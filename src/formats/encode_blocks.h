// The encoders behind formats/encode.h, one per storage type, in one file a family. Internal to
// formats/. Each is what docs/encoding.md states; the searches among them are kernels/quantise.h's.
#ifndef VERNIER_FORMATS_ENCODE_BLOCKS_H_
#define VERNIER_FORMATS_ENCODE_BLOCKS_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "kernels/quantise.h"
#include "model/tensor.h"

namespace vernier {

// Consecutive blocks of consecutive rows.
struct EncodeTask {
  const QuantiseKernels* kernels;
  const float* x;
  size_t blocks;
  size_t row_blocks;        // blocks of a row; `blocks` is whole rows
  const float* importance;  // of the elements of a row; null: none
};
using BlockEncoder = void (*)(const EncodeTask& task, uint8_t* out);

// EncodeRows with the searches of one instruction set.
void EncodeRowsWith(const QuantiseKernels& kernels, TensorType type, const float* values,
                    size_t rows, size_t columns, std::span<const float> importance,
                    std::span<std::byte> out);

// encode_plain.cc
void EncodeF32(const EncodeTask& task, uint8_t* out);
void EncodeF16(const EncodeTask& task, uint8_t* out);
void EncodeBF16(const EncodeTask& task, uint8_t* out);
void EncodeF64(const EncodeTask& task, uint8_t* out);
// encode_legacy.cc
void EncodeQ4_0(const EncodeTask& task, uint8_t* out);
void EncodeQ4_1(const EncodeTask& task, uint8_t* out);
void EncodeQ5_0(const EncodeTask& task, uint8_t* out);
void EncodeQ5_1(const EncodeTask& task, uint8_t* out);
// encode_q8.cc
void EncodeQ8_0(const EncodeTask& task, uint8_t* out);
void EncodeQ8_1(const EncodeTask& task, uint8_t* out);
void EncodeQ8_K(const EncodeTask& task, uint8_t* out);
// encode_k.cc
void EncodeQ2_K(const EncodeTask& task, uint8_t* out);
void EncodeQ3_K(const EncodeTask& task, uint8_t* out);
void EncodeQ4_K(const EncodeTask& task, uint8_t* out);
void EncodeQ5_K(const EncodeTask& task, uint8_t* out);
void EncodeQ6_K(const EncodeTask& task, uint8_t* out);
// encode_iq4.cc
void EncodeIQ4_NL(const EncodeTask& task, uint8_t* out);
void EncodeIQ4_XS(const EncodeTask& task, uint8_t* out);
// encode_tq.cc
void EncodeTQ1_0(const EncodeTask& task, uint8_t* out);
void EncodeTQ2_0(const EncodeTask& task, uint8_t* out);
// encode_fp4.cc
void EncodeMXFP4(const EncodeTask& task, uint8_t* out);
void EncodeNVFP4(const EncodeTask& task, uint8_t* out);

// The IEEE binary16 bits nearest to a float32, ties to even; from 65520 on infinity, a NaN 0x7e00
// with its sign. Selections instead of branches, so that loops over it vectorise.
inline uint16_t FloatToHalfBits(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value), u = bits & 0x7fffffffu;
  const uint32_t normal = (u + 0xfffu + ((u >> 13) & 1u) - (112u << 23)) >> 13;
  // Below 2^-14 the grid is 2^-24, the unit in the last place of 0.5.
  const uint32_t small =
      std::bit_cast<uint32_t>(std::bit_cast<float>(u) + 0.5f) - std::bit_cast<uint32_t>(0.5f);
  const uint32_t special = u > 0x7f800000u ? 0x7e00u : 0x7c00u;
  const uint32_t finite = u < 0x38800000u ? small : normal;
  const uint32_t magnitude = u >= 0x47800000u ? special : finite;
  return static_cast<uint16_t>(bits >> 16 & 0x8000u) | static_cast<uint16_t>(magnitude);
}

inline void StoreU16(uint32_t value, uint8_t* out) {
  const auto narrow = static_cast<uint16_t>(value);
  std::memcpy(out, &narrow, sizeof(narrow));
}
inline void StoreU32(uint32_t value, uint8_t* out) { std::memcpy(out, &value, sizeof(value)); }
inline void StoreHalf(float value, uint8_t* out) { StoreU16(FloatToHalfBits(value), out); }

// 1 / d, or 0 of 0.
inline float Inverse(float d) { return d != 0 ? 1 / d : 0; }

// To the nearest integer, ties to even, where |v| <= 2^22. The last bits of v + 1.5 * 2^23, taken
// as they are for any other v too, which is how ggml has it.
inline int32_t Nearest(float v) {
  return static_cast<int32_t>(std::bit_cast<uint32_t>(v + 0x1.8p23f) & 0x7fffffu) - 0x400000;
}

}  // namespace vernier

#endif  // VERNIER_FORMATS_ENCODE_BLOCKS_H_
