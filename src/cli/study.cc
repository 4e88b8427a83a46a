// vernier study: a whole experiment from one file.
#include <algorithm>
#include <filesystem>
#include <map>

#include "base/file.h"
#include "base/names.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "report/page.h"
#include "report/page_data.h"
#include "report/rule_effects.h"
#include "report/study_layers.h"
#include "report/study_report.h"
#include "report/table.h"
#include "study/describe.h"
#include "study/sample.h"

namespace vernier {
namespace {

struct StudyOptions {
  std::string path;
  std::vector<std::string> models;
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
  std::string folder = "out/" + stem(options.path);
  for (const std::string& model : options.models) folder += "-" + stem(model);
  return folder;
}

// The study of one of its models, from file to numbers.
struct ModelStudy {
  StudySpec spec;
  std::shared_ptr<Model> model;  // one for all parts that differ in constants alone
  RunOptions run;
  StudyData data;
};

void Foretell(const StudyOptions& options, const std::vector<StudyLane>& lanes) {
  for (const StudyLane& lane : lanes) {
    if (!IsForetold(lane) || lane.alone.whole >= 0) continue;
    for (size_t r = lane.own_rules; r < lane.plan.rules.size(); ++r) {
      const RuleEffect& e = lane.plan.rules[r];
      if (lane.plan.recipe.rules[r].part == Part::kWeight && e.counts.changed == 0)
        PrintRemark(options.output, fmt::format("variant '{}' is VACUOUS, foretold: {}: {}",
                                                lane.name, e.rule, WhyVacuous(e)));
    }
  }
}

// What the page needs beside the results.
struct PageParts {
  std::vector<OrderedJson> samples;
  std::string command;
};

// The page, and its document in the store, for `vernier report`.
Status WritePage(const StudyOptions& options, const std::vector<StudyPart>& parts,
                 const std::vector<JudgedClaim>& claims, const OrderedJson& results, Store& store,
                 PageParts page) {
  ASSIGN_OR_RETURN(const std::string file, ReadText(options.path));
  const OrderedJson document = PageDocument(
      {parts, &claims, &results, std::move(page.samples), std::move(page.command), file});
  const std::string text = document.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
  RETURN_IF_ERROR(store.PutValue(kPageKey, text));
  return WriteFileAtomically(OutputFolder(options) + "/report.html", PageHtml({text}));
}

Result<int> Finish(const StudyOptions& options, const std::vector<ModelStudy>& parts,
                   const std::vector<Expression>& claims, Store& store, PageParts page) {
  std::vector<StudiedModel> models;
  std::vector<StudyPart> reports;
  for (const ModelStudy& part : parts) {
    models.push_back({&part.spec, &part.data, &part.model->graph()});
    reports.push_back({&part.spec, part.model.get(), &part.data,
                       MakeStudyReport(part.spec, part.data, part.model->graph())});
  }
  const std::vector<JudgedClaim> judged = JudgeClaims(parts[0].spec.claims, claims, models);
  std::vector<ModelRecord> records;
  for (const ModelStudy& part : parts)
    records.push_back(DescribeModel(part.spec, *part.model, part.data));
  RETURN_IF_ERROR(store.Describe(DescribeStudy(parts[0].spec, judged), records));
  const OrderedJson json = StudyJson(reports, judged);
  const std::string folder = OutputFolder(options);
  RETURN_IF_ERROR(
      WriteFileAtomically(folder + "/results.json",
                          json.dump(1, ' ', false, OrderedJson::error_handler_t::replace) + "\n"));
  RETURN_IF_ERROR(WriteFileAtomically(folder + "/results.csv", StudyCsv(reports)));
  RETURN_IF_ERROR(WritePage(options, reports, judged, json, store, std::move(page)));
  const std::string tables = StudyTables(reports, judged);
  RETURN_IF_ERROR(WriteFileAtomically(folder + "/results.txt", tables));
  OutputOptions to_terminal = options.output;
  to_terminal.path.clear();
  if (options.output.json) {
    RETURN_IF_ERROR(EmitJson(to_terminal, json));
  } else {
    const Screen screen = ScreenOf(to_terminal);
    RETURN_IF_ERROR(EmitText(
        to_terminal,
        (screen.fit || screen.colour ? StudyTables(reports, judged, screen) : tables) +
            fmt::format("\nreport.html, results.json, results.csv and results.txt are in {}\n",
                        folder)));
  }
  for (const JudgedClaim& claim : judged)
    if (claim.required && claim.verdict != Verdict::kSupported) return kAnswerIsNo;
  for (const StudyPart& part : reports)
    for (const VariantReport& v : part.report.variants)
      if (options.strict && v.vacuous && !IsLayerAlone(*part.data, v.lane)) return kAnswerIsNo;
  return kDone;
}

// Opens the models and expands the sweeps.
Result<std::vector<ModelStudy>> OpenParts(const StudyOptions& options) {
  ASSIGN_OR_RETURN(const StudySpec spec, ReadStudy(options.path, options.models));
  std::vector<ModelStudy> parts;
  std::map<std::string, std::pair<std::shared_ptr<Model>, Recipe>> known;  // by path
  for (StudySpec& of_model : SplitByModel(spec)) {
    ModelStudy part;
    part.spec = std::move(of_model);
    auto found = known.find(part.spec.model);
    if (found == known.end()) {
      ASSIGN_OR_RETURN(OpenedModel opened, OpenModel(part.spec.model, options.threads));
      found =
          known
              .emplace(part.spec.model, std::pair(std::shared_ptr<Model>(std::move(opened.model)),
                                                  std::move(opened.recipe)))
              .first;
    }
    part.model = found->second.first;
    const Recipe& recipe = found->second.second;
    // MODEL@RECIPE: the recipe is the baseline's beginning.
    std::vector<std::string>& baseline = part.spec.baseline;
    for (size_t r = 0; r < recipe.rules.size(); ++r)
      baseline.insert(baseline.begin() + static_cast<std::ptrdiff_t>(r), recipe.rules[r].text);
    RETURN_IF_ERROR(ExpandSweeps(&part.spec, part.model->graph().layers));
    parts.push_back(std::move(part));
  }
  return parts;
}

// Claims are checked and inputs read for every model before anything runs.
Result<std::vector<Expression>> Prepare(const StudyOptions& options,
                                        std::vector<ModelStudy>* parts) {
  std::vector<StudySpec> specs;
  for (const ModelStudy& part : *parts) specs.push_back(part.spec);
  std::vector<Expression> claims;
  for (const StudyClaim& claim : specs[0].claims) {
    ASSIGN_OR_RETURN(Expression parsed, ParseClaim(claim.expression, specs));
    for (ModelStudy& part : *parts) CollectNeeds(parsed, part.spec, &part.run);
    claims.push_back(std::move(parsed));
  }
  for (ModelStudy& part : *parts) {
    part.run.memory_budget = options.memory_mb << 20;
    ASSIGN_OR_RETURN(std::vector<StudyLane> lanes, MakeLanes(part.spec, *part.model));
    ASSIGN_OR_RETURN(part.data, ReadInputs(part.spec, *part.model, std::move(lanes), part.run));
    Foretell(options, part.data.lanes);
    const auto reader =
        std::find_if(part.data.lanes.begin(), part.data.lanes.end(),
                     [](const StudyLane& lane) { return ReadsScales(lane.plan.recipe); });
    if (reader != part.data.lanes.end())
      RemarkScalesOfOther(reader->plan.recipe, *part.model, options.output);
  }
  const auto reads_scales = [](const ModelStudy& part) {
    return std::any_of(part.data.lanes.begin(), part.data.lanes.end(),
                       [](const StudyLane& lane) { return ReadsScales(lane.plan.recipe); });
  };
  if (!specs[0].scales.empty() && std::none_of(parts->begin(), parts->end(), reads_scales))
    return Fail("{}: 'scales': no rule has scale=static, which would read {}", options.path,
                specs[0].scales);
  return claims;
}

}  // namespace

Result<int> RunStudyVerb(const Arguments& arguments) {
  ArgumentParser parser("A whole experiment from one file: variants, measures, claims",
                        "vernier study");
  StudyOptions options;
  parser.Positional("FILE.toml", &options.path, "The study");
  parser.Texts("--model", &options.models, "MODEL",
               "Run it on this model instead; NAME=MODEL where the study has several");
  parser.Number("--memory", &options.memory_mb, "MB", "Megabytes that evaluation may take, about");
  parser.Flag("--strict", &options.strict, "Vacuous variants give exit status 1");
  parser.Takes("FILE.toml", FilesNamed({"toml"}));
  AddThreadsOption(&parser, &options.threads);
  AddOutputOptions(&parser, &options.output);
  ASSIGN_OR_RETURN(const bool go, parser.Parse(arguments));
  if (!go) return kDone;

  ProgressLine progress(options.output.quiet, "reading models and texts");
  ASSIGN_OR_RETURN(std::vector<ModelStudy> parts, OpenParts(options));
  ASSIGN_OR_RETURN(const std::vector<Expression> claims, Prepare(options, &parts));
  ASSIGN_OR_RETURN(const std::unique_ptr<Store> store, Store::Open(OutputFolder(options)));
  RETURN_IF_ERROR(store->BeginRun(DescribeRun(*parts[0].model)));
  RETURN_IF_ERROR(store->PutValue(kPageKey, ""));  // not finished
  PageParts page{{}, fmt::format("vernier study {}", fmt::join(arguments, " "))};
  const InterruptGuard guard;
  const ProgressSink draw = progress.Sink();
  for (ModelStudy& part : parts) {
    part.run.progress = [&](const Progress& p) {
      return draw(p) && !InterruptGuard::interrupted();
    };
    ASSIGN_OR_RETURN(part.data,
                     RunStudy(part.spec, *part.model, std::move(part.data), *store, part.run));
    if (part.data.complete) {
      ASSIGN_OR_RETURN(auto sample, SampleStudy(*part.model, part.data, *store, part.run));
      part.data.complete = sample.has_value();
      page.samples.push_back(std::move(sample).value_or(OrderedJson()));
    }
    progress.Clear();
    if (part.data.complete) continue;
    RETURN_IF_ERROR(store->EndRun(false));
    PrintErrorLine(fmt::format(
        "interrupted; what is done is kept in {}, and the same command goes on from there",
        OutputFolder(options)));
    return kInterrupted;
  }
  ASSIGN_OR_RETURN(const int status, Finish(options, parts, claims, *store, std::move(page)));
  RETURN_IF_ERROR(store->EndRun(true));
  return status;
}

}  // namespace vernier
