#include "cli/parser.h"

#include <CLI/CLI.hpp>

#include "base/names.h"
#include "cli/help.h"
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
  App(const std::string& doc, const std::string& program) : app(doc, program) {
    description.program = program;
    description.doc = doc;
  }
  template <class T>
  CLI::Option* Add(const char* name, T* value, const char* shown, const std::string& doc) {
    Describe(name, shown, doc);
    return app.add_option(name, *value);
  }
  OptionDoc* Describe(const char* name, const char* shown, const std::string& doc) {
    OptionDoc option{name, shown, doc, group, name[0] != '-', false, false, {}};
    const std::string value = shown;
    using Kind = ValueDoc::Kind;
    if (value == "FILE") option.value.kind = Kind::kFile;
    if (value == "MODEL") option.value.kind = Kind::kModel;
    return &description.options.emplace_back(std::move(option));
  }
  OptionDoc& last() { return description.options.back(); }
  static void Notice(CLI::Option* option, bool* given) {
    if (given != nullptr) option->each([given](const std::string&) { *given = true; });
  }
  CLI::App app;
  CommandDoc description;
  std::string group;
};

ArgumentParser::ArgumentParser(const std::string& doc, const std::string& program)
    : app_(std::make_unique<App>(doc, program)) {}
ArgumentParser::~ArgumentParser() = default;

void ArgumentParser::Positional(const char* shown, std::string* value, const std::string& doc,
                                bool required) {
  CLI::Option* option = app_->Add(shown, value, shown, doc);
  if (required) option->required();
  app_->last().required = required;
}

void ArgumentParser::Positionals(const char* shown, std::vector<std::string>* values,
                                 const std::string& doc) {
  app_->Add(shown, values, shown, doc);
  app_->last().repeated = true;
}

void ArgumentParser::Flag(const char* name, bool* value, const std::string& doc) {
  app_->Describe(name, "", doc);
  app_->app.add_flag(name, *value);
}

void ArgumentParser::Text(const char* name, std::string* value, const char* shown,
                          const std::string& doc, bool* given) {
  App::Notice(app_->Add(name, value, shown, doc), given);
}

void ArgumentParser::RequiredText(const char* name, std::string* value, const char* shown,
                                  const std::string& doc) {
  app_->Add(name, value, shown, doc)->required();
  app_->last().required = true;
}

void ArgumentParser::Texts(const char* name, std::vector<std::string>* values, const char* shown,
                           const std::string& doc) {
  app_->Add(name, values, shown, doc)->allow_extra_args(false);
  app_->last().repeated = true;
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

void ArgumentParser::Choice(const char* name, std::span<const char* const> names,
                            const std::function<void(size_t)>& set, const char* shown,
                            const std::string& doc) {
  OptionDoc* option = app_->Describe(name, shown, doc);
  option->value = {ValueDoc::Kind::kWords, {names.begin(), names.end()}};
  app_->app.add_option_function<std::string>(
      name, [name, set, words = option->value.words](const std::string& value) {
        for (size_t i = 0; i < words.size(); ++i)
          if (value == words[i]) return set(i);
        throw CLI::ValidationError(
            name, fmt::format("expected {}, found '{}'", fmt::join(words, ", "), value));
      });
}

void ArgumentParser::Group(const std::string& title) { app_->group = title; }

void ArgumentParser::Takes(const char* name, ValueDoc value) {
  for (OptionDoc& option : app_->description.options)
    if (option.name == name) option.value = std::move(value);
}

Result<bool> ArgumentParser::Parse(const Arguments& arguments) {
  CLI::App& app = app_->app;
  if (arguments.description != nullptr) {
    *arguments.description = std::move(app_->description);
    return false;
  }
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    const Screen screen = HelpScreen(ColourAmong(arguments));
    RETURN_IF_ERROR(PrintText(ShortHelp(app_->description, screen)));
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
