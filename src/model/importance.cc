#include "model/importance.h"

#include <cmath>
#include <cstring>
#include <span>

#include "base/file.h"
#include "model/gguf.h"
#include "model/quote.h"

namespace vernier {
namespace {

constexpr std::string_view kSums = ".in_sum2", kCounts = ".counts";

std::vector<float> Floats(std::span<const std::byte> bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

// Divides each of the rows of `sums` by its count.
Status Add(std::string name, std::vector<float> sums, const std::vector<float>& counts,
           float without_count, ImportanceMatrix* matrix) {
  const std::string& path = matrix->path;
  for (const float sum : sums)
    if (!(sum >= 0) || std::isinf(sum))
      return Fail("{}: {}: a sum of squares is {}", path, Quote(name), sum);
  const size_t columns = sums.size() / counts.size();
  for (size_t r = 0; r < counts.size(); ++r) {
    if (!std::isfinite(counts[r]))
      return Fail("{}: {}: a count is {}", path, Quote(name), counts[r]);
    const float count = std::round(counts[r]);
    for (float& value : std::span(sums).subspan(r * columns, columns)) {
      if (count > 0)
        value /= count;
      else if (without_count != 0)
        value = without_count;
    }
  }
  if (!matrix->weights.emplace(name, std::move(sums)).second)
    return Fail("{}: {} given twice", path, Quote(name));
  return {};
}

Result<ImportanceMatrix> FromGguf(const MappedFile& mapped) {
  ASSIGN_OR_RETURN(const GgufFile file, ReadGguf(mapped));
  ImportanceMatrix matrix{mapped.path(), {}, 0, {}};
  if (file.metadata.Has("imatrix.datasets")) {
    ASSIGN_OR_RETURN(matrix.datasets, file.metadata.Strings("imatrix.datasets"));
  }
  if (file.metadata.Has("imatrix.chunk_count")) {
    ASSIGN_OR_RETURN(matrix.chunks, file.metadata.Int("imatrix.chunk_count", 0, UINT32_MAX));
  }
  std::map<std::string_view, const TensorView*> counts;
  for (const TensorView& tensor : file.tensors)
    if (tensor.name.ends_with(kCounts))
      counts[std::string_view(tensor.name).substr(0, tensor.name.size() - kCounts.size())] =
          &tensor;
  for (const TensorView& sums : file.tensors) {
    if (!sums.name.ends_with(kSums)) continue;
    const std::string name = sums.name.substr(0, sums.name.size() - kSums.size());
    const auto found = counts.find(name);
    if (found == counts.end())
      return Fail("{}: {} without {}{}", mapped.path(), Quote(sums.name), name, kCounts);
    const TensorView& count = *found->second;
    if (sums.type != TensorType::kF32 || count.type != TensorType::kF32)
      return Fail("{}: {} and its counts: expected F32, found {} and {}", mapped.path(),
                  Quote(sums.name), Info(sums.type).name, Info(count.type).name);
    if (sums.Rows() != count.Elements())
      return Fail("{}: {}: {} rows and {} counts", mapped.path(), Quote(sums.name), sums.Rows(),
                  count.Elements());
    RETURN_IF_ERROR(Add(name, Floats(sums.data), Floats(count.data), 1, &matrix));
  }
  if (matrix.weights.empty())
    return Fail("{}: no tensor NAME{}: not an importance matrix", mapped.path(), kSums);
  return matrix;
}

// Reads the older format from the front.
class Reader {
 public:
  explicit Reader(const MappedFile& file) : path_(file.path()), bytes_(file.bytes()) {}
  bool AtEnd() const { return at_ == bytes_.size(); }
  Result<int32_t> Int(const char* what, int32_t least, int64_t most) {
    int32_t value = 0;
    ASSIGN_OR_RETURN(const auto piece, Take(sizeof value, what));
    std::memcpy(&value, piece.data(), sizeof value);
    if (value < least || value > most)
      return Fail(
          "{}: offset {}: {} {}: not an importance matrix (a GGUF file of llama-imatrix, or the "
          "older .dat)",
          path_, at_ - sizeof value, what, value);
    return value;
  }
  Result<std::span<const std::byte>> Take(size_t size, const char* what) {
    if (size > bytes_.size() - at_)
      return Fail("{}: offset {}: the file ends within {}", path_, at_, what);
    const auto piece = bytes_.subspan(at_, size);
    at_ += size;
    return piece;
  }
  Result<std::string> String(const char* what) {
    ASSIGN_OR_RETURN(const int32_t length, Int("length of a name", 0, 65535));
    ASSIGN_OR_RETURN(const auto piece, Take(static_cast<size_t>(length), what));
    return std::string(reinterpret_cast<const char*>(piece.data()), piece.size());
  }

 private:
  const std::string& path_;
  std::span<const std::byte> bytes_;
  size_t at_ = 0;
};

Result<ImportanceMatrix> FromOlder(const MappedFile& mapped) {
  Reader reader(mapped);
  ImportanceMatrix matrix{mapped.path(), {}, 0, {}};
  ASSIGN_OR_RETURN(const int32_t entries, reader.Int("number of entries", 1, 1 << 20));
  for (int32_t i = 0; i < entries; ++i) {
    ASSIGN_OR_RETURN(std::string name, reader.String("a name"));
    ASSIGN_OR_RETURN(const int32_t calls, reader.Int("number of calls", 0, INT32_MAX));
    ASSIGN_OR_RETURN(const int32_t values, reader.Int("number of values", 1, INT32_MAX));
    ASSIGN_OR_RETURN(const auto sums,
                     reader.Take(static_cast<size_t>(values) * sizeof(float), "the sums"));
    RETURN_IF_ERROR(Add(std::move(name), Floats(sums), {static_cast<float>(calls)}, 0, &matrix));
  }
  if (reader.AtEnd()) return matrix;
  ASSIGN_OR_RETURN(matrix.chunks, reader.Int("number of chunks", 0, INT32_MAX));
  if (reader.AtEnd()) return matrix;
  ASSIGN_OR_RETURN(std::string dataset, reader.String("the text's name"));
  if (!dataset.empty()) matrix.datasets.push_back(std::move(dataset));
  return matrix;
}

}  // namespace

Result<ImportanceMatrix> ReadImportance(const std::string& path) {
  ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  const auto bytes = file.bytes();
  const bool gguf = bytes.size() >= 4 && std::memcmp(bytes.data(), "GGUF", 4) == 0;
  return gguf ? FromGguf(file) : FromOlder(file);
}

}  // namespace vernier
