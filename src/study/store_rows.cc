// Scores, texts and times: rows of the store and the records they are made of.
#include <charconv>
#include <nlohmann/json.hpp>

#include "study/store_columns.h"
#include "study/store_state.h"

namespace vernier {
namespace {

// The names of a list's columns, quoted: "count" is also a function's name.
template <class M, class List>
std::string Names(List list) {
  std::string names;
  M none;
  list(none, [&](const char* name, const auto&) {
    names += fmt::format("{}\"{}\"", names.empty() ? "" : ", ", name);
  });
  return names;
}
const auto kTokens = [](auto& m, auto column) { TokenColumns(m, column); };
const auto kSites = [](auto& m, auto column) { SiteColumns(m, column); };
const auto kEffects = [](auto& m, auto column) { EffectColumns(m, column); };

// A table with a row for each record of a score: its key's third column, its measures.
template <class M, class List>
struct Rows {
  const char* table;
  const char* key;
  List list;

  std::string Insertion() const {
    const std::string names = Names<M>(list);
    const auto columns = 1 + std::count(names.begin(), names.end(), ',');
    std::string places = "?, ?, ?";
    for (std::ptrdiff_t i = 0; i < columns; ++i) places += ", ?";
    return fmt::format("INSERT INTO {} (chunk, lane, {}, {}) VALUES ({})", table, key, names,
                       places);
  }
  std::string Selection() const {
    return fmt::format("SELECT {0}, {1} FROM {2} WHERE chunk=? AND lane=? ORDER BY {0}", key,
                       Names<M>(list), table);
  }
  void Bind(Statement& statement, int64_t number, const M& record) const {
    statement << number;
    list(record, [&](const char*, const auto& value) { statement << value; });
  }
  void Read(Statement& row, int64_t* number, M* record) const {
    row.Read(number);
    list(*record, [&](const char*, auto& value) { row.Read(&value); });
  }
  void AddTo(Seal& seal, int64_t number, const M& record) const {
    seal.Add(number);
    list(record, [&](const char*, const auto& value) { seal.Add(value); });
  }
};
const Rows<TokenMeasure, decltype(kTokens)> kTokenRows{"token_measure", "position", kTokens};
const Rows<SiteSums, decltype(kSites)> kSiteRows{"site_sums", "site", kSites};
const Rows<TreatmentCounts, decltype(kEffects)> kEffectRows{"rule_effect", "rule", kEffects};

std::optional<Hash128> HashOfHex(const std::string& hex) {
  Hash128 hash;
  if (hex.size() != 32) return std::nullopt;
  const char* at = hex.data();
  for (uint64_t* half : {&hash.high, &hash.low}) {
    const auto [end, error] = std::from_chars(at, at + 16, *half, 16);
    if (error != std::errc() || end != at + 16) return std::nullopt;
    at += 16;
  }
  return hash;
}

int64_t SealOf(const Continuation& continuation) {
  Seal seal;
  for (size_t i = 0; i < continuation.tokens.size(); ++i) {
    seal.Add(continuation.tokens[i]);
    seal.Add(continuation.margins[i]);
  }
  return seal.value();
}

int64_t SealOf(const FirstToken& t) {
  Seal seal;
  seal.Add(t.token);
  seal.Add(t.logit);
  seal.Add(t.margin);
  seal.Add(t.rank);
  seal.Add(t.kld);
  return seal.value();
}

int64_t SealOf(const LastWord& word) {
  Seal seal;
  seal.Add(int64_t{word.right});
  seal.Add(word.nll);
  return seal.value();
}

int64_t SealOf(const std::string& text) {
  Seal seal;
  seal.Add(text);
  return seal.value();
}

}  // namespace

Result<bool> Store::HasScore(const std::string& lane, const std::string& chunk) {
  ASSIGN_OR_RETURN(const int64_t lane_id, state_->Find("lane", lane));
  ASSIGN_OR_RETURN(const int64_t chunk_id, state_->Find("chunk", chunk));
  return state_->Row(
      "SELECT 1 FROM score WHERE chunk=? AND lane=?", [](Statement&) {}, chunk_id, lane_id);
}

Result<std::optional<ChunkScore>> Store::GetScore(const std::string& lane,
                                                  const std::string& chunk) {
  ASSIGN_OR_RETURN(const int64_t lane_id, state_->Find("lane", lane));
  ASSIGN_OR_RETURN(const int64_t chunk_id, state_->Find("chunk", chunk));
  std::string fingerprint;
  int64_t sealed = 0;
  ASSIGN_OR_RETURN(const bool found, state_->Row(
                                         "SELECT fingerprint, seal FROM score WHERE chunk=? AND "
                                         "lane=?",
                                         [&](Statement& row) {
                                           row.Read(&fingerprint);
                                           row.Read(&sealed);
                                         },
                                         chunk_id, lane_id));
  if (!found) return std::optional<ChunkScore>();
  ChunkScore score;
  Seal seal;
  seal.Add(fingerprint);
  const auto read = [&](const auto& rows, auto* records) -> Status {
    seal.Add(0);  // where one table ends
    return state_->Each(
        rows.Selection(),
        [&](Statement& row) {
          int64_t number = 0;
          rows.Read(row, &number, &records->emplace_back());
          rows.AddTo(seal, number, records->back());
        },
        chunk_id, lane_id);
  };
  RETURN_IF_ERROR(read(kTokenRows, &score.tokens));
  RETURN_IF_ERROR(read(kEffectRows, &score.effects));
  RETURN_IF_ERROR(read(kSiteRows, &score.sites));
  const std::optional<Hash128> hash = HashOfHex(fingerprint);
  if (!hash || seal.value() != sealed)
    return Fail("{}: the score of lane {} is damaged; remove the file to compute anew",
                state_->file.path(), lane);
  score.fingerprint = *hash;
  return std::optional<ChunkScore>(std::move(score));
}

Status Store::PutScores(const std::vector<std::string>& lanes, const ScoredChunk& chunk,
                        const std::vector<ChunkScore>& scores) {
  return state_->InTransaction([&]() -> Status {
    ASSIGN_OR_RETURN(const int64_t chunk_id, state_->Id("chunk", chunk.key));
    for (size_t l = 0; l < lanes.size(); ++l) {
      ASSIGN_OR_RETURN(const bool known, HasScore(lanes[l], chunk.key));
      if (known) continue;
      ASSIGN_OR_RETURN(const int64_t lane_id, state_->Id("lane", lanes[l]));
      const ChunkScore& score = scores[l];
      CHECK(score.tokens.size() == chunk.positions.size());
      CHECK(score.sites.size() == chunk.sites.size());
      const std::string fingerprint = score.fingerprint.Hex();
      Seal seal;
      seal.Add(fingerprint);
      const auto put = [&](const auto& rows, const auto& records, const auto& number) -> Status {
        ASSIGN_OR_RETURN(Statement * statement, state_->Prepared(rows.Insertion()));
        seal.Add(0);
        for (size_t i = 0; i < records.size(); ++i) {
          *statement << chunk_id << lane_id;
          rows.Bind(*statement, number(i), records[i]);
          rows.AddTo(seal, number(i), records[i]);
          RETURN_IF_ERROR(state_->file.Run(*statement));
        }
        return {};
      };
      RETURN_IF_ERROR(
          put(kTokenRows, score.tokens, [&](size_t i) { return int64_t{chunk.positions[i]}; }));
      RETURN_IF_ERROR(
          put(kEffectRows, score.effects, [](size_t i) { return static_cast<int64_t>(i); }));
      RETURN_IF_ERROR(
          put(kSiteRows, score.sites, [&](size_t i) { return int64_t{chunk.sites[i]}; }));
      RETURN_IF_ERROR(state_->Run("INSERT INTO score VALUES (?, ?, ?, ?)", chunk_id, lane_id,
                                  fingerprint, seal.value()));
    }
    return {};
  });
}

Result<std::optional<Continuation>> Store::GetContinuation(const ContinuationKey& key) {
  ASSIGN_OR_RETURN(const int64_t lane, state_->Find("lane", key.lane));
  ASSIGN_OR_RETURN(const int64_t prompt, state_->Find("prompt", key.prompt));
  int64_t sealed = 0;
  ASSIGN_OR_RETURN(const bool found,
                   state_->Row(
                       "SELECT seal FROM continuation WHERE lane=? AND prompt=? AND length=?",
                       [&](Statement& row) { row.Read(&sealed); }, lane, prompt, key.length));
  if (!found) return std::optional<Continuation>();
  Continuation continuation;
  RETURN_IF_ERROR(state_->Each(
      "SELECT token, margin FROM generated_token WHERE lane=? AND prompt=? AND length=? "
      "ORDER BY step",
      [&](Statement& row) {
        row.Read(&continuation.tokens.emplace_back());
        row.Read(&continuation.margins.emplace_back());
      },
      lane, prompt, key.length));
  if (SealOf(continuation) != sealed) return std::optional<Continuation>();
  return std::optional<Continuation>(std::move(continuation));
}

Status Store::PutContinuations(std::span<const ContinuationKey> keys,
                               std::span<const Continuation> continuations) {
  return state_->InTransaction([&]() -> Status {
    for (size_t i = 0; i < keys.size(); ++i) {
      ASSIGN_OR_RETURN(const int64_t lane, state_->Id("lane", keys[i].lane));
      ASSIGN_OR_RETURN(const int64_t prompt, state_->Id("prompt", keys[i].prompt));
      const size_t length = keys[i].length;
      const Continuation& of = continuations[i];
      RETURN_IF_ERROR(
          state_->Run("DELETE FROM generated_token WHERE lane=? AND prompt=? AND length=?", lane,
                      prompt, length));
      for (size_t step = 0; step < of.tokens.size(); ++step)
        RETURN_IF_ERROR(state_->Run("INSERT INTO generated_token VALUES (?, ?, ?, ?, ?, ?)", lane,
                                    prompt, length, step, of.tokens[step], of.margins[step]));
      RETURN_IF_ERROR(state_->Run("INSERT OR REPLACE INTO continuation VALUES (?, ?, ?, ?)", lane,
                                  prompt, length, SealOf(of)));
    }
    return {};
  });
}

Result<std::optional<FirstToken>> Store::GetFirstToken(const std::string& lane,
                                                       const std::string& prompt) {
  ASSIGN_OR_RETURN(const int64_t lane_id, state_->Find("lane", lane));
  ASSIGN_OR_RETURN(const int64_t prompt_id, state_->Find("prompt", prompt));
  FirstToken t;
  int64_t sealed = 0;
  ASSIGN_OR_RETURN(
      const bool found,
      state_->Row(
          "SELECT token, logit, margin, rank, kld, seal FROM first_token WHERE lane=? AND prompt=?",
          [&](Statement& row) {
            row.Read(&t.token);
            row.Read(&t.logit);
            row.Read(&t.margin);
            row.Read(&t.rank);
            row.Read(&t.kld);
            row.Read(&sealed);
          },
          lane_id, prompt_id));
  return found && SealOf(t) == sealed ? std::optional<FirstToken>(t) : std::nullopt;
}

Status Store::PutFirstTokens(const std::vector<std::string>& lanes, const std::string& prompt,
                             std::span<const FirstToken> tokens) {
  return state_->InTransaction([&]() -> Status {
    ASSIGN_OR_RETURN(const int64_t prompt_id, state_->Id("prompt", prompt));
    for (size_t i = 0; i < lanes.size(); ++i) {
      ASSIGN_OR_RETURN(const int64_t lane, state_->Id("lane", lanes[i]));
      const FirstToken& t = tokens[i];
      RETURN_IF_ERROR(
          state_->Run("INSERT OR REPLACE INTO first_token VALUES (?, ?, ?, ?, ?, ?, ?, ?)", lane,
                      prompt_id, t.token, t.logit, t.margin, t.rank, t.kld, SealOf(t)));
    }
    return {};
  });
}

Result<std::optional<LastWord>> Store::GetLastWord(const std::string& lane,
                                                   const std::string& passage) {
  ASSIGN_OR_RETURN(const int64_t lane_id, state_->Find("lane", lane));
  ASSIGN_OR_RETURN(const int64_t passage_id, state_->Find("prompt", passage));
  LastWord word;
  int64_t right = 0, sealed = 0;
  ASSIGN_OR_RETURN(const bool found, state_->Row(
                                         "SELECT \"right\", nll, seal FROM last_word WHERE lane=? "
                                         "AND prompt=?",
                                         [&](Statement& row) {
                                           row.Read(&right);
                                           row.Read(&word.nll);
                                           row.Read(&sealed);
                                         },
                                         lane_id, passage_id));
  word.right = right != 0;
  return found && SealOf(word) == sealed ? std::optional<LastWord>(word) : std::nullopt;
}

Status Store::PutLastWords(const std::vector<std::string>& lanes, const std::string& passage,
                           std::span<const LastWord> words) {
  return state_->InTransaction([&]() -> Status {
    ASSIGN_OR_RETURN(const int64_t passage_id, state_->Id("prompt", passage));
    for (size_t i = 0; i < lanes.size(); ++i) {
      ASSIGN_OR_RETURN(const int64_t lane, state_->Id("lane", lanes[i]));
      RETURN_IF_ERROR(state_->Run("INSERT OR REPLACE INTO last_word VALUES (?, ?, ?, ?, ?)", lane,
                                  passage_id, int64_t{words[i].right}, words[i].nll,
                                  SealOf(words[i])));
    }
    return {};
  });
}

Result<std::optional<std::vector<std::string>>> Store::GetFit(const std::string& key) {
  std::string rules;
  int64_t sealed = 0;
  ASSIGN_OR_RETURN(const bool found, state_->Row(
                                         "SELECT rules, seal FROM fit WHERE key=?",
                                         [&](Statement& row) {
                                           row.Read(&rules);
                                           row.Read(&sealed);
                                         },
                                         key));
  const auto json = nlohmann::json::parse(rules, nullptr, false);
  if (!found || SealOf(rules) != sealed || !json.is_array())
    return std::optional<std::vector<std::string>>();
  std::vector<std::string> list;
  for (const auto& rule : json)
    if (rule.is_string()) list.push_back(rule.get<std::string>());
  return std::optional(std::move(list));
}

Status Store::PutFit(const std::string& key, const std::vector<std::string>& rules) {
  const std::string text = nlohmann::json(rules).dump();
  return state_->Run("INSERT OR REPLACE INTO fit VALUES (?, ?, ?)", key, text, SealOf(text));
}

}  // namespace vernier
