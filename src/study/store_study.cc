// The study's own tables: which of the stored lanes and chunks it is about and what it calls them;
// its runs, their times and costs.
#include <chrono>
#include <nlohmann/json.hpp>

#include "study/store_state.h"

namespace vernier {
namespace {

std::string Now() {
  const auto seconds =
      std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now());
  const std::chrono::sys_days day = std::chrono::floor<std::chrono::days>(seconds);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(seconds - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     time.hours().count(), time.minutes().count(), time.seconds().count());
}

// Valid UTF-8 whatever the bytes: what is not becomes U+FFFD.
std::string Utf8(const std::string& bytes) {
  using Json = nlohmann::json;
  return Json::parse(Json(bytes).dump(-1, ' ', false, Json::error_handler_t::replace))
      .get<std::string>();
}

std::string RulesText(const LaneRecord& lane) {
  std::string text;
  for (const RuleRecord& rule : lane.rules) text += (text.empty() ? "" : "\n") + rule.rule;
  return text;
}

// Writes one model's rows. Ids follow from the order of the records, so that a store that was
// interrupted anywhere has the same.
class Describer {
 public:
  Describer(Store::State& state, const ModelRecord& model) : state_(state), model_(model) {}

  Status Write() {
    RETURN_IF_ERROR(Clear());
    RETURN_IF_ERROR(WriteModel());
    for (size_t l = 0; l < model_.lanes.size(); ++l) RETURN_IF_ERROR(WriteLane(l));
    for (const ChunkRecord& chunk : model_.chunks) RETURN_IF_ERROR(WriteChunk(chunk));
    for (const PromptRecord& prompt : model_.prompts) RETURN_IF_ERROR(WritePrompt(prompt));
    return {};
  }

 private:
  Status Clear() {
    RETURN_IF_ERROR(state_.Run("DELETE FROM study_model WHERE number=?", model_.number));
    for (const char* table : {"study_chunk", "study_lane", "study_prompt"})
      RETURN_IF_ERROR(
          state_.Run(fmt::format("DELETE FROM {} WHERE model=?", table), model_.number));
    return {};
  }

  Status WriteModel() {
    RETURN_IF_ERROR(state_.Run(
        "INSERT OR IGNORE INTO model (hash, architecture, layers, vocabulary) VALUES (?, ?, ?, ?)",
        model_.hash, model_.architecture, model_.layers, model_.vocabulary));
    ASSIGN_OR_RETURN([[maybe_unused]] const bool found,
                     state_.Row(
                         "SELECT id FROM model WHERE hash=?",
                         [&](Statement& row) { row.Read(&id_); }, model_.hash));
    RETURN_IF_ERROR(state_.Run("INSERT INTO study_model VALUES (?, ?, ?, ?, ?)", model_.number,
                               model_.name, model_.path,
                               fmt::format("{}", fmt::join(model_.rules, "\n")), id_));
    for (const SiteRecord& site : model_.sites) {
      ASSIGN_OR_RETURN(Statement * statement,
                       state_.Prepared("INSERT OR IGNORE INTO site VALUES (?, ?, ?, ?, ?)"));
      *statement << id_ << site.number << site.label << site.name;
      RETURN_IF_ERROR(RunWithLayer(*statement, site.layer));
    }
    for (const auto& [token, text] : model_.pieces)
      RETURN_IF_ERROR(
          state_.Run("INSERT OR IGNORE INTO piece VALUES (?, ?, ?)", id_, token, Utf8(text)));
    return {};
  }

  Status RunWithLayer(Statement& statement, int layer) {
    if (layer >= 0)
      statement << layer;
    else
      statement.BindNull();
    return state_.file.Run(statement);
  }

  Status WriteLane(size_t number) {
    const LaneRecord& lane = model_.lanes[number];
    ASSIGN_OR_RETURN(const int64_t id, state_.Id("lane", lane.key));
    const std::string rules = RulesText(lane);
    RETURN_IF_ERROR(state_.Run("INSERT OR IGNORE INTO recipe (rules) VALUES (?)", rules));
    RETURN_IF_ERROR(state_.Run(
        "UPDATE lane SET model=?, seed=?, recipe=(SELECT id FROM recipe WHERE rules=?) WHERE id=?",
        id_, lane.seed, rules, id));
    for (size_t r = 0; r < lane.rules.size(); ++r) {
      const RuleRecord& rule = lane.rules[r];
      RETURN_IF_ERROR(state_.Run("INSERT OR IGNORE INTO rule VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                                 id, r, rule.rule, rule.rounds, rule.sites, rule.weights.touched,
                                 rule.weights.changed, rule.weights.saturated,
                                 rule.weights.flushed));
    }
    ASSIGN_OR_RETURN(
        Statement * statement,
        state_.Prepared(
            "INSERT INTO study_lane VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
    *statement << model_.number << number << lane.kind << lane.name << id << lane.own_rules;
    for (const int value : {lane.whole, lane.layer}) BindOr(*statement, value, value >= 0);
    for (const std::string& text : {lane.sweep, lane.site, lane.format})
      BindOr(*statement, text, !text.empty());
    const LaneOutcome outcome = lane.outcome.value_or(LaneOutcome{});
    BindOr(*statement, outcome.vacuous, lane.outcome.has_value());
    BindOr(*statement, outcome.foretold, lane.outcome.has_value());
    BindOr(*statement, outcome.same_as, !outcome.same_as.empty());
    return state_.file.Run(*statement);
  }

  template <class T>
  static void BindOr(Statement& statement, const T& value, bool given) {
    if (given)
      statement << value;
    else
      statement.BindNull();
  }

  Status WriteChunk(const ChunkRecord& chunk) {
    ASSIGN_OR_RETURN(const int64_t id, state_.Id("chunk", chunk.key));
    RETURN_IF_ERROR(state_.Run("INSERT INTO study_chunk VALUES (?, ?, ?, ?)", model_.number,
                               chunk.text, chunk.number, id));
    size_t next = 0;  // of the scored ones
    for (size_t i = 0; i < chunk.tokens->size(); ++i) {
      const bool scored = next < chunk.scored->size() && (*chunk.scored)[next] == i;
      next += scored;
      RETURN_IF_ERROR(state_.Run("INSERT OR IGNORE INTO token VALUES (?, ?, ?, ?)", id, i,
                                 (*chunk.tokens)[i], scored));
    }
    return {};
  }

  Status WritePrompt(const PromptRecord& prompt) {
    ASSIGN_OR_RETURN(const int64_t id, state_.Id("prompt", prompt.key));
    RETURN_IF_ERROR(
        state_.Run("UPDATE prompt SET text=? WHERE id=? AND text IS NULL", prompt.text, id));
    return state_.Run("INSERT INTO study_prompt VALUES (?, ?, ?, ?, ?, ?)", model_.number,
                      prompt.purpose, prompt.number, prompt.tag, prompt.length, id);
  }

  Store::State& state_;
  const ModelRecord& model_;
  int64_t id_ = 0;
};

Status DescribeStudy(Store::State& state, const StudyRecord& study) {
  RETURN_IF_ERROR(state.Run("INSERT OR REPLACE INTO study VALUES (1, ?, ?, ?, ?, ?, ?)", study.name,
                            study.path, study.numerics, study.context, study.seed, study.truth));
  for (const char* table : {"study_text", "claim"})
    RETURN_IF_ERROR(state.Run(fmt::format("DELETE FROM {}", table)));
  for (size_t t = 0; t < study.texts.size(); ++t)
    RETURN_IF_ERROR(state.Run("INSERT INTO study_text VALUES (?, ?, ?)", t, study.texts[t].first,
                              study.texts[t].second));
  for (size_t c = 0; c < study.claims.size(); ++c) {
    const ClaimRecord& claim = study.claims[c];
    RETURN_IF_ERROR(state.Run("INSERT INTO claim VALUES (?, ?, ?, ?, nullif(?, ''), nullif(?, ''))",
                              c + 1, claim.says, claim.expression, claim.required, claim.verdict,
                              claim.detail));
  }
  RETURN_IF_ERROR(state.Run("DELETE FROM study_model WHERE number>=?", study.models));
  for (const char* table : {"study_chunk", "study_lane", "study_prompt"})
    RETURN_IF_ERROR(state.Run(fmt::format("DELETE FROM {} WHERE model>=?", table), study.models));
  return {};
}

}  // namespace

Status Store::Describe(const StudyRecord& study, std::span<const ModelRecord> models) {
  return state_->InTransaction([&]() -> Status {
    RETURN_IF_ERROR(DescribeStudy(*state_, study));
    for (const ModelRecord& model : models) RETURN_IF_ERROR(Describer(*state_, model).Write());
    return {};
  });
}

Status Store::BeginRun(const RunRecord& run) {
  return state_->InTransaction([&]() -> Status {
    RETURN_IF_ERROR(
        state_->Run("INSERT OR IGNORE INTO build (version, git, compiler) VALUES (?, ?, ?)",
                    run.version, run.git, run.compiler));
    RETURN_IF_ERROR(state_->Run(
        "INSERT OR IGNORE INTO machine (cpu, instruction_set, threads) VALUES (?, ?, ?)", run.cpu,
        run.instruction_set, run.threads));
    RETURN_IF_ERROR(state_->Run(
        "INSERT INTO run (started, build, machine) SELECT ?, b.id, m.id FROM build b, machine m "
        "WHERE b.version=? AND b.git=? AND b.compiler=? AND m.cpu=? AND m.instruction_set=? AND "
        "m.threads=?",
        Now(), run.version, run.git, run.compiler, run.cpu, run.instruction_set, run.threads));
    ASSIGN_OR_RETURN(state_->run, state_->file.Number("SELECT last_insert_rowid()"));
    return {};
  });
}

Status Store::EndRun(bool complete) {
  return state_->Run("UPDATE run SET ended=?, complete=? WHERE id=?", Now(), complete, state_->run);
}

Result<Timing> Store::GetTiming(const std::string& lane) {
  ASSIGN_OR_RETURN(const int64_t id, state_->Find("lane", lane));
  Timing timing;
  RETURN_IF_ERROR(state_->Each(
      "SELECT baseline, variant FROM timing WHERE lane=? ORDER BY round",
      [&](Statement& row) {
        row.Read(&timing.baseline.emplace_back());
        row.Read(&timing.variant.emplace_back());
      },
      id));
  return timing;
}

Status Store::PutTiming(const std::string& lane, const Timing& timing) {
  return state_->InTransaction([&]() -> Status {
    ASSIGN_OR_RETURN(const int64_t id, state_->Id("lane", lane));
    RETURN_IF_ERROR(state_->Run("DELETE FROM timing WHERE lane=?", id));
    for (size_t round = 0; round < timing.baseline.size(); ++round)
      RETURN_IF_ERROR(state_->Run("INSERT INTO timing VALUES (?, ?, ?, ?)", id, round,
                                  timing.baseline[round], timing.variant[round]));
    return {};
  });
}

Result<Store::Cost> Store::AddCost(const std::string& model, const std::vector<std::string>& rules,
                                   const Cost& more) {
  const std::string text = fmt::format("{}", fmt::join(rules, "\n"));
  const EvaluationCost& e = more.evaluation;
  RETURN_IF_ERROR(
      state_->Run("INSERT INTO cost VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                  "tensors_naive = tensors_naive + excluded.tensors_naive, "
                  "tensors_evaluated = tensors_evaluated + excluded.tensors_evaluated, "
                  "rows_naive = rows_naive + excluded.rows_naive, "
                  "rows_evaluated = rows_evaluated + excluded.rows_evaluated, "
                  "seconds = seconds + excluded.seconds",
                  model, text, e.tensors_naive, e.tensors_evaluated, e.rows_naive, e.rows_evaluated,
                  more.seconds));
  Cost total;
  ASSIGN_OR_RETURN([[maybe_unused]] const bool found,
                   state_->Row(
                       "SELECT tensors_naive, tensors_evaluated, rows_naive, rows_evaluated, "
                       "seconds FROM cost WHERE model=? AND rules=?",
                       [&](Statement& row) {
                         row.Read(&total.evaluation.tensors_naive);
                         row.Read(&total.evaluation.tensors_evaluated);
                         row.Read(&total.evaluation.rows_naive);
                         row.Read(&total.evaluation.rows_evaluated);
                         row.Read(&total.seconds);
                       },
                       model, text));
  return total;
}

}  // namespace vernier
