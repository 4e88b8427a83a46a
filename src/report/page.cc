#include "report/page.h"

#include "base/result.h"

// The assembler reads the file: VERNIER_PAGE is its path.
asm(".pushsection .rodata\n"
    ".global vernier_page_begin\n"
    ".global vernier_page_end\n"
    "vernier_page_begin:\n"
    ".incbin \"" VERNIER_PAGE
    "\"\n"
    "vernier_page_end:\n"
    ".byte 0\n"
    ".popsection\n");
extern "C" const char vernier_page_begin[];
extern "C" const char vernier_page_end[];

namespace vernier {
namespace {

constexpr std::string_view kPlace = "__VERNIER_PAGE_DATA__";

}  // namespace

std::string_view PageTemplate() {
  return {vernier_page_begin, static_cast<size_t>(vernier_page_end - vernier_page_begin)};
}

std::string EscapedForScript(std::string_view json) {
  std::string text;
  text.reserve(json.size());
  for (const char c : json) {
    if (c == '<')
      text += "\\u003c";
    else
      text += c;
  }
  return text;
}

std::string PageHtml(const std::vector<std::string>& documents) {
  const std::string_view page = PageTemplate();
  const size_t place = page.find(kPlace);
  CHECK(place != std::string_view::npos && page.find(kPlace, place + 1) == std::string_view::npos);
  std::string html(page.substr(0, place));
  html += "{\"studies\":[";
  for (size_t d = 0; d < documents.size(); ++d)
    html += (d > 0 ? ",\n" : "") + EscapedForScript(documents[d]);
  html += "]}";
  return html.append(page.substr(place + kPlace.size()));
}

}  // namespace vernier
