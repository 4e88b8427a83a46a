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
constexpr StoredDoc kStoredDocs[] = {
    {TensorType::kQ4_0, "4-bit integers -8 to 7 times an f16 scale, by the largest element"},
    {TensorType::kQ4_1, "4-bit integers times an f16 scale plus an f16 minimum"},
    {TensorType::kQ5_0, "5-bit integers -16 to 15 times an f16 scale, by the largest element"},
    {TensorType::kQ5_1, "5-bit integers times an f16 scale plus an f16 minimum"},
    {TensorType::kQ8_0, "8-bit integers times an f16 scale"},
};

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
