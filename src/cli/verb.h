// The verbs of the command line. A verb is one file with one function, and one line in the table of
// verb.cc; help and the errors of unknown verbs read the table.
#ifndef VERNIER_CLI_VERB_H_
#define VERNIER_CLI_VERB_H_

#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace vernier {

using Arguments = std::vector<std::string>;  // those after the verb

inline constexpr int kDone = 0, kAnswerIsNo = 1, kBadInput = 2, kDefect = 3;

struct Verb {
  const char* name;
  const char* usage;  // what follows the name
  const char* doc;    // one line
  // Gives the exit status kDone or kAnswerIsNo; an error becomes one line on standard error and
  // kBadInput.
  Result<int> (*run)(const Arguments& arguments);
};

std::span<const Verb> Verbs();
const Verb* FindVerb(const std::string& name);  // null when there is none

Result<int> RunBench(const Arguments& arguments);
Result<int> RunCalibrate(const Arguments& arguments);
Result<int> RunCompare(const Arguments& arguments);
Result<int> RunEval(const Arguments& arguments);
Result<int> RunFormats(const Arguments& arguments);
Result<int> RunInspect(const Arguments& arguments);
Result<int> RunProbe(const Arguments& arguments);
Result<int> RunQuantize(const Arguments& arguments);
Result<int> RunQuery(const Arguments& arguments);
Result<int> RunRun(const Arguments& arguments);
Result<int> RunSites(const Arguments& arguments);
Result<int> RunStudyVerb(const Arguments& arguments);
Result<int> RunTokenize(const Arguments& arguments);

// The whole program but for exceptions: what `vernier ARGUMENTS` does and its exit status.
int RunCommandLine(const Arguments& arguments, const char* version);

}  // namespace vernier

#endif  // VERNIER_CLI_VERB_H_
