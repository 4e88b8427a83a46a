#include "cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <iterator>

namespace vernier {
namespace {

constexpr size_t kUsualWidth = 80, kLeastWidth = 20, kMostWidth = 1000;

// COLUMNS as a number; 0 where it is none.
size_t ColumnsVariable() {
  const char* text = std::getenv("COLUMNS");
  if (text == nullptr) return 0;
  size_t columns = 0;
  const char* end = text + std::strlen(text);
  const auto [stop, error] = std::from_chars(text, end, columns);
  return error == std::errc() && stop == end ? columns : 0;
}

size_t TerminalWidth(int descriptor) {
  size_t columns = ColumnsVariable();
  winsize size{};
  if (columns == 0 && ioctl(descriptor, TIOCGWINSZ, &size) == 0) columns = size.ws_col;
  if (columns == 0) columns = kUsualWidth;
  return std::min(std::max(columns, kLeastWidth), kMostWidth);
}

bool ColoursUnasked() {
  const char* refused = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  return (refused == nullptr || *refused == '\0') &&
         (terminal == nullptr || std::strcmp(terminal, "dumb") != 0);
}

}  // namespace

ColourWhen ColourAmong(const std::vector<std::string>& arguments) {
  constexpr std::string_view kOption = "--color";
  ColourWhen when = ColourWhen::kAuto;
  for (size_t i = 0; i < arguments.size(); ++i) {
    std::string_view value = arguments[i];
    if (!value.starts_with(kOption)) continue;
    value.remove_prefix(kOption.size());
    if (value.starts_with("="))
      value.remove_prefix(1);
    else if (value.empty() && i + 1 < arguments.size())
      value = arguments[i + 1];
    for (size_t name = 0; name < std::size(kColourNames); ++name)
      if (value == kColourNames[name]) when = static_cast<ColourWhen>(name);
  }
  return when;
}

bool IsTerminal(int descriptor) { return isatty(descriptor) == 1; }

Screen ScreenOf(int descriptor, ColourWhen when, size_t file_width) {
  const bool terminal = IsTerminal(descriptor);
  Screen screen(file_width);
  screen.fit = terminal;
  if (terminal) screen.width = TerminalWidth(descriptor);
  screen.colour =
      when == ColourWhen::kAlways || (when == ColourWhen::kAuto && terminal && ColoursUnasked());
  return screen;
}

}  // namespace vernier
