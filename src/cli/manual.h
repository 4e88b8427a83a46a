// What help says of a verb beyond its options, as data: what it gives, examples, exit status, where
// to read on. An entry for each verb and for each subject of a verb; manual_test.cc runs every
// example.
#ifndef VERNIER_CLI_MANUAL_H_
#define VERNIER_CLI_MANUAL_H_

#include <span>
#include <string_view>
#include <vector>

namespace vernier {

struct Example {
  const char* says;     // "Go on with a text:"
  const char* command;  // a line of shell; what it reads is in the project's folder, and it may
                        // write into out/, also what a later example reads
};

struct Manual {
  const char* command;  // "run", "bench formats"
  const char* gives;    // paragraphs, separated by empty lines
  std::vector<Example> examples;
  const char* no = "";  // when the exit status is 1; empty: never
  const char* see;      // "run, eval; docs/rules.md"
};

std::span<const Manual> Manuals();
const Manual* FindManual(std::string_view command);  // null when there is none

}  // namespace vernier

#endif  // VERNIER_CLI_MANUAL_H_
