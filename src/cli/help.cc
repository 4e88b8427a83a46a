#include "cli/help.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "base/names.h"
#include "cli/interrupt.h"
#include "cli/manual.h"
#include "report/table.h"

namespace vernier {
namespace {

constexpr size_t kMostWidth = 100;

std::string Heading(const Screen& screen, const std::string& text) {
  return Styled(screen, Style::kHeading, text) + "\n";
}

// "-p TEXT", "--rule RULE ..."
std::string OptionText(const OptionDoc& option) {
  std::string text = option.name;
  if (!option.argument && !option.shown.empty()) text += " " + option.shown;
  return option.repeated ? text + " ..." : text;
}

// The options of each heading, in order of their first one; the command's own first.
std::vector<std::string> GroupsOf(const CommandDoc& command) {
  std::vector<std::string> groups;
  for (const OptionDoc& option : command.options)
    if (!option.argument && std::find(groups.begin(), groups.end(), option.group) == groups.end())
      groups.push_back(option.group);
  std::stable_partition(groups.begin(), groups.end(),
                        [](const std::string& group) { return group.empty(); });
  return groups;
}

std::string RowsText(std::vector<std::pair<std::string, std::string>> rows, const Screen& screen) {
  Table table{{{"", Align::kLeft}, {"", Align::kLeft}, {"", Align::kLeft, 0, true}}, {}};
  for (auto& [name, doc] : rows) table.rows.push_back({" ", std::move(name), std::move(doc)});
  Screen fitted = screen;
  fitted.fit = true;  // also in a file: a wide line of prose helps nobody
  return FormatTable(table, fitted);
}

std::string OptionsText(const CommandDoc& command, const Screen& screen) {
  std::vector<std::pair<std::string, std::string>> arguments;
  for (const OptionDoc& option : command.options)
    if (option.argument) arguments.emplace_back(OptionText(option), option.doc);
  std::string text;
  if (!arguments.empty()) text += "\n" + Heading(screen, "Arguments") + RowsText(arguments, screen);
  for (const std::string& group : GroupsOf(command)) {
    std::vector<std::pair<std::string, std::string>> rows;
    for (const OptionDoc& option : command.options)
      if (!option.argument && option.group == group)
        rows.emplace_back(OptionText(option), option.doc + (option.required ? " (required)" : ""));
    text += "\n" + Heading(screen, group.empty() ? "Options" : group) + RowsText(rows, screen);
  }
  return text;
}

std::string Indented(const std::string& text, size_t indent, const Screen& screen) {
  std::string out;
  for (const std::string& line : WrapText(text, screen.width - std::min(screen.width, indent)))
    out += std::string(line.empty() ? 0 : indent, ' ') + line + "\n";
  return out;
}

std::string SubjectsText(const Verb& verb, const Screen& screen) {
  std::vector<std::pair<std::string, std::string>> rows;
  for (const Verb& subject : verb.subjects()) rows.emplace_back(subject.name, subject.doc);
  return "\n" + Heading(screen, "Subjects") + RowsText(rows, screen);
}

std::string ExamplesText(const Manual& manual, const Screen& screen) {
  std::string text = "\n" + Heading(screen, "Examples");
  bool first = true;
  for (const Example& example : manual.examples) {
    text += (first ? "" : "\n") + Indented(example.says, 2, screen);
    text += fmt::format("    {}\n", example.command);  // whole, to be copied
    first = false;
  }
  return text;
}

std::string StatusText(const Manual* manual, const Screen& screen) {
  std::vector<std::pair<std::string, std::string>> rows;
  for (const ExitStatus& status : ExitStatuses()) {
    const bool no = status.status == kAnswerIsNo;
    if (no && (manual == nullptr || *manual->no == '\0')) continue;
    rows.emplace_back(std::to_string(status.status),
                      no ? fmt::format("{}: {}", status.meaning, manual->no) : status.meaning);
  }
  return "\n" + Heading(screen, "Exit status") + RowsText(rows, screen);
}

}  // namespace

Screen HelpScreen(ColourWhen colour) {
  Screen screen = ScreenOf(STDOUT_FILENO, colour, kMostWidth);
  screen.width = std::min(screen.width, kMostWidth);
  return screen;
}

std::span<const ExitStatus> ExitStatuses() {
  static constexpr ExitStatus kStatuses[] = {
      {kDone, "done"},
      {kAnswerIsNo, "done, and the answer is no"},
      {kBadInput, "bad input or usage; one line on standard error says what"},
      {kDefect, "a defect of Vernier"},
      {kInterrupted, "interrupted"},
  };
  return kStatuses;
}

std::string CommandDoc::Synopsis() const {
  std::string text = program;
  bool optional = false;
  for (const OptionDoc& option : options) {
    optional = optional || (!option.argument && !option.required);
    if (!option.argument && option.required)
      text += fmt::format(" {} {}", option.name, option.shown);
  }
  if (optional) text += " [OPTIONS]";
  for (const OptionDoc& option : options) {
    if (!option.argument) continue;
    const std::string shown = option.name + (option.repeated ? "..." : "");
    text += option.required ? " " + shown : fmt::format(" [{}]", shown);
  }
  return text;
}

std::string VerbList(const Screen& screen) {
  std::string text =
      Indented("vernier: a numerical-precision laboratory for LLM inference", 0, screen);
  std::vector<std::string> groups;
  for (const Verb& verb : Verbs())
    if (std::find(groups.begin(), groups.end(), verb.group) == groups.end())
      groups.emplace_back(verb.group);
  size_t width = 0;
  for (const Verb& verb : Verbs())
    width = std::max(width, TextWidth(fmt::format("{} {}", verb.name, verb.usage)));
  for (const std::string& group : groups) {
    std::vector<std::pair<std::string, std::string>> rows;
    for (const Verb& verb : Verbs())
      if (group == verb.group)
        rows.emplace_back(fmt::format("{:<{}}", fmt::format("{} {}", verb.name, verb.usage), width),
                          verb.doc);
    text += "\n" + Heading(screen, group) + RowsText(rows, screen);
  }
  for (const char* line :
       {"MODEL is a .gguf file or a Hugging Face folder; MODEL@FILE adds a recipe file.",
        "vernier help VERB has a page with examples, vernier VERB --help its options, and vernier "
        "--version says how this program was built.",
        "Exit status: 0 done; 1 done, and the answer is no; 2 bad input or usage; 3 a defect of "
        "Vernier; 130 interrupted."})
    text += "\n" + Indented(line, 0, screen);
  return text;
}

std::string ShortHelp(const CommandDoc& command, const Screen& screen) {
  std::string page = command.program;
  page.replace(0, std::string("vernier").size(), "vernier help");
  return Indented("Usage: " + command.Synopsis(), 0, screen) + "\n" +
         Indented(command.doc + ".", 0, screen) + OptionsText(command, screen) + "\n" +
         Indented(page + " has examples.", 0, screen);
}

std::string HelpPage(const Command& command, const Screen& screen) {
  const Manual* manual = FindManual(command.Name());
  const bool subjects = command.subject == nullptr && command.verb->subjects != nullptr;
  std::string text = Styled(screen, Style::kHeading, "vernier " + command.Name());
  const Verb& named = command.subject == nullptr ? *command.verb : *command.subject;
  text = Indented(text + ": " + named.doc, 0, screen);
  text += "\n" + Heading(screen, "Synopsis") + Indented(command.doc.Synopsis(), 2, screen);
  if (manual != nullptr) {
    text += "\n" + Heading(screen, "What it gives");
    bool first = true;
    for (const std::string& line : Split(manual->gives, '\n')) {
      if (line.empty()) continue;
      text += (first ? "" : "\n") + Indented(line, 2, screen);
      first = false;
    }
  }
  text += subjects ? SubjectsText(*command.verb, screen) : OptionsText(command.doc, screen);
  if (manual != nullptr) text += ExamplesText(*manual, screen);
  text += StatusText(manual, screen);
  if (manual != nullptr)
    text += "\n" + Heading(screen, "See also") + Indented(manual->see, 2, screen);
  return text;
}

}  // namespace vernier
