#include "cli/output.h"

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

Status Emit(const OutputOptions& options, std::string_view text) {
  return options.path.empty() ? PrintText(text) : WriteFileAtomically(options.path, text);
}

Status EmitJson(const OutputOptions& options, const OrderedJson& json) {
  return Emit(options, json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace) + "\n");
}

void PrintErrorLine(std::string_view message) {
  std::string line = "vernier: ";
  for (const char c : message) line += c == '\n' || c == '\r' ? ' ' : c;
  line += '\n';
  std::fwrite(line.data(), 1, line.size(), stderr);
}

void PrintRemark(const OutputOptions& options, std::string_view message) {
  if (options.quiet) return;
  std::fprintf(stderr, "%.*s\n", static_cast<int>(message.size()), message.data());
}

}  // namespace vernier
