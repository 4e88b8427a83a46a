// Tensors as they lie in a file: a type, a shape, and bytes that stay where they are.
#ifndef VERNIER_MODEL_TENSOR_H_
#define VERNIER_MODEL_TENSOR_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/tensor_type.h"

namespace vernier {

struct TensorTypeInfo {
  TensorType type;
  const char* name;    // as GGUF tools print it: "F32", "Q4_K"
  int block_elements;  // consecutive elements of a row that are stored together; 1 for plain types
  int block_bytes;
};

std::span<const TensorTypeInfo> TensorTypes();                // every type Vernier reads
const TensorTypeInfo* FindTensorType(uint32_t gguf_number);   // null when not among them
const TensorTypeInfo* FindTensorType(std::string_view name);  // any case
const TensorTypeInfo& Info(TensorType type);

// Row-major: shape[0] is the outermost dimension, the last one runs fastest (GGUF lists them the
// other way round; both readers turn them into this order). A matrix that maps `in` to `out` values
// has shape {out, in}. 1 to 4 dimensions, none zero; a scalar has shape {1}. The data need not be
// aligned (safetensors promises nothing): read it with memcpy or unaligned loads.
struct TensorView {
  std::string name;
  TensorType type = TensorType::kF32;
  std::vector<int64_t> shape;
  std::span<const std::byte> data;  // exactly Elements() / block_elements * block_bytes bytes

  int64_t Columns() const { return shape.back(); }  // a row: the fastest dimension
  int64_t Rows() const;                             // product of the others
  int64_t Elements() const { return Rows() * Columns(); }
  size_t RowBytes() const;
  std::span<const std::byte> Row(int64_t row) const {
    return data.subspan(static_cast<size_t>(row) * RowBytes(), RowBytes());
  }
};

std::string ShapeText(std::span<const int64_t> shape);  // "[32000, 2048]"

// The bytes a tensor of this type and shape takes. Error (a reason without subject) when the shape
// does not have 1 to 4 dimensions of at least 1, its last one is not whole blocks, or the elements
// or bytes do not fit in 63 bits.
Result<uint64_t> TensorByteSize(TensorType type, std::span<const int64_t> shape);

}  // namespace vernier

#endif  // VERNIER_MODEL_TENSOR_H_
