#include "model/gguf_writer.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <unordered_set>

#include "model/gguf.h"
#include "model/quote.h"

namespace vernier {
namespace {

static_assert(std::endian::native == std::endian::little, "files are little-endian, and so are we");

constexpr size_t kLongestWrittenName = 63;  // ggml keeps names in 64 bytes with a final zero

template <class T>
void AppendNumber(T value, std::string* out) {
  out->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void AppendString(std::string_view text, std::string* out) {
  AppendNumber<uint64_t>(text.size(), out);
  out->append(text);
}

template <class File, class Kept>
void AppendInteger(const MetaValue& value, std::string* out) {
  const auto* kept = std::get_if<Kept>(&value.value);
  CHECK(kept != nullptr && std::in_range<File>(*kept));
  AppendNumber(static_cast<File>(*kept), out);
}

template <class T>
const T& Kept(const MetaValue& value) {
  const T* kept = std::get_if<T>(&value.value);
  CHECK(kept != nullptr);
  return *kept;
}

void AppendArray(const MetaArray& array, std::string* out) {
  AppendNumber(static_cast<uint32_t>(array.type), out);
  AppendNumber<uint64_t>(array.values.size(), out);
  for (const MetaValue& value : array.values) {
    CHECK(value.type == array.type);
    AppendGgufValue(value, out);
  }
}

Status AppendMetadata(const std::string& path, const Metadata& metadata, std::string* out) {
  std::unordered_set<std::string_view> seen;
  for (const auto& [key, value] : metadata.entries) {
    if (!IsPlainName(key, kGgufLongestKey))
      return Fail("{}: key {}: expected 1 to {} bytes without control characters", path, Quote(key),
                  kGgufLongestKey);
    if (!seen.insert(key).second) return Fail("{}: key {} given twice", path, Quote(key));
    AppendString(key, out);
    AppendNumber(static_cast<uint32_t>(value.type), out);
    AppendGgufValue(value, out);
  }
  return {};
}

uint64_t PaddingAfter(uint64_t bytes, uint64_t alignment) {
  return (alignment - bytes % alignment) % alignment;
}

Result<std::vector<uint64_t>> AppendTensorInfos(const std::string& path, uint64_t alignment,
                                                const std::vector<PlannedTensor>& tensors,
                                                std::string* out) {
  std::unordered_set<std::string_view> seen;
  std::vector<uint64_t> sizes;
  uint64_t offset = 0;
  for (const PlannedTensor& tensor : tensors) {
    if (!IsPlainName(tensor.name, kLongestWrittenName))
      return Fail("{}: tensor name {}: expected 1 to {} bytes without control characters", path,
                  Quote(tensor.name), kLongestWrittenName);
    if (!seen.insert(tensor.name).second)
      return Fail("{}: tensor {} given twice", path, Quote(tensor.name));
    auto bytes = TensorByteSize(tensor.type, tensor.shape);
    if (!bytes) return Fail("{}: tensor {}: {}", path, Quote(tensor.name), bytes.error().message);
    sizes.push_back(*bytes);
    AppendString(tensor.name, out);
    AppendNumber(static_cast<uint32_t>(tensor.shape.size()), out);
    for (size_t i = tensor.shape.size(); i-- > 0;) AppendNumber<int64_t>(tensor.shape[i], out);
    AppendNumber(static_cast<uint32_t>(tensor.type), out);
    AppendNumber(offset, out);
    if (*bytes > std::numeric_limits<uint64_t>::max() / 2 - offset)
      return Fail("{}: tensor {}: the file would be larger than 2^63 bytes", path,
                  Quote(tensor.name));
    offset += *bytes + PaddingAfter(*bytes, alignment);
  }
  return sizes;
}

}  // namespace

void AppendGgufValue(const MetaValue& value, std::string* out) {
  switch (value.type) {
    case MetaType::kUint8:
      return AppendInteger<uint8_t, uint64_t>(value, out);
    case MetaType::kInt8:
      return AppendInteger<int8_t, int64_t>(value, out);
    case MetaType::kUint16:
      return AppendInteger<uint16_t, uint64_t>(value, out);
    case MetaType::kInt16:
      return AppendInteger<int16_t, int64_t>(value, out);
    case MetaType::kUint32:
      return AppendInteger<uint32_t, uint64_t>(value, out);
    case MetaType::kInt32:
      return AppendInteger<int32_t, int64_t>(value, out);
    case MetaType::kUint64:
      return AppendInteger<uint64_t, uint64_t>(value, out);
    case MetaType::kInt64:
      return AppendInteger<int64_t, int64_t>(value, out);
    case MetaType::kFloat32:
      return AppendNumber(NarrowToFloatBits(Kept<double>(value)), out);
    case MetaType::kFloat64:
      return AppendNumber(Kept<double>(value), out);
    case MetaType::kBool:
      return AppendNumber<uint8_t>(Kept<bool>(value) ? 1 : 0, out);
    case MetaType::kString:
      return AppendString(Kept<std::string>(value), out);
    case MetaType::kArray:
      return AppendArray(Kept<MetaArray>(value), out);
  }
  CHECK(false);
}

Result<GgufWriter> GgufWriter::Create(const std::string& path, const Metadata& metadata,
                                      std::vector<PlannedTensor> tensors) {
  ASSIGN_OR_RETURN(const uint64_t alignment, GgufAlignment(metadata));
  std::string header = "GGUF";
  AppendNumber<uint32_t>(3, &header);
  AppendNumber<uint64_t>(tensors.size(), &header);
  AppendNumber<uint64_t>(metadata.entries.size(), &header);
  RETURN_IF_ERROR(AppendMetadata(path, metadata, &header));
  ASSIGN_OR_RETURN(std::vector<uint64_t> sizes,
                   AppendTensorInfos(path, alignment, tensors, &header));
  header.append(PaddingAfter(header.size(), alignment), '\0');
  ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  RETURN_IF_ERROR(file.Write(header));
  return GgufWriter(std::move(file), alignment, std::move(sizes));
}

Status GgufWriter::Append(std::span<const std::byte> bytes) {
  CHECK(current_ < sizes_.size() && bytes.size() <= sizes_[current_] - written_);
  RETURN_IF_ERROR(file_.Write(bytes.data(), bytes.size()));
  written_ += bytes.size();
  if (written_ < sizes_[current_]) return {};
  const std::string padding(PaddingAfter(written_, alignment_), '\0');
  ++current_;
  written_ = 0;
  return file_.Write(padding);
}

Status GgufWriter::Commit() {
  CHECK(current_ == sizes_.size());
  return file_.Commit();
}

Status WriteGguf(const std::string& path, const Metadata& metadata,
                 std::span<const TensorView> tensors) {
  std::vector<PlannedTensor> plan;
  plan.reserve(tensors.size());
  for (const TensorView& tensor : tensors) plan.push_back({tensor.name, tensor.type, tensor.shape});
  ASSIGN_OR_RETURN(GgufWriter out, GgufWriter::Create(path, metadata, std::move(plan)));
  for (const TensorView& tensor : tensors) RETURN_IF_ERROR(out.Append(tensor.data));
  return out.Commit();
}

}  // namespace vernier
