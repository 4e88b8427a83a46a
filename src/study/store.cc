#include "study/store.h"

#include <sqlite3.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "study/store_schema.h"
#include "study/store_state.h"

namespace vernier {
namespace {

constexpr int kPatience = 60000;  // milliseconds that another process is waited for

// Two processes that change the journal at once refuse each other at once, patience or not.
Status SetJournal(SqliteFile& file, const char* mode) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  for (;;) {
    const Status done = file.Execute(fmt::format("PRAGMA journal_mode={}", mode));
    if (done) return {};
    if (file.ErrorCode() != SQLITE_BUSY ||
        Clock::now() - start > std::chrono::milliseconds(kPatience))
      return done;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

// Whether nobody has used the file yet; else it must be a store.
Result<bool> IsUnused(SqliteFile& file) {
  // In one transaction: another process may be making the tables.
  RETURN_IF_ERROR(file.Execute("BEGIN"));
  const auto look = [&]() -> Result<bool> {
    ASSIGN_OR_RETURN(const int64_t tables, file.Number("SELECT count(*) FROM sqlite_master"));
    ASSIGN_OR_RETURN(const int64_t application, file.Number("PRAGMA application_id"));
    ASSIGN_OR_RETURN(const int64_t version, file.Number("PRAGMA user_version"));
    if (application == 0 && version == 0 && tables == 0) return true;
    RETURN_IF_ERROR(CheckStore(file));
    return false;
  };
  const auto unused = look();
  (void)file.Execute("COMMIT");
  return unused;
}

Status Initialise(SqliteFile& file) {
  sqlite3_busy_timeout(file.get(), kPatience);
  // First a look without writing: somebody else's file stays as it is, to the byte.
  ASSIGN_OR_RETURN(bool unused, IsUnused(file));
  RETURN_IF_ERROR(file.Execute("PRAGMA cell_size_check=ON"));
  RETURN_IF_ERROR(SetJournal(file, "WAL"));
  RETURN_IF_ERROR(file.Execute("PRAGMA synchronous=NORMAL"));
  if (!unused) return {};
  return file.InTransaction([&]() -> Status {
    ASSIGN_OR_RETURN(const int64_t tables, file.Number("SELECT count(*) FROM sqlite_master"));
    if (tables > 0) return CheckStore(file);
    RETURN_IF_ERROR(file.Execute(StoreSchema()));
    RETURN_IF_ERROR(file.Execute(fmt::format("PRAGMA application_id={}", kStoreApplication)));
    return file.Execute(fmt::format("PRAGMA user_version={}", kStoreVersion));
  });
}

}  // namespace

Result<Statement*> Store::State::Prepared(const std::string& sql) {
  auto found = statements.find(sql);
  if (found == statements.end()) {
    ASSIGN_OR_RETURN(Statement made, file.Prepare(sql));
    found = statements.emplace(sql, std::move(made)).first;
  }
  return &found->second;
}

Result<int64_t> Store::State::Find(const char* table, const std::string& key) {
  const std::string name = fmt::format("{} {}", table, key);
  const auto known = ids.find(name);
  if (known != ids.end()) return known->second;
  int64_t id = 0;
  ASSIGN_OR_RETURN(const bool found, Row(
                                         fmt::format("SELECT id FROM {} WHERE key=?", table),
                                         [&](Statement& row) { row.Read(&id); }, key));
  if (found) ids[name] = id;
  return id;
}

Result<int64_t> Store::State::Id(const char* table, const std::string& key) {
  ASSIGN_OR_RETURN(const int64_t known, Find(table, key));
  if (known != 0) return known;
  RETURN_IF_ERROR(Run(fmt::format("INSERT INTO {} (key) VALUES (?)", table), key));
  return Find(table, key);
}

Status Store::State::InTransaction(const std::function<Status()>& body) {
  const Status done = file.InTransaction(body);
  if (!done) ids.clear();
  return done;
}

Store::Store(std::unique_ptr<State> state) : state_(std::move(state)) {}

Store::~Store() {
  state_->statements.clear();
  // One file without a journal beside it, which can be copied and read anywhere; fails, at once,
  // while another process uses it.
  sqlite3_busy_timeout(state_->file.get(), 0);
  (void)state_->file.Execute("PRAGMA journal_mode=DELETE");
}

Result<std::unique_ptr<Store>> Store::Open(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return Fail("{}: cannot make the folder: {}", folder, error.message());
  auto state = std::make_unique<State>();
  RETURN_IF_ERROR(
      state->file.Open(folder + "/study.sqlite", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE));
  RETURN_IF_ERROR(Initialise(state->file));
  return std::unique_ptr<Store>(new Store(std::move(state)));
}

Result<std::optional<std::string>> Store::GetValue(const std::string& name) {
  std::string text;
  ASSIGN_OR_RETURN(const bool found, state_->Row(
                                         "SELECT text FROM document WHERE name=?",
                                         [&](Statement& row) { row.Read(&text); }, name));
  return found ? std::optional<std::string>(std::move(text)) : std::nullopt;
}

Status Store::PutValue(const std::string& name, const std::string& text) {
  return state_->Run("INSERT OR REPLACE INTO document VALUES (?, ?)", name, text);
}

}  // namespace vernier
