// Encoding of rows into the storage types of GGUF files: what formats/decode.h decodes. Every
// type's encoding is written down as float32 operations (docs/encoding.md), so the bytes are one
// fixed function of the row, on every machine; they are the bytes llama-quantize of
// ggml-org/llama.cpp writes.
#ifndef VERNIER_FORMATS_ENCODE_H_
#define VERNIER_FORMATS_ENCODE_H_

#include <cstddef>
#include <span>

#include "model/tensor.h"

namespace vernier {

// Encodes `rows` rows of `columns` elements, one after another, into out (exactly their bytes;
// CHECK). columns is a multiple of the type's block_elements (CHECK). `importance` is empty or has
// `columns` weights, none negative, shared by all rows (llama.cpp's importance matrix, the mean of
// the squared activations of each input); types that make no use of it ignore it. `values` and
// `out` do not overlap. Every row's bytes depend on that row alone, so rows may be split among
// threads; sixteen groups of elements are searched together, so give many blocks a call.
//
// Elements should be finite: with NaN or infinities in a block (with importance, for Q4_0 to Q5_1,
// in its row) the block's bytes are unspecified. Nothing else is affected.
void EncodeRows(TensorType type, const float* values, size_t rows, size_t columns,
                std::span<const float> importance, std::span<std::byte> out);

// Whether the type's bytes depend on an importance matrix.
bool UsesImportance(TensorType type);

}  // namespace vernier

#endif  // VERNIER_FORMATS_ENCODE_H_
