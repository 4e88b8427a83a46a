// Writing a GGUF file (version 3, little-endian): the header at once, then the tensors' bytes as
// they come, so that a converter or quantiser never holds more than a piece of the model. What
// ReadGguf gave, written again, has the same metadata, order, types and tensor bytes.
//
//   ASSIGN_OR_RETURN(GgufWriter out, GgufWriter::Create(path, metadata, plan));
//   for (...) RETURN_IF_ERROR(out.Append(bytes));     // all of plan[0], then plan[1], ...
//   return out.Commit();
#ifndef VERNIER_MODEL_GGUF_WRITER_H_
#define VERNIER_MODEL_GGUF_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "model/metadata.h"
#include "model/tensor.h"

namespace vernier {

struct PlannedTensor {
  std::string name;
  TensorType type = TensorType::kF32;
  std::vector<int64_t> shape;  // outermost dimension first, as in TensorView
};

class GgufWriter {
 public:
  // Writes everything before the tensor data. The alignment is general.alignment of the metadata,
  // 32 when absent (the key is not added). Errors: the file cannot be written; a duplicate, empty
  // or too long key or name (tensor names of at most 63 bytes, what ggml reads); a shape that
  // TensorByteSize refuses. The values' variants must fit their types, numbers included (CHECK).
  static Result<GgufWriter> Create(const std::string& path, const Metadata& metadata,
                                   std::vector<PlannedTensor> tensors);

  // The next bytes of the current tensor, never beyond its end (CHECK). A tensor may come in any
  // number of pieces; the padding between tensors is the writer's.
  Status Append(std::span<const std::byte> bytes);

  // The file appears under its name. Every tensor must be complete (CHECK).
  Status Commit();

 private:
  GgufWriter(AtomicFile file, uint64_t alignment, std::vector<uint64_t> sizes)
      : file_(std::move(file)), alignment_(alignment), sizes_(std::move(sizes)) {}

  AtomicFile file_;
  uint64_t alignment_;
  std::vector<uint64_t> sizes_;  // bytes of each tensor
  size_t current_ = 0;           // the tensor whose bytes come next
  uint64_t written_ = 0;         // of the current tensor
};

// A whole file from tensors that are in memory or mapped.
Status WriteGguf(const std::string& path, const Metadata& metadata,
                 std::span<const TensorView> tensors);

// Appends the value as it lies in a file (the type number not included; an array brings its element
// type and count). Also the canonical form that ContentHash hashes.
void AppendGgufValue(const MetaValue& value, std::string* out);

}  // namespace vernier

#endif  // VERNIER_MODEL_GGUF_WRITER_H_
