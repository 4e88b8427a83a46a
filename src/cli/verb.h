// The verbs of the command line. A verb is one file with one function, and one line in the table of
// verb.cc; help and the errors of unknown verbs read the table.
#ifndef VERNIER_CLI_VERB_H_
#define VERNIER_CLI_VERB_H_

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/command_doc.h"

namespace vernier {

// Those after the verb.
struct Arguments : std::vector<std::string> {
  using std::vector<std::string>::vector;
  // Not null: nothing is run, the parser of the verb describes itself here.
  CommandDoc* description = nullptr;
};

inline constexpr int kDone = 0, kAnswerIsNo = 1, kBadInput = 2, kDefect = 3;

struct Verb {
  const char* name;
  const char* usage;  // what follows the name
  const char* doc;    // one line
  // Gives the exit status kDone or kAnswerIsNo; an error becomes one line on standard error and
  // kBadInput.
  Result<int> (*run)(const Arguments& arguments);
  const char* group = "More";                     // its heading in the list of verbs
  std::span<const Verb> (*subjects)() = nullptr;  // what its first argument may be, where each
                                                  // has options of its own
};

std::span<const Verb> Verbs();
const Verb* FindVerb(const std::string& name);  // null when there is none
const Verb* FindSubject(const Verb& verb, const std::string& name);

// What each verb, and each subject of a verb, takes: "run", ..., "bench formats", ... in the order
// of Verbs().
struct Command {
  const Verb *verb, *subject = nullptr;
  CommandDoc doc;
  std::string Name() const;  // "bench formats"
};
Command Describe(const Verb& verb, const Verb* subject = nullptr);
std::vector<Command> Commands();

Result<int> RunBench(const Arguments& arguments);
Result<int> RunCalibrate(const Arguments& arguments);
Result<int> RunCompare(const Arguments& arguments);
Result<int> RunEval(const Arguments& arguments);
Result<int> RunFormats(const Arguments& arguments);
Result<int> RunHelp(const Arguments& arguments);
Result<int> RunInspect(const Arguments& arguments);
Result<int> RunProbe(const Arguments& arguments);
Result<int> RunQuantize(const Arguments& arguments);
Result<int> RunQuery(const Arguments& arguments);
Result<int> RunReport(const Arguments& arguments);
Result<int> RunRun(const Arguments& arguments);
Result<int> RunSites(const Arguments& arguments);
Result<int> RunStudyVerb(const Arguments& arguments);
Result<int> RunTokenize(const Arguments& arguments);

std::span<const Verb> BenchSubjects();

// The whole program but for exceptions: what `vernier ARGUMENTS` does and its exit status.
int RunCommandLine(const Arguments& arguments);

}  // namespace vernier

#endif  // VERNIER_CLI_VERB_H_
