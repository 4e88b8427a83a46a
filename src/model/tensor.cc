#include "model/tensor.h"

#include <fmt/ranges.h>
#include <strings.h>

namespace vernier {
namespace {

// Block sizes: ggml-common.h of ggml-org/ggml (the block_* structures); docs/decoding.md has the
// layouts.
constexpr TensorTypeInfo kTypes[] = {
    {TensorType::kF32, "F32", 1, 4},         {TensorType::kF16, "F16", 1, 2},
    {TensorType::kQ4_0, "Q4_0", 32, 18},     {TensorType::kQ4_1, "Q4_1", 32, 20},
    {TensorType::kQ5_0, "Q5_0", 32, 22},     {TensorType::kQ5_1, "Q5_1", 32, 24},
    {TensorType::kQ8_0, "Q8_0", 32, 34},     {TensorType::kQ8_1, "Q8_1", 32, 36},
    {TensorType::kQ2_K, "Q2_K", 256, 84},    {TensorType::kQ3_K, "Q3_K", 256, 110},
    {TensorType::kQ4_K, "Q4_K", 256, 144},   {TensorType::kQ5_K, "Q5_K", 256, 176},
    {TensorType::kQ6_K, "Q6_K", 256, 210},   {TensorType::kQ8_K, "Q8_K", 256, 292},
    {TensorType::kIQ4_NL, "IQ4_NL", 32, 18}, {TensorType::kIQ4_XS, "IQ4_XS", 256, 136},
    {TensorType::kF64, "F64", 1, 8},         {TensorType::kBF16, "BF16", 1, 2},
    {TensorType::kTQ1_0, "TQ1_0", 256, 54},  {TensorType::kTQ2_0, "TQ2_0", 256, 66},
    {TensorType::kMXFP4, "MXFP4", 32, 17},   {TensorType::kNVFP4, "NVFP4", 64, 36},
};

}  // namespace

std::span<const TensorTypeInfo> TensorTypes() { return kTypes; }

const TensorTypeInfo* FindTensorType(uint32_t gguf_number) {
  for (const TensorTypeInfo& info : kTypes)
    if (static_cast<uint32_t>(info.type) == gguf_number) return &info;
  return nullptr;
}

const TensorTypeInfo* FindTensorType(std::string_view name) {
  for (const TensorTypeInfo& info : kTypes) {
    const std::string_view known = info.name;
    if (known.size() == name.size() && strncasecmp(known.data(), name.data(), name.size()) == 0)
      return &info;
  }
  return nullptr;
}

const TensorTypeInfo& Info(TensorType type) {
  const TensorTypeInfo* info = FindTensorType(static_cast<uint32_t>(type));
  CHECK(info != nullptr);
  return *info;
}

int64_t TensorView::Rows() const {
  int64_t rows = 1;
  for (size_t i = 0; i + 1 < shape.size(); ++i) rows *= shape[i];
  return rows;
}

size_t TensorView::RowBytes() const {
  const TensorTypeInfo& info = Info(type);
  return static_cast<size_t>(Columns() / info.block_elements * info.block_bytes);
}

std::string ShapeText(std::span<const int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

Result<uint64_t> TensorByteSize(TensorType type, std::span<const int64_t> shape) {
  const TensorTypeInfo& info = Info(type);
  if (shape.empty() || shape.size() > 4)
    return Fail("expected 1 to 4 dimensions, found {}", shape.size());
  int64_t elements = 1;
  for (const int64_t size : shape) {
    if (size < 1) return Fail("shape {}: expected dimensions of at least 1", ShapeText(shape));
    if (__builtin_mul_overflow(elements, size, &elements))
      return Fail("shape {}: more elements than 63 bits count", ShapeText(shape));
  }
  if (shape.back() % info.block_elements != 0)
    return Fail("shape {}: expected rows of whole {} blocks (a multiple of {} elements)",
                ShapeText(shape), info.name, info.block_elements);
  int64_t bytes = 0;
  if (__builtin_mul_overflow(elements / info.block_elements, int64_t{info.block_bytes}, &bytes))
    return Fail("shape {}: more bytes than 63 bits count", ShapeText(shape));
  return static_cast<uint64_t>(bytes);
}

}  // namespace vernier
