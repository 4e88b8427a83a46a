// Types for tensors by regular expression, as llama-quantize of ggml-org/llama.cpp takes them with
// --tensor-type and --tensor-type-file: PATTERN=TYPE.
#ifndef VERNIER_ARCH_TYPE_PATTERNS_H_
#define VERNIER_ARCH_TYPE_PATTERNS_H_

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "arch/quantize_types.h"
#include "base/result.h"
#include "model/tensor.h"

namespace vernier {

struct TypePattern {
  std::string text;     // as written
  std::string pattern;  // found anywhere in a name (PCRE2; case does not matter)
  TensorType type = TensorType::kF32;
  std::string source;  // what errors begin with: "--tensor-type", "plan.txt:3"
};

// A type that tensors can be written in, by its name. Error: "expected a tensor type, found 'q4';
// did you mean 'Q4_0'?"
Result<TensorType> ParseWritableType(std::string_view name);

// "attn_v=q8_0"; the last '=' separates. Errors: no pattern, no type, an unknown type.
Result<TypePattern> ParseTypePattern(std::string_view text, const std::string& source);

// A plan file: patterns separated by spaces or ends of lines; lines that start with # are comments.
// Errors name file and line; a file without patterns is one.
Result<std::vector<TypePattern>> ReadTypePatterns(const std::string& path);

// For each tensor the type of the first pattern that its name has, nothing where none has or the
// tensor is not quantised. Errors: no regular expression; a pattern that no tensor's name has, or
// only names of tensors that are not quantised; one that takes too long.
Result<ChosenByPattern> MatchPatterns(std::span<const TypePattern> patterns,
                                      std::span<const NamedShape> tensors);

}  // namespace vernier

#endif  // VERNIER_ARCH_TYPE_PATTERNS_H_
