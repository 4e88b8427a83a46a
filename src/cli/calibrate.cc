// vernier calibrate: scales of sites from texts, for scale=static.
#include "measure/calibrate.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "base/file.h"
#include "base/names.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/site_selection.h"
#include "cli/version.h"
#include "report/rule_effects.h"
#include "report/table.h"

namespace vernier {
namespace {

constexpr size_t kMostPercentiles = 16;

struct CalibrateOptions {
  std::string model, file, percentiles = "99.9,99.99,99.999";
  bool has_percentiles = false;
  std::vector<std::string> sites, texts, tokens_files, recipes;
  InputOptions input;  // but for what may be given again: the two above
  size_t chunks = 0;
  double factor = 0.01;
  RuleOptions rules;
  OutputOptions output;
  int threads = 0;
  bool mapped = false;
};

Result<bool> ParseCalibrate(const Arguments& arguments, CalibrateOptions* o) {
  ArgumentParser parser("Scales of sites from what texts make of them, for scale=static",
                        "vernier calibrate");
  parser.Positional("MODEL", &o->model, "Model; --rule and --recipe apply to it");
  parser.RequiredText("-o", &o->file, "FILE", "The file of scales; replaced when it is complete");
  parser.Text("-p", &o->input.text, "TEXT", "A text", &o->input.has_text);
  parser.Texts("-f", &o->texts, "FILE", "A text is in FILE; may be given again");
  parser.Texts("--tokens", &o->tokens_files, "FILE",
               "A JSON array of token ids instead of a text; may be given again");
  parser.Number("-c", &o->input.context, "CONTEXT", "Tokens of a chunk (512)", size_t{1},
                size_t{1} << 20);
  parser.Number("--chunks", &o->chunks, "N", "Only the first N chunks of each text");
  parser.Flag("--no-bos", &o->input.no_bos, "No BOS or EOS around texts and chunks");
  parser.Flag("--special", &o->input.special, "Special tokens written in a text are those tokens");
  parser.Texts("--site", &o->sites, "GLOB",
               "Only these sites, or with .in operands, as in ffn_out[0:5].in; may be given again");
  parser.Texts("--for", &o->recipes, "FILE",
               "Only what the scale=static rules of this recipe read; may be given again");
  parser.Text("--percentile", &o->percentiles, "P,...",
              "Percentiles of the magnitudes (99.9,99.99,99.999; with --for those it reads)",
              &o->has_percentiles);
  parser.Number("--ema", &o->factor, "FACTOR",
                "What a chunk's percentile adds to the smoothed one (0.01)", 0, 1);
  parser.Takes("-o", FilesNamed({"json"}));
  parser.Takes("--tokens", FilesNamed({"json"}));
  AddRuleOptions(&parser, &o->rules);
  AddThreadsOption(&parser, &o->threads);
  AddMappedOption(&parser, &o->mapped);
  AddOutputOptions(&parser, &o->output, false);
  ASSIGN_OR_RETURN(const bool go, parser.Parse(arguments));
  if (go && !(o->factor > 0)) return Fail("--ema 0: expected a number above 0 and up to 1");
  return go;
}

Result<std::vector<double>> ReadPercentiles(const std::string& list) {
  std::vector<double> out;
  if (list.empty()) return out;
  for (const std::string& piece : Split(list, ',')) {
    const std::string text(Trim(piece));
    double p = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), p);
    if (error != std::errc() || end != text.data() + text.size() || !(p > 0 && p <= 100))
      return Fail("--percentile: '{}': expected a number above 0 and up to 100", text);
    if (std::find(out.begin(), out.end(), p) != out.end())
      return Fail("--percentile: {} is given twice", p);
    out.push_back(p);
  }
  if (out.size() > kMostPercentiles)
    return Fail("--percentile: {} of them; expected at most {}", out.size(), kMostPercentiles);
  return out;
}

// What --site means: results of sites, and what nodes read.
struct PointSelection {
  SiteSelection results, operands;
  bool all = false, any_result = false, any_operand = false;
  bool Contains(const Site& site, bool operand) const {
    if (all) return true;
    return operand ? any_operand && operands.Contains(site) : any_result && results.Contains(site);
  }
};

Result<PointSelection> SelectPoints(const std::vector<std::string>& texts, const Graph& graph) {
  PointSelection out;
  out.all = texts.empty();
  std::vector<std::string> results, operands;
  for (const std::string& text : texts) {
    if (!text.ends_with(".in")) {
      results.push_back(text);
      continue;
    }
    operands.push_back(text.substr(0, text.size() - 3));
    ASSIGN_OR_RETURN(const SiteSelection one, SelectSites({operands.back()}, graph.sites));
    if (std::none_of(graph.sites.begin(), graph.sites.end(), [&](const Site& site) {
          return one.Contains(site) && HasOperands(graph, site);
        }))
      return Fail("--site {}: '{}' has no such part", text, operands.back());
  }
  out.any_result = !results.empty();
  out.any_operand = !operands.empty();
  ASSIGN_OR_RETURN(out.results, SelectSites(results, graph.sites));
  ASSIGN_OR_RETURN(out.operands, SelectSites(operands, graph.sites));
  return out;
}

// What the recipes of --for read: keys of the file, and percentiles.
struct Needs {
  std::set<std::string> keys;
  std::vector<double> percentiles;
  bool Contains(const Site& site, bool operand, bool rotated) const {
    return keys.contains(site.Label() + (operand ? ".in" : "") + (rotated ? kRotatedKey : ""));
  }
};

Result<Needs> ReadNeeds(const std::vector<std::string>& recipes, Model& model) {
  Needs out;
  for (const std::string& file : recipes) {
    ASSIGN_OR_RETURN(const Recipe recipe, ReadRecipe(file));
    const auto needs = ListStaticNeeds(model, recipe);
    if (!needs) return Fail("--for {}: {}", file, needs.error().message);
    if (needs->empty()) return Fail("--for {}: no rule has scale=static", file);
    for (const StaticNeed& need : *needs) {
      out.keys.insert(need.key);
      if (need.percentile > 0) out.percentiles.push_back(need.percentile);
    }
  }
  std::sort(out.percentiles.begin(), out.percentiles.end());
  out.percentiles.erase(std::unique(out.percentiles.begin(), out.percentiles.end()),
                        out.percentiles.end());
  if (out.percentiles.size() > kMostPercentiles)
    return Fail("--for: {} percentiles; expected at most {}", out.percentiles.size(),
                kMostPercentiles);
  return out;
}

// A text, and its part in the chunks.
struct Text {
  std::string name;  // of its file; empty: -p
  Hash128 hash;      // of its token ids
  size_t chunks = 0, used = 0, left_out = 0;
};

struct Texts {
  std::vector<Text> texts;
  std::vector<std::vector<int32_t>> chunks;
  size_t tokens = 0;
};

// Chunks of a whole context each, but of a text that is shorter, which is one; where the model adds
// BOS the first token of each becomes that, as in `eval`.
Status AddText(Model& model, const CalibrateOptions& o, const InputOptions& input, Texts* out) {
  ASSIGN_OR_RETURN(const std::vector<int32_t> tokens, ReadTokens(model, input));
  const size_t context = o.input.context > 0 ? o.input.context : kDefaultContext;
  std::optional<int32_t> bos;
  if (input.tokens_file.empty() && !input.no_bos) {
    ASSIGN_OR_RETURN(const Tokenizer* tokenizer, model.tokenizer());
    if (tokenizer->adds_bos()) bos = tokenizer->bos();
  }
  Text& text = out->texts.emplace_back();
  text.name = input.tokens_file.empty() ? input.file : input.tokens_file;
  text.hash = HashBytes(tokens.data(), tokens.size() * sizeof(int32_t));
  size_t first = 0;
  while (o.chunks == 0 || text.chunks < o.chunks) {
    const size_t n = std::min(context, tokens.size() - first);
    if (n < context && text.chunks > 0) break;
    const auto at = tokens.begin() + static_cast<std::ptrdiff_t>(first);
    out->chunks.emplace_back(at, at + static_cast<std::ptrdiff_t>(n));
    if (bos) out->chunks.back()[0] = *bos;
    ++text.chunks;
    text.used += n;
    first += n;
  }
  text.left_out = tokens.size() - text.used;
  out->tokens += text.used;
  if (text.left_out > 0 && (o.chunks == 0 || text.chunks < o.chunks))
    PrintRemark(o.output,
                fmt::format("{}: its last {} tokens are no whole chunk of {} and are left out",
                            text.name.empty() ? "-p" : text.name, text.left_out, context));
  return {};
}

Result<Texts> ReadTexts(Model& model, const CalibrateOptions& o) {
  Texts out;
  InputOptions input = o.input;
  if (!input.has_text && o.texts.empty() && o.tokens_files.empty())
    return Fail("expected -p TEXT, -f FILE or --tokens FILE");
  if (input.has_text) RETURN_IF_ERROR(AddText(model, o, input, &out));
  input.has_text = false;
  for (const std::string& file : o.texts) {
    input.file = file;
    RETURN_IF_ERROR(AddText(model, o, input, &out));
  }
  input.file.clear();
  for (const std::string& file : o.tokens_files) {
    input.tokens_file = file;
    RETURN_IF_ERROR(AddText(model, o, input, &out));
  }
  return out;
}

// The point's entry in the file.
OrderedJson EntryJson(const CalibratedPoint& point) {
  const CalibratedValues& v = point.values;
  OrderedJson exponents = OrderedJson::object(), percentiles = OrderedJson::object(),
              ema = OrderedJson::object(), approximate = OrderedJson::array();
  for (const auto& [exponent, count] : v.exponents) exponents[std::to_string(exponent)] = count;
  for (const CalibratedPercentile& p : point.percentiles) {
    const std::string name = fmt::format("{}", p.p);
    percentiles[name] = p.all;
    ema[name] = p.smoothed;
    if (!p.exact) approximate.push_back(name);
  }
  return {{"absmax", v.absmax},
          {"min", v.min},
          {"max", v.max},
          {"mean", v.mean},
          {"rms", v.rms},
          {"percentiles", percentiles},
          {"ema", ema},
          {"approximate", approximate},
          {"count", v.count},
          {"nan", v.nans},
          {"inf", v.infinities},
          {"zeros", v.zeros},
          {"exponents", exponents}};
}

// Why a point cannot stand in a file of scales; empty: it can.
std::string WhyLeftOut(const CalibratedPoint& point) {
  if (std::isnan(point.values.absmax)) return "no element is finite";
  if (point.values.absmax > kMaxScale)
    return fmt::format("its largest magnitude, {}, is beyond {}", NumberText(point.values.absmax),
                       kMaxScale);
  return "";
}

struct Calibrated {
  std::string hash;
  Recipe recipe;
  std::vector<double> percentiles;
  Texts texts;
  Calibration calibration;
  std::vector<RuleEffect> effects;
};

OrderedJson TextsJson(const Texts& texts) {
  OrderedJson json = OrderedJson::array();
  for (const Text& text : texts.texts)
    json.push_back({{"file", text.name.empty() ? OrderedJson() : OrderedJson(text.name)},
                    {"hash", text.hash.Hex()},
                    {"chunks", text.chunks},
                    {"tokens", text.used},
                    {"left_out", text.left_out}});
  return json;
}

// The file: a line a site, so that two of them can be compared by their lines.
std::string FileText(const CalibrateOptions& o, const Calibrated& c) {
  OrderedJson rules = OrderedJson::array();
  for (const Rule& rule : c.recipe.rules) rules.push_back(rule.text);
  const OrderedJson head = {{"version", 1},
                            {"made_by", fmt::format("vernier {}", Version())},
                            {"model", o.model},
                            {"hash", c.hash},
                            {"recipe", rules},
                            {"seed", o.rules.seed},
                            {"texts", TextsJson(c.texts)},
                            {"chunks", c.texts.chunks.size()},
                            {"tokens", c.texts.tokens},
                            {"factor", o.factor}};
  const auto dump = [](const OrderedJson& json) {
    return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
  };
  std::string text = dump(head), sites;
  text.pop_back();
  for (const CalibratedPoint& point : c.calibration.points)
    if (WhyLeftOut(point).empty())
      sites += fmt::format("{}{}:{}", sites.empty() ? "" : ",\n", dump(point.label),
                           dump(EntryJson(point)));
  return text + ",\n\"sites\":{\n" + sites + "\n}}\n";
}

OrderedJson ReportJson(const CalibrateOptions& o, const Calibrated& c) {
  OrderedJson sites = OrderedJson::array(), left_out = OrderedJson::array();
  for (const CalibratedPoint& point : c.calibration.points) {
    OrderedJson site = {{"site", point.name},
                        {"label", point.label},
                        {"layer", point.layer < 0 ? OrderedJson() : OrderedJson(point.layer)},
                        {"operand", point.operand}};
    site.update(EntryJson(point));
    sites.push_back(std::move(site));
    if (const std::string why = WhyLeftOut(point); !why.empty())
      left_out.push_back({{"label", point.label}, {"why", why}});
  }
  return {{"model", o.model},
          {"hash", c.hash},
          {"file", o.file},
          {"texts", TextsJson(c.texts)},
          {"chunks", c.texts.chunks.size()},
          {"tokens", c.texts.tokens},
          {"factor", o.factor},
          {"sites", sites},
          {"left_out", left_out},
          {"rules", EffectsJson(c.effects)}};
}

std::string ReportText(const CalibrateOptions& o, const Calibrated& c) {
  const Screen screen = ScreenOf(o.output);
  Table table{{{"site", Align::kLeft},
               {"min", Align::kRight, 1},
               {"max", Align::kRight, 1},
               {"absmax"},
               {"rms", Align::kRight, 2}},
              {}};
  for (const double p : c.percentiles) table.columns.push_back({fmt::format("{} %", p)});
  for (const double p : c.percentiles) table.columns.push_back({fmt::format("ema {} %", p)});
  table.columns.push_back({"", Align::kLeft, 0, true});
  bool approximate = false;
  for (const CalibratedPoint& point : c.calibration.points) {
    const CalibratedValues& v = point.values;
    std::vector<std::string> row = {point.label, NumberText(v.min), NumberText(v.max),
                                    NumberText(v.absmax), NumberText(v.rms)};
    for (const bool smoothed : {false, true})
      for (size_t i = 0; i < c.percentiles.size(); ++i) {
        if (point.percentiles.empty()) {
          row.emplace_back("-");
          continue;
        }
        const CalibratedPercentile& p = point.percentiles[i];
        approximate = approximate || !p.exact;
        row.push_back(NumberText(smoothed ? p.smoothed : p.all) + (p.exact ? "" : "~"));
      }
    std::string remark = WhyLeftOut(point).empty() ? "" : "left out ";
    if (v.nans > 0) remark += fmt::format("{} NaN ", v.nans);
    if (v.infinities > 0) remark += fmt::format("{} infinite", v.infinities);
    row.push_back(std::move(remark));
    table.rows.push_back(std::move(row));
  }
  std::string text = FormatTable(table, screen);
  if (approximate) text += "~: within 2^-8 of itself\n";
  text += fmt::format("\n{}: tokens {}, chunks {}, texts {}\n", o.file, c.texts.tokens,
                      c.texts.chunks.size(), c.texts.texts.size());
  if (!c.effects.empty()) text += "\n" + EffectsTable(c.effects, screen);
  return text;
}

// A file that cannot be written is known before the work.
Status CheckWritable(const std::string& path) {
  return AtomicFile::Create(path).map([](const AtomicFile&) {});
}

Status Finish(const CalibrateOptions& o, const Calibrated& c) {
  for (const CalibratedPoint& point : c.calibration.points)
    if (const std::string why = WhyLeftOut(point); !why.empty())
      PrintRemark(o.output, fmt::format("{}: left out of {}: {}", point.label, o.file, why));
  RETURN_IF_ERROR(WriteFileAtomically(o.file, FileText(o, c)));
  return o.output.json ? EmitJson(o.output, ReportJson(o, c))
                       : EmitText(o.output, ReportText(o, c));
}

}  // namespace

Result<int> RunCalibrate(const Arguments& arguments) {
  CalibrateOptions o;
  ASSIGN_OR_RETURN(const bool go, ParseCalibrate(arguments, &o));
  if (!go) return kDone;
  ProgressLine progress(o.output.quiet, "reading the model");
  Calibrated c;
  ASSIGN_OR_RETURN(c.percentiles, ReadPercentiles(o.percentiles));
  ASSIGN_OR_RETURN(OpenedModel opened, OpenModel(o.model, o.threads, o.mapped));
  Model& model = *opened.model;
  ASSIGN_OR_RETURN(c.recipe, ReadRules(o.rules, opened.recipe));
  RemarkScalesOfOther(c.recipe, model, o.output);
  ASSIGN_OR_RETURN(const Plan plan, MakePlan(model, c.recipe, o.rules.seed));
  ASSIGN_OR_RETURN(const PointSelection points, SelectPoints(o.sites, model.graph()));
  ASSIGN_OR_RETURN(const Needs needs, ReadNeeds(o.recipes, model));
  if (!o.recipes.empty() && !o.has_percentiles) c.percentiles = needs.percentiles;
  ASSIGN_OR_RETURN(c.texts, ReadTexts(model, o));
  const InterruptGuard guard;  // before anything is written, so that nothing is left
  RETURN_IF_ERROR(CheckWritable(o.file));
  c.hash = model.hash(progress.Sink()).Hex();
  const ProgressSink draw = progress.Sink();
  CalibrationRequest request{{&model, &plan}, c.texts.chunks, {}, c.percentiles, o.factor, 0, {}};
  const bool selected = o.recipes.empty() || !o.sites.empty();  // by --site, or all
  request.wants = [&, selected](const Site& site, bool operand) {
    return (selected && points.Contains(site, operand)) || needs.Contains(site, operand, false);
  };
  request.rotates = [&](const Site& site, bool operand) {
    return needs.Contains(site, operand, true);
  };
  request.progress = [&](const Progress& p) { return draw(p) && !InterruptGuard::interrupted(); };
  progress.Phase("calibrating");
  auto calibration = Calibrate(request);
  progress.Clear();
  if (!calibration && InterruptGuard::interrupted()) {
    PrintRemark(o.output, fmt::format("interrupted; {} is as it was", o.file));
    return kInterrupted;
  }
  if (!calibration) return tl::unexpected(calibration.error());
  c.calibration = std::move(*calibration);
  c.effects = WithEffects(plan, c.calibration.effects);
  RETURN_IF_ERROR(Finish(o, c));
  return kDone;
}

}  // namespace vernier
