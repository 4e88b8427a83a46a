#include "report/text_width.h"

#include <algorithm>
#include <clocale>
#include <cwchar>
#include <utility>

#include "model/utf8.h"

namespace vernier {
namespace {

constexpr std::string_view kEllipsis = "\xe2\x80\xa6";

// One character at `at`: its bytes and its columns. Not UTF-8: one byte, one column.
struct Character {
  size_t bytes = 1, columns = 1;
  bool printable = false;
};

// The bytes of a colour (what Styled writes) at `at`; 0: there is none.
size_t ColourAt(std::string_view text, size_t at) {
  if (text.substr(at, 2) != "\033[") return 0;
  const size_t end = text.find_first_not_of("0123456789;", at + 2);
  return end != std::string_view::npos && text[end] == 'm' ? end + 1 - at : 0;
}

// wcwidth() answers for the locale of the thread; this one knows all of Unicode and nothing else.
class UnicodeLocale {
 public:
  UnicodeLocale() : locale_(newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)) {}
  ~UnicodeLocale() {
    if (locale_ != nullptr) freelocale(locale_);
  }
  UnicodeLocale(const UnicodeLocale&) = delete;
  UnicodeLocale& operator=(const UnicodeLocale&) = delete;
  int Width(uint32_t character) const {
    if (locale_ == nullptr) return 1;
    const locale_t before = uselocale(locale_);
    const int width = wcwidth(static_cast<wchar_t>(character));
    uselocale(before);
    return width;
  }

 private:
  locale_t locale_;
};

Character CharacterAt(std::string_view text, size_t at) {
  const auto first = static_cast<unsigned char>(text[at]);
  if (const size_t bytes = ColourAt(text, at); bytes > 0) return {bytes, 0, false};
  if (first < 0x80) return {1, 1, first >= 0x20 && first != 0x7f};
  const size_t bytes = Utf8Length(text, at);
  if (bytes == 0) return {};
  static const UnicodeLocale locale;
  const int width = locale.Width(Utf8CodePoint(text, at, bytes));
  // Not assigned, or a control character of the second set (U+0080 to U+009F).
  if (width < 0) return {bytes, 1, bytes > 2};
  return {bytes, static_cast<size_t>(width), true};
}

// How many bytes of the text, from its beginning, take at most `width` columns.
size_t BytesThatFit(std::string_view text, size_t width) {
  size_t at = 0, columns = 0;
  while (at < text.size()) {
    const Character c = CharacterAt(text, at);
    if (columns + c.columns > width) break;
    columns += c.columns;
    at += c.bytes;
  }
  return at;
}

// Where the last `width` columns of the text begin.
size_t TailThatFits(std::string_view text, size_t width) {
  size_t at = 0, columns = TextWidth(text);
  while (at < text.size() && columns > width) {
    const Character c = CharacterAt(text, at);
    columns -= c.columns;
    at += c.bytes;
  }
  // Not in the middle of a letter and its accents.
  while (at < text.size() && CharacterAt(text, at).columns == 0) at += CharacterAt(text, at).bytes;
  return at;
}

}  // namespace

size_t TextWidth(std::string_view text) {
  size_t columns = 0;
  for (size_t at = 0; at < text.size();) {
    const Character c = CharacterAt(text, at);
    columns += c.columns;
    at += c.bytes;
  }
  return columns;
}

std::string Printable(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    Character c = CharacterAt(text, at);
    if (text[at] == '\033') c = {};
    if (c.printable)
      out += text.substr(at, c.bytes);
    else
      out += '?';
    at += c.bytes;
  }
  return out;
}

std::string CutText(std::string_view text, size_t width, bool middle) {
  if (TextWidth(text) <= width) return std::string(text);
  if (!middle) {
    const size_t dots = width < 3 ? width : 3;
    return std::string(text.substr(0, BytesThatFit(text, width - dots))) + std::string(dots, '.');
  }
  if (width == 0) return "";
  const size_t tail = (width - 1) / 3, head = width - 1 - tail;
  std::string out(text.substr(0, BytesThatFit(text, head)));
  out += kEllipsis;
  out += text.substr(TailThatFits(text, tail));
  return out;
}

std::vector<std::string> WrapText(std::string_view text, size_t width) {
  width = width == 0 ? 1 : width;
  std::vector<std::string> lines;
  std::string line;
  const auto flush = [&] { lines.push_back(std::exchange(line, "")); };
  for (size_t at = 0; at < text.size();) {
    if (text[at] == ' ') {
      ++at;
      continue;
    }
    std::string_view word = text.substr(at, text.find(' ', at) - at);
    at += word.size();
    if (!line.empty() && TextWidth(line) + 1 + TextWidth(word) > width) flush();
    while (line.empty() && TextWidth(word) > width) {
      size_t bytes = BytesThatFit(word, width);
      if (bytes == 0) bytes = CharacterAt(word, 0).bytes;
      line = word.substr(0, bytes);
      word.remove_prefix(bytes);
      flush();
    }
    if (word.empty()) continue;
    if (!line.empty()) line += ' ';
    line += word;
  }
  if (!line.empty() || lines.empty()) flush();
  return lines;
}

std::string FitLines(std::string_view text, const Screen& screen) {
  if (!screen.fit) return std::string(text);
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    const std::string_view rest = line.substr(std::min(line.find_first_not_of(' '), line.size()));
    const size_t indent = std::min(line.size() - rest.size(), screen.width / 2);
    if (TextWidth(line) <= screen.width) {
      out += line;
    } else {
      std::string before = std::string(indent, ' ');
      for (const std::string& piece : WrapText(rest, screen.width - indent)) {
        out += before + piece;
        before = "\n" + std::string(indent, ' ');
      }
    }
    if (end < text.size()) out += '\n';
    at = end + 1;
  }
  return out;
}

std::string Styled(const Screen& screen, Style style, std::string_view text) {
  static constexpr const char* kCodes[] = {"", "1", "32", "1;31", "1;35"};
  if (!screen.colour || style == Style::kNone || text.empty()) return std::string(text);
  std::string out = "\033[";
  out += kCodes[static_cast<size_t>(style)];
  out += 'm';
  out += text;
  return out + "\033[0m";
}

std::string StyledVerdict(const Screen& screen, std::string_view text) {
  static constexpr std::pair<std::string_view, Style> kVerdicts[] = {
      {"supported", Style::kGood},
      {"refuted", Style::kBad},
      {"undecided", Style::kDoubt},
      {"VACUOUS", Style::kDoubt},
  };
  for (const auto& [word, style] : kVerdicts)
    if (text.starts_with(word))
      return Styled(screen, style, word) + std::string(text.substr(word.size()));
  return std::string(text);
}

}  // namespace vernier
