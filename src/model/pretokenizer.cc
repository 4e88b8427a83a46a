#include "model/pretokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <utility>

#include "model/utf8.h"

namespace vernier {

// encoder.py of openai/gpt-2.
const std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

namespace {

// tokenizer.json of meta-llama/Meta-Llama-3-8B.
constexpr std::string_view kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
// tokenizer.json of Qwen/Qwen2-0.5B.
constexpr std::string_view kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* p) const {
    Free(p);
  }
};
using Code = std::unique_ptr<pcre2_code, Deleter<pcre2_code_free>>;
using CompileContext = std::unique_ptr<pcre2_compile_context, Deleter<pcre2_compile_context_free>>;
using MatchData = std::unique_ptr<pcre2_match_data, Deleter<pcre2_match_data_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Deleter<pcre2_match_context_free>>;
using JitStack = std::unique_ptr<pcre2_jit_stack, Deleter<pcre2_jit_stack_free>>;

PCRE2_SPTR Units(std::string_view text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

std::string PcreMessage(int code) {
  PCRE2_UCHAR buffer[256] = {};
  pcre2_get_error_message(code, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

// The state of one search. Not shared between threads, while the compiled code may be.
class Matcher {
 public:
  explicit Matcher(const pcre2_code* code)
      : code_(code),
        data_(pcre2_match_data_create_from_pattern(code, nullptr)),
        context_(pcre2_match_context_create(nullptr)) {}

  // The next nonempty match at or after `from`; begin == end when there is none.
  Result<TextSpan> Next(std::string_view subject, size_t from) {
    if (!data_ || !context_) return Fail("pre-tokenizer: out of memory");
    // Backing off over a run of n characters counts n, so the limit has to grow with the text.
    const size_t limit = std::clamp<size_t>(subject.size() * 16, 10'000'000, UINT32_MAX);
    pcre2_set_match_limit(context_.get(), static_cast<uint32_t>(limit));
    pcre2_set_heap_limit(context_.get(), 256 * 1024);  // KiB
    int rc = Match(subject, from);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT && !stack_) {
      stack_.reset(pcre2_jit_stack_create(64 << 10, 64 << 20, nullptr));
      pcre2_jit_stack_assign(context_.get(), nullptr, stack_.get());
      rc = Match(subject, from);
    }
    if (rc == PCRE2_ERROR_NOMATCH) return TextSpan{};
    if (rc < 0) return Fail("pre-tokenizer pattern gives up on this text: {}", PcreMessage(rc));
    const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(data_.get());
    if (bounds[0] < from || bounds[1] <= bounds[0] || bounds[1] > subject.size()) {
      return Fail("pre-tokenizer pattern matches backwards: expected matches in order");
    }
    return TextSpan{static_cast<uint32_t>(bounds[0]), static_cast<uint32_t>(bounds[1])};
  }

 private:
  int Match(std::string_view subject, size_t from) {
    return pcre2_match(code_, Units(subject), subject.size(), from,
                       PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, data_.get(), context_.get());
  }
  const pcre2_code* code_;
  MatchData data_;
  MatchContext context_;
  JitStack stack_;
};

// A piece on its way through the steps.
struct Run {
  TextSpan span;
  bool utf8 = true;
};

std::vector<Run> SplitByEncoding(std::string_view text) {
  std::vector<Run> runs;
  for (size_t i = 0; i < text.size();) {
    const size_t length = Utf8Length(text, i), step = std::max<size_t>(length, 1);
    if (runs.empty() || runs.back().utf8 != (length > 0)) {
      runs.push_back({{static_cast<uint32_t>(i), static_cast<uint32_t>(i)}, length > 0});
    }
    i += step;
    runs.back().span.end = static_cast<uint32_t>(i);
  }
  return runs;
}

}  // namespace

struct PreTokenizer::Step {
  Code code;
  Gaps gaps = Gaps::kPieces;
  Status Split(std::string_view text, const std::vector<Run>& in, std::vector<Run>* out) const;
};

Status PreTokenizer::Step::Split(std::string_view text, const std::vector<Run>& in,
                                 std::vector<Run>* out) const {
  Matcher matcher(code.get());
  for (const Run& run : in) {
    if (!run.utf8) {
      out->push_back(run);
      continue;
    }
    const uint32_t base = run.span.begin, size = run.span.end - base;
    const std::string_view subject = text.substr(base, size);
    for (uint32_t from = 0; from < size;) {
      ASSIGN_OR_RETURN(TextSpan match, matcher.Next(subject, from));
      if (match.begin == match.end) match = {size, size};
      if (match.begin > from && gaps == Gaps::kPieces) {
        out->push_back({{base + from, base + match.begin}, true});
      }
      if (match.begin < match.end) out->push_back({{base + match.begin, base + match.end}, true});
      from = match.end;
    }
  }
  return {};
}

PreTokenizer::PreTokenizer() = default;
PreTokenizer::~PreTokenizer() = default;
PreTokenizer::PreTokenizer(PreTokenizer&&) noexcept = default;
PreTokenizer& PreTokenizer::operator=(PreTokenizer&&) noexcept = default;

Status PreTokenizer::Add(std::string_view pattern, bool literal, Gaps gaps,
                         std::string_view where) {
  const CompileContext context(pcre2_compile_context_create(nullptr));
  if (!context) return Fail("{}: out of memory", where);
  pcre2_set_max_pattern_length(context.get(), 64 << 10);
  // \C could cut a character in two.
  uint32_t options = PCRE2_UTF;
  options |= literal ? uint32_t{PCRE2_LITERAL} : PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C;
  int error = 0;
  PCRE2_SIZE offset = 0;
  Code code(pcre2_compile(Units(pattern), pattern.size(), options, &error, &offset, context.get()));
  if (!code) {
    return Fail("{}: expected a regular expression, found an error at offset {}: {}", where, offset,
                PcreMessage(error));
  }
  pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);  // without it the interpreter does the same
  auto step = std::make_unique<Step>();
  step->code = std::move(code);
  step->gaps = gaps;
  steps_.push_back(std::move(step));
  return {};
}

Status PreTokenizer::Split(std::string_view text, std::vector<TextSpan>* pieces) const {
  CHECK(text.size() < size_t{1} << 31);
  std::vector<Run> runs = SplitByEncoding(text), split;
  for (const std::unique_ptr<Step>& step : steps_) {
    split.clear();
    RETURN_IF_ERROR(step->Split(text, runs, &split));
    runs.swap(split);
  }
  pieces->clear();
  pieces->reserve(runs.size());
  for (const Run& run : runs) pieces->push_back(run.span);
  return {};
}

std::span<const NamedPreTokenizer> NamedPreTokenizers() {
  // The names are llama.cpp's (src/llama-vocab.cpp of ggml-org/llama.cpp), as are the patterns of
  // `default` and the flags.
  static const std::vector<NamedPreTokenizer> table = {
      {"gpt-2", {kGpt2Pattern}, false, false, "encoder.py of openai/gpt-2"},
      {"llama-bpe", {kLlama3Pattern}, true, true, "tokenizer.json of meta-llama/Meta-Llama-3-8B"},
      {"smaug-bpe", {kLlama3Pattern}, false, false, "the same, without its two flags"},
      {"qwen2", {kQwen2Pattern}, false, false, "tokenizer.json of Qwen/Qwen2-0.5B"},
      {"smollm",
       {R"(\p{N})", kGpt2Pattern},
       false,
       false,
       "tokenizer.json of HuggingFaceTB/SmolLM-135M: Digits, then ByteLevel"},
      {"default",
       {R"([\p{P}\$\+<=>\^~\|]+)", kGpt2Pattern, R"(\p{N}+)", R"([0-9][0-9][0-9])"},
       false,
       false,
       "src/llama-vocab.cpp of ggml-org/llama.cpp"},
  };
  return table;
}

const NamedPreTokenizer* FindPreTokenizer(std::string_view name) {
  static constexpr std::pair<std::string_view, std::string_view> kAliases[] = {
      {"", "default"},
      {"phi-2", "gpt-2"},
      {"olmo", "gpt-2"},
      {"mpt", "gpt-2"},
      {"jais", "gpt-2"},
      {"exaone4", "gpt-2"},
      {"llama3", "llama-bpe"},
      {"llama-v3", "llama-bpe"},
      {"falcon3", "llama-bpe"},
      {"pixtral", "llama-bpe"},
      {"falcon-h1", "llama-bpe"},
      {"lfm2", "llama-bpe"},
      {"dbrx", "smaug-bpe"},
      {"stablelm2", "qwen2"},
      {"megrez", "qwen2"},
      {"hunyuan", "qwen2"},
      {"deepseek-r1-qwen", "qwen2"},
      {"starcoder", "smollm"},
      {"refact", "smollm"},
      {"command-r", "smollm"},
  };
  for (const auto& [alias, real] : kAliases) {
    if (alias == name) name = real;
  }
  for (const NamedPreTokenizer& entry : NamedPreTokenizers()) {
    if (entry.name == name) return &entry;
  }
  return nullptr;
}

}  // namespace vernier
