#include "formats/decode.h"

#include <algorithm>
#include <cstring>

#include "base/result.h"
#include "formats/decode_blocks.h"

namespace vernier {
namespace {

struct Row {
  TensorType type;
  BlockDecoder decode;
};

constexpr Row kDecoders[] = {
    {TensorType::kF32, DecodeF32},       {TensorType::kF16, DecodeF16},
    {TensorType::kBF16, DecodeBF16},     {TensorType::kF64, DecodeF64},
    {TensorType::kQ4_0, DecodeQ4_0},     {TensorType::kQ4_1, DecodeQ4_1},
    {TensorType::kQ5_0, DecodeQ5_0},     {TensorType::kQ5_1, DecodeQ5_1},
    {TensorType::kQ8_0, DecodeQ8_0},     {TensorType::kQ2_K, DecodeQ2_K},
    {TensorType::kQ3_K, DecodeQ3_K},     {TensorType::kQ4_K, DecodeQ4_K},
    {TensorType::kQ5_K, DecodeQ5_K},     {TensorType::kQ6_K, DecodeQ6_K},
    {TensorType::kIQ4_NL, DecodeIQ4_NL}, {TensorType::kIQ4_XS, DecodeIQ4_XS},
    {TensorType::kTQ1_0, DecodeTQ1_0},   {TensorType::kTQ2_0, DecodeTQ2_0},
    {TensorType::kMXFP4, DecodeMXFP4},   {TensorType::kNVFP4, DecodeNVFP4},
    {TensorType::kQ8_1, DecodeQ8_1},     {TensorType::kQ8_K, DecodeQ8_K},
};

BlockDecoder FindDecoder(TensorType type) {
  for (const Row& row : kDecoders)
    if (row.type == type) return row.decode;
  ThrowDefect(__FILE__, __LINE__, "every tensor type has a decoder");
}

// The number of blocks in `source`, which must be whole and fill `elements` exactly.
size_t CountBlocks(const TensorTypeInfo& info, size_t bytes, size_t elements) {
  const auto block_bytes = static_cast<size_t>(info.block_bytes);
  const size_t blocks = bytes / block_bytes;
  CHECK(bytes % block_bytes == 0);
  CHECK(elements == blocks * static_cast<size_t>(info.block_elements));
  return blocks;
}

const uint8_t* Bytes(std::span<const std::byte> source) {
  return reinterpret_cast<const uint8_t*>(source.data());
}

}  // namespace

void DecodeToFloat(TensorType type, std::span<const std::byte> source, std::span<float> out) {
  const size_t blocks = CountBlocks(Info(type), source.size(), out.size());
  FindDecoder(type)(Bytes(source), blocks, out.data());
}

void DecodeToDouble(TensorType type, std::span<const std::byte> source, std::span<double> out) {
  const TensorTypeInfo& info = Info(type);
  const size_t blocks = CountBlocks(info, source.size(), out.size());
  if (type == TensorType::kF64) {
    if (!out.empty()) std::memcpy(out.data(), source.data(), source.size());
    return;
  }
  const BlockDecoder decode = FindDecoder(type);
  const uint8_t* bytes = Bytes(source);
  float piece[1024];  // a whole number of blocks of every type
  const auto block_elements = static_cast<size_t>(info.block_elements);
  const size_t step = std::size(piece) / block_elements;
  for (size_t first = 0; first < blocks; first += step) {
    const size_t count = std::min(step, blocks - first);
    decode(bytes + first * static_cast<size_t>(info.block_bytes), count, piece);
    std::copy_n(piece, count * block_elements, out.data() + first * block_elements);
  }
}

}  // namespace vernier
