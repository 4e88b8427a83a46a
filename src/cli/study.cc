// vernier study: a whole experiment from one file.
#include <filesystem>

#include "base/file.h"
#include "base/names.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "report/study_report.h"
#include "report/table.h"

namespace vernier {
namespace {

struct StudyOptions {
  std::string path, model;
  OutputOptions output;
  int threads = 0;
  bool strict = false;
  uint64_t memory_mb = 2048;
};

// A folder of its own for each model the study is run on: costs add up by folder.
std::string OutputFolder(const StudyOptions& options) {
  if (!options.output.path.empty()) return options.output.path;
  const auto stem = [](const std::string& path) {
    return std::filesystem::path(path).stem().string();
  };
  return "out/" + stem(options.path) + (options.model.empty() ? "" : "-" + stem(options.model));
}

void Foretell(const StudyOptions& options, const std::vector<StudyLane>& lanes) {
  for (const StudyLane& lane : lanes) {
    if (!IsForetold(lane)) continue;
    for (size_t r = lane.own_rules; r < lane.plan.rules.size(); ++r) {
      const RuleEffect& e = lane.plan.rules[r];
      if (lane.plan.recipe.rules[r].part != Part::kWeight || e.counts.changed > 0) continue;
      PrintRemark(options.output,
                  fmt::format("variant '{}' is VACUOUS, foretold: {} leaves all {} elements of {} "
                              "weights as they are",
                              lane.name, e.rule, CountText(e.counts.touched), e.sites.size()));
    }
  }
}

Result<int> Finish(const StudyOptions& options, const StudySpec& spec, Model& model,
                   const StudyData& data, const std::vector<Expression>& claims) {
  const std::vector<JudgedClaim> judged = JudgeClaims(spec, claims, data, model.graph());
  const StudyReport report = MakeStudyReport(spec, data);
  const OrderedJson json = StudyJson(spec, model, data, report, judged);
  const std::string folder = OutputFolder(options);
  RETURN_IF_ERROR(
      WriteFileAtomically(folder + "/results.json",
                          json.dump(1, ' ', false, OrderedJson::error_handler_t::replace) + "\n"));
  RETURN_IF_ERROR(WriteFileAtomically(folder + "/results.csv", StudyCsv(spec, report)));
  const std::string tables = StudyTables(spec, data, report, judged);
  RETURN_IF_ERROR(WriteFileAtomically(folder + "/results.txt", tables));
  OutputOptions to_terminal = options.output;
  to_terminal.path.clear();
  if (options.output.json) {
    RETURN_IF_ERROR(EmitJson(to_terminal, json));
  } else {
    RETURN_IF_ERROR(Emit(
        to_terminal,
        tables + fmt::format("\nresults.json, results.csv and results.txt are in {}\n", folder)));
  }
  for (const JudgedClaim& claim : judged)
    if (claim.required && claim.verdict != Verdict::kSupported) return kAnswerIsNo;
  for (const VariantReport& v : report.variants)
    if (options.strict && v.vacuous) return kAnswerIsNo;
  return kDone;
}

}  // namespace

Result<int> RunStudyVerb(const Arguments& arguments) {
  ArgumentParser parser("A whole experiment from one file: variants, measures, claims",
                        "vernier study");
  StudyOptions options;
  parser.Positional("FILE.toml", &options.path, "The study");
  parser.Text("--model", &options.model, "MODEL", "Run it on this model instead");
  parser.Number("--memory", &options.memory_mb, "MB", "Megabytes that evaluation may take, about");
  parser.Flag("--strict", &options.strict, "Vacuous variants give exit status 1");
  AddThreadsOption(&parser, &options.threads);
  AddOutputOptions(&parser, &options.output);
  ASSIGN_OR_RETURN(const bool go, parser.Parse(arguments));
  if (!go) return kDone;

  ASSIGN_OR_RETURN(StudySpec spec, ReadStudy(options.path, options.model));
  ASSIGN_OR_RETURN(OpenedModel opened, OpenModel(spec.model, options.threads));
  if (!opened.recipe.rules.empty()) {  // MODEL@RECIPE: the recipe is the baseline's beginning
    std::vector<std::string> rules;
    for (const Rule& rule : opened.recipe.rules) rules.push_back(rule.text);
    spec.baseline.insert(spec.baseline.begin(), rules.begin(), rules.end());
  }
  RETURN_IF_ERROR(ExpandSweeps(&spec, opened.model->graph().layers));
  std::vector<Expression> claims;
  RunOptions run;
  run.memory_budget = options.memory_mb << 20;
  for (const StudyClaim& claim : spec.claims) {
    ASSIGN_OR_RETURN(Expression parsed, ParseClaim(claim.expression, spec));
    CollectNeeds(parsed, &run);
    claims.push_back(std::move(parsed));
  }
  ASSIGN_OR_RETURN(std::vector<StudyLane> lanes, MakeLanes(spec, *opened.model));
  ASSIGN_OR_RETURN(StudyData inputs, ReadInputs(spec, *opened.model, std::move(lanes), run));
  Foretell(options, inputs.lanes);
  ASSIGN_OR_RETURN(const std::unique_ptr<Store> store, Store::Open(OutputFolder(options)));
  const InterruptGuard guard;
  ProgressLine progress(options.output.quiet);
  const ProgressSink draw = progress.Sink();
  run.progress = [&](const Progress& p) { return draw(p) && !InterruptGuard::interrupted(); };
  ASSIGN_OR_RETURN(const StudyData data,
                   RunStudy(spec, *opened.model, std::move(inputs), *store, run));
  progress.Clear();
  if (!data.complete) {
    PrintErrorLine(fmt::format(
        "interrupted; what is done is kept in {}, and the same command goes on from there",
        OutputFolder(options)));
    return kInterrupted;
  }
  return Finish(options, spec, *opened.model, data, claims);
}

}  // namespace vernier
