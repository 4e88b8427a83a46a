// vernier compare: two runs, or captures, on one token stream.
#include "cli/compare.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "cli/options.h"
#include "cli/progress.h"
#include "cli/site_selection.h"
#include "report/rule_effects.h"

namespace vernier {
namespace {

struct CompareOptions {
  std::string a, b;
  InputOptions input;
  RuleOptions rules;
  OutputOptions output;
  std::vector<std::string> sites;
  int threads = 0;
  size_t tokens = 0;
  bool truth = false, strict = false, sites_only = false;
  double tolerance = 0;
  bool has_tolerance = false;

  bool HasInput() const {
    return input.has_text || !input.file.empty() || !input.tokens_file.empty();
  }
};

Status CheckOptions(const CompareOptions& o) {
  const bool capture_a = IsCapturePath(o.a), capture_b = IsCapturePath(o.b);
  if (o.b.empty() && (capture_a || !o.rules.given()))
    return Fail("expected B, or rules (--rule, --recipe) that make one of model A");
  if (capture_b && o.rules.given()) return Fail("{}: rules cannot be applied to a capture", o.b);
  if (!capture_a && !capture_b) return {};
  if (o.tokens > 0) return Fail("-n: expected two models, {} is a capture", capture_a ? o.a : o.b);
  if (o.truth) return Fail("--truth: expected two models, {} is a capture", capture_a ? o.a : o.b);
  if (capture_a && capture_b && o.HasInput()) return Fail("two captures take no text or tokens");
  if (capture_a && capture_b && !o.rules.scales_file.empty())
    return Fail("--scales {}: two captures have no rules", o.rules.scales_file);
  return {};
}

Result<bool> ParseCompare(const Arguments& arguments, CompareOptions* o) {
  ArgumentParser parser("B against A on one token stream: logits, tokens, sites. Rules apply to B",
                        "vernier compare");
  parser.Positional("A", &o->a, "Model, model@recipe file, or a capture (.safetensors)");
  parser.Positional("B", &o->b, "The same; without it, A's model with the rules", false);
  AddInputOptions(&parser, &o->input);
  parser.Number("-n", &o->tokens, "TOKENS", "Tokens both go on with, greedily (0)", size_t{0},
                size_t{1} << 20);
  AddRuleOptions(&parser, &o->rules);
  parser.Texts("--site", &o->sites, "GLOB",
               "Only these sites, as in ffn_*[0:5]; may be given again");
  parser.Flag("--truth", &o->truth, "Also evaluate A's model in float64: which is nearer to it?");
  parser.Flag("--strict", &o->strict, "Exit status 1 when a rule changed nothing");
  parser.Number("--tolerance", &o->tolerance, "X",
                "Exit status 1 when a logit differs by more than X", 0.0,
                std::numeric_limits<double>::max(), &o->has_tolerance);
  parser.Flag("--no-contributed", &o->sites_only,
              "Do not tell contributed error from inherited: half the time and memory");
  AddThreadsOption(&parser, &o->threads);
  AddOutputOptions(&parser, &o->output);
  ASSIGN_OR_RETURN(const bool go, parser.Parse(arguments));
  if (go) {
    RETURN_IF_ERROR(CheckOptions(*o));
  }
  return go;
}

// Both sides as models; one object where both are the same model.
struct TwoModels {
  std::unique_ptr<Model> owned_a, owned_b;
  Model *a = nullptr, *b = nullptr;
  Recipe recipe_a, recipe_b;
};

Result<TwoModels> OpenBoth(const CompareOptions& o) {
  TwoModels out;
  ASSIGN_OR_RETURN(OpenedModel a, OpenModel(o.a, o.threads));
  out.owned_a = std::move(a.model);
  out.a = out.b = out.owned_a.get();
  out.recipe_a = a.recipe;
  Recipe base = a.recipe;
  if (!o.b.empty()) {
    const ModelSpec spec = SplitModel(o.b);
    base = {};
    if (spec.path == SplitModel(o.a).path) {
      if (spec.path.size() < o.b.size()) {
        ASSIGN_OR_RETURN(base, ReadRecipe(spec.recipe_file));
      }
    } else {
      ASSIGN_OR_RETURN(OpenedModel b, OpenModel(o.b, o.threads));
      out.owned_b = std::move(b.model);
      out.b = out.owned_b.get();
      base = std::move(b.recipe);
    }
  }
  ASSIGN_OR_RETURN(out.recipe_b, ReadRules(o.rules, base, out.recipe_a));
  out.recipe_a.scales = out.recipe_b.scales;
  return out;
}

// Ids mean the same in both models only if their tokenizers agree.
Status CheckTokenizers(const TwoModels& models) {
  if (models.a == models.b) return {};
  ASSIGN_OR_RETURN(const Tokenizer* a, models.a->tokenizer());
  ASSIGN_OR_RETURN(const Tokenizer* b, models.b->tokenizer());
  for (int32_t id = 0; id < std::min(a->size(), b->size()); ++id)
    if (a->Piece(id) != b->Piece(id))
      return Fail("{} and {}: token {} differs; --tokens FILE compares them on ids all the same",
                  models.a->path(), models.b->path(), id);
  return {};
}

Result<std::vector<int32_t>> ReadBoth(const CompareOptions& o, const TwoModels& models) {
  const size_t a = models.a->graph().vocabulary, b = models.b->graph().vocabulary;
  if (a != b)
    return Fail("{} has {} tokens, {} has {}; expected models of one vocabulary", models.a->path(),
                a, models.b->path(), b);
  ASSIGN_OR_RETURN(std::vector<int32_t> ids, ReadTokens(*models.a, o.input));
  if (models.a != models.b && o.input.tokens_file.empty()) {
    RETURN_IF_ERROR(CheckTokenizers(models));
    ASSIGN_OR_RETURN(const std::vector<int32_t> other, ReadTokens(*models.b, o.input));
    if (ids != other)
      return Fail("{} and {} give the text different tokens; --tokens FILE sets them",
                  models.a->path(), models.b->path());
  }
  return CutTokens(std::move(ids), o.input, o.output);
}

Result<Compared> CompareModels(const CompareOptions& o) {
  ASSIGN_OR_RETURN(const TwoModels models, OpenBoth(o));
  ASSIGN_OR_RETURN(const std::vector<int32_t> prompt, ReadBoth(o, models));
  ASSIGN_OR_RETURN(const Plan plan_a, MakePlan(*models.a, models.recipe_a));
  ASSIGN_OR_RETURN(const Plan plan_b, MakePlan(*models.b, models.recipe_b, o.rules.seed));
  ASSIGN_OR_RETURN(const Recipe f64, ParseRecipe({"*.math=f64"}));
  ASSIGN_OR_RETURN(const Plan truth, MakePlan(*models.a, f64));
  ASSIGN_OR_RETURN(const SiteSelection selection, SelectSites(o.sites, models.a->graph().sites));
  ProgressLine progress(o.output.quiet);
  CompareRequest request{
      {models.a, &plan_a}, {models.b, &plan_b}, o.truth ? &truth : nullptr, prompt, o.tokens, {},
      progress.Sink(),        !o.sites_only};
  request.wants = [&](const Site& site) { return selection.Contains(site); };
  ASSIGN_OR_RETURN(RunComparison run, CompareRuns(request));
  Compared out;
  out.a = o.a;
  out.b = o.b.empty() ? o.a : o.b;
  out.tokens = run.stream;
  out.prompt = prompt.size();
  out.generated = run.a_steps.size();
  out.free_ran = out.generated > 0;
  out.forced_matches = run.forced_matches;
  out.free_matches = run.FreeMatches();
  out.first_difference = run.FirstDifference();
  if (out.first_difference) out.margin = run.a_steps[*out.first_difference].margin;
  out.effects = WithEffects(plan_b, run.effects_b);
  out.logits = std::move(run.logits);
  out.sites = std::move(run.sites);
  out.contributions = std::move(run.contributions);
  return out;
}

// A side as a capture: loaded, or the model run on `tokens` at the sites of `like`.
struct CapturedSide {
  Capture capture;
  std::vector<RuleEffect> effects;
};

Result<CapturedSide> RunAsCapture(const CompareOptions& o, const std::string& text, bool rules,
                                  const Capture& like) {
  ASSIGN_OR_RETURN(OpenedModel opened, OpenModel(text, o.threads));
  Model& model = *opened.model;
  CapturedSide out;
  out.capture.source = text;
  out.capture.tokens = like.tokens;
  if (o.HasInput()) {
    ASSIGN_OR_RETURN(std::vector<int32_t> read, ReadTokens(model, o.input));
    out.capture.tokens = CutTokens(std::move(read), o.input, o.output);
  }
  if (out.capture.tokens.empty())
    return Fail("{} has no token ids; expected -p TEXT, -f FILE or --tokens FILE", like.source);
  for (const int32_t id : out.capture.tokens)
    if (static_cast<size_t>(id) >= model.graph().vocabulary)
      return Fail("{}: token id {}, but {} has {} tokens", like.source, id, text,
                  model.graph().vocabulary);
  RuleOptions options;  // without `rules` the model's own, whose scales are those of --scales too
  options.scales_file = o.rules.scales_file;
  ASSIGN_OR_RETURN(const Recipe recipe, ReadRules(rules ? o.rules : options, opened.recipe));
  ASSIGN_OR_RETURN(const Plan plan, MakePlan(model, recipe, rules ? o.rules.seed : 0));
  ProgressLine progress(o.output.quiet);
  CaptureRequest request{{&model, &plan}, out.capture.tokens, {}, {}, progress.Sink()};
  std::set<std::string> labels;
  for (const CapturedSite& site : like.sites) labels.insert(site.label);
  request.wants = [&](const Site& site) { return labels.contains(site.Label()); };
  request.receive = [&](const SiteTensor& tensor) {
    out.capture.sites.push_back(CaptureSite(tensor));
  };
  ASSIGN_OR_RETURN(const std::vector<TreatmentCounts> counts, ObserveRun(request));
  out.effects = WithEffects(plan, counts);
  return out;
}

Result<Capture> LoadSelected(const std::string& path, const std::vector<std::string>& selectors) {
  ASSIGN_OR_RETURN(Capture capture, LoadCapture(path));
  std::vector<Site> sites;
  for (const CapturedSite& site : capture.sites) sites.push_back({site.name, site.layer});
  ASSIGN_OR_RETURN(const SiteSelection selection, SelectSites(selectors, sites));
  std::erase_if(capture.sites, [&](const CapturedSite& site) {
    return !selection.Contains({site.name, site.layer});
  });
  return capture;
}

// From the site that holds them; both captures are known to have it in one shape.
std::optional<LogitComparison> CompareCapturedLogits(const Capture& a, const Capture& b) {
  using Role = LogitComparer::Role;
  const CapturedSite *left = a.Find("result_output"), *right = b.Find("result_output");
  if (left == nullptr || right == nullptr) return std::nullopt;
  LogitComparer comparer(left->widths[0], false, BestKernels());
  for (const auto& [role, site] : {std::pair{Role::kA, left}, {Role::kB, right}}) {
    const CapturedRows rows(*site);
    for (size_t r = 0; r < site->widths.size(); ++r)
      comparer.Take(role, {0, r, site->type, rows.view().rows[r], {}});
  }
  return comparer.Finish();
}

Result<Compared> CompareWithCapture(const CompareOptions& o) {
  const bool loaded_a = IsCapturePath(o.a), loaded_b = IsCapturePath(o.b);
  CapturedSide a, b;
  if (loaded_a) {
    ASSIGN_OR_RETURN(a.capture, LoadSelected(o.a, o.sites));
  }
  if (loaded_b) {
    ASSIGN_OR_RETURN(b.capture, LoadSelected(o.b, o.sites));
  }
  if (!loaded_a) {
    ASSIGN_OR_RETURN(a, RunAsCapture(o, o.a, false, b.capture));
  }
  if (!loaded_b) {
    ASSIGN_OR_RETURN(b, RunAsCapture(o, o.b, true, a.capture));
  }
  Compared out;
  out.a = o.a;
  out.b = o.b;
  ASSIGN_OR_RETURN(out.sites, CompareCaptures(a.capture, b.capture));
  out.tokens = a.capture.tokens.empty() ? b.capture.tokens : a.capture.tokens;
  out.prompt = out.tokens.size();
  out.logits = CompareCapturedLogits(a.capture, b.capture);
  out.effects = b.effects;
  return out;
}

}  // namespace

Result<int> RunCompare(const Arguments& arguments) {
  CompareOptions o;
  ASSIGN_OR_RETURN(const bool go, ParseCompare(arguments, &o));
  if (!go) return kDone;
  const bool captures = IsCapturePath(o.a) || IsCapturePath(o.b);
  ASSIGN_OR_RETURN(const Compared compared, captures ? CompareWithCapture(o) : CompareModels(o));
  if (o.has_tolerance && !compared.logits)
    return Fail("--tolerance: expected logits, site 'result_output' is not in both");
  if (o.output.json) {
    RETURN_IF_ERROR(EmitJson(o.output, CompareJson(compared)));
  } else {
    RETURN_IF_ERROR(Emit(o.output, CompareText(compared)));
  }
  if (o.strict && AnyVacuous(compared.effects)) return kAnswerIsNo;
  // Not `>`: a NaN is outside of every tolerance.
  if (o.has_tolerance && !(compared.logits->max_abs <= o.tolerance)) return kAnswerIsNo;
  return kDone;
}

}  // namespace vernier
