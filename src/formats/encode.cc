#include "formats/encode.h"

#include "base/result.h"
#include "formats/encode_blocks.h"
#include "kernels/kernels.h"

namespace vernier {
namespace {

struct Row {
  TensorType type;
  BlockEncoder encode;
  bool uses_importance;
};

constexpr Row kEncoders[] = {
    {TensorType::kF32, EncodeF32, false},      {TensorType::kF16, EncodeF16, false},
    {TensorType::kBF16, EncodeBF16, false},    {TensorType::kF64, EncodeF64, false},
    {TensorType::kQ4_0, EncodeQ4_0, true},     {TensorType::kQ4_1, EncodeQ4_1, true},
    {TensorType::kQ5_0, EncodeQ5_0, true},     {TensorType::kQ5_1, EncodeQ5_1, true},
    {TensorType::kQ8_0, EncodeQ8_0, false},    {TensorType::kQ8_1, EncodeQ8_1, false},
    {TensorType::kQ2_K, EncodeQ2_K, true},     {TensorType::kQ3_K, EncodeQ3_K, true},
    {TensorType::kQ4_K, EncodeQ4_K, true},     {TensorType::kQ5_K, EncodeQ5_K, true},
    {TensorType::kQ6_K, EncodeQ6_K, true},     {TensorType::kQ8_K, EncodeQ8_K, false},
    {TensorType::kIQ4_NL, EncodeIQ4_NL, true}, {TensorType::kIQ4_XS, EncodeIQ4_XS, true},
    {TensorType::kTQ1_0, EncodeTQ1_0, false},  {TensorType::kTQ2_0, EncodeTQ2_0, false},
    {TensorType::kMXFP4, EncodeMXFP4, false},  {TensorType::kNVFP4, EncodeNVFP4, false},
};

const Row& FindEncoder(TensorType type) {
  for (const Row& row : kEncoders)
    if (row.type == type) return row;
  ThrowDefect(__FILE__, __LINE__, "every tensor type has an encoder");
}

}  // namespace

void EncodeRowsWith(const QuantiseKernels& kernels, TensorType type, const float* values,
                    size_t rows, size_t columns, std::span<const float> importance,
                    std::span<std::byte> out) {
  const TensorTypeInfo& info = Info(type);
  const auto block_elements = static_cast<size_t>(info.block_elements);
  CHECK(columns % block_elements == 0);
  const size_t row_blocks = columns / block_elements, blocks = rows * row_blocks;
  CHECK(out.size() == blocks * static_cast<size_t>(info.block_bytes));
  CHECK(importance.empty() || importance.size() == columns);
  if (blocks == 0) return;
  const Row& row = FindEncoder(type);
  const bool weighted = row.uses_importance && !importance.empty();
  row.encode({&kernels, values, blocks, row_blocks, weighted ? importance.data() : nullptr},
             reinterpret_cast<uint8_t*>(out.data()));
}

void EncodeRows(TensorType type, const float* values, size_t rows, size_t columns,
                std::span<const float> importance, std::span<std::byte> out) {
  EncodeRowsWith(BestKernels().quantise, type, values, rows, columns, importance, out);
}

bool UsesImportance(TensorType type) { return FindEncoder(type).uses_importance; }

}  // namespace vernier
