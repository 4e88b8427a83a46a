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

// Every integer is kept in 64 bits and every float in a double (exact in both cases) beside its
// file type.
struct MetaValue {
  MetaType type = MetaType::kUint8;
  std::variant<uint64_t, int64_t, double, bool, std::string, MetaArray> value;
};

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
