#include "model/metadata.h"

#include <bit>
#include <cmath>

#include "base/names.h"
#include "model/quote.h"

namespace vernier {
namespace {

constexpr uint64_t kDoubleNan = uint64_t{0x7ff} << 52;
constexpr int kPayloadShift = 52 - 23;

std::string Found(const MetaValue& value) {
  if (const auto* array = std::get_if<MetaArray>(&value.value))
    return fmt::format("an array of {} {} values", array->values.size(), MetaTypeName(array->type));
  if (const auto* u = std::get_if<uint64_t>(&value.value)) return fmt::format("{}", *u);
  if (const auto* i = std::get_if<int64_t>(&value.value)) return fmt::format("{}", *i);
  if (const auto* d = std::get_if<double>(&value.value)) return fmt::format("{}", *d);
  if (const auto* b = std::get_if<bool>(&value.value)) return *b ? "true" : "false";
  return Quote(std::get<std::string>(value.value));
}

tl::unexpected<Error> Wrong(const Metadata& metadata, std::string_view key,
                            std::string_view expected, const MetaValue& value) {
  return Fail("{}: key {}: expected {}, found {}", metadata.source, Quote(key), expected,
              Found(value));
}

Result<const MetaValue*> Need(const Metadata& metadata, std::string_view key) {
  if (const MetaValue* value = metadata.Find(key)) return value;
  std::vector<std::string> keys;
  for (const auto& entry : metadata.entries) keys.push_back(entry.first);
  return Fail("{}: no key {}{}", metadata.source, Quote(key), DidYouMean(key, keys));
}

// The conversions of single values; false when the value is of another kind or out of range.
bool ToInt(const MetaValue& value, int64_t* out) {
  if (const auto* i = std::get_if<int64_t>(&value.value)) return *out = *i, true;
  const auto* u = std::get_if<uint64_t>(&value.value);
  if (u == nullptr || *u > static_cast<uint64_t>(INT64_MAX)) return false;
  return *out = static_cast<int64_t>(*u), true;
}

bool ToFloat(const MetaValue& value, double* out) {
  if (const auto* d = std::get_if<double>(&value.value)) return *out = *d, std::isfinite(*d);
  if (const auto* i = std::get_if<int64_t>(&value.value))
    return *out = static_cast<double>(*i), true;
  const auto* u = std::get_if<uint64_t>(&value.value);
  return u != nullptr && (*out = static_cast<double>(*u), true);
}

bool ToText(const MetaValue& value, std::string* out) {
  const auto* text = std::get_if<std::string>(&value.value);
  return text != nullptr && (*out = *text, true);
}

template <class T>
Result<std::vector<T>> ToVector(const Metadata& metadata, std::string_view key, const char* element,
                                bool (*convert)(const MetaValue&, T*)) {
  ASSIGN_OR_RETURN(const MetaValue* value, Need(metadata, key));
  const auto* array = std::get_if<MetaArray>(&value->value);
  if (array == nullptr)
    return Wrong(metadata, key, fmt::format("an array of {}s", element), *value);
  std::vector<T> out(array->values.size());
  for (size_t i = 0; i < out.size(); ++i) {
    if (!convert(array->values[i], &out[i]))
      return Fail("{}: key {}: element {}: expected a {}, found {}", metadata.source, Quote(key), i,
                  element, Found(array->values[i]));
  }
  return out;
}

template <class T>
MetaValue ArrayOf(MetaType type, const std::vector<T>& values, MetaValue (*make)(T)) {
  MetaArray array{type, {}};
  array.values.reserve(values.size());
  for (const T& value : values) array.values.push_back(make(value));
  return {MetaType::kArray, std::move(array)};
}

}  // namespace

double WidenFloatBits(uint32_t bits) {
  const float value = std::bit_cast<float>(bits);
  if (!std::isnan(value)) return value;
  return std::bit_cast<double>(uint64_t{bits >> 31} << 63 | kDoubleNan |
                               uint64_t{bits & 0x7fffff} << kPayloadShift);
}

uint32_t NarrowToFloatBits(double value) {
  if (!std::isnan(value)) return std::bit_cast<uint32_t>(static_cast<float>(value));
  const auto bits = std::bit_cast<uint64_t>(value);
  uint32_t payload = static_cast<uint32_t>(bits >> kPayloadShift) & 0x7fffff;
  if (payload == 0) payload = 1;  // all of it was below float32's; without it this is an infinity
  return static_cast<uint32_t>(bits >> 63) << 31 | 0x7f800000 | payload;
}

bool operator==(const MetaArray& a, const MetaArray& b) {
  return a.type == b.type && a.values == b.values;
}

bool operator==(const MetaValue& a, const MetaValue& b) {
  if (a.type != b.type || a.value.index() != b.value.index()) return false;
  if (const auto* x = std::get_if<double>(&a.value))
    return std::bit_cast<uint64_t>(*x) == std::bit_cast<uint64_t>(std::get<double>(b.value));
  return a.value == b.value;
}

const char* MetaTypeName(MetaType type) {
  static constexpr const char* kNames[] = {"uint8",  "int8",    "uint16", "int16",  "uint32",
                                           "int32",  "float32", "bool",   "string", "array",
                                           "uint64", "int64",   "float64"};
  const auto i = static_cast<size_t>(type);
  CHECK(i < std::size(kNames));
  return kNames[i];
}

MetaValue MetaUint32(uint32_t value) { return {MetaType::kUint32, uint64_t{value}}; }
MetaValue MetaFloat32(float value) {
  return {MetaType::kFloat32, WidenFloatBits(std::bit_cast<uint32_t>(value))};
}
MetaValue MetaBool(bool value) { return {MetaType::kBool, value}; }
MetaValue MetaString(std::string value) { return {MetaType::kString, std::move(value)}; }
MetaValue MetaStrings(const std::vector<std::string>& values) {
  return ArrayOf<std::string>(MetaType::kString, values, MetaString);
}
MetaValue MetaFloat32s(const std::vector<float>& values) {
  return ArrayOf<float>(MetaType::kFloat32, values, MetaFloat32);
}
MetaValue MetaInt32s(const std::vector<int32_t>& values) {
  return ArrayOf<int32_t>(MetaType::kInt32, values, [](int32_t value) {
    return MetaValue{MetaType::kInt32, int64_t{value}};
  });
}

const MetaValue* Metadata::Find(std::string_view key) const {
  for (const auto& [name, value] : entries)
    if (name == key) return &value;
  return nullptr;
}

void Metadata::Set(std::string key, MetaValue value) {
  for (auto& [name, old] : entries) {
    if (name != key) continue;
    old = std::move(value);
    return;
  }
  entries.emplace_back(std::move(key), std::move(value));
}

Result<int64_t> Metadata::Int(std::string_view key, int64_t least, int64_t most) const {
  ASSIGN_OR_RETURN(const MetaValue* value, Need(*this, key));
  int64_t out = 0;
  if (ToInt(*value, &out) && least <= out && out <= most) return out;
  if (least == INT64_MIN && most == INT64_MAX) return Wrong(*this, key, "an integer", *value);
  if (most == INT64_MAX)
    return Wrong(*this, key, fmt::format("an integer of at least {}", least), *value);
  return Wrong(*this, key, fmt::format("an integer from {} to {}", least, most), *value);
}

Result<double> Metadata::Float(std::string_view key) const {
  ASSIGN_OR_RETURN(const MetaValue* value, Need(*this, key));
  double out = 0;
  if (!ToFloat(*value, &out)) return Wrong(*this, key, "a finite number", *value);
  return out;
}

Result<bool> Metadata::Bool(std::string_view key) const {
  ASSIGN_OR_RETURN(const MetaValue* value, Need(*this, key));
  const auto* out = std::get_if<bool>(&value->value);
  if (out == nullptr) return Wrong(*this, key, "true or false", *value);
  return *out;
}

Result<std::string> Metadata::String(std::string_view key) const {
  ASSIGN_OR_RETURN(const MetaValue* value, Need(*this, key));
  std::string out;
  if (!ToText(*value, &out)) return Wrong(*this, key, "a string", *value);
  return out;
}

Result<std::vector<std::string>> Metadata::Strings(std::string_view key) const {
  return ToVector<std::string>(*this, key, "string", ToText);
}

Result<std::vector<double>> Metadata::Floats(std::string_view key) const {
  return ToVector<double>(*this, key, "finite number", ToFloat);
}

Result<std::vector<int64_t>> Metadata::Ints(std::string_view key) const {
  return ToVector<int64_t>(*this, key, "64-bit integer", ToInt);
}

}  // namespace vernier
