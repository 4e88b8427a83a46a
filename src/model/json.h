// JSON out of untrusted files: nlohmann-json with what it lets pass made an error.
#ifndef VERNIER_MODEL_JSON_H_
#define VERNIER_MODEL_JSON_H_

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace vernier {

inline constexpr int kJsonDeepest = 64;
// Values of one document, so that memory stays within about 0.1 kB of each of them. A
// tokenizer.json with 256 k tokens has about 2 million.
inline constexpr size_t kJsonMostValues = size_t{1} << 23;

// The text as JSON (UTF-8, no comments). Errors, led by `source`: not JSON (with the byte where it
// stops being so), a key twice in one object, nested too deeply, more than `most` values.
Result<nlohmann::json> ParseJson(std::string_view text, const std::string& source,
                                 size_t most = kJsonMostValues);

// The same, and the outermost value is an object.
Result<nlohmann::json> ParseJsonObject(std::string_view text, const std::string& source);

// The text with the words Infinity and NaN, outside strings, as null: Python's json writes them
// ("time_step_limit": [0.0, Infinity]), and JSON has no such numbers.
std::string WithoutInfinity(std::string_view text);

}  // namespace vernier

#endif  // VERNIER_MODEL_JSON_H_
