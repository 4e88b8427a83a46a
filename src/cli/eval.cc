// vernier eval: perplexity, and KL divergence against another model or recipe, as llama-perplexity
// defines them.
#include "base/file.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "measure/capture.h"
#include "measure/capture_kld.h"
#include "measure/score.h"
#include "measure/score_pair.h"
#include "measure/summary.h"
#include "report/rule_effects.h"
#include "report/study_report.h"
#include "report/table.h"

namespace vernier {
namespace {

struct EvalOptions {
  std::string model, against, save;
  InputOptions input;
  RuleOptions rules;
  OutputOptions output;
  int threads = 0;
  bool mapped = false;
  size_t chunks = 0;
};

// The chunks as the base file has them: the text's own tokens, before BOS replaces the first.
Status SaveLogits(const RunSide& side, const EvalOptions& options, const std::vector<Chunk>& chunks,
                  const ProgressSink& progress) {
  if (options.save.empty()) return {};
  ASSIGN_OR_RETURN(const std::vector<int32_t> tokens, ReadTokens(*side.model, options.input));
  std::vector<std::vector<int32_t>> texts;
  for (const Chunk& chunk : chunks) {
    const auto first =
        tokens.begin() + static_cast<std::ptrdiff_t>(texts.size() * chunk.tokens.size());
    texts.emplace_back(first, first + static_cast<std::ptrdiff_t>(chunk.tokens.size()));
  }
  int32_t bos = -1;
  for (size_t c = 0; c < chunks.size(); ++c)
    if (texts[c][0] != chunks[c].tokens[0]) bos = chunks[c].tokens[0];
  return SaveKld(side, texts, bos, options.save, progress);
}

Result<std::vector<Chunk>> ReadChunks(Model& model, const EvalOptions& options) {
  ASSIGN_OR_RETURN(const std::vector<int32_t> tokens, ReadTokens(model, options.input));
  int32_t bos = -1;
  bool adds_bos = false;
  if (options.input.tokens_file.empty()) {  // ids given as such are taken as they are
    ASSIGN_OR_RETURN(const Tokenizer* tokenizer, model.tokenizer());
    bos = tokenizer->bos();
    adds_bos = tokenizer->adds_bos() && !options.input.no_bos;
  }
  const size_t context = options.input.context > 0 ? options.input.context : kDefaultContext;
  auto chunks = PerplexityChunks(tokens, context, adds_bos, bos, options.chunks);
  if (!chunks) {
    const InputOptions& input = options.input;
    return Fail("{}: {}",
                !input.tokens_file.empty() ? input.tokens_file
                : !input.file.empty()      ? input.file
                                           : "the text of -p",
                chunks.error().message);
  }
  return chunks;
}

std::string ErrorText(const ValueError& v) {
  return NumberText(v.value) + " ± " + NumberText(v.error);
}

std::string Report(const EvalOptions& options, const PairScore& score, const Perplexity& ppl,
                   const Perplexity& base, const Screen& screen) {
  std::string text = fmt::format("Final estimate: PPL = {:.4f} +/- {:.5f}   ({} tokens)\n",
                                 ppl.mean, ppl.uncertainty, ppl.tokens);
  if (options.against.empty()) return text;
  const DivergenceSummary s = Summarize(score.base, score.tokens);
  Table table{{{"", Align::kLeft}, {"", Align::kLeft}}, {}};
  const auto percent = [](const ValueError& v) {
    return fmt::format("{:.4f} ± {:.4f} %", 100 * v.value, 100 * v.error);
  };
  table.rows = {{"Mean PPL(Q)", ErrorText({ppl.mean, ppl.uncertainty})},
                {"Mean PPL(base)", ErrorText({base.mean, base.uncertainty})},
                {"Cor(ln(PPL(Q)), ln(PPL(base)))", fmt::format("{:.4f} %", 100 * s.correlation)},
                {"Mean ln(PPL(Q)/PPL(base))", ErrorText(s.log_ratio)},
                {"Mean PPL(Q)/PPL(base)", ErrorText(s.ratio)},
                {"Mean PPL(Q)-PPL(base)", ErrorText(s.difference)},
                {"Mean KLD", ErrorText(s.kld)}};
  static constexpr const char* kKldRows[] = {"Maximum KLD", "99.9% KLD",  "99.0% KLD",  "95.0% KLD",
                                             "90.0% KLD",   "Median KLD", "10.0% KLD",  "5.0% KLD",
                                             "1.0% KLD",    "0.1% KLD",   "Minimum KLD"};
  for (size_t i = 0; i < std::size(kKldRows); ++i)
    table.rows.push_back({kKldRows[i], NumberText(s.kld_quantiles[i])});
  table.rows.push_back({"Mean Δp", percent(s.delta_p)});
  static constexpr const char* kDeltaRows[] = {
      "Maximum Δp", "99.9% Δp", "99.0% Δp", "95.0% Δp", "90.0% Δp", "75.0% Δp",  "Median Δp",
      "25.0% Δp",   "10.0% Δp", "5.0% Δp",  "1.0% Δp",  "0.1% Δp",  "Minimum Δp"};
  for (size_t i = 0; i < std::size(kDeltaRows); ++i)
    table.rows.push_back({kDeltaRows[i], fmt::format("{:.4f} %", 100 * s.delta_p_quantiles[i])});
  table.rows.push_back({"RMS Δp", percent(s.rms_delta_p)});
  table.rows.push_back({"Same top p", percent(s.same_top)});
  return text + FormatTable(table, screen);
}

OrderedJson Json(const EvalOptions& options, const PairScore& score, const Perplexity& ppl,
                 const Perplexity& base, size_t chunks) {
  OrderedJson json = {{"model", options.model},
                      {"chunks", chunks},
                      {"tokens", ppl.tokens},
                      {"ppl", PerplexityJson(ppl)}};
  if (options.against.empty()) return json;
  const DivergenceSummary s = Summarize(score.base, score.tokens);
  json["against"] = options.against;
  json["ppl_base"] = PerplexityJson(base);
  json["correlation"] = s.correlation;
  json["ln_ppl_ratio"] = ValueJson(s.log_ratio);
  json["ppl_ratio"] = ValueJson(s.ratio);
  json["ppl_difference"] = ValueJson(s.difference);
  json["kld"] = KldJson(s);
  json["delta_p"] = DeltaPJson(s);
  json["same_top_p"] = s.same_top.value;
  json["same_top_p_uncertainty"] = s.same_top.error;
  json["logits"] = {{"max_abs", s.max_abs}, {"mae", s.mae}};
  return json;
}

Perplexity PerplexityOf(const std::vector<TokenMeasure>& tokens) {
  std::vector<double> nll;
  for (const TokenMeasure& t : tokens) nll.push_back(t.nll);
  return SummarizePerplexity(nll);
}

}  // namespace

Result<int> RunEval(const Arguments& arguments) {
  ArgumentParser parser("Perplexity and KL divergence of a text", "vernier eval");
  EvalOptions options;
  parser.Positional("MODEL", &options.model, "Model; --rule and --recipe apply to it");
  parser.Text("--against", &options.against, "MODEL",
              "The base model that KL divergence is measured from");
  parser.Number("--chunks", &options.chunks, "N", "Only the first N chunks");
  parser.Text("--save-logits", &options.save, "FILE",
              "Write the logits as llama-perplexity's base file (.kld)");
  parser.Takes("--save-logits", FilesNamed({"kld"}));
  AddInputOptions(&parser, &options.input);
  AddRuleOptions(&parser, &options.rules);
  AddThreadsOption(&parser, &options.threads);
  AddMappedOption(&parser, &options.mapped);
  AddOutputOptions(&parser, &options.output);
  ASSIGN_OR_RETURN(const bool go, parser.Parse(arguments));
  if (!go) return kDone;
  if (!options.save.empty() && KindOfCapture(options.save) != CaptureKind::kKld)
    return Fail("--save-logits '{}': expected a name that ends in .kld", options.save);

  ProgressLine progress(options.output.quiet, "reading the model");
  ASSIGN_OR_RETURN(OpenedModel opened, OpenModel(options.model, options.threads, options.mapped));
  OpenedModel base;
  if (!options.against.empty()) {
    ASSIGN_OR_RETURN(base, OpenModel(options.against, options.threads, options.mapped));
  }
  ASSIGN_OR_RETURN(const Recipe recipe, ReadRules(options.rules, opened.recipe, base.recipe));
  RemarkScalesOfOther(recipe, *opened.model, options.output);
  ASSIGN_OR_RETURN(const Plan plan, MakePlan(*opened.model, recipe, options.rules.seed));
  ASSIGN_OR_RETURN(const std::vector<Chunk> chunks, ReadChunks(*opened.model, options));
  PairRequest request{{opened.model.get(), &plan}, {opened.model.get(), &plan}, chunks, {}};
  Plan base_plan;
  if (!options.against.empty()) {
    base.recipe.scales = recipe.scales;
    RemarkScalesOfOther(base.recipe, *base.model, options.output);
    ASSIGN_OR_RETURN(base_plan, MakePlan(*base.model, base.recipe, options.rules.seed));
    if (base.model->graph().vocabulary != opened.model->graph().vocabulary)
      return Fail("--against {}: {} tokens in its vocabulary, expected {}", options.against,
                  base.model->graph().vocabulary, opened.model->graph().vocabulary);
    request.base = {base.model.get(), &base_plan};
  }
  progress.Phase("scoring");
  request.progress = progress.Sink();
  const PairScore score = ScorePair(request);
  RETURN_IF_ERROR(SaveLogits({opened.model.get(), &plan}, options, chunks, progress.Sink()));
  progress.Clear();
  const Perplexity ppl = PerplexityOf(score.tokens), ppl_base = PerplexityOf(score.base);
  const std::vector<RuleEffect> effects = WithEffects(plan, score.effects);
  if (options.output.json) {
    OrderedJson json = Json(options, score, ppl, ppl_base, chunks.size());
    json["rules"] = EffectsJson(effects);
    RETURN_IF_ERROR(EmitJson(options.output, json));
    return kDone;
  }
  const Screen screen = ScreenOf(options.output);
  const std::string rules = EffectsTable(effects, screen);
  RETURN_IF_ERROR(EmitText(options.output, Report(options, score, ppl, ppl_base, screen) +
                                               (rules.empty() ? "" : "\n" + rules)));
  return kDone;
}

}  // namespace vernier
