// vernier probe: statistics of the values at every site, of a run or of a capture.
#include <algorithm>
#include <cmath>

#include "cli/options.h"
#include "cli/progress.h"
#include "cli/site_selection.h"
#include "measure/capture.h"
#include "measure/compare_runs.h"
#include "measure/site_statistics.h"
#include "report/rule_effects.h"
#include "report/table.h"

namespace vernier {
namespace {

struct ProbeOptions {
  std::string model, save;
  std::vector<std::string> sites;
  InputOptions input;
  RuleOptions rules;
  OutputOptions output;
  int threads = 0;
};

struct Probed {
  std::string model, hash;
  std::vector<int32_t> tokens;
  std::vector<SiteSummary> sites;
  std::vector<RuleEffect> effects;
};

SiteSummary Summarise(const Site& site, const RowsView& view, Workers* workers) {
  SiteSummary summary{site.Label(),
                      site.name,
                      site.layer,
                      view.rows.size(),
                      0,
                      false,
                      MeasureSite(view, workers),
                      0};
  for (const size_t width : view.widths) {
    summary.ragged = summary.ragged || width != view.widths[0];
    summary.width = std::max(summary.width, width);
  }
  return summary;
}

Result<bool> ParseProbe(const Arguments& arguments, ProbeOptions* o) {
  ArgumentParser parser("Statistics of the values at every site, over every token of a text",
                        "vernier probe");
  parser.Positional("MODEL", &o->model,
                    "Model, model@recipe file, or a capture (.safetensors, .npz)");
  parser.Texts("--site", &o->sites, "GLOB",
               "Only these sites, as in ffn_*[0:5]; may be given again");
  parser.Text("--save", &o->save, "FILE", "Save the values as a capture (.safetensors or .npz)");
  parser.Takes("MODEL", ModelsAnd({"safetensors", "npz"}));
  parser.Takes("--save", FilesNamed({"safetensors", "npz"}));
  AddInputOptions(&parser, &o->input);
  AddRuleOptions(&parser, &o->rules);
  AddThreadsOption(&parser, &o->threads);
  AddOutputOptions(&parser, &o->output);
  ASSIGN_OR_RETURN(const bool go, parser.Parse(arguments));
  if (go && !o->save.empty() && KindOfCapture(o->save) != CaptureKind::kTensors)
    return Fail("--save '{}': expected a name that ends in .safetensors or .npz", o->save);
  return go;
}

Result<Probed> ProbeCapture(const ProbeOptions& o) {
  const InputOptions& in = o.input;
  if (KindOfCapture(o.model) != CaptureKind::kTensors)
    return Fail("{}: expected a model, or a capture in .safetensors or .npz", o.model);
  if (in.has_text || !in.file.empty() || !in.tokens_file.empty() || o.rules.given() ||
      !o.rules.scales_file.empty() || in.context > 0 || !o.save.empty())
    return Fail("{}: a capture takes no text, rules, scales, -c or --save", o.model);
  ASSIGN_OR_RETURN(const Capture capture, LoadCapture(o.model));
  std::vector<Site> sites;
  for (const CapturedSite& site : capture.sites) sites.push_back({site.name, site.layer});
  ASSIGN_OR_RETURN(const SiteSelection selection, SelectSites(o.sites, sites));
  Probed out{capture.model, capture.hash, capture.tokens, {}, {}};
  for (size_t i = 0; i < sites.size(); ++i) {
    if (!selection.Contains(sites[i])) continue;
    const CapturedRows rows(capture.sites[i]);
    out.sites.push_back(Summarise(sites[i], rows.view(), nullptr));
  }
  return out;
}

Result<Probed> ProbeModel(const ProbeOptions& o) {
  ProgressLine progress(o.output.quiet, "reading the model");
  ASSIGN_OR_RETURN(OpenedModel opened, OpenModel(o.model, o.threads));
  Model& model = *opened.model;
  ASSIGN_OR_RETURN(std::vector<int32_t> read, ReadTokens(model, o.input));
  ASSIGN_OR_RETURN(const Recipe recipe, ReadRules(o.rules, opened.recipe));
  RemarkScalesOfOther(recipe, model, o.output);
  ASSIGN_OR_RETURN(const Plan plan, MakePlan(model, recipe, o.rules.seed));
  ASSIGN_OR_RETURN(const SiteSelection selection, SelectSites(o.sites, model.graph().sites));
  Probed out{o.model,
             model.hash(progress.Sink()).Hex(),
             CutTokens(std::move(read), o.input, o.output),
             {},
             {}};
  Capture capture{o.save,
                  o.model,
                  out.hash,
                  RecipeText(recipe),
                  out.tokens,
                  {},
                  RopeOrderOf(model.graph()),
                  WeightTypes(model.graph())};
  CaptureRequest request{{&model, &plan}, out.tokens, {}, {}, progress.Sink()};
  request.wants = [&](const Site& site) { return selection.Contains(site); };
  request.receive = [&](const SiteTensor& tensor) {
    out.sites.push_back(
        Summarise(*tensor.site, {tensor.type, tensor.rows, tensor.widths}, &model.workers()));
    if (!o.save.empty()) capture.sites.push_back(CaptureSite(tensor));
  };
  progress.Phase("evaluating");
  ASSIGN_OR_RETURN(const std::vector<TreatmentCounts> counts, ObserveRun(request));
  out.effects = WithEffects(plan, counts);
  if (!o.save.empty()) {
    progress.Phase("saving " + o.save);
    RETURN_IF_ERROR(SaveCapture(capture, o.save));
  }
  return out;
}

OrderedJson ToJson(const Probed& probed) {
  OrderedJson sites = OrderedJson::array();
  for (const SiteSummary& site : probed.sites) {
    const SiteStatistics& s = site.statistics;
    OrderedJson exponents = OrderedJson::object();
    for (const auto& [exponent, count] : s.exponents) exponents[std::to_string(exponent)] = count;
    sites.push_back({{"site", site.name},
                     {"label", site.label},
                     {"layer", site.layer < 0 ? OrderedJson() : OrderedJson(site.layer)},
                     {"shape", {site.rows, site.width}},
                     {"ragged", site.ragged},
                     {"count", s.count},
                     {"mean", s.mean},
                     {"std", s.std},
                     {"rms", s.rms},
                     {"min", s.min},
                     {"max", s.max},
                     {"absmax", s.absmax},
                     {"growth", site.growth},
                     {"nan", s.nans},
                     {"inf", s.infinities},
                     {"zeros", s.zeros},
                     {"exponents", exponents}});
  }
  return {{"model", probed.model},
          {"hash", probed.hash},
          {"ids", probed.tokens},
          {"sites", sites},
          {"rules", EffectsJson(probed.effects)}};
}

std::string ExponentRange(const SiteStatistics& s) {
  if (s.exponents.empty()) return "-";
  return fmt::format("{}..{}", s.exponents.begin()->first, s.exponents.rbegin()->first);
}

std::string ToText(const Probed& probed, const Screen& screen) {
  Table table{{{"site", Align::kLeft},
               {"shape", Align::kLeft, 3},
               {"mean", Align::kRight, 2},
               {"std", Align::kRight, 6},
               {"rms"},
               {"min", Align::kRight, 4},
               {"max", Align::kRight, 4},
               {"growth", Align::kRight, 1},
               {"exponents", Align::kRight, 5},
               {"", Align::kLeft, 0, true}},
              {}};
  for (const SiteSummary& site : probed.sites) {
    const SiteStatistics& s = site.statistics;
    std::string remark;
    if (s.nans > 0) remark += fmt::format("{} NaN ", s.nans);
    if (s.infinities > 0) remark += fmt::format("{} infinite", s.infinities);
    table.rows.push_back(
        {site.label, fmt::format("{} x {}{}", site.rows, site.ragged ? "<=" : "", site.width),
         NumberText(s.mean), NumberText(s.std), NumberText(s.rms), NumberText(s.min),
         NumberText(s.max), std::isnan(site.growth) ? "-" : NumberText(site.growth),
         ExponentRange(s), remark});
  }
  std::string text = FormatTable(table, screen);
  if (!probed.effects.empty()) text += "\n" + EffectsTable(probed.effects, screen);
  return text;
}

}  // namespace

Result<int> RunProbe(const Arguments& arguments) {
  ProbeOptions o;
  ASSIGN_OR_RETURN(const bool go, ParseProbe(arguments, &o));
  if (!go) return kDone;
  ASSIGN_OR_RETURN(Probed probed, IsCapturePath(o.model) ? ProbeCapture(o) : ProbeModel(o));
  MeasureGrowth(probed.sites);
  if (o.output.json) {
    RETURN_IF_ERROR(EmitJson(o.output, ToJson(probed)));
  } else {
    RETURN_IF_ERROR(EmitText(o.output, ToText(probed, ScreenOf(o.output))));
  }
  return kDone;
}

}  // namespace vernier
