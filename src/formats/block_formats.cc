#include "formats/block_formats.h"

#include <algorithm>
#include <cctype>

#include "formats/format.h"

namespace vernier {
namespace {

constexpr int kMxBlock = 32, kNvfp4Block = 16, kScaleBits = 8;

BlockFormat Scaled(const char* name, BlockFamily family, const char* element, int block,
                   const char* doc) {
  const int bits = FindFormat(element).value().bits;
  return {name,
          family,
          element,
          block,
          bits + static_cast<double>(kScaleBits) / block,
          TensorType::kF32,
          doc};
}

struct StoredDoc {
  TensorType type;
  const char* doc;
};
// Layouts and arithmetic: docs/decoding.md and docs/encoding.md.
constexpr StoredDoc kStoredDocs[] = {
    {TensorType::kQ4_0, "4-bit integers -8 to 7 times an f16 scale"},
    {TensorType::kQ4_1, "4-bit integers times an f16 scale, plus an f16 minimum"},
    {TensorType::kQ5_0, "5-bit integers -16 to 15 times an f16 scale"},
    {TensorType::kQ5_1, "5-bit integers times an f16 scale, plus an f16 minimum"},
    {TensorType::kQ8_0, "8-bit integers times an f16 scale"},
    {TensorType::kQ8_1, "8-bit integers times an f16 scale, with their sum (for activations)"},
    {TensorType::kQ2_K, "2-bit integers, 16 blocks of 16 with 4-bit scales and minimums"},
    {TensorType::kQ3_K, "3-bit integers, 16 blocks of 16 with 6-bit scales"},
    {TensorType::kQ4_K, "4-bit integers, 8 blocks of 32 with 6-bit scales and minimums"},
    {TensorType::kQ5_K, "5-bit integers, 8 blocks of 32 with 6-bit scales and minimums"},
    {TensorType::kQ6_K, "6-bit integers, 16 blocks of 16 with 8-bit scales"},
    {TensorType::kQ8_K, "8-bit integers times a float32 scale (for activations)"},
    {TensorType::kIQ4_NL, "16 fixed unequal steps times an f16 scale"},
    {TensorType::kIQ4_XS, "16 fixed unequal steps, 8 blocks of 32 with 6-bit scales"},
    {TensorType::kTQ1_0, "-1, 0, 1 times an f16 scale, five to a byte"},
    {TensorType::kTQ2_0, "-1, 0, 1 times an f16 scale, four to a byte"},
    {TensorType::kMXFP4, "MXFP4 as ggml stores and rounds it"},
    {TensorType::kNVFP4, "NVFP4 as ggml stores and rounds it, without a tensor scale"},
};

BlockFormat Stored(const TensorTypeInfo& info, const std::vector<BlockFormat>& others) {
  std::string name = info.name;
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return static_cast<char>(std::tolower(c)); });
  for (const BlockFormat& other : others)
    if (other.name == name) {
      name = "ggml:" + name;
      break;
    }
  std::string doc;
  for (const StoredDoc& d : kStoredDocs)
    if (d.type == info.type) doc = fmt::format("GGUF's {}: {}", info.name, d.doc);
  return {std::move(name),
          BlockFamily::kStored,
          "",
          info.block_elements,
          info.block_bytes * 8.0 / info.block_elements,
          info.type,
          std::move(doc)};
}

std::vector<BlockFormat> MakeTable() {
  std::vector<BlockFormat> table = {
      Scaled("mxfp8_e4m3", BlockFamily::kMx, "e4m3", kMxBlock, "MXFP8 of OCP MX 1.0, E4M3"),
      Scaled("mxfp8_e5m2", BlockFamily::kMx, "e5m2", kMxBlock, "MXFP8 of OCP MX 1.0, E5M2"),
      Scaled("mxfp6_e3m2", BlockFamily::kMx, "e3m2", kMxBlock, "MXFP6 of OCP MX 1.0, E3M2"),
      Scaled("mxfp6_e2m3", BlockFamily::kMx, "e2m3", kMxBlock, "MXFP6 of OCP MX 1.0, E2M3"),
      Scaled("mxfp4", BlockFamily::kMx, "e2m1", kMxBlock, "MXFP4 of OCP MX 1.0, E2M1"),
      Scaled("mxint8", BlockFamily::kMx, "int8", kMxBlock,
             "MXINT8 of OCP MX 1.0: 8-bit integers / 64"),
      Scaled("nvfp4", BlockFamily::kNvfp4, "e2m1", kNvfp4Block,
             "NVIDIA NVFP4: E2M1 under an E4M3 scale under a float32 scale"),
  };
  for (const TensorTypeInfo& info : TensorTypes())
    if (info.block_elements > 1) table.push_back(Stored(info, table));
  return table;
}

}  // namespace

std::span<const BlockFormat> BlockFormats() {
  static const std::vector<BlockFormat> table = MakeTable();
  return table;
}

const BlockFormat* FindBlockFormat(std::string_view name) {
  for (const BlockFormat& format : BlockFormats())
    if (format.name == name) return &format;
  if (!name.starts_with("ggml:")) return nullptr;
  for (const BlockFormat& format : BlockFormats())
    if (format.family == BlockFamily::kStored && format.name == name.substr(5)) return &format;
  return nullptr;
}

std::vector<std::string> BlockFormatNames() {
  std::vector<std::string> names;
  for (const BlockFormat& format : BlockFormats()) names.push_back(format.name);
  return names;
}

}  // namespace vernier
