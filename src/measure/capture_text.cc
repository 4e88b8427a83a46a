#include "measure/capture_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "model/quote.h"

namespace vernier {
namespace {

constexpr size_t kMostElements = size_t{1} << 40, kDimensions = 4, kLongestName = 512;
constexpr std::string_view kPrefixes[] = {"ggml_debug:", "common_debug_cb_eval:"};

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r'))
    text.remove_suffix(1);
  return text;
}

template <class T>
std::optional<T> Number(std::string_view text) {
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// printf's "nan" and "-nan" too.
std::optional<double> Printed(std::string_view text) {
  if (text == "nan" || text == "-nan") return std::nan("");
  return Number<double>(text);
}

// One printed list: its items, how many came before "...", and whether there was one.
template <class T>
struct Printout {
  std::vector<T> items;
  size_t before = 0;
  bool cut = false;

  void Cut() {
    before = items.size();
    cut = true;
  }
  // The index of item i of `size` there are; nullopt when there are not that many.
  std::optional<size_t> Place(size_t i, size_t size) const {
    if (!cut || i < before) return i < size ? std::optional<size_t>(i) : std::nullopt;
    const size_t from_end = items.size() - i;
    return from_end <= size && size - from_end >= before ? std::optional<size_t>(size - from_end)
                                                         : std::nullopt;
  }
  bool Fits(size_t size) const { return cut ? items.size() < size : items.size() == size; }
};
using Row = Printout<double>;
using Plane = Printout<Row>;
using Block = Printout<Plane>;

class Parser {
 public:
  Parser(std::string_view text, const std::string& path) : text_(text), path_(path) {}

  Result<ForeignCapture> Run();

 private:
  bool NextLine(std::string_view* line);
  template <class... Args>
  tl::unexpected<Error> Bad(fmt::format_string<Args...> format, Args&&... args) const {
    return Fail("{}: line {}: {}", path_, line_, fmt::format(format, std::forward<Args>(args)...));
  }
  Result<ForeignTensor> ReadHeader(std::string_view line) const;
  Status ReadSources(std::string_view text, ForeignTensor* tensor) const;
  Status ReadBody(ForeignTensor* tensor);
  Status ReadRow(std::string_view line, Row* row) const;
  Status Store(const std::vector<Block>& blocks, ForeignTensor* tensor) const;
  Status ReadTokens(std::string_view line, std::vector<int32_t>* tokens);

  std::string_view text_;
  const std::string& path_;
  size_t at_ = 0, line_ = 0;
};

bool Parser::NextLine(std::string_view* line) {
  if (at_ >= text_.size()) return false;
  const size_t end = std::min(text_.find('\n', at_), text_.size());
  *line = text_.substr(at_, end - at_);
  at_ = end + 1;
  ++line_;
  return true;
}

// "256, 14, 1, 1" from the fastest dimension on.
std::optional<std::vector<size_t>> Dimensions(std::string_view text) {
  std::vector<size_t> shape;
  size_t elements = 1;
  while (true) {
    const size_t comma = std::min(text.find(','), text.size());
    const auto n = Number<size_t>(Trim(text.substr(0, comma)));
    if (!n || shape.size() == kDimensions || (*n > 0 && elements > kMostElements / *n))
      return std::nullopt;
    elements *= *n;
    shape.push_back(*n);
    if (comma == text.size()) break;
    text.remove_prefix(comma + 1);
  }
  std::reverse(shape.begin(), shape.end());
  return shape;
}

// "NAME{256, 14, 1, 1}, NAME{...}}": the names before the braces.
Status Parser::ReadSources(std::string_view text, ForeignTensor* tensor) const {
  while (true) {
    const size_t open = text.find('{');
    if (open == std::string_view::npos) return {};
    const size_t close = text.find('}', open);
    if (close == std::string_view::npos) return Bad("expected '}}' after '{{'");
    std::string_view name = Trim(text.substr(0, open));
    if (name.starts_with(",")) name = Trim(name.substr(1));
    // A copy on another device is "CUDA0#NAME#0".
    const size_t first = name.find('#'), last = name.rfind('#');
    if (first != last) name = name.substr(first + 1, last - first - 1);
    tensor->sources.emplace_back(name);
    text.remove_prefix(close + 1);
  }
}

// What stands after the prefix.
Result<ForeignTensor> Parser::ReadHeader(std::string_view line) const {
  const size_t equals = line.find(" = ("), last = line.rfind("= {");
  if (equals == std::string_view::npos || last == std::string_view::npos || last < equals + 4 ||
      Trim(line).back() != '}')
    return Bad("expected 'NAME = (TYPE) OP(...) = {{SHAPE}}'");
  ForeignTensor tensor;
  tensor.name = Trim(line.substr(0, equals));
  if (tensor.name.size() > kLongestName) return Bad("a name of {} bytes", tensor.name.size());
  std::string_view shape = Trim(line.substr(last + 3));
  shape.remove_suffix(1);
  const auto dimensions = Dimensions(shape);
  if (!dimensions) return Bad("shape '{}': expected 1 to 4 counts", shape.substr(0, 80));
  tensor.shape = *dimensions;
  tensor.partial = true;
  std::string_view call = line.substr(equals + 4, last - equals - 4);
  const size_t type_end = call.find(')'), open = call.find('(');
  if (type_end == std::string_view::npos || open == std::string_view::npos || open < type_end)
    return Bad("expected '(TYPE) OP(...)'");
  tensor.op = Trim(call.substr(type_end + 1, open - type_end - 1));
  RETURN_IF_ERROR(ReadSources(call.substr(open + 1), &tensor));
  return tensor;
}

// "[ 0.1, 0.2, ..., 0.3 ]," with the brackets.
Status Parser::ReadRow(std::string_view line, Row* row) const {
  const size_t open = line.find('['), close = line.rfind(']');
  std::string_view inside = line.substr(open + 1, close - open - 1);
  while (true) {
    const size_t comma = std::min(inside.find(','), inside.size());
    const std::string_view item = Trim(inside.substr(0, comma));
    if (item == "...") {
      if (row->cut) return Bad("'...' twice in a row");
      row->Cut();
    } else if (!item.empty()) {
      const auto value = Printed(item);
      if (!value) return Bad("expected a number, found {}", Quote(item));
      row->items.push_back(*value);
    }
    if (comma == inside.size()) return {};
    inside.remove_prefix(comma + 1);
  }
}

// The lists until the sum, or the next header.
Status Parser::ReadBody(ForeignTensor* tensor) {
  std::vector<Block> blocks;
  int depth = 0;
  while (true) {
    const size_t here = at_, here_line = line_;
    std::string_view line;
    if (!NextLine(&line)) break;
    const std::string_view t = Trim(line);
    if (t.starts_with("[") && t.find(']') != std::string_view::npos) {
      if (depth != 2) return Bad("expected a row of numbers inside of two brackets");
      Row row;
      RETURN_IF_ERROR(ReadRow(t, &row));
      blocks.back().items.back().items.push_back(std::move(row));
    } else if (t == "[") {
      if (depth == 2) return Bad("expected at most three brackets");
      if (depth == 0) blocks.emplace_back();
      if (depth == 1) blocks.back().items.emplace_back();
      ++depth;
    } else if (t == "]" || t == "],") {
      if (depth == 0) return Bad("']' without '['");
      --depth;
    } else if (t == "...," || t == "...") {
      if (depth == 1 && !blocks.back().cut) {
        blocks.back().Cut();
      } else if (depth == 2 && !blocks.back().items.back().cut) {
        blocks.back().items.back().Cut();
      } else {
        return Bad("'...' where no list is cut");
      }
    } else if (depth == 0 && t.starts_with("sum") && t.find('=') != std::string_view::npos) {
      const auto value = Printed(Trim(t.substr(t.find('=') + 1)));
      if (!value) return Bad("expected 'sum = NUMBER'");
      if (!t.starts_with("sum_sq")) tensor->sum = *value;
    } else if (depth == 0) {
      at_ = here;
      line_ = here_line;
      break;
    } else {
      return Bad("expected a list of tensor {}, found {}", Quote(tensor->name), Quote(t));
    }
  }
  if (depth != 0) return Fail("{}: cut short inside of tensor {}", path_, Quote(tensor->name));
  return Store(blocks, tensor);
}

// Printed elements by their place.
Status Parser::Store(const std::vector<Block>& blocks, ForeignTensor* tensor) const {
  if (blocks.empty()) return {};  // types that are not printed
  std::vector<size_t> shape(kDimensions - tensor->shape.size(), 1);
  shape.insert(shape.end(), tensor->shape.begin(), tensor->shape.end());
  const auto misfit = [&] {
    return Fail("{}: before line {}: tensor {}: the printed lists are not of its shape", path_,
                line_ + 1, Quote(tensor->name));
  };
  if (blocks.size() != shape[0]) return misfit();
  for (size_t b = 0; b < blocks.size(); ++b) {
    const Block& block = blocks[b];
    if (!block.Fits(shape[1])) return misfit();
    for (size_t p = 0; p < block.items.size(); ++p) {
      const Plane& plane = block.items[p];
      const auto i2 = block.Place(p, shape[1]);
      if (!i2 || !plane.Fits(shape[2])) return misfit();
      for (size_t r = 0; r < plane.items.size(); ++r) {
        const Row& row = plane.items[r];
        const auto i1 = plane.Place(r, shape[2]);
        if (!i1 || !row.Fits(shape[3])) return misfit();
        for (size_t i = 0; i < row.items.size(); ++i) {
          const auto i0 = row.Place(i, shape[3]);
          if (!i0) return misfit();
          tensor->places.push_back(((b * shape[1] + *i2) * shape[2] + *i1) * shape[3] + *i0);
          tensor->f32.push_back(static_cast<float>(row.items[i]));
        }
      }
    }
  }
  return {};
}

Status Parser::ReadTokens(std::string_view line, std::vector<int32_t>* tokens) {
  constexpr size_t kMostTokens = size_t{1} << 24;
  const bool by_line = line.find("number of input tokens = ") != std::string_view::npos;
  const size_t at = by_line ? line.rfind('=') + 1 : line.rfind('(') + 1;
  std::string_view digits = Trim(line.substr(at));
  while (!digits.empty() && (digits.back() == ':' || digits.back() == ')')) digits.remove_suffix(1);
  const auto count = Number<size_t>(digits);
  if (!count || *count > kMostTokens) return Bad("expected a number of tokens");
  std::vector<int32_t> read;
  if (by_line) {
    while (read.size() < *count) {
      std::string_view next;
      if (!NextLine(&next)) return Fail("{}: cut short in the list of tokens", path_);
      // A line of the log may lead with time and level.
      const std::string_view t = Trim(next), word = t.substr(t.rfind(' ') + 1);
      const auto id = Number<int32_t>(word);
      if (!id || *id < 0) return Bad("expected a token id, found {}", Quote(t));
      read.push_back(*id);
    }
  } else {
    // Pieces may hold anything, a line's end too; each ends with "(ID) ".
    while (read.size() < *count) {
      const size_t open = text_.find('(', at_);
      const size_t close = open == std::string_view::npos ? open : text_.find(") ", open);
      if (close == std::string_view::npos)
        return Fail("{}: cut short in the list of tokens", path_);
      const auto id = Number<int32_t>(text_.substr(open + 1, close - open - 1));
      const size_t next = id ? close + 2 : open + 1;
      line_ +=
          static_cast<size_t>(std::count(text_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         text_.begin() + static_cast<std::ptrdiff_t>(next), '\n'));
      at_ = next;
      if (id && *id >= 0) read.push_back(*id);
    }
  }
  *tokens = std::move(read);
  return {};
}

Result<ForeignCapture> Parser::Run() {
  ForeignCapture out;
  out.source = path_;
  std::string_view line;
  while (NextLine(&line)) {
    if (line.find("number of input tokens = ") != std::string_view::npos ||
        line.find("Token ids (") != std::string_view::npos) {
      RETURN_IF_ERROR(ReadTokens(line, &out.tokens));
      continue;
    }
    size_t after = std::string_view::npos;
    for (const std::string_view prefix : kPrefixes)
      if (const size_t at = line.find(prefix); at != std::string_view::npos)
        after = std::min(after, at + prefix.size());
    if (after == std::string_view::npos) continue;
    ASSIGN_OR_RETURN(ForeignTensor tensor, ReadHeader(line.substr(after)));
    if (!out.tensors.empty() && tensor.name == out.tensors.front().name &&
        tensor.op == "GET_ROWS" && out.tensors.front().op == "GET_ROWS") {
      out.notes.push_back(
          fmt::format("line {}: a second evaluation begins; it is not read", line_));
      break;
    }
    RETURN_IF_ERROR(ReadBody(&tensor));
    out.tensors.push_back(std::move(tensor));
  }
  if (out.tensors.empty())
    return Fail("{}: expected the text of llama-eval-callback or llama-debug, or saved logits",
                path_);
  return out;
}

}  // namespace

Result<ForeignCapture> ParseDebugText(std::string_view text, const std::string& path) {
  return Parser(text, path).Run();
}

}  // namespace vernier
