#include "model/gguf.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <unordered_set>

#include "model/quote.h"

namespace vernier {
namespace {

static_assert(std::endian::native == std::endian::little, "files are little-endian, and so are we");

constexpr uint32_t kLastMetaType = static_cast<uint32_t>(MetaType::kFloat64);

// Reads forward through the file; what it reads next is named by `subject` in errors.
class Reader {
 public:
  explicit Reader(const MappedFile& file) : path_(file.path()), bytes_(file.bytes()) {}

  std::string subject = "header";
  uint64_t elements_left = kGgufMostArrayElements;

  uint64_t offset() const { return offset_; }
  uint64_t remaining() const { return bytes_.size() - offset_; }

  template <class... Args>
  tl::unexpected<Error> Wrong(fmt::format_string<Args...> format, Args&&... args) const {
    return WrongAt(offset_, format, std::forward<Args>(args)...);
  }
  template <class... Args>
  tl::unexpected<Error> WrongAt(uint64_t offset, fmt::format_string<Args...> format,
                                Args&&... args) const {
    return Fail("{}: offset {}: {}: {}", path_, offset, subject,
                fmt::format(format, std::forward<Args>(args)...));
  }

  template <class T>
  Result<T> Number() {
    if (remaining() < sizeof(T))
      return Wrong("file ends, expected {} more bytes, {} left", sizeof(T), remaining());
    T value;
    std::memcpy(&value, bytes_.data() + offset_, sizeof(T));
    offset_ += sizeof(T);
    return value;
  }

  Result<std::string_view> String() {
    const uint64_t start = offset_;
    ASSIGN_OR_RETURN(const uint64_t size, Number<uint64_t>());
    if (size > remaining())
      return WrongAt(start, "string of {} bytes, {} left in the file", size, remaining());
    const std::string_view text(reinterpret_cast<const char*>(bytes_.data()) + offset_, size);
    offset_ += size;
    return text;
  }

  Result<MetaType> Type() {
    const uint64_t start = offset_;
    ASSIGN_OR_RETURN(const uint32_t type, Number<uint32_t>());
    if (type > kLastMetaType)
      return WrongAt(start, "value type {}, expected 0 to {}", type, kLastMetaType);
    return static_cast<MetaType>(type);
  }

 private:
  const std::string& path_;
  std::span<const std::byte> bytes_;
  uint64_t offset_ = 0;
};

// The fewest bytes a value of the type takes.
uint64_t LeastBytes(MetaType type) {
  switch (type) {
    case MetaType::kUint8:
    case MetaType::kInt8:
    case MetaType::kBool:
      return 1;
    case MetaType::kUint16:
    case MetaType::kInt16:
      return 2;
    case MetaType::kUint32:
    case MetaType::kInt32:
    case MetaType::kFloat32:
      return 4;
    case MetaType::kArray:
      return 12;
    case MetaType::kString:
    case MetaType::kUint64:
    case MetaType::kInt64:
    case MetaType::kFloat64:
      return 8;
  }
  CHECK(false);
}

template <class File, class Kept>
Result<MetaValue> ReadNumber(Reader& in, MetaType type) {
  ASSIGN_OR_RETURN(const File value, in.Number<File>());
  return MetaValue{type, static_cast<Kept>(value)};
}

Result<MetaValue> ReadBool(Reader& in) {
  const uint64_t start = in.offset();
  ASSIGN_OR_RETURN(const uint8_t byte, in.Number<uint8_t>());
  if (byte > 1) return in.WrongAt(start, "expected a bool of 0 or 1, found {}", byte);
  return MetaBool(byte == 1);
}

Result<MetaValue> ReadValue(Reader& in, MetaType type, int depth);

Result<MetaValue> ReadArray(Reader& in, int depth) {
  if (depth == kGgufDeepestArray)
    return in.Wrong("arrays nested deeper than {}", kGgufDeepestArray);
  ASSIGN_OR_RETURN(const MetaType type, in.Type());
  const uint64_t start = in.offset();
  ASSIGN_OR_RETURN(const uint64_t count, in.Number<uint64_t>());
  if (count > in.remaining() / LeastBytes(type))
    return in.WrongAt(start, "array of {} {} values, {} bytes left in the file", count,
                      MetaTypeName(type), in.remaining());
  if (count > in.elements_left)
    return in.WrongAt(start, "array of {} values, more than {} in all arrays of the file", count,
                      kGgufMostArrayElements);
  in.elements_left -= count;
  MetaArray array{type, {}};
  array.values.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(MetaValue value, ReadValue(in, type, depth + 1));
    array.values.push_back(std::move(value));
  }
  return MetaValue{MetaType::kArray, std::move(array)};
}

Result<MetaValue> ReadValue(Reader& in, MetaType type, int depth) {
  switch (type) {
    case MetaType::kUint8:
      return ReadNumber<uint8_t, uint64_t>(in, type);
    case MetaType::kInt8:
      return ReadNumber<int8_t, int64_t>(in, type);
    case MetaType::kUint16:
      return ReadNumber<uint16_t, uint64_t>(in, type);
    case MetaType::kInt16:
      return ReadNumber<int16_t, int64_t>(in, type);
    case MetaType::kUint32:
      return ReadNumber<uint32_t, uint64_t>(in, type);
    case MetaType::kInt32:
      return ReadNumber<int32_t, int64_t>(in, type);
    case MetaType::kUint64:
      return ReadNumber<uint64_t, uint64_t>(in, type);
    case MetaType::kInt64:
      return ReadNumber<int64_t, int64_t>(in, type);
    case MetaType::kFloat64:
      return ReadNumber<double, double>(in, type);
    case MetaType::kFloat32: {
      ASSIGN_OR_RETURN(const uint32_t bits, in.Number<uint32_t>());
      return MetaValue{type, WidenFloatBits(bits)};
    }
    case MetaType::kBool:
      return ReadBool(in);
    case MetaType::kString: {
      ASSIGN_OR_RETURN(const std::string_view text, in.String());
      return MetaString(std::string(text));
    }
    case MetaType::kArray:
      return ReadArray(in, depth);
  }
  CHECK(false);
}

struct Counts {
  uint64_t tensors = 0, keys = 0;
};

Result<Counts> ReadHeader(Reader& in, GgufFile* file) {
  if (in.remaining() < 4) return in.Wrong("{} bytes, expected a GGUF file", in.remaining());
  ASSIGN_OR_RETURN(const auto magic, in.Number<uint32_t>());
  if (magic != 0x46554747) {  // "GGUF", first byte lowest
    char text[5] = {};
    std::memcpy(text, &magic, 4);
    return in.WrongAt(0, "expected a GGUF file (magic 'GGUF'), found {}",
                      Quote(std::string_view(text, 4)));
  }
  ASSIGN_OR_RETURN(file->version, in.Number<uint32_t>());
  // A big-endian 2 or 3 has its only non-zero byte at the other end.
  if (file->version != 0 && (file->version & 0xffff) == 0)
    return in.WrongAt(4, "big-endian GGUF file, expected little-endian");
  if (file->version != 2 && file->version != 3)
    return in.WrongAt(4, "GGUF version {}, expected 2 or 3", file->version);
  Counts counts;
  ASSIGN_OR_RETURN(counts.tensors, in.Number<uint64_t>());
  ASSIGN_OR_RETURN(counts.keys, in.Number<uint64_t>());
  // Key length, type, value; name length, dimensions, type, offset.
  constexpr uint64_t kLeastEntry = 8 + 4 + 1, kLeastTensor = 8 + 4 + 4 + 8;
  if (counts.tensors > in.remaining() / kLeastTensor)
    return in.WrongAt(8, "{} tensors in a file with {} bytes left", counts.tensors, in.remaining());
  if (counts.keys > in.remaining() / kLeastEntry)
    return in.WrongAt(16, "{} keys in a file with {} bytes left", counts.keys, in.remaining());
  if (counts.keys > kGgufMostKeys)
    return in.WrongAt(16, "{} keys, expected at most {}", counts.keys, kGgufMostKeys);
  return counts;
}

Status ReadMetadata(Reader& in, uint64_t count, Metadata* metadata) {
  std::unordered_set<std::string_view> seen;  // views into the file
  for (uint64_t i = 0; i < count; ++i) {
    in.subject = fmt::format("key {} of {}", i + 1, count);
    const uint64_t start = in.offset();
    ASSIGN_OR_RETURN(const std::string_view key, in.String());
    if (!IsPlainName(key, kGgufLongestKey))
      return in.WrongAt(start, "{}: expected 1 to {} bytes without control characters", Quote(key),
                        kGgufLongestKey);
    in.subject = fmt::format("key {}", Quote(key));
    if (!seen.insert(key).second) return in.WrongAt(start, "appears twice");
    ASSIGN_OR_RETURN(const MetaType type, in.Type());
    ASSIGN_OR_RETURN(MetaValue value, ReadValue(in, type, 0));
    metadata->entries.emplace_back(key, std::move(value));
  }
  return {};
}

// Types ggml numbers but Vernier does not read, so that the error can name them.
std::string TypeText(uint32_t number) {
  static constexpr std::pair<uint32_t, const char*> kOthers[] = {
      {9, "Q8_1"},     {15, "Q8_K"},  {16, "IQ2_XXS"}, {17, "IQ2_XS"},   {18, "IQ3_XXS"},
      {19, "IQ1_S"},   {21, "IQ3_S"}, {22, "IQ2_S"},   {24, "I8"},       {25, "I16"},
      {26, "I32"},     {27, "I64"},   {29, "IQ1_M"},   {40, "NVFP4"},    {41, "Q1_0"},
      {42, "Q2_0"},    {4, "Q4_2"},   {5, "Q4_3"},     {31, "Q4_0_4_4"}, {32, "Q4_0_4_8"},
      {33, "Q4_0_8_8"}};
  for (const auto& [other, name] : kOthers)
    if (other == number) return fmt::format("{} ({})", name, number);
  return fmt::format("{}", number);
}

struct Placed {
  TensorView tensor;
  uint64_t offset = 0, bytes = 0;  // in the data section
};

Result<std::vector<int64_t>> ReadShape(Reader& in) {
  const uint64_t start = in.offset();
  ASSIGN_OR_RETURN(const uint32_t dimensions, in.Number<uint32_t>());
  if (dimensions > 4) return in.WrongAt(start, "{} dimensions, expected at most 4", dimensions);
  std::vector<int64_t> shape(dimensions);
  for (int64_t& size : shape) {
    const uint64_t at = in.offset();
    ASSIGN_OR_RETURN(const uint64_t value, in.Number<uint64_t>());
    if (value == 0 || value > static_cast<uint64_t>(INT64_MAX))
      return in.WrongAt(at, "dimension of {}, expected 1 to 2^63 - 1", value);
    size = static_cast<int64_t>(value);
  }
  if (shape.empty()) shape.push_back(1);
  std::reverse(shape.begin(), shape.end());  // the file has the fastest dimension first
  return shape;
}

Result<Placed> ReadTensorInfo(Reader& in, uint64_t alignment,
                              std::unordered_set<std::string_view>* seen) {
  Placed placed;
  const uint64_t start = in.offset();
  ASSIGN_OR_RETURN(const std::string_view name, in.String());
  if (!IsPlainName(name, kGgufLongestTensorName))
    return in.WrongAt(start, "name {}: expected 1 to {} bytes without control characters",
                      Quote(name), kGgufLongestTensorName);
  in.subject = fmt::format("tensor {}", Quote(name));
  if (!seen->insert(name).second) return in.WrongAt(start, "appears twice");
  placed.tensor.name = name;
  const uint64_t shape_at = in.offset();
  ASSIGN_OR_RETURN(placed.tensor.shape, ReadShape(in));
  const uint64_t type_at = in.offset();
  ASSIGN_OR_RETURN(const uint32_t number, in.Number<uint32_t>());
  const TensorTypeInfo* info = FindTensorType(number);
  if (info == nullptr)
    return in.WrongAt(type_at, "type {} is not one Vernier reads", TypeText(number));
  placed.tensor.type = info->type;
  auto bytes = TensorByteSize(info->type, placed.tensor.shape);
  if (!bytes) return in.WrongAt(shape_at, "{}", bytes.error().message);
  placed.bytes = *bytes;
  const uint64_t offset_at = in.offset();
  ASSIGN_OR_RETURN(placed.offset, in.Number<uint64_t>());
  if (placed.offset % alignment != 0)
    return in.WrongAt(offset_at, "data offset {} is not a multiple of the alignment {}",
                      placed.offset, alignment);
  return placed;
}

// Gives each tensor its bytes, after checking that they exist and belong to no other.
Status PlaceTensors(const MappedFile& file, uint64_t data_start, std::vector<Placed>* tensors) {
  if (tensors->empty()) return {};
  const uint64_t size = file.bytes().size();
  const uint64_t data_bytes = size - std::min(size, data_start);
  for (Placed& placed : *tensors) {
    if (placed.bytes > data_bytes || placed.offset > data_bytes - placed.bytes)
      return Fail(
          "{}: tensor {}: {} bytes at data offset {}, but the data section (from offset {}) "
          "has {} bytes; is the file cut short?",
          file.path(), Quote(placed.tensor.name), placed.bytes, placed.offset, data_start,
          data_bytes);
    placed.tensor.data = file.bytes().subspan(data_start + placed.offset, placed.bytes);
  }
  std::vector<const Placed*> order;
  for (const Placed& placed : *tensors) order.push_back(&placed);
  std::sort(order.begin(), order.end(),
            [](const Placed* a, const Placed* b) { return a->offset < b->offset; });
  for (size_t i = 1; i < order.size(); ++i) {
    if (order[i - 1]->offset + order[i - 1]->bytes > order[i]->offset)
      return Fail("{}: tensors {} and {} overlap at data offset {}", file.path(),
                  Quote(order[i - 1]->tensor.name), Quote(order[i]->tensor.name), order[i]->offset);
  }
  return {};
}

}  // namespace

Result<uint64_t> GgufAlignment(const Metadata& metadata) {
  const MetaValue* value = metadata.Find("general.alignment");
  if (value == nullptr) return kGgufDefaultAlignment;
  const auto* alignment = std::get_if<uint64_t>(&value->value);
  if (value->type != MetaType::kUint32 || alignment == nullptr || *alignment < 8 ||
      *alignment > kGgufMostAlignment || !std::has_single_bit(*alignment))
    return Fail(
        "{}: key 'general.alignment': expected a uint32 that is a power of two from 8 to {}",
        metadata.source, kGgufMostAlignment);
  return *alignment;
}

Result<GgufFile> ReadGguf(const MappedFile& file) {
  Reader in(file);
  GgufFile out;
  out.metadata.source = file.path();
  ASSIGN_OR_RETURN(const Counts counts, ReadHeader(in, &out));
  RETURN_IF_ERROR(ReadMetadata(in, counts.keys, &out.metadata));
  ASSIGN_OR_RETURN(out.alignment, GgufAlignment(out.metadata));
  std::vector<Placed> placed;
  placed.reserve(std::min(counts.tensors, in.remaining() / 24));
  std::unordered_set<std::string_view> seen;
  for (uint64_t i = 0; i < counts.tensors; ++i) {
    in.subject = fmt::format("tensor {} of {}", i + 1, counts.tensors);
    ASSIGN_OR_RETURN(Placed next, ReadTensorInfo(in, out.alignment, &seen));
    placed.push_back(std::move(next));
  }
  const uint64_t data_start = (in.offset() + out.alignment - 1) / out.alignment * out.alignment;
  RETURN_IF_ERROR(PlaceTensors(file, data_start, &placed));
  out.tensors.reserve(placed.size());
  for (Placed& p : placed) out.tensors.push_back(std::move(p.tensor));
  return out;
}

}  // namespace vernier
