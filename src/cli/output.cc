#include "cli/output.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/file.h"

namespace vernier {

Status PrintText(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    return Fail("standard output: {}", std::strerror(errno));
  return {};
}

Screen ScreenOf(const OutputOptions& options, size_t file_width) {
  return options.path.empty() ? ScreenOf(STDOUT_FILENO, options.colour, file_width)
                              : Screen(file_width);
}

Status Emit(const OutputOptions& options, std::string_view text) {
  return options.path.empty() ? PrintText(text) : WriteFileAtomically(options.path, text);
}

Status EmitText(const OutputOptions& options, std::string_view text) {
  return Emit(options, FitLines(text, ScreenOf(options)));
}

Status EmitJson(const OutputOptions& options, const OrderedJson& json) {
  const std::string text = json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
  return options.path.empty() ? PrintText(text) : WriteFileAtomically(options.path, text);
}

void PrintErrorLine(std::string_view message, ColourWhen colour) {
  const Screen screen = ScreenOf(STDERR_FILENO, colour, 0);
  std::string line = Styled(screen, Style::kBad, "vernier:") + " ";
  for (const char c : message) line += c == '\n' || c == '\r' ? ' ' : c;
  line += '\n';
  if (IsTerminal(STDERR_FILENO)) line.insert(0, "\r\033[K");  // a line of progress
  std::fwrite(line.data(), 1, line.size(), stderr);
}

void PrintRemark(const OutputOptions& options, std::string_view message) {
  if (options.quiet) return;
  const Screen screen = ScreenOf(STDERR_FILENO, options.colour, kFileWidth);
  const std::string text = (screen.fit ? "\r\033[K" : "") + FitLines(message, screen) + "\n";
  std::fwrite(text.data(), 1, text.size(), stderr);  // over a line of progress
}

}  // namespace vernier
