// Captures of other programs: tensors under the names and in the shapes that program has.
// capture_names.h finds the sites they are, capture_fit.h brings them into our rows.
//
//   .safetensors  F32, F64, F16, BF16
//   .npy, .npz    floats, in C's or Fortran's order; an .npz array of integers named "tokens",
//                 "input_ids" or "ids" holds the token ids; an .npy is named as its file
//   .txt, .log    what llama-eval-callback and llama-debug print (capture_text.h), or the logits
//                 llama-debug saves as text ("0: -1.25")
//   .bin          raw float32 logits of the last token (or embeddings, "*-embeddings.bin"), as
//                 llama-debug --save-logits writes them; token ids from "*-tokens.bin" beside it
#ifndef VERNIER_MEASURE_CAPTURE_FOREIGN_H_
#define VERNIER_MEASURE_CAPTURE_FOREIGN_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "ops/op.h"

namespace vernier {

struct ForeignTensor {
  std::string name;
  std::vector<size_t> shape;  // the last dimension runs fastest, whatever the file's order
  Arithmetic type = Arithmetic::kF32;
  std::vector<float> f32;  // the elements, where type is kF32; or those that are known
  std::vector<double> f64;
  double step = 0;  // largest relative error of having been stored
  // Of llama.cpp's dumps:
  std::string op;                    // ggml's: "MUL_MAT"; empty: not known
  std::vector<std::string> sources;  // names of what it was made from
  bool partial = false;              // printed abbreviated: only some elements are known
  std::vector<size_t> places;        // partial: which, as indices of `shape`
  std::optional<double> sum;         // of all elements

  size_t Elements() const;
};

struct ForeignCapture {
  std::string source;  // the file
  std::vector<ForeignTensor> tensors;
  std::vector<int32_t> tokens;     // empty: not known
  std::vector<std::string> notes;  // what was left out
};

// Errors lead with the path. The files are not trusted: every count, size and offset is checked.
Result<ForeignCapture> ReadForeignNpy(const std::string& path);
Result<ForeignCapture> ReadForeignNpz(const std::string& path);
Result<ForeignCapture> ReadForeignSafetensors(const std::string& path);
Result<ForeignCapture> ReadForeignText(const std::string& path);
Result<ForeignCapture> ReadForeignBinary(const std::string& path);

}  // namespace vernier

#endif  // VERNIER_MEASURE_CAPTURE_FOREIGN_H_
