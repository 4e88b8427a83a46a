// Block formats as data: elements that share a scale which is part of the format. Beside the
// element formats (formats/format.h) these are what a treatment can name.
//
//   kMx      OCP Microscaling Formats (MX) 1.0: a block of 32 elements times an E8M0 scale 2^k
//   kNvfp4   NVIDIA NVFP4: a block of 16 E2M1 elements times an E4M3 scale times a float32 scale
//   kStored  a storage type of GGUF files (model/tensor.h), encoded as llama.cpp does and decoded
//
// Names: OCP's in lower case, `nvfp4`, and the storage types in lower case (`q4_0`, `iq4_nl`). Two
// storage types have the name of another format; they are `ggml:mxfp4` and `ggml:nvfp4` (ggml
// rounds and scales in its own way), and `ggml:` may stand before every storage type.
#ifndef VERNIER_FORMATS_BLOCK_FORMATS_H_
#define VERNIER_FORMATS_BLOCK_FORMATS_H_

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/tensor.h"

namespace vernier {

enum class BlockFamily { kMx, kNvfp4, kStored };

struct BlockFormat {
  std::string name;
  BlockFamily family = BlockFamily::kStored;
  std::string element;  // kMx, kNvfp4: the format of the elements (FindFormat); kStored: empty
  int block = 32;       // elements that share a scale, or that are encoded together
  double bits_per_weight = 0;            // scales of blocks counted, the one of a whole tensor not
  TensorType stored = TensorType::kF32;  // kStored
  std::string doc;                       // one line: what it is and where it is defined
};

// In table order: MX, NVFP4, then the storage types that can be encoded.
std::span<const BlockFormat> BlockFormats();
// Null when there is none of this name; the record lives as long as the program.
const BlockFormat* FindBlockFormat(std::string_view name);
std::vector<std::string> BlockFormatNames();

}  // namespace vernier

#endif  // VERNIER_FORMATS_BLOCK_FORMATS_H_
