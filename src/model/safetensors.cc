#include "model/safetensors.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "model/json.h"
#include "model/quote.h"

namespace vernier {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kLengthBytes = 8;
constexpr size_t kLongestName = 1024;

struct Placed {
  TensorView tensor;
  uint64_t begin = 0, end = 0;
};

Result<TensorType> ParseType(const Json& dtype) {
  if (!dtype.is_string()) return Fail("expected a string 'dtype'");
  const std::string& name = dtype.get_ref<const std::string&>();
  for (const TensorType type :
       {TensorType::kF64, TensorType::kF32, TensorType::kF16, TensorType::kBF16})
    if (name == Info(type).name) return type;
  return Fail("type {}, expected F64, F32, F16 or BF16", Quote(name));
}

Result<std::vector<int64_t>> ParseShape(const Json& json) {
  if (!json.is_array()) return Fail("expected an array 'shape'");
  std::vector<int64_t> shape;
  for (const Json& size : json) {
    if (!size.is_number_unsigned() || size.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX))
      return Fail("expected sizes from 0 to 2^63 - 1 in 'shape'");
    shape.push_back(static_cast<int64_t>(size.get<uint64_t>()));
  }
  if (shape.empty()) shape.push_back(1);
  return shape;
}

// One entry of the header; errors are reasons without subject.
Result<Placed> ParseTensor(const Json& json, uint64_t data_bytes) {
  if (!json.is_object()) return Fail("expected an object with dtype, shape and data_offsets");
  for (const char* key : {"dtype", "shape", "data_offsets"})
    if (!json.contains(key)) return Fail("expected a key '{}'", key);
  if (json.size() != 3) return Fail("expected no keys but dtype, shape and data_offsets");
  Placed placed;
  ASSIGN_OR_RETURN(placed.tensor.type, ParseType(json["dtype"]));
  ASSIGN_OR_RETURN(placed.tensor.shape, ParseShape(json["shape"]));
  ASSIGN_OR_RETURN(const uint64_t bytes, TensorByteSize(placed.tensor.type, placed.tensor.shape));
  const Json& offsets = json["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
      !offsets[1].is_number_unsigned())
    return Fail("expected 'data_offsets' of two offsets");
  placed.begin = offsets[0].get<uint64_t>();
  placed.end = offsets[1].get<uint64_t>();
  if (placed.begin > placed.end || placed.end > data_bytes)
    return Fail("data offsets {} to {}, but the file has {} bytes of data; is it cut short?",
                placed.begin, placed.end, data_bytes);
  if (placed.end - placed.begin != bytes)
    return Fail("{} bytes of data, but {} of shape {} take {}", placed.end - placed.begin,
                Info(placed.tensor.type).name, ShapeText(placed.tensor.shape), bytes);
  return placed;
}

Status ParseNotes(const std::string& path, const Json& json,
                  std::map<std::string, std::string>* notes) {
  if (!json.is_object()) return Fail("{}: __metadata__: expected an object of strings", path);
  for (const auto& [key, value] : json.items()) {
    if (!value.is_string())
      return Fail("{}: __metadata__: {}: expected a string", path, Quote(key));
    notes->emplace(key, value.get<std::string>());
  }
  return {};
}

Result<Json> ReadHeader(const MappedFile& file, uint64_t* header_end) {
  const std::span<const std::byte> bytes = file.bytes();
  if (bytes.size() < kLengthBytes)
    return Fail("{}: {} bytes, expected a safetensors file", file.path(), bytes.size());
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), kLengthBytes);
  if (length > kSafetensorsLongestHeader || length > bytes.size() - kLengthBytes)
    return Fail("{}: offset 0: header of {} bytes, expected at most {}", file.path(), length,
                std::min<uint64_t>(kSafetensorsLongestHeader, bytes.size() - kLengthBytes));
  *header_end = kLengthBytes + length;
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + kLengthBytes, length);
  return ParseJsonObject(text, file.path() + ": header");
}

Status CheckApart(const std::string& path, const std::vector<Placed>& sorted) {
  for (size_t i = 1; i < sorted.size(); ++i) {
    if (sorted[i - 1].end > sorted[i].begin)
      return Fail("{}: tensors {} and {} overlap at data offset {}", path,
                  Quote(sorted[i - 1].tensor.name), Quote(sorted[i].tensor.name), sorted[i].begin);
  }
  return {};
}

}  // namespace

Result<SafetensorsFile> ReadSafetensors(const MappedFile& file) {
  uint64_t data_start = 0;
  ASSIGN_OR_RETURN(const Json header, ReadHeader(file, &data_start));
  const std::span<const std::byte> data = file.bytes().subspan(data_start);
  SafetensorsFile out;
  std::vector<Placed> placed;
  for (const auto& [name, json] : header.items()) {
    if (name == "__metadata__") {
      RETURN_IF_ERROR(ParseNotes(file.path(), json, &out.notes));
      continue;
    }
    if (!IsPlainName(name, kLongestName))
      return Fail("{}: tensor name {}: expected 1 to {} bytes without control characters",
                  file.path(), Quote(name), kLongestName);
    auto next = ParseTensor(json, data.size());
    if (!next) return Fail("{}: tensor {}: {}", file.path(), Quote(name), next.error().message);
    next->tensor.name = name;
    next->tensor.data = data.subspan(next->begin, next->end - next->begin);
    placed.push_back(std::move(*next));
  }
  std::sort(placed.begin(), placed.end(),
            [](const Placed& a, const Placed& b) { return a.begin < b.begin; });
  RETURN_IF_ERROR(CheckApart(file.path(), placed));
  out.tensors.reserve(placed.size());
  for (Placed& p : placed) out.tensors.push_back(std::move(p.tensor));
  return out;
}

}  // namespace vernier
