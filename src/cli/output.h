// What the program writes: standard output or a file, JSON, and one-line errors.
#ifndef VERNIER_CLI_OUTPUT_H_
#define VERNIER_CLI_OUTPUT_H_

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/terminal.h"

namespace vernier {

using OrderedJson = nlohmann::ordered_json;  // keys come out as they were put in

struct OutputOptions {
  bool json = false;
  bool quiet = false;  // no progress, no remarks
  std::string path;    // empty: standard output
  ColourWhen colour = ColourWhen::kAuto;
};

// What `Emit` writes to: a file has lines of 180 characters where that can be, without colours.
inline constexpr size_t kFileWidth = 180;
Screen ScreenOf(const OutputOptions& options, size_t file_width = kFileWidth);

// To standard output. Error when it cannot be written.
Status PrintText(std::string_view text);

// To the file of `options` (whole or not at all), or to standard output, as it is.
Status Emit(const OutputOptions& options, std::string_view text);
// The same of text for people: on a terminal no line is longer than it is wide.
Status EmitText(const OutputOptions& options, std::string_view text);

// One line. Numbers have all their digits (they read back as the same double); NaN and infinities
// are null; bytes that are not UTF-8 become U+FFFD.
Status EmitJson(const OutputOptions& options, const OrderedJson& json);

// "vernier: MESSAGE" on standard error, always exactly one line.
void PrintErrorLine(std::string_view message, ColourWhen colour = ColourWhen::kAuto);

// A remark on standard error, unless --quiet.
void PrintRemark(const OutputOptions& options, std::string_view message);

}  // namespace vernier

#endif  // VERNIER_CLI_OUTPUT_H_
