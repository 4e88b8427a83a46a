// vernier(1), in the man macros of roff.
#include <fmt/format.h>

#include "base/names.h"
#include "cli/help.h"
#include "cli/manual.h"
#include "model/utf8.h"

namespace vernier {
namespace {

// Text as roff shows it: no character of it is a request or an escape.
std::string Roff(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const char c = text[at];
    const size_t bytes = Utf8Length(text, at);
    if (bytes > 1) {
      out += fmt::format("\\[u{:04X}]", Utf8CodePoint(text, at, bytes));
    } else if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else if (c == '\'') {
      out += "\\(aq";
    } else if (c == '^' || c == '~' || c == '`') {
      out += c == '^' ? "\\(ha" : c == '~' ? "\\(ti" : "\\(ga";
    } else {
      if (at == 0 && c == '.') out += "\\&";
      out += c;
      // Long lists without spaces may be broken behind their separators.
      if ((c == ',' || c == ';') && at + 1 < text.size() && text[at + 1] != ' ') out += "\\:";
    }
    at += bytes > 1 ? bytes : 1;
  }
  return out;
}

std::string Bold(std::string_view text) { return "\\fB" + Roff(text) + "\\fR"; }

std::string Option(const OptionDoc& option) {
  std::string text =
      option.argument ? fmt::format("\\fI{}\\fR", Roff(option.name)) : Bold(option.name);
  if (!option.argument && !option.shown.empty())
    text += fmt::format(" \\fI{}\\fR", Roff(option.shown));
  if (option.repeated) text += " ...";
  return fmt::format(".TP\n{}\n{}{}\n", text, Roff(option.doc),
                     option.required && !option.argument ? " (required)."
                     : option.doc.ends_with('?')         ? ""
                                                         : ".");
}

std::string Paragraphs(const char* text) {
  std::string out;
  for (const std::string& line : Split(text, '\n'))
    if (!line.empty()) out += ".PP\n" + Roff(line) + "\n";
  return out;
}

std::string Examples(const Manual& manual) {
  std::string out;
  for (const Example& example : manual.examples)
    out += fmt::format(".PP\n{}\n.PP\n.RS 4\n.EX\n{}\n.EE\n.RE\n", Roff(example.says),
                       Roff(example.command));
  return out;
}

std::string CommandSection(const Command& command) {
  const Verb& named = command.subject == nullptr ? *command.verb : *command.subject;
  std::string out =
      fmt::format(".SS {}\n{}: {}.\n.PP\n{}\n", Roff(command.Name()),
                  Bold("vernier " + command.Name()), Roff(named.doc), Roff(command.doc.Synopsis()));
  const Manual* manual = FindManual(command.Name());
  if (manual != nullptr) out += Paragraphs(manual->gives);
  for (const OptionDoc& option : command.doc.options)
    if (option.argument) out += Option(option);
  std::string group;
  for (const OptionDoc& option : command.doc.options) {
    if (option.argument) continue;
    if (option.group != group && !option.group.empty())
      out += fmt::format(".PP\n{}\n", Roff(option.group + ":"));
    group = option.group;
    out += Option(option);
  }
  if (manual == nullptr) return out;
  if (*manual->no != '\0') out += fmt::format(".PP\nExit status 1: {}.\n", Roff(manual->no));
  return out + Examples(*manual) + fmt::format(".PP\nSee also: {}.\n", Roff(manual->see));
}

}  // namespace

std::string ManPage(const std::string& version) {
  std::string out = fmt::format(
      ".\\\" Written by: vernier help --man\n.TH VERNIER 1 \"\" \"vernier {}\" \"User "
      "Commands\"\n.ad l\n"
      ".SH NAME\nvernier \\- a numerical\\-precision laboratory for LLM inference\n"
      ".SH SYNOPSIS\n\\fBvernier\\fR \\fIVERB\\fR [\\fIOPTIONS\\fR] ...\n.br\n"
      "\\fBvernier help\\fR [\\fIVERB\\fR]\n.SH DESCRIPTION\n",
      version);
  out +=
      Roff(
          "Takes a model (a GGUF file or a Hugging Face folder) and answers what happens to what "
          "it says when this weight, this activation, this cache is held in another number "
          "format: at which layer it starts, whether it is more than noise, and which of two "
          "results is nearer the truth.") +
      "\n.PP\n" +
      Roff(
          "MODEL is a .gguf file or a Hugging Face folder; MODEL@FILE adds a recipe file, with a "
          "rule a line.") +
      "\n";
  out += ".SH VERBS\n";
  for (const Command& command : Commands()) out += CommandSection(command);
  out += ".SH EXIT STATUS\n";
  for (const ExitStatus& status : ExitStatuses())
    out += fmt::format(".TP\n.B {}\n{}.\n", status.status, Roff(status.meaning));
  out += ".SH ENVIRONMENT\n";
  for (const auto& [name, meaning] :
       {std::pair{"NO_COLOR", "Not empty: no colours, unless --color always is given."},
        {"TERM", "dumb: no colours."},
        {"COLUMNS", "The width of a terminal, in the place of what it says itself."},
        {"TMPDIR", "Where bench keeps the files it makes for itself."}})
    out += fmt::format(".TP\n.B {}\n{}\n", name, Roff(meaning));
  return out +
         ".PP\nNo variable changes a result.\n.SH SEE ALSO\n"
         "The documentation in docs/, from docs/commands.md on.\n";
}

}  // namespace vernier
