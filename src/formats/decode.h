// Decoding of stored tensors. Every type's decoding is written down as float32 operations
// (docs/decoding.md), so the result is one fixed float32 value for each element, on every machine
// (of a NaN only that it is one).
#ifndef VERNIER_FORMATS_DECODE_H_
#define VERNIER_FORMATS_DECODE_H_

#include <cstddef>
#include <span>

#include "model/tensor.h"

namespace vernier {

// Decodes the blocks of `source` (whole blocks of `type`) into out[0 .. elements); out has exactly
// that size (CHECK), source may be unaligned, the two do not overlap. For kF64 each value is
// rounded to the nearest float32 (ties to even); all other types decode exactly as stated. NaN
// scales give NaN values.
void DecodeToFloat(TensorType type, std::span<const std::byte> source, std::span<float> out);

// The same in double: kF64 exactly, all others the float32 value widened.
void DecodeToDouble(TensorType type, std::span<const std::byte> source, std::span<double> out);

}  // namespace vernier

#endif  // VERNIER_FORMATS_DECODE_H_
