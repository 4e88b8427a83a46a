// Key-value metadata of a checkpoint, as GGUF defines it (gguf.md of ggml-org/ggml): ordered keys,
// typed values.
#ifndef VERNIER_MODEL_METADATA_H_
#define VERNIER_MODEL_METADATA_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace vernier {

// The GGUF value types, in the file format's numbering. Do not change the values.
enum class MetaType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

struct MetaValue;

// An array: all elements of one type (an array of arrays has type kArray).
struct MetaArray {
  MetaType type = MetaType::kUint8;
  std::vector<MetaValue> values;
};

// Every integer is kept in 64 bits and every float in a double (exact in both cases, NaN bits
// included) beside its file type: unsigned types hold uint64_t, signed ones int64_t.
struct MetaValue {
  MetaType type = MetaType::kUint8;
  std::variant<uint64_t, int64_t, double, bool, std::string, MetaArray> value;
};

// Same type and same value; floats are the same when their bits are.
bool operator==(const MetaArray& a, const MetaArray& b);
bool operator==(const MetaValue& a, const MetaValue& b);

const char* MetaTypeName(MetaType type);  // "uint8" ... "array"

// The values converters write most, with their GGUF types.
MetaValue MetaUint32(uint32_t value);
MetaValue MetaFloat32(float value);
MetaValue MetaBool(bool value);
MetaValue MetaString(std::string value);
MetaValue MetaStrings(const std::vector<std::string>& values);
MetaValue MetaFloat32s(const std::vector<float>& values);
MetaValue MetaInt32s(const std::vector<int32_t>& values);

// float32 bits to the double that holds them and back. Ordinary conversion for numbers; a NaN keeps
// sign, quiet bit and payload, which the machine's conversions need not.
double WidenFloatBits(uint32_t bits);
uint32_t NarrowToFloatBits(double value);

class Metadata {
 public:
  std::string source;  // the file the values came from, named in errors
  std::vector<std::pair<std::string, MetaValue>> entries;

  const MetaValue* Find(std::string_view key) const;  // null when absent
  bool Has(std::string_view key) const { return Find(key) != nullptr; }
  void Set(std::string key, MetaValue value);  // replaces an earlier value of the key

  // Typed reading. Errors: absent, of another kind, or out of the asked range ("SOURCE: key 'K':
  // expected ..."). Integers may be of any integer type, floats also of an integer type.
  Result<int64_t> Int(std::string_view key, int64_t least = INT64_MIN,
                      int64_t most = INT64_MAX) const;
  Result<double> Float(std::string_view key) const;  // finite
  Result<bool> Bool(std::string_view key) const;
  Result<std::string> String(std::string_view key) const;
  Result<std::vector<std::string>> Strings(std::string_view key) const;
  Result<std::vector<double>> Floats(std::string_view key) const;
  Result<std::vector<int64_t>> Ints(std::string_view key) const;
};

}  // namespace vernier

#endif  // VERNIER_MODEL_METADATA_H_
