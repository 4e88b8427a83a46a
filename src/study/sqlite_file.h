// A thin layer over SQLite: an open file, statements that are compiled once, errors as values that
// name the file.
#ifndef VERNIER_STUDY_SQLITE_FILE_H_
#define VERNIER_STUDY_SQLITE_FILE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace vernier {

// A compiled statement. Values are bound from the first parameter on, with Bind or <<; columns are
// read from the first on, with Read. NULL is read as NaN, 0 or an empty text.
class Statement {
 public:
  Statement() = default;
  ~Statement();
  Statement(Statement&& other) noexcept { *this = std::move(other); }
  Statement& operator=(Statement&& other) noexcept;

  Statement& BindInteger(int64_t value);
  Statement& BindNull();
  Statement& operator<<(double value);  // NaN becomes NULL, -0 becomes 0: SQLite keeps neither
  Statement& operator<<(std::string_view text);
  Statement& operator<<(const char* text) { return *this << std::string_view(text); }
  template <class T>
  requires std::is_integral_v<T> Statement& operator<<(T value) {
    return BindInteger(static_cast<int64_t>(value));
  }

  int64_t ReadInteger();
  double ReadReal();
  std::string ReadText();
  template <class T>
  void Read(T* value) {
    if constexpr (std::is_same_v<T, std::string>)
      *value = ReadText();
    else if constexpr (std::is_floating_point_v<T>)
      *value = static_cast<T>(ReadReal());
    else
      *value = static_cast<T>(ReadInteger());
  }
  sqlite3_stmt* get() const { return statement_; }

 private:
  friend class SqliteFile;
  sqlite3_stmt* statement_ = nullptr;
  int next_ = 0;  // the parameter bound last, or the column read next
};

class SqliteFile {
 public:
  SqliteFile() = default;
  ~SqliteFile();
  SqliteFile(const SqliteFile&) = delete;
  SqliteFile& operator=(const SqliteFile&) = delete;

  // `flags` as those of sqlite3_open_v2. `uri`: how the file is to be opened, where the path does
  // not say it. What was open before is closed.
  Status Open(const std::string& path, int flags, const std::string& uri = {});
  const std::string& path() const { return path_; }
  sqlite3* get() const { return db_; }

  // "FILE: what SQLite says", with the system's reason where there is one.
  tl::unexpected<Error> Wrong() const;
  int ErrorCode() const;  // SQLite's, without its extension
  Status Execute(const std::string& sql);
  Result<Statement> Prepare(std::string_view sql);
  // The one number that `sql` gives.
  Result<int64_t> Number(std::string_view sql);

  // One step of a statement, which is then ready again. True: there was a row, and `row` has read
  // it.
  Result<bool> Step(Statement& statement, const std::function<void(Statement&)>& row);
  // The same for all rows.
  Status Each(Statement& statement, const std::function<void(Statement&)>& row);
  Status Run(Statement& statement);  // of a statement that gives nothing

  // `body` in a transaction that no other process can come between; an error takes all of it back.
  Status InTransaction(const std::function<Status()>& body);

 private:
  sqlite3* db_ = nullptr;
  std::string path_;
};

}  // namespace vernier

#endif  // VERNIER_STUDY_SQLITE_FILE_H_
