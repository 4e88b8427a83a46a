// Text on a terminal: how many columns it takes, and making it fit.
#ifndef VERNIER_REPORT_TEXT_WIDTH_H_
#define VERNIER_REPORT_TEXT_WIDTH_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace vernier {

// Where text is shown. Files have a fixed width and nothing is left out of them; on a terminal no
// line is longer than it is wide.
struct Screen {
  size_t width = 100;
  bool fit = false;     // a terminal: drop, split and wrap until lines fit
  bool colour = false;  // escape sequences for colour are understood and wanted

  Screen() = default;
  Screen(size_t columns) : width(columns) {}  // NOLINT: a width is a screen that is a file
  Screen(size_t columns, bool fits, bool coloured) : width(columns), fit(fits), colour(coloured) {}
};

// Columns of a terminal that the UTF-8 text takes: 0 for combining characters, 2 for wide ones of
// East Asia, as wcwidth(3) has them; 1 for a byte that is no UTF-8 and for control characters,
// which Printable shows as one.
size_t TextWidth(std::string_view text);

// Control characters (escape sequences begin with one) as '?', bytes that are no UTF-8 too: a name
// out of a file must not move the cursor.
std::string Printable(std::string_view text);

// At most `width` columns: what is cut is marked by "..." at the end; by "…" in the middle where
// `middle`, because names often differ in how they end.
std::string CutText(std::string_view text, size_t width, bool middle);

// Lines of at most `width` columns, broken at spaces; longer words are broken anywhere. At least
// one line; without spaces at their ends.
std::vector<std::string> WrapText(std::string_view text, size_t width);

// The text with its lines wrapped where they are longer than the screen, if it is one: what stands
// in front of a line (spaces) stands in front of what follows, too. Colours take no place.
std::string FitLines(std::string_view text, const Screen& screen);

enum class Style { kNone, kHeading, kGood, kBad, kDoubt };

// The text in a style, where the screen shows colours: bold, green, red, magenta. These four stand
// out from light backgrounds and from dark ones; what they mean, the text says too.
std::string Styled(const Screen& screen, Style style, std::string_view text);

// The text with its first word in the style of the verdict that it is ("supported", "VACUOUS:
// ..."); all else as it is.
std::string StyledVerdict(const Screen& screen, std::string_view text);

}  // namespace vernier

#endif  // VERNIER_REPORT_TEXT_WIDTH_H_
