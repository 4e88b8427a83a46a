// Tensors into a GGUF file of other types: rows are decoded, perhaps treated, encoded, and written
// as they come. The file may be larger than memory: of tensor data no more than a few tens of
// megabytes are held, and pages of the source that are done with are given back.
#ifndef VERNIER_ARCH_WRITE_MODEL_H_
#define VERNIER_ARCH_WRITE_MODEL_H_

#include <cmath>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "arch/graph.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "base/result.h"
#include "formats/treatment.h"
#include "model/checkpoint.h"
#include "model/metadata.h"
#include "model/tensor.h"

namespace vernier {

// One tensor of the file.
struct TensorJob {
  std::string name;
  TensorView source;
  TensorType type = TensorType::kF32;  // what it becomes
  // Not 0: rows are reordered within heads of this many, row 2 i + j from row i + j head_dim / 2
  // (a vector's elements likewise).
  size_t head_dim = 0;
  WeightTransform transform = WeightTransform::kNone;  // of the decoded values, before all else
  std::optional<Treatment> treatment;  // of the decoded values, before they are encoded
  uint64_t key = 0;                    // of the treatment; row r of the source uses RowKey(key, r)
  // Empty, or a weight for each column of each matrix (formats/encode.h).
  std::span<const float> importance;
};

struct TensorOutcome {
  uint64_t bytes = 0;  // written
  uint64_t elements = 0;
  TreatmentCounts treated;  // by the treatment
  TreatmentCounts stored;   // by the type, of what was left by the treatment
  // What reads back against the source's values; NaN and what is infinite left out.
  double squared_error = 0, squares = 0, max_abs = 0;
  double rmse() const { return std::sqrt(squared_error / static_cast<double>(elements)); }
  double l2_rel() const { return squared_error == 0 ? 0 : std::sqrt(squared_error / squares); }
};

// Writes the tensors in order to `path`, which appears only when it is complete.
//
// Numbers: a tensor that keeps its type untreated is copied byte for byte. Otherwise each element
// is the value the source's type decodes to (formats/decode.h): float32, or float64 where an F64
// source holds numbers that are not float32. F32, F16 and BF16 are rounded to nearest even (beyond
// the largest float16 lies infinity); block types are encoded from float32 (formats/encode.h). The
// bytes depend on nothing else, neither on threads nor on how the work is cut; the sums of the
// outcome are added in a fixed order. A treatment whose scale spans a whole tensor (per=tensor)
// holds that one tensor in memory.
//
// Errors: the file cannot be written; a block type and a source row with NaN or infinities;
// progress asked to stop. `check`, when given, sees each outcome as soon as the tensor is done and
// may refuse it.
using OutcomeCheck = std::function<Status(size_t job, const TensorOutcome& outcome)>;
Result<std::vector<TensorOutcome>> WriteModel(const std::string& path, const Metadata& metadata,
                                              std::span<const TensorJob> jobs,
                                              std::span<const MappedFile> files, Workers& workers,
                                              const ProgressSink& progress,
                                              const OutcomeCheck& check = {});

// The file as it is, under another name.
Status CopyFile(const MappedFile& file, const std::string& path, const ProgressSink& progress);

}  // namespace vernier

#endif  // VERNIER_ARCH_WRITE_MODEL_H_
