#include "engine/math_rules.h"

#include <charconv>
#include <vector>

#include "base/names.h"
#include "formats/format.h"

namespace vernier {
namespace {

Error UnknownArithmetic(const std::string& text) {
  if (FindFormat(text))
    return {fmt::format("'{}' is a format; expected step:{}, fused:{} or quire:{}", text, text,
                        text, text)};
  const std::string hint =
      DidYouMean(text, {"f32", "f64", "int", "exact", "ggml-repack", "ggml-vecdot"});
  return {fmt::format("unknown arithmetic '{}'{}", text,
                      hint.empty() ? "; expected f32, f64, step:FORMAT, fused:FORMAT, "
                                     "quire:FORMAT, exact, int, ggml-repack or ggml-vecdot"
                                   : hint)};
}

}  // namespace

Result<GgmlBatching> ParseProfile(const std::string& text) {
  const std::vector<std::string> words = Split(text, ',');
  GgmlBatching batching;
  if (words[0] != "ggml-repack" && words[0] != "ggml-vecdot")
    return Fail("unknown profile '{}'; expected ggml-repack or ggml-vecdot", words[0]);
  batching.repack = words[0] == "ggml-repack";
  for (size_t i = 1; i < words.size(); ++i) {
    const std::string& word = words[i];
    const std::string value = word.starts_with("rows=") ? word.substr(5) : "";
    size_t n = 0;
    const char* end = value.data() + value.size();
    const auto [at, error] = std::from_chars(value.data(), end, n);
    if (value == "many") {
      batching.rows = GgmlBatching::Rows::kMany;
    } else if (value == "one") {
      batching.rows = GgmlBatching::Rows::kOne;
    } else if (error == std::errc() && at == end && n > 0) {
      batching.rows = GgmlBatching::Rows::kPrompt;
      batching.prompt = n;
    } else {
      return Fail("'{}': expected rows=many, rows=one or rows=N, the tokens of the prompt", word);
    }
  }
  return batching;
}

Result<MathRule> ParseMath(const std::string& text) {
  if (text == "f32") return MathRule{};
  if (text == "f64") return MathRule{.type = Arithmetic::kF64};
  if (text == "int") return MathRule{.integer = true};
  if (text.starts_with("ggml")) {
    ASSIGN_OR_RETURN(const GgmlBatching batching, ParseProfile(text));
    return MathRule{.ggml = batching};
  }
  if (text.find(':') == std::string::npos && !text.starts_with("exact"))
    return tl::unexpected(UnknownArithmetic(text));
  ASSIGN_OR_RETURN(const FormatMath format, ParseFormatMath(text));
  return MathRule{.type = format.host, .format = format};
}

Status CheckIntegers(const Node& node, const Treatment& x, const Treatment& w) {
  if (node.op == OpKind::kConvolve) {
    if (x.hadamard || w.hadamard) return Fail("rotate=: a convolution's channels are not rotated");
    if (ScaleFromData(x))
      return Fail(
          "a convolution sums codes of several tokens; expected one scale for all, static or a "
          "number");
    if (w.per == Granularity::kGroup) return Fail("per=group: expected per=channel or per=tensor");
  }
  if (x.hadamard != w.hadamard)
    return Fail(
        "rotate=hadamard stands on .{} alone; the product is of rotated codes by rotated codes",
        x.hadamard ? "in" : "weight");
  return {};
}

}  // namespace vernier
