#include "study/sqlite_file.h"

#include <sqlite3.h>

#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

namespace vernier {

Statement::~Statement() { sqlite3_finalize(statement_); }

Statement& Statement::operator=(Statement&& other) noexcept {
  std::swap(statement_, other.statement_);
  std::swap(next_, other.next_);
  return *this;
}

Statement& Statement::BindInteger(int64_t value) {
  sqlite3_bind_int64(statement_, ++next_, value);
  return *this;
}
Statement& Statement::BindNull() {
  sqlite3_bind_null(statement_, ++next_);
  return *this;
}
Statement& Statement::operator<<(double value) {
  sqlite3_bind_double(statement_, ++next_, value);
  return *this;
}
Statement& Statement::operator<<(std::string_view text) {
  sqlite3_bind_text64(statement_, ++next_, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  return *this;
}

int64_t Statement::ReadInteger() { return sqlite3_column_int64(statement_, next_++); }
double Statement::ReadReal() {
  const int column = next_++;
  return sqlite3_column_type(statement_, column) == SQLITE_NULL
             ? std::numeric_limits<double>::quiet_NaN()
             : sqlite3_column_double(statement_, column);
}
std::string Statement::ReadText() {
  const int column = next_++;
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  if (text == nullptr) return "";
  return {text, static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
}

SqliteFile::~SqliteFile() { sqlite3_close(db_); }

Status SqliteFile::Open(const std::string& path, int flags, const std::string& uri) {
  path_ = path;
  sqlite3_close(std::exchange(db_, nullptr));
  if (sqlite3_open_v2((uri.empty() ? path : uri).c_str(), &db_, flags, nullptr) == SQLITE_OK)
    return {};
  auto wrong = Wrong();
  sqlite3_close(std::exchange(db_, nullptr));
  return wrong;
}

int SqliteFile::ErrorCode() const { return sqlite3_errcode(db_) & 0xff; }

tl::unexpected<Error> SqliteFile::Wrong() const {
  const int last = errno, code = ErrorCode();
  if (code != SQLITE_IOERR && code != SQLITE_FULL && code != SQLITE_CANTOPEN)
    return Fail("{}: {}", path_, sqlite3_errmsg(db_));
  int system = sqlite3_system_errno(db_);
  // SQLite 3.40 does not keep the reason when a commit cannot be written.
  if (system == 0 && (last == ENOSPC || last == EFBIG || last == EDQUOT || last == EIO))
    system = last;
  if (system == 0) return Fail("{}: {}", path_, sqlite3_errmsg(db_));
  return Fail("{}: {} ({})", path_, sqlite3_errmsg(db_), std::strerror(system));
}

Status SqliteFile::Execute(const std::string& sql) {
  if (sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK) return {};
  return Wrong();
}

Result<Statement> SqliteFile::Prepare(std::string_view sql) {
  Statement statement;
  if (sqlite3_prepare_v3(db_, sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT,
                         &statement.statement_, nullptr) != SQLITE_OK)
    return Wrong();
  return statement;
}

Result<int64_t> SqliteFile::Number(std::string_view sql) {
  ASSIGN_OR_RETURN(Statement statement, Prepare(sql));
  int64_t number = 0;
  ASSIGN_OR_RETURN(const bool found,
                   Step(statement, [&](Statement& row) { number = row.ReadInteger(); }));
  if (!found) return Fail("{}: '{}' gives nothing", path_, sql);
  return number;
}

Result<bool> SqliteFile::Step(Statement& statement, const std::function<void(Statement&)>& row) {
  const int status = sqlite3_step(statement.statement_);
  statement.next_ = 0;
  if (status == SQLITE_ROW) row(statement);
  statement.next_ = 0;
  // The error's text is gone once a statement is reset without one.
  if (status != SQLITE_ROW && status != SQLITE_DONE) {
    auto wrong = Wrong();
    sqlite3_reset(statement.statement_);
    return wrong;
  }
  sqlite3_reset(statement.statement_);
  return status == SQLITE_ROW;
}

Status SqliteFile::Each(Statement& statement, const std::function<void(Statement&)>& row) {
  int status = SQLITE_ROW;
  while ((status = sqlite3_step(statement.statement_)) == SQLITE_ROW) {
    statement.next_ = 0;
    row(statement);
  }
  statement.next_ = 0;
  Status done;
  if (status != SQLITE_DONE) done = Wrong();
  sqlite3_reset(statement.statement_);
  return done;
}

Status SqliteFile::Run(Statement& statement) {
  const auto done = Step(statement, [](Statement&) {});
  return done ? Status{} : tl::unexpected<Error>(done.error());
}

Status SqliteFile::InTransaction(const std::function<Status()>& body) {
  RETURN_IF_ERROR(Execute("BEGIN IMMEDIATE"));
  Status done = body();
  if (done) done = Execute("COMMIT");
  if (!done) sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
  return done;
}

}  // namespace vernier
