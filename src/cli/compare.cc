// vernier compare: two runs, or captures, on one token stream.
#include "cli/compare.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "cli/options.h"
#include "cli/progress.h"
#include "cli/site_selection.h"
#include "measure/capture_fit.h"
#include "measure/capture_kld.h"
#include "report/rule_effects.h"

namespace vernier {
namespace {

struct CompareOptions {
  std::string a, b, map_file;
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
  if (!capture_a && !capture_b && !o.map_file.empty())
    return Fail("--map {}: two models have the same names", o.map_file);
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
  parser.Positional("A", &o->a,
                    "Model, model@recipe file, or a capture (.safetensors, .npz, .npy, .txt, .log, "
                    ".bin, .kld)");
  parser.Positional("B", &o->b, "The same; without it, A's model with the rules", false);
  parser.Takes("A", ModelsAnd(CaptureEndings()));
  parser.Takes("B", ModelsAnd(CaptureEndings()));
  AddInputOptions(&parser, &o->input);
  parser.Number("-n", &o->tokens, "TOKENS", "Tokens both go on with, greedily (0)", size_t{0},
                size_t{1} << 20);
  AddRuleOptions(&parser, &o->rules);
  parser.Texts("--site", &o->sites, "GLOB",
               "Only these sites, as in ffn_*[0:5]; may be given again");
  parser.Text("--map", &o->map_file, "FILE",
              "Names of a capture's tensors: lines FOREIGN = SITE, '*' for the layer");
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

Result<Compared> CompareModels(const CompareOptions& o, ProgressLine* progress) {
  ASSIGN_OR_RETURN(const TwoModels models, OpenBoth(o));
  ASSIGN_OR_RETURN(const std::vector<int32_t> prompt, ReadBoth(o, models));
  RemarkScalesOfOther(models.recipe_a, *models.a, o.output);
  if (models.a != models.b || !ReadsScales(models.recipe_a))
    RemarkScalesOfOther(models.recipe_b, *models.b, o.output);
  ASSIGN_OR_RETURN(const Plan plan_a, MakePlan(*models.a, models.recipe_a));
  ASSIGN_OR_RETURN(const Plan plan_b, MakePlan(*models.b, models.recipe_b, o.rules.seed));
  ASSIGN_OR_RETURN(const Recipe f64, ParseRecipe({"*.math=f64"}));
  ASSIGN_OR_RETURN(const Plan truth, MakePlan(*models.a, f64));
  ASSIGN_OR_RETURN(const SiteSelection selection, SelectSites(o.sites, models.a->graph().sites));
  CompareRequest request{
      {models.a, &plan_a}, {models.b, &plan_b}, o.truth ? &truth : nullptr, prompt, o.tokens, {},
      progress->Sink(),    !o.sites_only};
  request.wants = [&](const Site& site) { return selection.Contains(site); };
  progress->Phase("evaluating");
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

// A side of a comparison with a capture: a model, a capture of Vernier's, or another program's.
struct Side {
  std::string text;  // as given
  std::unique_ptr<Model> model;
  Plan plan;
  std::optional<ForeignCapture> foreign;
  Capture capture;  // of a model, what it computes; of another program, fitted to the other side
  std::vector<RuleEffect> effects;
};

// Runs the model on the tokens of `like` at the sites of these labels.
Status RunModel(const CompareOptions& o, bool rules, const std::string& like,
                const std::vector<int32_t>& tokens, const std::set<std::string>& labels,
                ProgressLine* progress, Side* side) {
  ASSIGN_OR_RETURN(OpenedModel opened, OpenModel(side->text, o.threads));
  side->model = std::move(opened.model);
  Model& model = *side->model;
  side->capture.source = side->text;
  side->capture.tokens = tokens;
  if (o.HasInput()) {
    ASSIGN_OR_RETURN(std::vector<int32_t> read, ReadTokens(model, o.input));
    side->capture.tokens = CutTokens(std::move(read), o.input, o.output);
  }
  if (side->capture.tokens.empty())
    return Fail("{} has no token ids; expected -p TEXT, -f FILE or --tokens FILE", like);
  for (const int32_t id : side->capture.tokens)
    if (static_cast<size_t>(id) >= model.graph().vocabulary)
      return Fail("{}: token id {}, but {} has {} tokens", like, id, side->text,
                  model.graph().vocabulary);
  RuleOptions options;  // without `rules` the model's own, whose scales are those of --scales too
  options.scales_file = o.rules.scales_file;
  ASSIGN_OR_RETURN(const Recipe recipe, ReadRules(rules ? o.rules : options, opened.recipe));
  RemarkScalesOfOther(recipe, model, o.output);
  ASSIGN_OR_RETURN(side->plan, MakePlan(model, recipe, rules ? o.rules.seed : 0));
  side->capture.rope = RopeOrderOf(model.graph());
  ASSIGN_OR_RETURN(const SiteSelection selection, SelectSites(o.sites, model.graph().sites));
  CaptureRequest request{{&model, &side->plan}, side->capture.tokens, {}, {}, progress->Sink()};
  request.wants = [&](const Site& site) {
    return labels.contains(site.Label()) && selection.Contains(site);
  };
  request.receive = [&](const SiteTensor& tensor) {
    side->capture.sites.push_back(CaptureSite(tensor));
  };
  ASSIGN_OR_RETURN(const std::vector<TreatmentCounts> counts, ObserveRun(request));
  side->effects = WithEffects(side->plan, counts);
  return {};
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

Result<ForeignCapture> ReadForeign(const std::string& path) {
  switch (KindOfCapture(path)) {
    case CaptureKind::kNpy:
      return ReadForeignNpy(path);
    case CaptureKind::kPrinted:
      return ReadForeignText(path);
    case CaptureKind::kBinary:
      return ReadForeignBinary(path);
    default:
      return path.ends_with(".npz") ? ReadForeignNpz(path) : ReadForeignSafetensors(path);
  }
}

// Reads a side that is a file. Another program's tensors are taken as they are named where
// `labels`.
Status LoadSide(const CompareOptions& o, bool labels, Side* side) {
  const CaptureKind kind = KindOfCapture(side->text);
  if (kind == CaptureKind::kNone) return {};
  bool own = labels && kind == CaptureKind::kTensors;
  if (kind == CaptureKind::kTensors && !own) {
    ASSIGN_OR_RETURN(own, IsOwnCapture(side->text));
  }
  if (own) {
    ASSIGN_OR_RETURN(side->capture, LoadSelected(side->text, o.sites));
  } else {
    ASSIGN_OR_RETURN(side->foreign, ReadForeign(side->text));
  }
  return {};
}

// From the site that holds them; both captures are known to have it in one shape.
std::optional<LogitComparison> CompareCapturedLogits(const Capture& a, const Capture& b) {
  using Role = LogitComparer::Role;
  const CapturedSite *left = a.Find("result_output"), *right = b.Find("result_output");
  if (left == nullptr || right == nullptr || left->widths.empty()) return std::nullopt;
  LogitComparer comparer(left->widths[0], false, BestKernels());
  for (const auto& [role, site] : {std::pair{Role::kA, left}, {Role::kB, right}}) {
    const CapturedRows rows(*site);
    for (size_t r = 0; r < site->widths.size(); ++r)
      comparer.Take(role, {0, r, site->type, rows.view().rows[r], {}});
  }
  return comparer.Finish();
}

// What the model's nodes contribute, fed with the values of the other side (b where source_is_b).
std::vector<Contribution> Contributions(const CompareOptions& o, Side& model, const Side& source,
                                        bool source_is_b) {
  if (o.sites_only || model.model == nullptr || source.model != nullptr) return {};
  const Graph& graph = model.model->graph();
  ContributionRequest request;
  request.replayed = {model.model.get(), &model.plan};
  request.source_is_b = source_is_b;
  request.tokens = model.capture.tokens;
  request.source_types = source.capture.weights;
  request.source_layout = graph.rope.layout;  // fitted, or brought into this order
  request.source_site = [&](const std::string& label) { return source.capture.Find(label); };
  ContributionMeter meter(std::move(request));
  for (const Site& site : graph.sites) {
    const CapturedSite* values = model.capture.Find(site.Label());
    if (values == nullptr) continue;
    const CapturedRows rows(*values);
    meter.Take({&site,
                0,
                values->type,
                {rows.view().rows.begin(), rows.view().rows.end()},
                values->widths,
                values->tokens});
  }
  return meter.results();
}

// Of the model's or Vernier's capture: what another program's has too, rows of the same tokens.
Capture Matching(const Capture& whole, const Capture& fitted) {
  Capture out;
  out.source = whole.source;
  out.tokens = whole.tokens;
  for (const CapturedSite& site : whole.sites)
    if (const CapturedSite* other = fitted.Find(site.label))
      out.sites.push_back(RowsOf(site, other->tokens));
  return out;
}

// Both sides as captures, one of which is another program's.
Status CompareForeign(const CompareOptions& o, const NameMap& map, Side* foreign, Side* other,
                      bool foreign_is_b, Compared* out) {
  const Graph* graph = other->model == nullptr ? nullptr : &other->model->graph();
  ASSIGN_OR_RETURN(FittedCapture fitted, FitCapture(*foreign->foreign, map, other->capture, graph));
  foreign->capture = std::move(fitted.capture);
  out->partial = std::move(fitted.partial);
  out->unknown = std::move(fitted.unknown);
  out->notes = std::move(fitted.notes);
  if (foreign->capture.sites.empty()) return {};
  const Capture like = Matching(other->capture, foreign->capture);
  const Capture &a = foreign_is_b ? like : foreign->capture,
                &b = foreign_is_b ? foreign->capture : like;
  ASSIGN_OR_RETURN(out->sites, CompareCaptures(a, b));
  out->logits = CompareCapturedLogits(a, b);
  out->contributions = Contributions(o, *other, *foreign, foreign_is_b);
  return {};
}

std::set<std::string> LabelsOf(const Side& side, const NameMap& map) {
  std::set<std::string> labels;
  for (const CapturedSite& site : side.capture.sites) labels.insert(site.label);
  if (side.foreign)
    for (const std::string& label : WantedLabels(*side.foreign, map)) labels.insert(label);
  return labels;
}

Result<Compared> CompareWithCapture(const CompareOptions& o, ProgressLine* progress) {
  NameMap map;
  if (!o.map_file.empty()) {
    ASSIGN_OR_RETURN(map, ReadNameMap(o.map_file));
  }
  Side a, b;
  a.text = o.a;
  b.text = o.b;
  const bool two_files = IsCapturePath(o.a) && IsCapturePath(o.b);
  const bool labels = two_files && KindOfCapture(o.a) == CaptureKind::kTensors &&
                      KindOfCapture(o.b) == CaptureKind::kTensors;
  if (labels) {
    ASSIGN_OR_RETURN(const bool own_a, IsOwnCapture(o.a));
    ASSIGN_OR_RETURN(const bool own_b, IsOwnCapture(o.b));
    RETURN_IF_ERROR(LoadSide(o, own_a == own_b, &a));
    RETURN_IF_ERROR(LoadSide(o, own_a == own_b, &b));
  } else {
    RETURN_IF_ERROR(LoadSide(o, false, &a));
    RETURN_IF_ERROR(LoadSide(o, false, &b));
  }
  if (a.foreign && b.foreign)
    return Fail("{} and {} are both of other programs; expected a model or a capture of Vernier's",
                o.a, o.b);
  for (const auto& [model, file] : {std::pair{&a, &b}, {&b, &a}})
    if (!IsCapturePath(model->text)) {
      const std::vector<int32_t>& tokens =
          file->foreign ? file->foreign->tokens : file->capture.tokens;
      RETURN_IF_ERROR(
          RunModel(o, model == &b, file->text, tokens, LabelsOf(*file, map), progress, model));
    }
  progress->Phase("comparing");
  Compared out;
  out.a = o.a;
  out.b = o.b;
  out.tokens = a.capture.tokens.empty() ? b.capture.tokens : a.capture.tokens;
  if (b.foreign) {
    RETURN_IF_ERROR(CompareForeign(o, map, &b, &a, true, &out));
  } else if (a.foreign) {
    RETURN_IF_ERROR(CompareForeign(o, map, &a, &b, false, &out));
  } else {
    // Values of q and k in the order of A's, or the model's.
    const Capture& leads = b.model != nullptr ? b.capture : a.capture;
    if (leads.rope) ToLayout(leads.rope->layout, b.model != nullptr ? &a.capture : &b.capture);
    ASSIGN_OR_RETURN(out.sites, CompareCaptures(a.capture, b.capture));
    out.logits = CompareCapturedLogits(a.capture, b.capture);
    out.contributions =
        b.model != nullptr ? Contributions(o, b, a, false) : Contributions(o, a, b, true);
  }
  out.prompt = out.tokens.size();
  out.effects = b.effects;
  return out;
}

// The chunks of a base file of llama-perplexity.
Result<Compared> CompareWithBase(const CompareOptions& o, ProgressLine* progress) {
  const bool a_is_base = KindOfCapture(o.a) == CaptureKind::kKld,
             b_is_base = KindOfCapture(o.b) == CaptureKind::kKld;
  if (o.HasInput() || !o.sites.empty() || !o.map_file.empty())
    return Fail("{}: a .kld file brings its own tokens, and has no sites", a_is_base ? o.a : o.b);
  ASSIGN_OR_RETURN(const KldBase base, KldBase::Open(a_is_base ? o.a : o.b));
  Compared out;
  out.a = o.a;
  out.b = o.b;
  out.log_probabilities = true;
  for (size_t c = 0; c < base.chunks(); ++c) {
    const std::vector<int32_t> tokens = base.Tokens(c);
    out.tokens.insert(out.tokens.end(), tokens.begin(), tokens.end());
  }
  out.prompt = out.tokens.size();
  if (a_is_base && b_is_base) {
    ASSIGN_OR_RETURN(const KldBase other, KldBase::Open(o.b));
    ASSIGN_OR_RETURN(out.logits, CompareKlds(base, other, BestKernels()));
    return out;
  }
  const std::string& text = a_is_base ? o.b : o.a;
  if (IsCapturePath(text))
    return Fail("{}: expected a model or a .kld file beside {}", text, base.path());
  ASSIGN_OR_RETURN(const OpenedModel opened, OpenModel(text, o.threads));
  RuleOptions options;
  options.scales_file = o.rules.scales_file;
  ASSIGN_OR_RETURN(const Recipe recipe, ReadRules(a_is_base ? o.rules : options, opened.recipe));
  RemarkScalesOfOther(recipe, *opened.model, o.output);
  ASSIGN_OR_RETURN(const Plan plan, MakePlan(*opened.model, recipe, a_is_base ? o.rules.seed : 0));
  ASSIGN_OR_RETURN(const Tokenizer* tokenizer, opened.model->tokenizer());
  const int32_t bos = tokenizer->adds_bos() && !o.input.no_bos ? tokenizer->bos() : -1;
  ASSIGN_OR_RETURN(KldComparison run, CompareWithKld({opened.model.get(), &plan}, base, a_is_base,
                                                     bos, progress->Sink()));
  out.logits = std::move(run.logits);
  if (a_is_base) out.effects = WithEffects(plan, run.effects);
  return out;
}

}  // namespace

Result<int> RunCompare(const Arguments& arguments) {
  CompareOptions o;
  ASSIGN_OR_RETURN(const bool go, ParseCompare(arguments, &o));
  if (!go) return kDone;
  const auto is_base = [](const std::string& s) { return KindOfCapture(s) == CaptureKind::kKld; };
  const bool captures = IsCapturePath(o.a) || IsCapturePath(o.b);
  ProgressLine progress(o.output.quiet, "reading the models");
  ASSIGN_OR_RETURN(const Compared compared, is_base(o.a) || is_base(o.b)
                                                ? CompareWithBase(o, &progress)
                                            : captures ? CompareWithCapture(o, &progress)
                                                       : CompareModels(o, &progress));
  progress.Clear();
  if (o.has_tolerance && !compared.logits)
    return Fail("--tolerance: expected logits, site 'result_output' is not in both");
  if (o.output.json) {
    RETURN_IF_ERROR(EmitJson(o.output, CompareJson(compared)));
  } else {
    RETURN_IF_ERROR(EmitText(o.output, CompareText(compared, ScreenOf(o.output))));
  }
  if (o.strict && AnyVacuous(compared.effects)) return kAnswerIsNo;
  // Not `>`: a NaN is outside of every tolerance.
  if (o.has_tolerance && !(compared.logits->max_abs <= o.tolerance)) return kAnswerIsNo;
  return kDone;
}

}  // namespace vernier
