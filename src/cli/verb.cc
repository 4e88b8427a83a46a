#include "cli/verb.h"

#include <algorithm>
#include <cstdio>

#include "base/names.h"
#include "cli/output.h"
#include "report/table.h"

namespace vernier {
namespace {

constexpr Verb kVerbs[] = {
    {"inspect", "MODEL", "metadata, tensors, and how much of them each format holds exactly",
     RunInspect},
    {"formats", "[NAME...] [--at X,...]", "what a format can hold, and what it makes of a number",
     RunFormats},
    {"sites", "MODEL", "every point of the network that rules and probes can name", RunSites},
    {"tokenize", "MODEL -p TEXT", "token ids of a text", RunTokenize},
    {"run", "MODEL -p TEXT -n N", "goes on with a text, greedily unless asked otherwise", RunRun},
    {"probe", "MODEL|CAPTURE -p TEXT", "statistics of the values at every site", RunProbe},
    {"compare", "A [B] -p TEXT", "logits, tokens and sites of two runs or captures", RunCompare},
    {"eval", "MODEL -f TEXT", "perplexity, and KL divergence against another model", RunEval},
    {"calibrate", "MODEL -f TEXT -o FILE", "scales of sites from texts, for scale=static",
     RunCalibrate},
    {"study", "FILE.toml", "a whole experiment: variants, measures, claims", RunStudyVerb},
    {"query", "DIR [SQL]", "asks a study's store in SQL, reading only", RunQuery},
    {"quantize", "IN OUT --type T", "writes a model as a GGUF file of another type", RunQuantize},
    {"bench", "SUBJECT", "speed of this machine", RunBench},
};

std::string Help() {
  Table table{{{"", Align::kLeft}, {"verb", Align::kLeft}, {"", Align::kLeft}}, {}};
  for (const Verb& verb : Verbs())
    table.rows.push_back({"", fmt::format("{} {}", verb.name, verb.usage), verb.doc});
  return "vernier: a numerical-precision laboratory for LLM inference\n\n" +
         FormatTable(table, 120) +
         "\nMODEL is a .gguf file or a Hugging Face folder; MODEL@FILE adds a recipe file.\n"
         "vernier help VERB, or vernier VERB --help, lists a verb's options.\n"
         "Exit status: 0 done; 1 done, and the answer is no; 2 bad input or usage; 3 a defect of "
         "Vernier.\n";
}

Result<int> Dispatch(const Arguments& arguments, const char* version) {
  const std::string first = arguments.empty() ? "--help" : arguments[0];
  if (first == "--version") {
    RETURN_IF_ERROR(PrintText(fmt::format("vernier {}\n", version)));
    return kDone;
  }
  const bool help = first == "help" || first == "--help" || first == "-h";
  if (help && arguments.size() < 2) {
    RETURN_IF_ERROR(PrintText(Help()));
    return kDone;
  }
  const std::string& name = help ? arguments[1] : first;
  const Verb* verb = FindVerb(name);
  if (verb == nullptr) {
    std::vector<std::string> names;
    for (const Verb& v : Verbs()) names.emplace_back(v.name);
    names.emplace_back("help");
    return Fail(
        "unknown verb '{}'{}", name,
        NearestName(name, names).empty() ? "; vernier --help lists them" : DidYouMean(name, names));
  }
  auto status =
      verb->run(help ? Arguments{"--help"} : Arguments(arguments.begin() + 1, arguments.end()));
  if (!status) return Fail("{}: {}", name, status.error().message);
  return status;
}

}  // namespace

std::span<const Verb> Verbs() { return kVerbs; }

const Verb* FindVerb(const std::string& name) {
  const auto found = std::find_if(std::begin(kVerbs), std::end(kVerbs),
                                  [&](const Verb& verb) { return verb.name == name; });
  return found == std::end(kVerbs) ? nullptr : found;
}

int RunCommandLine(const Arguments& arguments, const char* version) {
  const Result<int> status = Dispatch(arguments, version);
  if (status) return *status;
  PrintErrorLine(status.error().message);
  return kBadInput;
}

}  // namespace vernier
