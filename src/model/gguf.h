// Reading one GGUF file (gguf.md of ggml-org/ggml): versions 2 and 3, little-endian. The file is
// not trusted: every count, length, offset and size is checked against what is left of the file
// before anything is allocated or read. model/checkpoint.h puts the parts of a split set together.
#ifndef VERNIER_MODEL_GGUF_H_
#define VERNIER_MODEL_GGUF_H_

#include <cstdint>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "model/metadata.h"
#include "model/tensor.h"

namespace vernier {

inline constexpr uint64_t kGgufDefaultAlignment = 32;
inline constexpr uint64_t kGgufMostAlignment = 1 << 20;  // ours: padding is no place for gigabytes
inline constexpr size_t kGgufLongestKey = 65535;         // gguf.md
inline constexpr size_t kGgufLongestTensorName = 64;     // gguf.md
inline constexpr uint64_t kGgufMostKeys = 65536;  // ours: look-up is linear; models have about 50
inline constexpr int kGgufDeepestArray = 4;       // ours: arrays of arrays of arrays of arrays
// Ours: array elements of a whole file, so that a hostile file cannot take 48 times its size in
// memory. A vocabulary of 256 k tokens with scores, types and merges has about 1.5 million.
inline constexpr uint64_t kGgufMostArrayElements = uint64_t{1} << 23;

struct GgufFile {
  uint32_t version = 3;
  uint64_t alignment = kGgufDefaultAlignment;
  Metadata metadata;                // in file order, keys unique
  std::vector<TensorView> tensors;  // in file order, names unique; data point into the mapped file
};

// Errors: "PATH: offset N: key 'K': expected ...", one line. Refused: big-endian files, version 1,
// tensor types Vernier does not read (named), duplicate keys and tensor names, tensors without
// elements, unaligned, outside of the file or overlapping. A tensor of 0 dimensions gets shape {1}.
Result<GgufFile> ReadGguf(const MappedFile& file);

// general.alignment of the metadata: a uint32, a power of two and a multiple of 8 (gguf.md); 32
// when absent.
Result<uint64_t> GgufAlignment(const Metadata& metadata);

}  // namespace vernier

#endif  // VERNIER_MODEL_GGUF_H_
