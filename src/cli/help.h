// Help in its forms: the list of verbs, a verb's options, its page, the manual page of all, and
// scripts for completion.
#ifndef VERNIER_CLI_HELP_H_
#define VERNIER_CLI_HELP_H_

#include <string>

#include "cli/terminal.h"
#include "cli/verb.h"

namespace vernier {

// For text on standard output: at most 100 columns, because long lines of prose are hard to read.
Screen HelpScreen(ColourWhen colour);

std::string VerbList(const Screen& screen);                              // vernier help
std::string ShortHelp(const CommandDoc& command, const Screen& screen);  // vernier VERB --help
std::string HelpPage(const Command& command, const Screen& screen);      // vernier help VERB

// Of Commands(): a page in the man macros of roff; what bash and zsh source.
std::string ManPage(const std::string& version);
std::string BashCompletion();
std::string ZshCompletion();

// Where the exit statuses are explained: the meaning of each.
struct ExitStatus {
  int status;
  const char* meaning;
};
std::span<const ExitStatus> ExitStatuses();

}  // namespace vernier

#endif  // VERNIER_CLI_HELP_H_
