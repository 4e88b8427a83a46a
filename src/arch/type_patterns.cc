#include "arch/type_patterns.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <memory>

#include "base/file.h"
#include "base/names.h"
#include "model/quote.h"

namespace vernier {
namespace {

constexpr size_t kLargestFile = size_t{1} << 24;
constexpr size_t kLongestPattern = 4096;
constexpr uint32_t kMostSteps = 1000000;  // of one match: names are short

template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};
using Code = std::unique_ptr<pcre2_code, Deleter<pcre2_code_free>>;
using MatchData = std::unique_ptr<pcre2_match_data, Deleter<pcre2_match_data_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Deleter<pcre2_match_context_free>>;

PCRE2_SPTR Units(const std::string& text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

class Matcher {
 public:
  static Result<Matcher> Make(const TypePattern& pattern) {
    int error = 0;
    PCRE2_SIZE at = 0;
    Matcher made;
    made.code_.reset(pcre2_compile(Units(pattern.pattern), pattern.pattern.size(), PCRE2_CASELESS,
                                   &error, &at, nullptr));
    if (made.code_ == nullptr) {
      PCRE2_UCHAR text[256] = {};
      pcre2_get_error_message(error, text, sizeof text);
      return Fail("{}: {}: no regular expression: {} at character {}", pattern.source,
                  Quote(pattern.text), reinterpret_cast<const char*>(text), at);
    }
    made.data_.reset(pcre2_match_data_create_from_pattern(made.code_.get(), nullptr));
    made.context_.reset(pcre2_match_context_create(nullptr));
    CHECK(made.data_ != nullptr && made.context_ != nullptr);
    pcre2_set_match_limit(made.context_.get(), kMostSteps);
    return made;
  }

  Result<bool> Finds(const TypePattern& pattern, const std::string& name) const {
    const int found =
        pcre2_match(code_.get(), Units(name), name.size(), 0, 0, data_.get(), context_.get());
    if (found >= 0) return true;
    if (found == PCRE2_ERROR_NOMATCH) return false;
    return Fail("{}: {}: takes too long on {}", pattern.source, Quote(pattern.text), Quote(name));
  }

 private:
  Code code_;
  MatchData data_;
  MatchContext context_;
};

// llama.cpp reads no weights in float64, and keeps Q8_1 and Q8_K for activations.
bool IsWritable(TensorType type) {
  return type != TensorType::kF64 && type != TensorType::kQ8_1 && type != TensorType::kQ8_K;
}

std::vector<std::string> WritableNames() {
  std::vector<std::string> names;
  for (const TensorTypeInfo& info : TensorTypes())
    if (IsWritable(info.type)) names.push_back(info.name);
  return names;
}

}  // namespace

Result<TensorType> ParseWritableType(std::string_view name) {
  const TensorTypeInfo* info = FindTensorType(name);
  if (info != nullptr && IsWritable(info->type)) return info->type;
  return Fail("expected a tensor type, found {}{}", Quote(name), DidYouMean(name, WritableNames()));
}

Result<TypePattern> ParseTypePattern(std::string_view text, const std::string& source) {
  TypePattern pattern{std::string(text), "", TensorType::kF32, source};
  const size_t equals = text.rfind('=');
  if (equals == std::string_view::npos || equals == 0 || equals + 1 == text.size())
    return Fail("{}: expected PATTERN=TYPE, as in attn_v=q8_0, found {}", source, Quote(text));
  if (equals > kLongestPattern)
    return Fail("{}: a pattern of {} characters; expected at most {}", source, equals,
                kLongestPattern);
  auto type = ParseWritableType(text.substr(equals + 1));
  if (!type) return Fail("{}: {}: {}", source, Quote(text), type.error().message);
  pattern.type = *type;
  pattern.pattern = std::string(text.substr(0, equals));
  return pattern;
}

Result<std::vector<TypePattern>> ReadTypePatterns(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadText(path, kLargestFile));
  std::vector<TypePattern> patterns;
  int number = 0;
  for (const std::string& line : Split(text, '\n')) {
    ++number;
    if (line.starts_with('#')) continue;
    size_t at = 0;
    while ((at = line.find_first_not_of(" \t\r\v\f", at)) != std::string::npos) {
      const size_t end = std::min(line.find_first_of(" \t\r\v\f", at), line.size());
      ASSIGN_OR_RETURN(TypePattern pattern,
                       ParseTypePattern(std::string_view(line).substr(at, end - at),
                                        fmt::format("{}:{}", path, number)));
      patterns.push_back(std::move(pattern));
      at = end;
    }
  }
  if (patterns.empty()) return Fail("{}: expected lines PATTERN=TYPE, found none", path);
  return patterns;
}

Result<ChosenByPattern> MatchPatterns(std::span<const TypePattern> patterns,
                                      std::span<const NamedShape> tensors) {
  ChosenByPattern chosen(tensors.size());
  std::vector<std::string> names;
  for (const NamedShape& tensor : tensors) names.push_back(tensor.name);
  for (const TypePattern& pattern : patterns) {
    ASSIGN_OR_RETURN(const Matcher matcher, Matcher::Make(pattern));
    const NamedShape* only_kept = nullptr;
    bool found = false;
    for (size_t i = 0; i < tensors.size(); ++i) {
      ASSIGN_OR_RETURN(const bool finds, matcher.Finds(pattern, tensors[i].name));
      if (!finds) continue;
      if (!IsQuantizable(tensors[i].name, tensors[i].shape)) {
        only_kept = &tensors[i];
        continue;
      }
      found = true;
      if (!chosen[i]) chosen[i] = pattern.type;
    }
    if (found) continue;
    if (only_kept != nullptr)
      return Fail("{}: {}: {} is not quantised, and no other tensor is named so", pattern.source,
                  Quote(pattern.text), only_kept->name);
    return Fail("{}: {}: no tensor is named so{}", pattern.source, Quote(pattern.text),
                DidYouMean(pattern.pattern, names));
  }
  return chosen;
}

}  // namespace vernier
