// One self-contained HTML file of one or several studies (docs/report.md).
#ifndef VERNIER_REPORT_PAGE_H_
#define VERNIER_REPORT_PAGE_H_

#include <string>
#include <string_view>
#include <vector>

namespace vernier {

// page/dist/page.html, which is in the program: markup, style, code, and a place for data.
std::string_view PageTemplate();

// The page of these documents (PageDocument's, as JSON text).
std::string PageHtml(const std::vector<std::string>& documents);

// JSON text that may stand in an HTML script element: "<" only occurs inside strings, and is
// written \u003c there.
std::string EscapedForScript(std::string_view json);

}  // namespace vernier

#endif  // VERNIER_REPORT_PAGE_H_
