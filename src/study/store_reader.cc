#include "study/store_reader.h"

#include <sqlite3.h>

#include <algorithm>
#include <filesystem>
#include <string_view>

#include "base/names.h"
#include "study/store_schema.h"

namespace vernier {
namespace {

// What SQL may do: read. Everything else (ATTACH, PRAGMA, temporary tables ...) is refused when it
// is compiled.
int Authorize(void*, int action, const char*, const char* name, const char*, const char*) {
  switch (action) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_RECURSIVE:
      return SQLITE_OK;
    case SQLITE_FUNCTION:
      return std::string_view(name) == "load_extension" ? SQLITE_DENY : SQLITE_OK;
    default:
      return SQLITE_DENY;
  }
}

// A path in SQLite's URIs.
std::string Escaped(const std::string& path) {
  std::string out;
  for (const char c : path)
    out += c == '%' || c == '?' || c == '#' ? fmt::format("%{:02x}", static_cast<unsigned>(c))
                                            : std::string(1, c);
  return out;
}

SqlValue ValueOf(sqlite3_stmt* row, int column) {
  SqlValue value;
  const auto bytes = [&](const void* data) {
    if (data != nullptr)
      value.bytes.assign(static_cast<const char*>(data),
                         static_cast<size_t>(sqlite3_column_bytes(row, column)));
  };
  switch (sqlite3_column_type(row, column)) {
    case SQLITE_INTEGER:
      value.kind = SqlValue::Kind::kInteger;
      value.integer = sqlite3_column_int64(row, column);
      break;
    case SQLITE_FLOAT:
      value.kind = SqlValue::Kind::kReal;
      value.real = sqlite3_column_double(row, column);
      break;
    case SQLITE_TEXT:
      value.kind = SqlValue::Kind::kString;
      bytes(sqlite3_column_text(row, column));
      break;
    case SQLITE_BLOB:
      value.kind = SqlValue::Kind::kBlob;
      bytes(sqlite3_column_blob(row, column));
      break;
    default:
      break;
  }
  return value;
}

// Whether nothing but space, comments and semicolons is left.
bool IsBlank(SqliteFile& file, const char* tail) {
  sqlite3_stmt* rest = nullptr;
  const bool good = sqlite3_prepare_v2(file.get(), tail, -1, &rest, nullptr) == SQLITE_OK;
  const bool blank = good && rest == nullptr;
  sqlite3_finalize(rest);
  return blank;
}

}  // namespace

Status StoreReader::OpenFile(const std::string& path) {
  RETURN_IF_ERROR(file_.Open(path, SQLITE_OPEN_READONLY));
  sqlite3_busy_timeout(file_.get(), 60000);
  const auto look = file_.Number("SELECT count(*) FROM sqlite_master");
  if (look) return {};
  const int code = file_.ErrorCode();
  std::error_code error;
  const auto log = std::filesystem::file_size(path + "-wal", error);
  if ((code != SQLITE_CANTOPEN && code != SQLITE_READONLY) || (!error && log > 0))
    return tl::unexpected<Error>(look.error());
  // An interrupted study's file in a folder that cannot be written to; nobody else writes there.
  RETURN_IF_ERROR(file_.Open(path, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI,
                             "file:" + Escaped(path) + "?immutable=1"));
  const auto again = file_.Number("SELECT count(*) FROM sqlite_master");
  return again ? Status{} : tl::unexpected<Error>(again.error());
}

Result<std::unique_ptr<StoreReader>> StoreReader::Open(const std::string& folder) {
  std::error_code error;
  std::string path = folder;
  if (!std::filesystem::is_regular_file(path, error)) path += "/study.sqlite";
  if (!std::filesystem::exists(path, error))
    return Fail("{}: there is no study.sqlite; expected the folder of a study's results", folder);
  std::unique_ptr<StoreReader> reader(new StoreReader);
  SqliteFile& file = reader->file_;
  RETURN_IF_ERROR(reader->OpenFile(path));
  RETURN_IF_ERROR(CheckStore(file));
  RETURN_IF_ERROR(file.Execute("PRAGMA query_only=ON"));
  RETURN_IF_ERROR(file.Execute("PRAGMA cell_size_check=ON"));
  sqlite3_db_config(file.get(), SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(file.get(), SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  return reader;
}

Result<std::vector<TableInfo>> StoreReader::Tables() {
  std::vector<TableInfo> tables;
  ASSIGN_OR_RETURN(Statement list,
                   file_.Prepare("SELECT name, type='view' FROM sqlite_master WHERE "
                                 "type IN ('table', 'view') AND name NOT LIKE "
                                 "'sqlite_%' ORDER BY type DESC, name"));
  RETURN_IF_ERROR(file_.Each(list, [&](Statement& row) {
    TableInfo table;
    row.Read(&table.name);
    row.Read(&table.view);
    tables.push_back(std::move(table));
  }));
  ASSIGN_OR_RETURN(Statement columns,
                   file_.Prepare("SELECT name, type FROM pragma_table_info(?) ORDER BY cid"));
  for (TableInfo& table : tables) {
    columns << table.name;
    RETURN_IF_ERROR(file_.Each(columns, [&](Statement& row) {
      TableInfo::Column column;
      row.Read(&column.name);
      row.Read(&column.type);
      table.columns.push_back(std::move(column));
    }));
  }
  return tables;
}

Error StoreReader::Explain(const std::string& message) {
  sqlite3_set_authorizer(file_.get(), nullptr, nullptr);  // Tables() asks for more
  if (message.starts_with("not authorized") || message.starts_with("access to"))
    return {message + ": a store is only read here"};
  std::vector<std::string> known;
  const bool of_column = message.starts_with("no such column: ");
  if (!of_column && !message.starts_with("no such table: ")) return {message};
  std::string name = message.substr(message.find(": ") + 2);
  if (const size_t dot = name.rfind('.'); dot != std::string::npos) name.erase(0, dot + 1);
  if (const auto tables = Tables())
    for (const TableInfo& table : *tables) {
      if (!of_column) known.push_back(table.name);
      for (const TableInfo::Column& column : table.columns)
        if (of_column) known.push_back(column.name);
    }
  return {message + DidYouMean(name, known)};
}

Status StoreReader::Query(const std::string& sql, const Columns& columns, const Row& row) {
  struct Guard {  // what this class asks itself is not refused
    explicit Guard(sqlite3* of) : db(of) { sqlite3_set_authorizer(db, Authorize, nullptr); }
    ~Guard() { sqlite3_set_authorizer(db, nullptr, nullptr); }
    sqlite3* db;
  };
  const Guard guard(file_.get());
  sqlite3_stmt* compiled = nullptr;
  const char* tail = nullptr;
  const int good = sqlite3_prepare_v2(file_.get(), sql.c_str(), -1, &compiled, &tail);
  const std::unique_ptr<sqlite3_stmt, int (*)(sqlite3_stmt*)> statement(compiled, sqlite3_finalize);
  if (good != SQLITE_OK) return tl::unexpected(Explain(sqlite3_errmsg(file_.get())));
  if (compiled == nullptr) return Fail("the SQL is empty");
  if (!IsBlank(file_, tail))
    return Fail("expected one SQL statement, found more after it: '{}'", tail);
  if (sqlite3_stmt_readonly(compiled) == 0 || sqlite3_column_count(compiled) == 0)
    return Fail("the SQL gives no rows; a store is only read here");
  std::vector<std::string> names;
  for (int c = 0; c < sqlite3_column_count(compiled); ++c) {
    const char* name = sqlite3_column_name(compiled, c);
    names.emplace_back(name == nullptr ? "" : name);
  }
  RETURN_IF_ERROR(columns(names));
  std::vector<SqlValue> values(names.size());
  int status = SQLITE_ROW;
  while ((status = sqlite3_step(compiled)) == SQLITE_ROW) {
    for (size_t c = 0; c < values.size(); ++c) values[c] = ValueOf(compiled, static_cast<int>(c));
    RETURN_IF_ERROR(row(values));
  }
  return status == SQLITE_DONE ? Status{} : file_.Wrong();
}

}  // namespace vernier
