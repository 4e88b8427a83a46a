// Scripts that complete the command line in bash and zsh, from what the verbs' parsers say.
#include <fmt/format.h>

#include <map>

#include "cli/help.h"

namespace vernier {
namespace {

using Kind = ValueDoc::Kind;

std::string Joined(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, " "));
}

std::string Quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string VerbNames() {
  std::vector<std::string> names;
  for (const Verb& verb : Verbs()) names.emplace_back(verb.name);
  return Joined(names);
}

std::string SubjectNames(const Verb& verb) {
  std::vector<std::string> names;
  for (const Verb& subject : verb.subjects()) names.emplace_back(subject.name);
  return Joined(names);
}

// --- bash

// What completes a value: a call of one of the functions below.
std::string BashAction(const ValueDoc& value) {
  switch (value.kind) {
    case Kind::kAny:
      return ":";
    case Kind::kFile:
      return "_vernier_files " + Joined(value.words);
    case Kind::kModel:
      return "_vernier_files gguf " + Joined(value.words);
    case Kind::kWords:
      return "_vernier_words " + Joined(value.words);
    case Kind::kList:
      return "_vernier_list " + Joined(value.words);
    case Kind::kRule:
      return "_vernier_rule " + Joined(value.words);
    case Kind::kVerb:
      return "_vernier_words " + VerbNames();
  }
  return ":";
}

constexpr const char* kBashHead =
    R"(# Completion of vernier for bash. Written by: vernier help --completion bash
# The word under the cursor is $cur, as it was typed; each function sets COMPREPLY to what may stand there.
# Words; types are known in small letters, too.
_vernier_words() {
  mapfile -t COMPREPLY < <(compgen -W "$*" -- "$cur")
  if ((${#COMPREPLY[@]} == 0)); then mapfile -t COMPREPLY < <(compgen -W "${*,,}" -- "$cur"); fi
}
# Some words, separated by commas.
_vernier_list() {
  local before=
  if [[ $cur == *,* ]]; then before=${cur%,*},; fi
  mapfile -t COMPREPLY < <(compgen -P "$before" -W "$*" -- "${cur##*,}")
  compopt -o nospace 2>/dev/null
}
# SITE=FORMAT: sites depend on the model, formats do not.
_vernier_rule() {
  if [[ $cur != *=* || $cur == *,* ]]; then return; fi
  mapfile -t COMPREPLY < <(compgen -P "${cur%%=*}=" -W "$*" -- "${cur#*=}")
}
# Folders, and files with one of the endings.
_vernier_files() {
  local ending
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(
    compgen -d -- "$cur"
    if (($# == 0)); then compgen -f -- "$cur"; fi
    for ending; do compgen -f -X "!*.$ending" -- "$cur"; done
  )
}
)";

constexpr const char* kBashTail = R"(
_vernier() {
  # Words as they are typed: COMP_WORDS is cut at every = and : as well.
  local line=${COMP_LINE:0:COMP_POINT} cur previous command= options= taking= arguments=0 i
  local quote= before=
  local -a words
  COMPREPLY=()
  read -ra words <<<"$line"
  if [[ $line == *[[:space:]] ]]; then words+=(''); fi
  local last=$((${#words[@]} - 1))
  if ((last < 1)); then return; fi
  cur=${words[last]} previous=${words[last - 1]}
  if [[ $cur == [\'\"]* ]]; then quote=${cur:0:1} cur=${cur:1}; fi
  local typed=$cur
  if [[ $cur == --*=* ]]; then previous=${cur%%=*} before=$previous= cur=${cur#*=}; fi

  for ((i = 1; i < last; ++i)); do
    if [[ ${words[i]} == --color ]]; then
      ((++i))
    elif [[ ${words[i]} != -* ]]; then
      command=${words[i]}
      break
    fi
  done
  if [[ -z $command ]]; then
    if [[ $previous == --color ]]; then
      _vernier_words auto always never
    elif [[ $cur == -* ]]; then
      _vernier_words --help --version --color
    else
      _vernier_verbs
    fi
  else
    if ((i + 1 < last)) && _vernier_is_subject "$command" "${words[i + 1]}"; then
      command+=" ${words[++i]}"
    fi
    _vernier_options
    for ((++i; i < last; ++i)); do
      if [[ $taking == *" ${words[i]} "* ]]; then
        ((++i))
      elif [[ ${words[i]} != -* ]]; then
        ((++arguments))
      fi
    done
    if [[ $taking == *" $previous "* ]]; then
      _vernier_value
    elif [[ $cur == -* ]]; then
      # shellcheck disable=SC2086
      _vernier_words $options
    else
      _vernier_argument
    fi
  fi

  # Replies are whole values; readline replaces the part after its last break alone.
  if [[ -n $before ]]; then COMPREPLY=("${COMPREPLY[@]/#/$before}"); fi
  if [[ -z $quote && $typed != "$2" ]]; then
    local kept=${typed%"$2"}
    COMPREPLY=("${COMPREPLY[@]#"$kept"}")
  fi
}
complete -F _vernier vernier
)";

// case "$command $previous": the options with the same action share a line.
std::string BashCases(const std::vector<Command>& commands, bool arguments) {
  std::map<std::string, std::string> patterns;  // by action
  for (const Command& command : commands) {
    size_t position = 0;
    for (const OptionDoc& option : command.doc.options) {
      if (option.argument != arguments) continue;
      if (!option.argument && option.shown.empty()) continue;
      const std::string action = BashAction(option.value);
      std::string pattern =
          Quoted(command.Name() + " " + (arguments ? std::to_string(position) : option.name));
      if (arguments && option.repeated) pattern = Quoted(command.Name() + " ") + "*";
      ++position;
      if (action == ":") continue;
      std::string& all = patterns[action];
      all += (all.empty() ? "" : " | ") + pattern;
    }
  }
  std::string text;
  for (const auto& [action, pattern] : patterns)
    text += fmt::format("    {}) {} ;;\n", pattern, action);
  return text;
}

std::string BashOptions(const std::vector<Command>& commands) {
  std::string text;
  for (const Command& command : commands) {
    std::vector<std::string> options = {"--help"}, taking;
    for (const OptionDoc& option : command.doc.options) {
      if (option.argument) continue;
      options.push_back(option.name);
      if (!option.shown.empty()) taking.push_back(option.name);
    }
    text += fmt::format("    {}) options={} taking={} ;;\n", Quoted(command.Name()),
                        Quoted(Joined(options)), Quoted(" " + Joined(taking) + " "));
  }
  return text;
}

// --- zsh

// Of a specification of _arguments: brackets and colons have a meaning there.
std::string ZshEscaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string ZshFiles(const std::vector<std::string>& endings) {
  if (endings.empty()) return "_files";
  // One pattern in parentheses would be qualifiers of a glob.
  if (endings.size() == 1) return fmt::format("_files -g \"*.{}\"", endings[0]);
  return fmt::format("_files -g \"*.({})\"", fmt::join(endings, "|"));
}

std::string ZshAction(const ValueDoc& value) {
  switch (value.kind) {
    case Kind::kAny:
      return " ";
    case Kind::kFile:
      return ZshFiles(value.words);
    case Kind::kModel: {
      std::vector<std::string> endings = {"gguf"};
      endings.insert(endings.end(), value.words.begin(), value.words.end());
      return ZshFiles(endings);
    }
    case Kind::kWords:
      return "(" + Joined(value.words) + ")";
    case Kind::kList:
      return "_sequence compadd - " + Joined(value.words);
    case Kind::kRule:
      return " _vernier_rule " + Joined(value.words);  // the space: called with these alone
    case Kind::kVerb:
      return "(" + VerbNames() + ")";
  }
  return " ";
}

std::string ZshSpec(const OptionDoc& option) {
  const std::string action = ZshAction(option.value);
  if (option.argument)
    return fmt::format("{}{}{}:{}",
                       option.repeated   ? "*:"
                       : option.required ? ":"
                                         : "::",
                       ZshEscaped(option.name), "", action);
  std::string spec = option.repeated ? "*" : "";
  spec += option.name;
  if (option.shown.empty()) return fmt::format("{}[{}]", spec, ZshEscaped(option.doc));
  if (option.name.starts_with("--")) spec += "=";
  return fmt::format("{}[{}]:{}:{}", spec, ZshEscaped(option.doc), ZshEscaped(option.shown),
                     action);
}

std::string ZshArguments(const CommandDoc& doc, const std::string& indent) {
  std::string text = indent + "_arguments -s \\\n";
  text += indent + "  '(- *)'{-h,--help}'[Options, and what they mean]'";
  for (const OptionDoc& option : doc.options)
    text += " \\\n" + indent + "  " + Quoted(ZshSpec(option));
  return text + "\n";
}

// "name:what it does" of each, as _describe takes them.
std::string ZshDescriptions(std::span<const Verb> verbs) {
  std::string text;
  for (const Verb& verb : verbs)
    text += fmt::format("    {}\n", Quoted(ZshEscaped(verb.name) + ":" + verb.doc));
  return text;
}

}  // namespace

std::string BashCompletion() {
  const std::vector<Command> commands = Commands();
  std::string subjects;
  for (const Verb& verb : Verbs())
    if (verb.subjects != nullptr)
      for (const Verb& subject : verb.subjects())
        subjects +=
            (subjects.empty() ? "" : " | ") + Quoted(std::string(verb.name) + " " + subject.name);
  std::string text = kBashHead;
  text += fmt::format("_vernier_verbs() {{\n  _vernier_words {}\n}}\n", VerbNames());
  text += fmt::format(
      "_vernier_is_subject() {{\n  case \"$1 $2\" in\n    {}) ;;\n    *) return 1 ;;\n  esac\n}}\n",
      subjects);
  text += "_vernier_options() {\n  case $command in\n" + BashOptions(commands) + "  esac\n}\n";
  text += "_vernier_value() {\n  case \"$command $previous\" in\n" + BashCases(commands, false) +
          "  esac\n}\n";
  text += "_vernier_argument() {\n  case \"$command $arguments\" in\n";
  for (const Verb& verb : Verbs())
    if (verb.subjects != nullptr)
      text += fmt::format("    {}) _vernier_words {} ;;\n", Quoted(std::string(verb.name) + " 0"),
                          SubjectNames(verb));
  text += BashCases(commands, true) + "  esac\n}\n";
  return text + kBashTail;
}

std::string ZshCompletion() {
  std::string text =
      "#compdef vernier\n# Completion of vernier for zsh. Written by: vernier help --completion "
      "zsh\n\n"
      "# SITE=FORMAT: sites depend on the model, formats do not.\n"
      "_vernier_rule() {\n  compset -P '*=' && compadd -- \"$@\"\n}\n\n"
      "_vernier() {\n"
      "  local curcontext=$curcontext state line\n"
      "  local -A opt_args\n"
      "  local -a verbs=(\n" +
      ZshDescriptions(Verbs()) +
      "  )\n"
      "  _arguments -C '(- *)--version[Version, and how it was built]' \\\n"
      "    '--color=[Colours]:WHEN:(auto always never)' \\\n"
      "    '1:verb:->verb' '*::argument:->rest'\n"
      "  case $state in\n"
      "    verb) _describe verb verbs ;;\n"
      "    rest)\n"
      "      case $words[1] in\n";
  for (const Verb& verb : Verbs()) {
    text += fmt::format("        {})\n", verb.name);
    if (verb.subjects == nullptr) {
      text += ZshArguments(Describe(verb).doc, "          ");
    } else {
      text += fmt::format("          local -a subjects=(\n{}          )\n",
                          ZshDescriptions(verb.subjects()));
      text +=
          "          _arguments -C '1:subject:->subject' '*::argument:->rest'\n"
          "          case $state in\n"
          "            subject) _describe subject subjects ;;\n"
          "            rest)\n"
          "              case $words[1] in\n";
      for (const Verb& subject : verb.subjects())
        text += fmt::format("                {})\n{}                  ;;\n", subject.name,
                            ZshArguments(Describe(verb, &subject).doc, "                  "));
      text += "              esac\n              ;;\n          esac\n";
    }
    text += "          ;;\n";
  }
  return text +
         "      esac\n      ;;\n  esac\n}\n\n"
         "if [[ $zsh_eval_context[-1] == loadautofunc ]]; then\n  _vernier \"$@\"\n"
         "else\n  compdef _vernier vernier\nfi\n";
}

}  // namespace vernier
