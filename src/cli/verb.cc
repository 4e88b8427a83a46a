#include "cli/verb.h"

#include <algorithm>

#include "base/names.h"
#include "cli/help.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/version.h"

namespace vernier {
namespace {

constexpr const char *kLook = "Look at a model", *kRun = "Run it",
                     *kStudy = "Find out what matters", *kMake = "Make files",
                     *kOther = "This machine, this program";

constexpr Verb kVerbs[] = {
    {"inspect", "MODEL", "metadata, tensors, and how much of them each format holds exactly",
     RunInspect, kLook},
    {"sites", "MODEL", "every point of the network that rules and probes can name", RunSites,
     kLook},
    {"tokenize", "MODEL -p TEXT", "token ids of a text", RunTokenize, kLook},
    {"formats", "[NAME...] [--at X,...]", "what a format can hold, and what it makes of a number",
     RunFormats, kLook},
    {"run", "MODEL -p TEXT -n N", "goes on with a text, greedily unless asked otherwise", RunRun,
     kRun},
    {"probe", "MODEL|CAPTURE -p TEXT", "statistics of the values at every site", RunProbe, kRun},
    {"compare", "A [B] -p TEXT", "logits, tokens and sites of two runs or captures", RunCompare,
     kRun},
    {"eval", "MODEL -f TEXT", "perplexity, and KL divergence against another model", RunEval, kRun},
    {"study", "FILE.toml", "a whole experiment: variants, measures, claims", RunStudyVerb, kStudy},
    {"query", "DIR [SQL]", "asks a study's store in SQL, reading only", RunQuery, kStudy},
    {"report", "DIR... -o FILE.html", "the page of studies that are done, side by side", RunReport,
     kStudy},
    {"calibrate", "MODEL -f TEXT -o FILE", "scales of sites from texts, for scale=static",
     RunCalibrate, kMake},
    {"quantize", "IN OUT --type T", "writes a model as a GGUF file of another type", RunQuantize,
     kMake},
    {"bench", "SUBJECT", "speed of this machine", RunBench, kOther, BenchSubjects},
    {"help", "[VERB]", "this list, or what a verb does, with examples", RunHelp, kOther},
};

// What is asked of `vernier help`.
struct HelpOptions {
  std::string verb, subject, shell;
  bool man = false;
  OutputOptions output;
};

Result<std::string> PageOf(const HelpOptions& o, const Screen& screen) {
  const Verb* verb = FindVerb(o.verb);
  if (verb == nullptr) {
    std::vector<std::string> names;
    for (const Verb& v : Verbs()) names.emplace_back(v.name);
    return Fail("unknown verb '{}'{}", o.verb, DidYouMean(o.verb, names));
  }
  const Verb* subject = nullptr;
  if (!o.subject.empty()) {
    if (verb->subjects == nullptr) return Fail("'{}' has no subjects", o.verb);
    subject = FindSubject(*verb, o.subject);
    std::vector<std::string> names;
    for (const Verb& s : verb->subjects()) names.emplace_back(s.name);
    if (subject == nullptr)
      return Fail("unknown subject '{}' of '{}'{}; known are {}", o.subject, o.verb,
                  DidYouMean(o.subject, names), fmt::join(names, ", "));
  }
  return HelpPage(Describe(*verb, subject), screen);
}

Result<std::string> HelpText(const HelpOptions& o) {
  if (o.man) return ManPage(Version());
  if (o.shell == "bash") return BashCompletion();
  if (o.shell == "zsh") return ZshCompletion();
  const Screen screen = HelpScreen(o.output.colour);
  if (!o.verb.empty()) return PageOf(o, screen);
  return VerbList(screen);
}

// Options in front of the verb are options of the verb: `vernier --color never help`.
Result<int> Dispatch(const Arguments& arguments) {
  size_t at = 0;
  Arguments rest;
  while (at < arguments.size() && arguments[at].starts_with("--color")) {
    const bool apart = arguments[at] == "--color" && at + 1 < arguments.size();
    rest.push_back(arguments[at++]);
    if (apart) rest.push_back(arguments[at++]);
  }
  std::string name = at < arguments.size() ? arguments[at++] : "help";
  if (name == "--help" || name == "-h") name = "help";
  rest.insert(rest.begin(), arguments.begin() + static_cast<std::ptrdiff_t>(at), arguments.end());
  if (name == "--version") {
    RETURN_IF_ERROR(PrintText(BuildFacts()));
    return kDone;
  }
  const Verb* verb = FindVerb(name);
  if (verb == nullptr) {
    std::vector<std::string> names;
    for (const Verb& v : Verbs()) names.emplace_back(v.name);
    return Fail(
        "unknown verb '{}'{}", name,
        NearestName(name, names).empty() ? "; vernier --help lists them" : DidYouMean(name, names));
  }
  auto status = verb->run(rest);
  if (!status) return Fail("{}: {}", name, status.error().message);
  return status;
}

const Verb* Find(std::span<const Verb> verbs, const std::string& name) {
  const auto found =
      std::find_if(verbs.begin(), verbs.end(), [&](const Verb& verb) { return verb.name == name; });
  return found == verbs.end() ? nullptr : &*found;
}

}  // namespace

std::span<const Verb> Verbs() { return kVerbs; }
const Verb* FindVerb(const std::string& name) { return Find(kVerbs, name); }
const Verb* FindSubject(const Verb& verb, const std::string& name) {
  return Find(verb.subjects(), name);
}

std::string Command::Name() const {
  return subject == nullptr ? verb->name : fmt::format("{} {}", verb->name, subject->name);
}

Command Describe(const Verb& verb, const Verb* subject) {
  Command command{&verb, subject, {}};
  if (subject == nullptr && verb.subjects != nullptr) {
    command.doc.program = fmt::format("vernier {} SUBJECT [OPTIONS]", verb.name);
    command.doc.doc = verb.doc;
    return command;
  }
  Arguments ask;
  ask.description = &command.doc;
  // It runs nothing: the parser of the verb sees who asks.
  (void)(subject != nullptr ? subject->run(ask) : verb.run(ask));
  return command;
}

std::vector<Command> Commands() {
  std::vector<Command> commands;
  for (const Verb& verb : Verbs()) {
    commands.push_back(Describe(verb));
    if (verb.subjects == nullptr) continue;
    for (const Verb& subject : verb.subjects()) commands.push_back(Describe(verb, &subject));
  }
  return commands;
}

Result<int> RunHelp(const Arguments& arguments) {
  static constexpr const char* kShells[] = {"bash", "zsh"};
  HelpOptions o;
  ArgumentParser parser("The verbs, or what one of them does, with examples", "vernier help");
  parser.Positional("VERB", &o.verb, "A verb", false);
  parser.Positional("SUBJECT", &o.subject, "A subject of it, as in: bench formats", false);
  parser.Flag("--man", &o.man, "The manual page of all verbs, for man(1)");
  parser.Choice(
      "--completion", kShells, [&](size_t i) { o.shell = kShells[i]; }, "SHELL",
      "A script that completes the command line, in bash or in zsh");
  parser.Choice(
      "--color", kColourNames, [&](size_t i) { o.output.colour = static_cast<ColourWhen>(i); },
      "WHEN", "Colours: auto (on a terminal, without NO_COLOR), always, never");
  parser.Takes("VERB", {ValueDoc::Kind::kVerb, {}});
  std::vector<std::string> subjects;
  for (const Verb& verb : Verbs())
    if (verb.subjects != nullptr)
      for (const Verb& subject : verb.subjects()) subjects.emplace_back(subject.name);
  parser.Takes("SUBJECT", WordsOf(std::move(subjects)));
  ASSIGN_OR_RETURN(const bool go, parser.Parse(arguments));
  if (!go) return kDone;
  ASSIGN_OR_RETURN(const std::string text, HelpText(o));
  RETURN_IF_ERROR(PrintText(text));
  return kDone;
}

int RunCommandLine(const Arguments& arguments) {
  const Result<int> status = Dispatch(arguments);
  if (status) return *status;
  PrintErrorLine(status.error().message, ColourAmong(arguments));
  return kBadInput;
}

}  // namespace vernier
