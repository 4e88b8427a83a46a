#include "model/quote.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace vernier {
namespace {

constexpr size_t kLongestShown = 100;

bool IsControl(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7f;
}

}  // namespace

std::string Quote(std::string_view name) {
  std::string out = "'";
  for (const char c : name.substr(0, kLongestShown)) {
    if (IsControl(c) || c == '\'' || c == '\\') {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out + (name.size() > kLongestShown ? "...'" : "'");
}

bool IsPlainName(std::string_view name, size_t most) {
  return !name.empty() && name.size() <= most && std::none_of(name.begin(), name.end(), IsControl);
}

}  // namespace vernier
