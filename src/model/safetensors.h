// Reading one .safetensors file (https://github.com/huggingface/safetensors, README, "Format"): a
// little-endian u64 N, N bytes of JSON that map each name to dtype, shape and data_offsets [begin,
// end) counted from the end of the JSON, then the data. The file is not trusted.
#ifndef VERNIER_MODEL_SAFETENSORS_H_
#define VERNIER_MODEL_SAFETENSORS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "model/tensor.h"

namespace vernier {

inline constexpr uint64_t kSafetensorsLongestHeader = 100'000'000;  // the reference reader's limit

struct SafetensorsFile {
  std::vector<TensorView> tensors;           // by ascending data offset
  std::map<std::string, std::string> notes;  // __metadata__
};

// Types F64, F32, F16 and BF16. Errors: "PATH: tensor 'NAME': expected ...", one line. Refused:
// other types (named), duplicate keys, unknown keys of a tensor, offsets out of range, overlapping
// or not as long as type and shape say, more than 4 dimensions, tensors without elements. Gaps
// between tensors are allowed, a shape of [] becomes {1}.
Result<SafetensorsFile> ReadSafetensors(const MappedFile& file);

}  // namespace vernier

#endif  // VERNIER_MODEL_SAFETENSORS_H_
