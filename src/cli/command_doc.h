// What a command takes, as data: its parser fills it in, and help, the man page and completion are
// made from it.
#ifndef VERNIER_CLI_COMMAND_DOC_H_
#define VERNIER_CLI_COMMAND_DOC_H_

#include <string>
#include <vector>

namespace vernier {

// What a value may be, for completion.
struct ValueDoc {
  enum class Kind {
    kAny,    // nothing can be foretold: texts, numbers, patterns
    kFile,   // with one of the endings `words` (without a dot; none: any)
    kModel,  // a .gguf file or a folder, or a file with one of the endings `words`
    kWords,  // one of `words`
    kList,   // some of `words`, separated by commas
    kRule,   // SITE=FORMAT,...; `words` are the formats
    kVerb,   // a verb
  };
  Kind kind = Kind::kAny;
  std::vector<std::string> words;
};

struct OptionDoc {
  std::string name;   // "--rule", "-p"; of an argument what help shows: "MODEL"
  std::string shown;  // how the value is written: "FILE"; empty: there is none
  std::string doc, group;
  bool argument = false, required = false, repeated = false;
  ValueDoc value;
};

struct CommandDoc {
  std::string program;  // "vernier bench formats"
  std::string doc;      // a sentence without its full stop
  std::vector<OptionDoc> options;
  // "vernier run [OPTIONS] MODEL"
  std::string Synopsis() const;
};

}  // namespace vernier

#endif  // VERNIER_CLI_COMMAND_DOC_H_
