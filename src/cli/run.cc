// vernier run: a text and what the model goes on with.
#include <unistd.h>

#include <algorithm>

#include "cli/options.h"
#include "cli/progress.h"
#include "engine/generate.h"
#include "model/utf8.h"
#include "report/rule_effects.h"

namespace vernier {
namespace {

struct RunOptions {
  std::string model;
  InputOptions input;
  RuleOptions rules;
  OutputOptions output;
  int threads = 0;
  bool mapped = false;
  size_t tokens = 64;
  Sampling sampling;
  bool ignore_eos = false, logits = false, has_temperature = false;
};

Result<bool> ParseRun(const Arguments& arguments, RunOptions* o) {
  ArgumentParser parser("Goes on with a text, greedily unless asked otherwise", "vernier run");
  parser.Positional("MODEL", &o->model, "Model, or model@recipe file");
  AddInputOptions(&parser, &o->input);
  parser.Number("-n", &o->tokens, "TOKENS", "Tokens to make (64)", size_t{0}, size_t{1} << 24);
  AddRuleOptions(&parser, &o->rules);
  parser.Number("--temperature", &o->sampling.temperature, "T", "Draw tokens; 0: the likeliest",
                0.0, 100.0, &o->has_temperature);
  parser.Number("--top-k", &o->sampling.top_k, "K", "Draw from the K likeliest; 0: from all");
  parser.Number("--top-p", &o->sampling.top_p, "P",
                "Draw from the fewest tokens that hold this share of the probability", 0.0, 1.0);
  parser.Flag("--ignore-eos", &o->ignore_eos, "Go on after an end-of-generation token");
  parser.Flag("--logits", &o->logits, "All logits of each step, in the JSON");
  AddThreadsOption(&parser, &o->threads);
  AddMappedOption(&parser, &o->mapped);
  AddOutputOptions(&parser, &o->output);
  ASSIGN_OR_RETURN(const bool go, parser.Parse(arguments));
  if (go && !o->has_temperature && (o->sampling.top_k > 0 || o->sampling.top_p < 1))
    return Fail("--top-k, --top-p: expected --temperature as well");
  if (go && o->logits && !o->output.json) return Fail("--logits: expected --json as well");
  return go;
}

// What the tokens after the prompt add to the text, so far without an unfinished character.
class TextOf {
 public:
  TextOf(const Tokenizer* tokenizer, const std::vector<int32_t>& prompt) : tokenizer_(tokenizer) {
    for (const int32_t id : prompt) Add(id);
    prompt_ids_ = ids_.size();
    if (tokenizer_ != nullptr) prompt_ = tokenizer_->Decode(ids_);
  }
  // A model may have ids its tokenizer has not: they give no text.
  void Add(int32_t id) {
    if (tokenizer_ != nullptr && id < tokenizer_->size()) ids_.push_back(id);
  }
  std::string All() const {
    if (tokenizer_ == nullptr) return "";
    const std::string whole = tokenizer_->Decode(ids_);
    if (whole.starts_with(prompt_)) return whole.substr(prompt_.size());
    return tokenizer_->Decode(std::span(ids_).subspan(prompt_ids_));
  }
  // The part that has not been taken; `rest` with an unfinished character at its end.
  std::string Take(bool rest) {
    const std::string all = All();
    size_t end = all.size();
    // A character has at most 4 bytes: an unfinished one begins among the last 3.
    for (size_t back = 1; !rest && back <= std::min<size_t>(3, all.size()); ++back) {
      const size_t at = all.size() - back;
      const unsigned char c = static_cast<unsigned char>(all[at]);
      if ((c & 0xc0) == 0x80) continue;
      if (c >= 0xc2 && Utf8Length(all, at) == 0) end = at;
      break;
    }
    const std::string piece = end > taken_ ? all.substr(taken_, end - taken_) : "";
    taken_ = std::max(taken_, end);
    return piece;
  }

 private:
  const Tokenizer* tokenizer_;
  std::vector<int32_t> ids_;
  size_t prompt_ids_ = 0;
  std::string prompt_;
  size_t taken_ = 0;
};

// Tokens that fit; error when not even the prompt does.
Result<size_t> TokensThatFit(const RunOptions& o, const Graph& graph, size_t prompt) {
  const size_t most = o.input.context > 0 ? o.input.context : graph.context;
  if (most == 0) return o.tokens;
  if (prompt > most)
    return Fail("the prompt has {} tokens, more than the context of {} ({})", prompt, most,
                o.input.context > 0 ? "-c" : "the model's; -c changes it");
  return std::min(o.tokens, most - prompt + 1);  // the last token is not fed back
}

OrderedJson ToJson(const RunOptions& o, Model& model, const std::vector<int32_t>& ids,
                   const Generated& made, const std::string& text, const char* stopped,
                   const std::vector<RuleEffect>& effects) {
  OrderedJson generated = OrderedJson::array(), steps = OrderedJson::array();
  for (const GeneratedStep& step : made.steps) {
    generated.push_back(step.token);
    steps.push_back({{"id", step.token}, {"logit", step.logit}, {"margin", step.margin}});
  }
  OrderedJson json = {{"model", o.model},
                      {"hash", model.hash().Hex()},
                      {"ids", ids},
                      {"generated", generated},
                      {"text", text},
                      {"stopped", stopped},
                      {"steps", steps},
                      {"seed", o.rules.seed},
                      {"rules", EffectsJson(effects)}};
  if (!o.logits) return json;
  json["logits"] = OrderedJson::array();
  if (!made.prompt_logits.empty()) json["logits"].push_back(made.prompt_logits);
  for (const auto& row : made.step_logits) json["logits"].push_back(row);
  return json;
}

struct Outcome {
  Generated made;
  std::string text;
  const char* stopped = "tokens";  // what ended it: "tokens", "context", "end"
};

Result<Outcome> Continue(const RunOptions& o, Model& model, const Plan& plan,
                         const std::vector<int32_t>& ids, ProgressLine* progress) {
  // Ids given as a file need no tokenizer; then there is no text, and nothing ends a generation.
  const Tokenizer* tokenizer = nullptr;
  if (auto found = model.tokenizer()) tokenizer = *found;
  ASSIGN_OR_RETURN(const size_t most, TokensThatFit(o, model.graph(), ids.size()));
  const bool stream = !o.output.json && o.output.path.empty();
  Outcome out;
  out.stopped = most < o.tokens ? "context" : "tokens";
  TextOf text(tokenizer, ids);
  const bool shared = stream && IsTerminal(STDOUT_FILENO);  // the text shows how far it is
  progress->Phase("reading the prompt");
  const ProgressSink report = progress->Sink();
  Status written;
  size_t made = 0;
  GenerateOptions options;
  options.tokens = most;
  options.sampling = o.sampling;
  options.sampling.seed = o.rules.seed;
  options.keep_logits = o.logits;
  if (tokenizer != nullptr && !o.ignore_eos)
    options.stops = [&](int32_t id) {
      if (id >= tokenizer->size() || !tokenizer->is_end_of_generation(id)) return false;
      out.stopped = "end";
      return true;
    };
  options.on_token = [&](size_t, const GeneratedStep& step) {
    text.Add(step.token);
    if (shared)
      progress->Clear();
    else
      report({"generating", static_cast<double>(++made), static_cast<double>(most), "tokens"});
    if (stream) written = PrintText(text.Take(false));
    return written.has_value();
  };
  const GenerateRequest request{&plan, ids};
  out.made = std::move(Generate(model, {&request, 1}, options)[0]);
  RETURN_IF_ERROR(written);
  out.text = text.All();
  if (stream) {
    RETURN_IF_ERROR(PrintText(text.Take(true) + "\n"));
  }
  return out;
}

}  // namespace

Result<int> RunRun(const Arguments& arguments) {
  RunOptions o;
  ASSIGN_OR_RETURN(const bool go, ParseRun(arguments, &o));
  if (!go) return kDone;
  ProgressLine progress(o.output.quiet, "reading the model");
  ASSIGN_OR_RETURN(OpenedModel opened, OpenModel(o.model, o.threads, o.mapped));
  Model& model = *opened.model;
  ASSIGN_OR_RETURN(const std::vector<int32_t> ids, ReadTokens(model, o.input));
  ASSIGN_OR_RETURN(const Recipe recipe, ReadRules(o.rules, opened.recipe));
  RemarkScalesOfOther(recipe, model, o.output);
  ASSIGN_OR_RETURN(const Plan plan, MakePlan(model, recipe, o.rules.seed));
  ASSIGN_OR_RETURN(const Outcome outcome, Continue(o, model, plan, ids, &progress));
  const std::vector<RuleEffect> effects = WithEffects(plan, outcome.made.effects);
  if (o.output.json) {
    model.hash(progress.Sink());
    progress.Clear();
    RETURN_IF_ERROR(EmitJson(
        o.output, ToJson(o, model, ids, outcome.made, outcome.text, outcome.stopped, effects)));
    return kDone;
  }
  progress.Clear();
  if (!o.output.path.empty()) {
    RETURN_IF_ERROR(Emit(o.output, outcome.text + "\n"));
  }
  if (!effects.empty())
    PrintRemark(o.output,
                "\n" + EffectsTable(effects, ScreenOf(STDERR_FILENO, o.output.colour, kFileWidth)));
  return kDone;
}

}  // namespace vernier
