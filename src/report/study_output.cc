// The forms a study's report is written in.
#include <algorithm>
#include <cmath>

#include "report/rule_effects.h"
#include "report/study_costs.h"
#include "report/study_layers.h"
#include "report/study_report.h"
#include "report/table.h"

namespace vernier {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kKldNames[] = {"max", "p99.9", "p99", "p95",  "p90", "median",
                                     "p10", "p5",    "p1",  "p0.1", "min"};
constexpr const char* kDeltaPNames[] = {"max", "p99.9", "p99", "p95", "p90",  "p75", "median",
                                        "p25", "p10",   "p5",  "p1",  "p0.1", "min"};

Json DivergenceJson(const DivergenceSummary& s, bool truth) {
  Json json = {{"tokens", s.tokens},
               {"kld", KldJson(s)},
               {"delta_p", DeltaPJson(s)},
               {"same_top_p", s.same_top.value},
               {"same_top_p_uncertainty", s.same_top.error},
               {"ln_ppl_ratio", ValueJson(s.log_ratio)},
               {"ppl_ratio", ValueJson(s.ratio)},
               {"ppl_difference", ValueJson(s.difference)},
               {"logits", {{"max_abs", s.max_abs}, {"mae", s.mae}}}};
  if (truth) {
    json["kld_truth"] = ValueJson(s.kld_truth);
    json["mae_truth"] = ValueJson(s.mae_truth);
  }
  return json;
}

Json AgreementJson(const Agreement& a) {
  Json json = {{"prompts", a.prompts},
               {"tokens", a.tokens},
               {"match_rate", a.match_rate},
               {"diverged", a.diverged}};
  json["first_difference"] = a.diverged > 0 ? Json(a.first_difference) : Json(nullptr);
  json["margin"] = a.diverged > 0 ? Json(a.margin) : Json(nullptr);
  return json;
}

Json VariantJson(const StudyPart& part, const VariantReport& v) {
  const StudySpec& spec = *part.spec;
  const StudyData& data = *part.data;
  const bool truth = data.Truth() >= 0;
  Json json = {{"name", v.name}, {"vacuous", v.vacuous}, {"foretold", v.foretold}};
  json["same_as"] = v.same_as.empty() ? Json(nullptr) : Json(v.same_as);
  if (IsLayerAlone(data, v.lane)) {
    const LayerAlone& alone = data.lanes[v.lane].alone;
    json["alone"] = {{"of", data.lanes[static_cast<size_t>(alone.whole)].name},
                     {"layer", alone.layer}};
  }
  const StudyLane& lane = data.lanes[v.lane];
  const StudyVariant& variant = spec.variants[static_cast<size_t>(lane.variant)];
  if (!variant.recipe.empty()) json["recipe"] = variant.recipe;
  if (lane.beside >= 0) json["beside"] = data.lanes[static_cast<size_t>(lane.beside)].name;
  json["rules"] = EffectsJson(v.rules);
  json["ppl"] = PerplexityJson(v.ppl);
  json.update(DivergenceJson(v.divergence, truth));
  json["accuracy"] = AccuracyJson(v.divergence, v.accuracy_difference);
  if (v.last_word) json["last_word"] = LastWordJson(*v.last_word, false);
  json["texts"] = Json::array();
  for (size_t t = 0; t < spec.texts.size(); ++t) {
    Json text = {{"text", spec.texts[t].name}, {"ppl", PerplexityJson(v.text_ppl[t])}};
    text.update(DivergenceJson(v.text_divergence[t], truth));
    text["accuracy"] = AccuracyJson(v.text_divergence[t], v.text_accuracy_difference[t]);
    json["texts"].push_back(std::move(text));
  }
  json["sites"] = SitesJson(part, v.lane);
  if (!data.first_tokens.empty() && !data.first_tokens[v.lane].empty())
    json["first_token"] = FirstTokensJson(part, v.lane);
  if (!v.agreement.empty()) {
    json["free_running"] = AgreementJson(v.agreement[0].second);
    for (size_t i = 1; i < v.agreement.size(); ++i)
      json["free_running"]["tags"][v.agreement[i].first] = AgreementJson(v.agreement[i].second);
  }
  const auto timing = data.timings.find(v.lane);
  const bool timed = timing != data.timings.end();
  json["cost"] = LaneCostJson(v.cost, timed ? timing->second.variant : std::vector<double>());
  if (timed)
    json["seconds_alone"] = {{"baseline", timing->second.baseline},
                             {"variant", timing->second.variant}};
  return json;
}

// A field of a CSV file (RFC 4180).
std::string Quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

std::string WithError(double value, double error) {
  return fmt::format("{} ± {}", NumberText(value), NumberText(error));
}

// Which of the two is nearer to the truth.
std::string Nearer(const DivergenceSummary& d, const StudyReport& report) {
  const double a = report.baseline_mae_truth.value, b = d.mae_truth.value;
  return b < a ? " nearer" : b > a ? " farther" : " same";
}

std::string Remarks(const VariantReport& v, const std::optional<DivergenceSummary>& noise) {
  std::string text;
  const auto add = [&](const std::string& part) { text += (text.empty() ? "" : "; ") + part; };
  if (v.vacuous) add(v.foretold ? "VACUOUS (foretold)" : "VACUOUS");
  if (!v.same_as.empty()) add("same as '" + v.same_as + "'");
  if (noise && !v.vacuous && v.divergence.kld.value <= noise->kld.value) add("within noise");
  return text;
}

}  // namespace

Json ValueJson(const ValueError& v) { return {{"value", v.value}, {"uncertainty", v.error}}; }
Json PerplexityJson(const Perplexity& ppl) {
  return {{"mean", ppl.mean}, {"uncertainty", ppl.uncertainty}, {"tokens", ppl.tokens}};
}

Json KldJson(const DivergenceSummary& s) {
  Json json = {{"mean", s.kld.value}, {"uncertainty", s.kld.error}};
  for (size_t i = 0; i < s.kld_quantiles.size(); ++i) json[kKldNames[i]] = s.kld_quantiles[i];
  return json;
}

Json DeltaPJson(const DivergenceSummary& s) {
  Json json = {{"mean", s.delta_p.value},
               {"uncertainty", s.delta_p.error},
               {"rms", s.rms_delta_p.value},
               {"rms_uncertainty", s.rms_delta_p.error}};
  for (size_t i = 0; i < s.delta_p_quantiles.size(); ++i)
    json[kDeltaPNames[i]] = s.delta_p_quantiles[i];
  return json;
}

namespace {

// What was run: results.json has these keys at its top for a study of one model, else in `models`.
Json ModelJson(const StudyPart& part) {
  const StudySpec& spec = *part.spec;
  const StudyReport& report = part.report;
  Json json = {{"model",
                {{"path", spec.model},
                 {"rules", spec.model_rules},
                 {"architecture", part.model->graph().architecture},
                 {"hash", part.model->hash().Hex()}}}};
  json["baseline"] = {{"rules", spec.baseline}, {"ppl", PerplexityJson(report.baseline)}};
  if (part.data->Truth() >= 0) {
    json["baseline"]["kld_truth"] = ValueJson(report.baseline_truth);
    json["baseline"]["mae_truth"] = ValueJson(report.baseline_mae_truth);
  }
  json["baseline"]["texts"] = Json::array();
  for (size_t t = 0; t < spec.texts.size(); ++t)
    json["baseline"]["texts"].push_back(
        {{"text", spec.texts[t].name},
         {"ppl", PerplexityJson(report.baseline_texts[t])},
         {"accuracy", ValueJson(report.baseline_text_accuracy[t])}});
  json["baseline"]["accuracy"] = ValueJson(report.baseline_accuracy);
  if (report.baseline_last_word)
    json["baseline"]["last_word"] = LastWordJson(*report.baseline_last_word, true);
  json["baseline"]["cost"] = LaneCostJson(report.baseline_cost, {});
  json["baseline"]["sites"] = SitesJson(part, part.data->Baseline());
  if (!part.data->first_tokens.empty()) {
    json["baseline"]["first_token"] = FirstTokensJson(part, part.data->Baseline());
    json["first_prompts"] = Json::array();
    for (const StudyPrompt& prompt : part.data->first_prompts)
      json["first_prompts"].push_back(prompt.text);
  }
  if (report.noise)
    json["noise"] = {{"lanes", spec.noise},
                     {"kld", KldJson(*report.noise)},
                     {"logits", {{"max_abs", report.noise->max_abs}, {"mae", report.noise->mae}}}};
  if (!report.candidates.empty()) json["recommendation"] = RecommendationJson(part);
  return json;
}

struct Cost {
  EvaluationCost evaluation;
  double seconds = 0;
};
Cost TotalCost(std::span<const StudyPart> parts) {
  Cost total;
  for (const StudyPart& part : parts) {
    total.evaluation += part.data->cost;
    total.seconds += part.data->seconds;
  }
  return total;
}

}  // namespace

Json StudyJson(std::span<const StudyPart> parts, const std::vector<JudgedClaim>& claims) {
  const StudySpec& spec = *parts[0].spec;
  const bool several = parts.size() > 1;
  Json json = {{"name", spec.name},
               {"study", spec.path},
               {"numerics", kNumericsVersion},
               {"context", spec.context},
               {"seed", spec.seed}};
  if (!several) json.update(ModelJson(parts[0]));
  json["variants"] = Json::array();
  for (size_t m = 0; m < parts.size(); ++m) {
    if (several) {
      json["models"].push_back({{"name", spec.models[m].name}});
      json["models"].back().update(ModelJson(parts[m]));
    }
    for (const VariantReport& v : parts[m].report.variants) {
      json["variants"].push_back(VariantJson(parts[m], v));
      if (several) json["variants"].back()["model"] = spec.models[m].name;
    }
  }
  json["claims"] = Json::array();
  for (const JudgedClaim& c : claims)
    json["claims"].push_back({{"says", c.says},
                              {c.required ? "require" : "expect", c.expression},
                              {"verdict", VerdictName(c.verdict)},
                              {"detail", c.detail}});
  const Cost cost = TotalCost(parts);
  json["cost"] = {{"tensors_naive", cost.evaluation.tensors_naive},
                  {"tensors_evaluated", cost.evaluation.tensors_evaluated},
                  {"rows_naive", cost.evaluation.rows_naive},
                  {"rows_evaluated", cost.evaluation.rows_evaluated},
                  {"seconds", cost.seconds}};
  return json;
}

std::string StudyCsv(std::span<const StudyPart> parts) {
  std::string csv =
      "variant,text,tokens,ppl,ppl_uncertainty,kld,kld_uncertainty,kld_max,kld_p99,kld_median,"
      "delta_p,delta_p_rms,same_top_p,"
      "logits_max_abs,logits_mae,kld_truth,mae_truth,vacuous,foretold,same_as,accuracy,"
      "accuracy_difference,accuracy_p\r\n";
  const auto line = [&](const VariantReport& v, const std::string& text, const Perplexity& ppl,
                        const DivergenceSummary& d) {
    csv +=
        fmt::format("{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}\r\n",
                    Quoted(v.name), Quoted(text), d.tokens, ppl.mean, ppl.uncertainty, d.kld.value,
                    d.kld.error, d.kld_quantiles[0], d.kld_quantiles[2], d.kld_quantiles[5],
                    d.delta_p.value, d.rms_delta_p.value, d.same_top.value, d.max_abs, d.mae,
                    d.kld_truth.value, d.mae_truth.value, v.vacuous, v.foretold, Quoted(v.same_as),
                    d.accuracy.value, d.accuracy_difference.value, d.accuracy_test.p_value);
  };
  for (const StudyPart& part : parts) {
    for (const VariantReport& v : part.report.variants) {
      line(v, "", v.ppl, v.divergence);
      for (size_t t = 0; t < part.spec->texts.size(); ++t)
        line(v, part.spec->texts[t].name, v.text_ppl[t], v.text_divergence[t]);
    }
  }
  return csv;
}

namespace {

// Why variants are vacuous: a line a reason, with the variants it holds for.
std::string VacuousText(const StudyReport& report, const StudyData& data, const Screen& screen) {
  std::vector<std::pair<std::string, std::string>> reasons;  // and names
  for (const VariantReport& v : report.variants) {
    if (IsLayerAlone(data, v.lane)) continue;
    for (const RuleEffect& e : v.rules) {
      if (!e.vacuous()) continue;
      const std::string why = WhyVacuous(e);
      const auto known = std::find_if(reasons.begin(), reasons.end(),
                                      [&](const auto& reason) { return reason.first == why; });
      if (known == reasons.end())
        reasons.emplace_back(why, "'" + v.name + "'");
      else
        known->second += ", '" + v.name + "'";
    }
  }
  std::string text;
  for (const auto& [why, names] : reasons)
    text += StyledVerdict(screen, fmt::format("VACUOUS: {}: {}\n", why, names));
  return text;
}

// A model's heading lines and its variants.
std::string ModelTable(const StudyPart& part, const Screen& screen) {
  const StudySpec& spec = *part.spec;
  const StudyData& data = *part.data;
  const StudyReport& report = part.report;
  std::string name = spec.model;
  if (!spec.model_rules.empty())
    name = fmt::format("{}{} with {}", spec.prefix, name, fmt::join(spec.model_rules, ", "));
  std::string text = fmt::format(
      "{}: {} tokens scored, baseline perplexity {}, next token right {} ± {}\n", name,
      report.baseline.tokens, WithError(report.baseline.mean, report.baseline.uncertainty),
      PercentText(report.baseline_accuracy.value), PercentText(report.baseline_accuracy.error));
  if (report.baseline_last_word)
    text += fmt::format("last words of {} passages: baseline right {} ± {}, perplexity {} a word\n",
                        report.baseline_last_word->passages,
                        PercentText(report.baseline_last_word->right.value),
                        PercentText(report.baseline_last_word->right.error),
                        NumberText(report.baseline_last_word->ppl));
  if (data.Truth() >= 0)
    text +=
        fmt::format("baseline against truth (f64): KL {} nats a token, mean |dlogit| {}\n",
                    WithError(report.baseline_truth.value, report.baseline_truth.error),
                    WithError(report.baseline_mae_truth.value, report.baseline_mae_truth.error));
  if (report.noise)
    text += fmt::format("noise floor ({} lanes rounded at random): KL {}, mean |dlogit| {}\n",
                        spec.noise, WithError(report.noise->kld.value, report.noise->kld.error),
                        NumberText(report.noise->mae));
  Table table{{{"variant", Align::kLeft},
               {"KL to baseline"},
               {"ln PPL ratio", Align::kRight, 1},
               {"same top", Align::kRight, 6},
               {"accuracy", Align::kRight, 3},
               {"p", Align::kRight, 4},
               {"mean |dlogit|", Align::kRight, 7},
               {"max", Align::kRight, 8}},
              {}};
  if (data.Truth() >= 0) {
    table.columns.push_back({"KL to truth", Align::kRight, 5});
    table.columns.push_back({"|dlogit| to truth"});
  }
  const bool free_running =
      std::any_of(report.variants.begin(), report.variants.end(),
                  [](const VariantReport& v) { return !v.agreement.empty(); });
  if (report.baseline_last_word) {
    table.columns.push_back({"last word", Align::kRight, 3});
    table.columns.push_back({"p", Align::kRight, 4});
  }
  if (free_running) table.columns.push_back({"free match", Align::kRight, 2});
  table.columns.push_back({"", Align::kLeft, 0, true});
  for (const VariantReport& v : report.variants) {
    if (IsLayerAlone(data, v.lane)) continue;
    const DivergenceSummary& d = v.divergence;
    std::vector<std::string> row = {v.name.substr(spec.prefix.size()),
                                    WithError(d.kld.value, d.kld.error),
                                    WithError(d.log_ratio.value, d.log_ratio.error),
                                    PercentText(d.same_top.value),
                                    PercentText(d.accuracy.value),
                                    NumberText(d.accuracy_test.p_value),
                                    NumberText(d.mae),
                                    NumberText(d.max_abs)};
    if (data.Truth() >= 0) {
      row.push_back(NumberText(d.kld_truth.value));
      row.push_back(fmt::format("{}{}", NumberText(d.mae_truth.value), Nearer(d, report)));
    }
    if (report.baseline_last_word) {
      row.push_back(v.last_word ? PercentText(v.last_word->right.value) : "");
      row.push_back(v.last_word ? NumberText(v.last_word->test.p_value) : "");
    }
    if (free_running)
      row.push_back(v.agreement.empty() ? "" : PercentText(v.agreement[0].second.match_rate));
    row.push_back(Remarks(v, report.noise));
    table.rows.push_back(std::move(row));
  }
  text += "\n" + FormatTable(table, screen);
  return text + VacuousText(report, data, screen) + CostTable(part, screen) +
         RecommendationTable(part, screen) + FirstTokenTable(part, screen) +
         LayerTables(part, screen);
}

// The verdict, what is claimed, and below it why.
std::string ClaimText(const JudgedClaim& claim, const Screen& screen) {
  constexpr size_t kIndent = 13;  // the longest verdict, and three spaces
  const auto lines = [&](const std::string& text) {
    return screen.fit ? WrapText(Printable(text), screen.width - std::min(screen.width, kIndent))
                      : std::vector<std::string>{text};
  };
  const std::string verdict = VerdictName(claim.verdict);
  std::string text = "  " + StyledVerdict(screen, verdict) +
                     std::string(kIndent - 2 - std::min(verdict.size(), kIndent - 3), ' ');
  std::string indent;
  for (const std::string& said : {claim.says + (claim.required ? " (required)" : ""), claim.detail})
    for (const std::string& line : lines(said)) {
      text += indent + line + "\n";
      indent.assign(kIndent, ' ');
    }
  return text;
}

}  // namespace

std::string StudyTables(std::span<const StudyPart> parts, const std::vector<JudgedClaim>& claims,
                        const Screen& screen) {
  std::string text = Styled(screen, Style::kHeading, parts[0].spec->name) + "\n";
  for (const StudyPart& part : parts) text += "\n" + ModelTable(part, screen);
  if (!claims.empty()) text += "\n" + Styled(screen, Style::kHeading, "Claims") + "\n";
  for (const JudgedClaim& c : claims) text += ClaimText(c, screen);
  const Cost cost = TotalCost(parts);
  const double share = static_cast<double>(cost.evaluation.tensors_evaluated) /
                       static_cast<double>(std::max<uint64_t>(1, cost.evaluation.tensors_naive));
  return text + fmt::format("\n{} of {} tensors evaluated ({}), {:.1f} s\n",
                            CountText(cost.evaluation.tensors_evaluated),
                            CountText(cost.evaluation.tensors_naive), PercentText(share),
                            cost.seconds);
}

}  // namespace vernier
