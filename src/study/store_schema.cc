#include "study/store_schema.h"

#include <fmt/format.h>

#include "study/store_columns.h"

namespace vernier {
namespace {

// Known by content: hashes are keys, small numbers stand for them elsewhere.
constexpr const char* kContentTables = R"(
CREATE TABLE model (id INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, architecture TEXT NOT NULL,
  layers INTEGER NOT NULL, vocabulary INTEGER NOT NULL) STRICT;
CREATE TABLE site (model INTEGER NOT NULL, number INTEGER NOT NULL, label TEXT NOT NULL,
  name TEXT NOT NULL, layer INTEGER, PRIMARY KEY (model, number)) STRICT, WITHOUT ROWID;
CREATE TABLE piece (model INTEGER NOT NULL, token INTEGER NOT NULL, text TEXT NOT NULL,
  PRIMARY KEY (model, token)) STRICT, WITHOUT ROWID;
CREATE TABLE recipe (id INTEGER PRIMARY KEY, rules TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE lane (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, model INTEGER, recipe INTEGER,
  seed INTEGER) STRICT;
CREATE TABLE rule (lane INTEGER NOT NULL, number INTEGER NOT NULL, rule TEXT NOT NULL,
  rounds INTEGER NOT NULL, sites INTEGER NOT NULL, {effects}, PRIMARY KEY (lane, number))
  STRICT, WITHOUT ROWID;
CREATE TABLE chunk (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE token (chunk INTEGER NOT NULL, position INTEGER NOT NULL, token INTEGER NOT NULL,
  scored INTEGER NOT NULL, PRIMARY KEY (chunk, position)) STRICT, WITHOUT ROWID;
CREATE TABLE score (chunk INTEGER NOT NULL, lane INTEGER NOT NULL, fingerprint TEXT NOT NULL,
  seal INTEGER NOT NULL, PRIMARY KEY (chunk, lane)) STRICT, WITHOUT ROWID;
CREATE TABLE token_measure (chunk INTEGER NOT NULL, lane INTEGER NOT NULL,
  position INTEGER NOT NULL, {tokens}, PRIMARY KEY (chunk, lane, position)) STRICT, WITHOUT ROWID;
CREATE TABLE site_sums (chunk INTEGER NOT NULL, lane INTEGER NOT NULL, site INTEGER NOT NULL,
  {sites}, PRIMARY KEY (chunk, lane, site)) STRICT, WITHOUT ROWID;
CREATE TABLE rule_effect (chunk INTEGER NOT NULL, lane INTEGER NOT NULL, rule INTEGER NOT NULL,
  {effects}, PRIMARY KEY (chunk, lane, rule)) STRICT, WITHOUT ROWID;
CREATE TABLE prompt (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, text TEXT) STRICT;
CREATE TABLE continuation (lane INTEGER NOT NULL, prompt INTEGER NOT NULL,
  length INTEGER NOT NULL, seal INTEGER NOT NULL, PRIMARY KEY (lane, prompt, length))
  STRICT, WITHOUT ROWID;
CREATE TABLE generated_token (lane INTEGER NOT NULL, prompt INTEGER NOT NULL,
  length INTEGER NOT NULL, step INTEGER NOT NULL, token INTEGER NOT NULL, margin REAL,
  PRIMARY KEY (lane, prompt, length, step)) STRICT, WITHOUT ROWID;
CREATE TABLE first_token (lane INTEGER NOT NULL, prompt INTEGER NOT NULL, token INTEGER NOT NULL,
  logit REAL, margin REAL, rank INTEGER NOT NULL, kld REAL, seal INTEGER NOT NULL,
  PRIMARY KEY (lane, prompt)) STRICT, WITHOUT ROWID;
CREATE TABLE last_word (lane INTEGER NOT NULL, prompt INTEGER NOT NULL, "right" INTEGER NOT NULL,
  nll REAL, seal INTEGER NOT NULL, PRIMARY KEY (lane, prompt)) STRICT, WITHOUT ROWID;
CREATE TABLE fit (key TEXT NOT NULL PRIMARY KEY, rules TEXT NOT NULL, seal INTEGER NOT NULL)
  STRICT, WITHOUT ROWID;
)";

// The study as it was run last: its names for what the tables above hold.
constexpr const char* kStudyTables = R"(
CREATE TABLE study (id INTEGER PRIMARY KEY CHECK (id = 1), name TEXT NOT NULL, path TEXT NOT NULL,
  numerics TEXT NOT NULL, context INTEGER NOT NULL, seed INTEGER NOT NULL,
  truth INTEGER NOT NULL) STRICT;
CREATE TABLE study_text (number INTEGER PRIMARY KEY, name TEXT NOT NULL, path TEXT NOT NULL) STRICT;
CREATE TABLE study_model (number INTEGER PRIMARY KEY, name TEXT NOT NULL, path TEXT NOT NULL,
  rules TEXT NOT NULL, model INTEGER NOT NULL) STRICT;
CREATE TABLE study_chunk (model INTEGER NOT NULL, text INTEGER NOT NULL, number INTEGER NOT NULL,
  chunk INTEGER NOT NULL, PRIMARY KEY (model, text, number)) STRICT, WITHOUT ROWID;
CREATE TABLE study_lane (model INTEGER NOT NULL, number INTEGER NOT NULL, kind TEXT NOT NULL,
  name TEXT NOT NULL, lane INTEGER NOT NULL, own_rules INTEGER NOT NULL, whole INTEGER,
  layer INTEGER, sweep TEXT, site TEXT, format TEXT, vacuous INTEGER, foretold INTEGER,
  same_as TEXT, PRIMARY KEY (model, number)) STRICT, WITHOUT ROWID;
CREATE TABLE study_prompt (model INTEGER NOT NULL, purpose TEXT NOT NULL, number INTEGER NOT NULL,
  tag TEXT NOT NULL, length INTEGER NOT NULL, prompt INTEGER NOT NULL,
  PRIMARY KEY (model, purpose, number)) STRICT, WITHOUT ROWID;
CREATE TABLE claim (number INTEGER PRIMARY KEY, says TEXT NOT NULL, expression TEXT NOT NULL,
  required INTEGER NOT NULL, verdict TEXT, detail TEXT) STRICT;
)";

constexpr const char* kRunTables = R"(
CREATE TABLE build (id INTEGER PRIMARY KEY, version TEXT NOT NULL, git TEXT NOT NULL,
  compiler TEXT NOT NULL, UNIQUE (version, git, compiler)) STRICT;
CREATE TABLE machine (id INTEGER PRIMARY KEY, cpu TEXT NOT NULL, instruction_set TEXT NOT NULL,
  threads INTEGER NOT NULL, UNIQUE (cpu, instruction_set, threads)) STRICT;
CREATE TABLE run (id INTEGER PRIMARY KEY, started TEXT NOT NULL, ended TEXT, complete INTEGER,
  build INTEGER NOT NULL, machine INTEGER NOT NULL) STRICT;
CREATE TABLE cost (model TEXT NOT NULL, rules TEXT NOT NULL, tensors_naive INTEGER NOT NULL,
  tensors_evaluated INTEGER NOT NULL, rows_naive INTEGER NOT NULL, rows_evaluated INTEGER NOT NULL,
  seconds REAL, PRIMARY KEY (model, rules)) STRICT, WITHOUT ROWID;
CREATE TABLE timing (lane INTEGER NOT NULL, round INTEGER NOT NULL, baseline REAL, variant REAL,
  PRIMARY KEY (lane, round)) STRICT, WITHOUT ROWID;
CREATE TABLE document (name TEXT NOT NULL PRIMARY KEY, text TEXT NOT NULL) STRICT, WITHOUT ROWID;
)";

// Questions that are asked often, by the study's names.
constexpr const char* kViews = R"(
CREATE VIEW variant_token AS
SELECT m.name AS model, l.name AS variant, l.kind, x.name AS text, c.number AS chunk, t.position,
  k.token, p.text AS piece, n.token AS next, q.text AS next_piece, {tokens}
FROM study_chunk c JOIN study_model m ON m.number = c.model JOIN study_lane l ON l.model = c.model
  JOIN study_text x ON x.number = c.text
  JOIN token_measure t ON t.chunk = c.chunk AND t.lane = l.lane
  LEFT JOIN token k ON k.chunk = t.chunk AND k.position = t.position
  LEFT JOIN token n ON n.chunk = t.chunk AND n.position = t.position + 1
  LEFT JOIN piece p ON p.model = m.model AND p.token = k.token
  LEFT JOIN piece q ON q.model = m.model AND q.token = n.token;
CREATE VIEW variant AS
SELECT m.name AS model, l.name AS variant, l.kind, count(*) AS tokens, exp({mean nll}) AS ppl,
  {mean kld} AS kld, max(t.kld) AS kld_max, {mean delta_p} AS delta_p, {mean same_top} AS same_top,
  {mean correct} AS accuracy,
  {mean mae} AS mae, max(t.max_abs) AS max_abs,
  CASE WHEN (SELECT truth FROM study) THEN {mean kld_truth} END AS kld_truth,
  CASE WHEN (SELECT truth FROM study) THEN {mean mae_truth} END AS mae_truth,
  l.vacuous, l.foretold, l.same_as
FROM study_lane l JOIN study_model m ON m.number = l.model JOIN study_chunk c ON c.model = l.model
  JOIN token_measure t ON t.chunk = c.chunk AND t.lane = l.lane
GROUP BY l.model, l.number;
CREATE VIEW variant_site AS
SELECT m.name AS model, l.name AS variant, l.kind, s.label AS site, s.name, s.layer,
  sum(t."count") AS "count", sum(t."sum") / sum(t."count") AS mean,
  sqrt(sum(t.squares) / sum(t."count")) AS rms, sqrt(sum(t.error) / sum(t.reference)) AS l2_rel,
  CASE WHEN (SELECT truth FROM study) THEN sqrt(sum(t.truth_error) / sum(t.truth_reference)) END
    AS truth_l2_rel
FROM study_lane l JOIN study_model m ON m.number = l.model JOIN study_chunk c ON c.model = l.model
  JOIN site_sums t ON t.chunk = c.chunk AND t.lane = l.lane
  JOIN site s ON s.model = m.model AND s.number = t.site
GROUP BY l.model, l.number, t.site;
CREATE VIEW variant_rule AS
SELECT m.name AS model, l.name AS variant, l.kind, r.number, r.rule, r.number >= l.own_rules AS own,
  r.sites, {rule_sums}
FROM study_lane l JOIN study_model m ON m.number = l.model JOIN rule r ON r.lane = l.lane
  JOIN study_chunk c ON c.model = l.model
  JOIN rule_effect e ON e.chunk = c.chunk AND e.lane = l.lane AND e.rule = r.number
GROUP BY l.model, l.number, r.number;
CREATE VIEW variant_generated AS
SELECT m.name AS model, l.name AS variant, l.kind, p.tag, p.number AS prompt, g.step, g.token,
  w.text AS piece, g.margin, b.token AS baseline_token, g.token IS b.token AS same
FROM study_prompt p JOIN study_model m ON m.number = p.model JOIN study_lane l ON l.model = p.model
  JOIN study_lane base ON base.model = p.model AND base.kind = 'baseline'
  JOIN generated_token g ON g.lane = l.lane AND g.prompt = p.prompt AND g.length = p.length
  LEFT JOIN generated_token b ON b.lane = base.lane AND b.prompt = p.prompt
    AND b.length = p.length AND b.step = g.step
  LEFT JOIN piece w ON w.model = m.model AND w.token = g.token
WHERE p.purpose = 'generate';
CREATE VIEW variant_first_token AS
SELECT m.name AS model, l.name AS variant, l.kind, p.tag, p.number AS prompt, q.text, f.token,
  w.text AS piece, f.logit, f.margin, f.rank, f.kld
FROM study_prompt p JOIN study_model m ON m.number = p.model JOIN study_lane l ON l.model = p.model
  JOIN prompt q ON q.id = p.prompt
  JOIN first_token f ON f.lane = l.lane AND f.prompt = p.prompt
  LEFT JOIN piece w ON w.model = m.model AND w.token = f.token
WHERE p.purpose = 'first';
CREATE VIEW variant_last_word AS
SELECT m.name AS model, l.name AS variant, l.kind, p.tag, p.number AS prompt, q.text, w."right",
  w.nll
FROM study_prompt p JOIN study_model m ON m.number = p.model JOIN study_lane l ON l.model = p.model
  JOIN prompt q ON q.id = p.prompt
  JOIN last_word w ON w.lane = l.lane AND w.prompt = p.prompt
WHERE p.purpose = 'last word';
CREATE VIEW variant_time AS
SELECT m.name AS model, l.name AS variant, t.round, t.baseline, t.variant AS seconds
FROM study_lane l JOIN study_model m ON m.number = l.model JOIN timing t ON t.lane = l.lane;
)";

constexpr const char* kNamesOfRunTables[] = {"build", "machine", "run",
                                             "cost",  "timing",  "document"};

// A column of a table.
struct Declared {
  std::string* text;
  template <class T>
  void operator()(const char* name, const T&) {
    if (!text->empty()) *text += ", ";
    *text += fmt::format("\"{}\" {}", name, std::is_integral_v<T> ? "INTEGER NOT NULL" : "REAL");
  }
};

std::string Replaced(std::string text, const std::string& what, const std::string& by) {
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size())
    text.replace(at, what.size(), by);
  return text;
}

}  // namespace

std::string StoreSchema() {
  TokenMeasure token;
  SiteSums site;
  TreatmentCounts effect;
  std::string tokens, sites, effects, token_names, rule_sums;
  TokenColumns(token, Declared{&tokens});
  SiteColumns(site, Declared{&sites});
  EffectColumns(effect, Declared{&effects});
  TokenColumns(token, [&](const std::string& name, const auto&) {
    if (!token_names.empty()) token_names += ", ";
    token_names += IsOfTruth(name) ? fmt::format(
                                         "CASE WHEN (SELECT truth FROM study) THEN t.{0} "
                                         "END AS {0}",
                                         name)
                                   : "t." + name;
  });
  EffectColumns(effect, [&](const std::string& name, const auto&) {
    if (!rule_sums.empty()) rule_sums += ", ";
    rule_sums += fmt::format("r.{0} + sum(e.{0}) AS {0}", name);
  });
  std::string content = Replaced(kContentTables, "{tokens}", tokens);
  content = Replaced(Replaced(content, "{sites}", sites), "{effects}", effects);
  std::string views = Replaced(Replaced(kViews, "{tokens}", token_names), "{rule_sums}", rule_sums);
  // SQL's averages leave NULL out; a mean over tokens one of which is not a number is none.
  TokenColumns(token, [&](const std::string& name, const auto&) {
    views = Replaced(views, "{mean " + name + "}",
                     fmt::format("CASE WHEN count(t.{0}) = count(*) THEN avg(t.{0}) END", name));
  });
  return content + kStudyTables + kRunTables + views;
}

Status CheckStore(SqliteFile& file) {
  ASSIGN_OR_RETURN(const int64_t application, file.Number("PRAGMA application_id"));
  ASSIGN_OR_RETURN(const int64_t version, file.Number("PRAGMA user_version"));
  if (application != kStoreApplication) return Fail("{}: not a study's store", file.path());
  if (version > kStoreVersion)
    return Fail("{}: made by a later version (schema {}, expected {})", file.path(), version,
                kStoreVersion);
  if (version < kStoreVersion)
    return Fail(
        "{}: made by an earlier version (schema {}, expected {}); remove it, or use another "
        "folder, to compute anew",
        file.path(), version, kStoreVersion);
  return {};
}

std::span<const char* const> RunTables() { return kNamesOfRunTables; }

}  // namespace vernier
