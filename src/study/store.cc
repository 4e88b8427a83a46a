#include "study/store.h"

#include <sqlite3.h>

#include <cstring>
#include <filesystem>

namespace vernier {
namespace {

constexpr int kApplication = 0x5645524e;  // "VERN"
constexpr int kVersion = 1;

constexpr const char* kSchema = R"(
CREATE TABLE IF NOT EXISTS score (
  lane TEXT NOT NULL,
  chunk TEXT NOT NULL,
  fingerprint BLOB NOT NULL,
  tokens BLOB NOT NULL,
  effects BLOB NOT NULL,
  sites BLOB NOT NULL,
  PRIMARY KEY (lane, chunk)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS value (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
)";

// Plain records as bytes, field by field, so that padding is not written.
class Packer {
 public:
  template <class T>
  void Add(const T& value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

class Unpacker {
 public:
  Unpacker(const void* data, int size)
      : next_(static_cast<const char*>(data)), left_(static_cast<size_t>(size)) {}
  template <class T>
  void Take(T* value) {
    if (left_ < sizeof *value) {
      left_ = 0;
      failed_ = true;
      return;
    }
    std::memcpy(value, next_, sizeof *value);
    next_ += sizeof *value;
    left_ -= sizeof *value;
  }
  bool more() const { return left_ > 0 && !failed_; }
  bool failed() const { return failed_; }

 private:
  const char* next_;
  size_t left_;
  bool failed_ = false;
};

template <class P, class M>
void Fields(P& p, M& m) {
  auto each = [&p](auto&... field) {
    if constexpr (requires { p.bytes(); }) {
      (p.Add(field), ...);
    } else {
      (p.Take(&field), ...);
    }
  };
  if constexpr (requires { m.nll; }) {
    each(m.nll, m.kld, m.delta_p, m.kld_truth, m.max_abs, m.mae, m.mae_truth, m.margin, m.same_top,
         m.correct);
  } else if constexpr (requires { m.touched; }) {
    each(m.touched, m.changed, m.saturated, m.flushed);
  } else {
    each(m.count, m.sum, m.squares, m.error, m.reference, m.truth_error, m.truth_reference,
         m.inherited, m.low, m.high, m.max_error, m.beside, m.beside_max);
    for (auto& value : m.first) each(value);
  }
}

template <class M>
std::string Pack(const std::vector<M>& records) {
  Packer packer;
  for (const M& m : records) Fields(packer, m);
  return packer.bytes();
}

template <class M>
bool Unpack(sqlite3_stmt* statement, int column, std::vector<M>* records) {
  Unpacker unpacker(sqlite3_column_blob(statement, column),
                    sqlite3_column_bytes(statement, column));
  while (unpacker.more()) {
    records->emplace_back();
    Fields(unpacker, records->back());
  }
  return !unpacker.failed();
}

}  // namespace

struct Store::Database {
  sqlite3* db = nullptr;
  std::string path;
  sqlite3_stmt *has = nullptr, *get = nullptr, *put = nullptr, *get_value = nullptr,
               *put_value = nullptr;

  ~Database() {
    for (sqlite3_stmt* s : {has, get, put, get_value, put_value}) sqlite3_finalize(s);
    sqlite3_close(db);
  }
  tl::unexpected<Error> Wrong() const { return Fail("{}: {}", path, sqlite3_errmsg(db)); }
  Status Execute(const char* sql) {
    return sqlite3_exec(db, sql, nullptr, nullptr, nullptr) == SQLITE_OK ? Status{} : Wrong();
  }
  Status Prepare(const char* sql, sqlite3_stmt** statement) {
    return sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, nullptr) ==
                   SQLITE_OK
               ? Status{}
               : Wrong();
  }
  Result<int> Pragma(const char* sql) {
    sqlite3_stmt* statement = nullptr;
    RETURN_IF_ERROR(Prepare(sql, &statement));
    const int status = sqlite3_step(statement);
    const int value = sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    if (status != SQLITE_ROW) return Wrong();
    return value;
  }
  static void Bind(sqlite3_stmt* s, int at, const std::string& text) {
    sqlite3_bind_text(s, at, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT);
  }
  static void BindBlob(sqlite3_stmt* s, int at, const std::string& bytes) {
    sqlite3_bind_blob64(s, at, bytes.data(), bytes.size(), SQLITE_TRANSIENT);
  }
  // One step of a statement that is then ready again; true: a row (read by `row`).
  template <class F>
  Result<bool> Step(sqlite3_stmt* s, F row) {
    const int status = sqlite3_step(s);
    if (status == SQLITE_ROW) row(s);
    sqlite3_reset(s);
    if (status != SQLITE_ROW && status != SQLITE_DONE) return Wrong();
    return status == SQLITE_ROW;
  }
  Status InTransaction(const std::function<Status()>& body) {
    RETURN_IF_ERROR(Execute("BEGIN IMMEDIATE"));
    Status done = body();
    if (done) done = Execute("COMMIT");
    if (!done) (void)Execute("ROLLBACK");
    return done;
  }
  Status Initialise();
};

Status Store::Database::Initialise() {
  sqlite3_busy_timeout(db, 60000);    // another process on the same study
  RETURN_IF_ERROR(Execute("BEGIN"));  // one look at a file that another process may be making
  ASSIGN_OR_RETURN(const int tables, Pragma("SELECT count(*) FROM sqlite_master"));
  ASSIGN_OR_RETURN(const int application, Pragma("PRAGMA application_id"));
  ASSIGN_OR_RETURN(const int version, Pragma("PRAGMA user_version"));
  RETURN_IF_ERROR(Execute("COMMIT"));
  const bool fresh = application == 0 && version == 0 && tables == 0;
  if (!fresh && application != kApplication) return Fail("{}: not a study's store", path);
  if (version > kVersion)
    return Fail("{}: made by a later version (schema {}, expected up to {})", path, version,
                kVersion);
  RETURN_IF_ERROR(Execute("PRAGMA journal_mode=WAL"));
  RETURN_IF_ERROR(Execute("PRAGMA synchronous=NORMAL"));
  RETURN_IF_ERROR(InTransaction([&]() -> Status {
    RETURN_IF_ERROR(Execute(kSchema));
    RETURN_IF_ERROR(Execute(fmt::format("PRAGMA application_id={}", kApplication).c_str()));
    return Execute(fmt::format("PRAGMA user_version={}", kVersion).c_str());
  }));
  RETURN_IF_ERROR(Prepare("SELECT 1 FROM score WHERE lane=? AND chunk=?", &has));
  RETURN_IF_ERROR(Prepare(
      "SELECT fingerprint, tokens, effects, sites FROM score WHERE lane=? AND chunk=?", &get));
  RETURN_IF_ERROR(Prepare("INSERT OR REPLACE INTO score VALUES (?, ?, ?, ?, ?, ?)", &put));
  RETURN_IF_ERROR(Prepare("SELECT value FROM value WHERE key=?", &get_value));
  return Prepare("INSERT OR REPLACE INTO value VALUES (?, ?)", &put_value);
}

Store::Store(std::unique_ptr<Database> database) : database_(std::move(database)) {}
Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::Open(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return Fail("{}: cannot make the folder: {}", folder, error.message());
  auto database = std::make_unique<Database>();
  database->path = folder + "/study.sqlite";
  if (sqlite3_open_v2(database->path.c_str(), &database->db,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr) != SQLITE_OK)
    return database->Wrong();
  RETURN_IF_ERROR(database->Initialise());
  return std::unique_ptr<Store>(new Store(std::move(database)));
}

Result<bool> Store::HasScore(const std::string& lane, const std::string& chunk) {
  Database::Bind(database_->has, 1, lane);
  Database::Bind(database_->has, 2, chunk);
  return database_->Step(database_->has, [](sqlite3_stmt*) {});
}

Result<std::optional<ChunkScore>> Store::GetScore(const std::string& lane,
                                                  const std::string& chunk) {
  Database::Bind(database_->get, 1, lane);
  Database::Bind(database_->get, 2, chunk);
  ChunkScore score;
  bool good = true;
  ASSIGN_OR_RETURN(const bool found, database_->Step(database_->get, [&](sqlite3_stmt* s) {
    good = sqlite3_column_bytes(s, 0) == sizeof score.fingerprint && Unpack(s, 1, &score.tokens) &&
           Unpack(s, 2, &score.effects) && Unpack(s, 3, &score.sites);
    if (good) std::memcpy(&score.fingerprint, sqlite3_column_blob(s, 0), sizeof score.fingerprint);
  }));
  if (!found) return std::optional<ChunkScore>();
  if (!good) return Fail("{}: the score of lane {} is damaged", database_->path, lane);
  return std::optional<ChunkScore>(std::move(score));
}

Status Store::PutScores(const std::vector<std::string>& lanes, const std::string& chunk,
                        const std::vector<ChunkScore>& scores) {
  return database_->InTransaction([&]() -> Status {
    for (size_t l = 0; l < lanes.size(); ++l) {
      Database::Bind(database_->put, 1, lanes[l]);
      Database::Bind(database_->put, 2, chunk);
      const Hash128& f = scores[l].fingerprint;
      Database::BindBlob(database_->put, 3,
                         std::string(reinterpret_cast<const char*>(&f), sizeof f));
      Database::BindBlob(database_->put, 4, Pack(scores[l].tokens));
      Database::BindBlob(database_->put, 5, Pack(scores[l].effects));
      Database::BindBlob(database_->put, 6, Pack(scores[l].sites));
      ASSIGN_OR_RETURN([[maybe_unused]] const bool row,
                       database_->Step(database_->put, [](sqlite3_stmt*) {}));
    }
    return {};
  });
}

Result<std::optional<std::string>> Store::GetValue(const std::string& key) {
  Database::Bind(database_->get_value, 1, key);
  std::string value;
  ASSIGN_OR_RETURN(const bool found, database_->Step(database_->get_value, [&](sqlite3_stmt* s) {
    value.assign(reinterpret_cast<const char*>(sqlite3_column_text(s, 0)),
                 static_cast<size_t>(sqlite3_column_bytes(s, 0)));
  }));
  return found ? std::optional<std::string>(std::move(value)) : std::nullopt;
}

Status Store::PutValue(const std::string& key, const std::string& value) {
  Database::Bind(database_->put_value, 1, key);
  Database::Bind(database_->put_value, 2, value);
  ASSIGN_OR_RETURN([[maybe_unused]] const bool row,
                   database_->Step(database_->put_value, [](sqlite3_stmt*) {}));
  return {};
}

}  // namespace vernier
