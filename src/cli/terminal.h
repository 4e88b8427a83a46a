// What the program writes to: whether it is a terminal, how wide, and whether in colour.
#ifndef VERNIER_CLI_TERMINAL_H_
#define VERNIER_CLI_TERMINAL_H_

#include <string>
#include <string_view>
#include <vector>

#include "report/text_width.h"

namespace vernier {

enum class ColourWhen { kAuto, kAlways, kNever };

inline constexpr const char* kColourNames[] = {"auto", "always", "never"};  // in their order

// The last --color among the arguments, without checking them: for what is written before they are
// read, or because they cannot be.
ColourWhen ColourAmong(const std::vector<std::string>& arguments);

// Of file descriptor 1 or 2. Lines of a terminal have COLUMNS columns, or what it says itself, or
// 80; of anything else `file_width`, so that files do not depend on the terminal. Colours unless
// `when` says otherwise on a terminal alone, and neither with NO_COLOR (no-color.org) nor where
// TERM is dumb.
Screen ScreenOf(int descriptor, ColourWhen when, size_t file_width);

bool IsTerminal(int descriptor);

}  // namespace vernier

#endif  // VERNIER_CLI_TERMINAL_H_
