#include "cli/parser.h"

#include <CLI/CLI.hpp>

#include "base/names.h"
#include "cli/output.h"

namespace vernier {
namespace {

std::string ExtrasMessage(const CLI::App& app, const std::string& argument) {
  if (argument.empty() || argument[0] != '-')
    return fmt::format("unexpected argument '{}'", argument);
  const std::string name = argument.substr(0, argument.find('='));
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& s : option->get_snames()) names.push_back("-" + s);
    for (const std::string& l : option->get_lnames()) names.push_back("--" + l);
  }
  return fmt::format("unknown option '{}'{}", name, DidYouMean(name, names));
}

}  // namespace

struct ArgumentParser::App {
  App(const std::string& doc, const std::string& program) : app(doc, program) {}
  template <class T>
  CLI::Option* Add(const char* name, T* value, const char* shown, const std::string& doc) {
    return app.add_option(name, *value, doc)->option_text(shown);
  }
  static void Notice(CLI::Option* option, bool* given) {
    if (given != nullptr) option->each([given](const std::string&) { *given = true; });
  }
  CLI::App app;
};

ArgumentParser::ArgumentParser(const std::string& doc, const std::string& program)
    : app_(std::make_unique<App>(doc, program)) {}
ArgumentParser::~ArgumentParser() = default;

void ArgumentParser::Positional(const char* shown, std::string* value, const std::string& doc,
                                bool required) {
  CLI::Option* option =
      app_->Add(shown, value, required ? shown : fmt::format("[{}]", shown).c_str(), doc);
  if (required) option->required();
}

void ArgumentParser::Positionals(const char* shown, std::vector<std::string>* values,
                                 const std::string& doc) {
  app_->Add(shown, values, fmt::format("[{}...]", shown).c_str(), doc);
}

void ArgumentParser::Flag(const char* name, bool* value, const std::string& doc) {
  app_->app.add_flag(name, *value, doc);
}

void ArgumentParser::Text(const char* name, std::string* value, const char* shown,
                          const std::string& doc, bool* given) {
  App::Notice(app_->Add(name, value, shown, doc), given);
}

void ArgumentParser::RequiredText(const char* name, std::string* value, const char* shown,
                                  const std::string& doc) {
  app_->Add(name, value, shown, doc)->required();
}

void ArgumentParser::Texts(const char* name, std::vector<std::string>* values, const char* shown,
                           const std::string& doc) {
  app_->Add(name, values, shown, doc)->allow_extra_args(false);
}

void ArgumentParser::Number(const char* name, size_t* value, const char* shown,
                            const std::string& doc, size_t least, size_t most) {
  CLI::Option* option = app_->Add(name, value, shown, doc);
  if (least > 0 || most < SIZE_MAX) option->check(CLI::Range(least, most));
}

void ArgumentParser::Number(const char* name, int* value, const char* shown, const std::string& doc,
                            int least, int most) {
  app_->Add(name, value, shown, doc)->check(CLI::Range(least, most));
}

void ArgumentParser::Number(const char* name, double* value, const char* shown,
                            const std::string& doc, double least, double most, bool* given) {
  CLI::Option* option = app_->Add(name, value, shown, doc)->check(CLI::Range(least, most));
  App::Notice(option, given);
}

Result<bool> ArgumentParser::Parse(const Arguments& arguments) {
  CLI::App& app = app_->app;
  try {
    app.parse(Arguments(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    RETURN_IF_ERROR(PrintText(app.help()));
    return false;
  } catch (const CLI::ExtrasError&) {
    return Fail("{}", ExtrasMessage(app, app.remaining().at(0)));
  } catch (const CLI::ParseError& e) {
    // An unknown option is the likelier mistake than what is missing because of it.
    for (const std::string& extra : app.remaining())
      if (extra.size() > 1 && extra[0] == '-') return Fail("{}", ExtrasMessage(app, extra));
    const std::string message = e.what();
    const size_t most = message.find(": At Most 1 required");
    if (most != std::string::npos)
      return Fail("{}: is given more than once", message.substr(0, most));
    return Fail("{}", message);
  }
  return true;
}

}  // namespace vernier
