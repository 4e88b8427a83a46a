// The command line of a verb: what it takes, and parsing it. A thin front to CLI11, which only
// parser.cc sees: its templates cost ten seconds of compiling in every file that does.
#ifndef VERNIER_CLI_PARSER_H_
#define VERNIER_CLI_PARSER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/command_doc.h"
#include "cli/verb.h"

namespace vernier {

// Values are written when an option is given; otherwise they keep what they hold. `shown` is how
// help writes the value ("FILE").
class ArgumentParser {
 public:
  ArgumentParser(const std::string& doc, const std::string& program);
  ~ArgumentParser();
  ArgumentParser(const ArgumentParser&) = delete;
  ArgumentParser& operator=(const ArgumentParser&) = delete;

  void Positional(const char* shown, std::string* value, const std::string& doc,
                  bool required = true);
  // Any number of them, also none.
  void Positionals(const char* shown, std::vector<std::string>* values, const std::string& doc);
  void Flag(const char* name, bool* value, const std::string& doc);
  // `given`, where not null, becomes true when the option is there, be its value empty.
  void Text(const char* name, std::string* value, const char* shown, const std::string& doc,
            bool* given = nullptr);
  void RequiredText(const char* name, std::string* value, const char* shown,
                    const std::string& doc);
  void Texts(const char* name, std::vector<std::string>* values, const char* shown,
             const std::string& doc);  // may be repeated
  void Number(const char* name, size_t* value, const char* shown, const std::string& doc,
              size_t least = 0, size_t most = SIZE_MAX);
  void Number(const char* name, int* value, const char* shown, const std::string& doc, int least,
              int most);
  void Number(const char* name, double* value, const char* shown, const std::string& doc,
              double least, double most, bool* given = nullptr);

  // One of `names`; `set` gets its index.
  void Choice(const char* name, std::span<const char* const> names,
              const std::function<void(size_t)>& set, const char* shown, const std::string& doc);

  // The heading of options that follow; "" for those that are the command's own.
  void Group(const std::string& title);
  // What the value of an option, or an argument, may be. Without it files are taken for any where
  // help shows FILE, and models where it shows MODEL.
  void Takes(const char* name, ValueDoc value);

  // False when --help was asked for and has been printed, or the arguments ask for the description.
  // Errors: unknown options with the nearest name, missing and wrong values.
  Result<bool> Parse(const Arguments& arguments);

 private:
  struct App;
  std::unique_ptr<App> app_;
};

}  // namespace vernier

#endif  // VERNIER_CLI_PARSER_H_
