// A study's store for reading alone: whatever is asked, nothing is written, not to another file
// either. SQL of one statement that gives rows (docs/store.md has the tables).
#ifndef VERNIER_STUDY_STORE_READER_H_
#define VERNIER_STUDY_STORE_READER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "study/sqlite_file.h"

namespace vernier {

struct SqlValue {
  enum class Kind { kNull, kInteger, kReal, kString, kBlob };
  Kind kind = Kind::kNull;
  int64_t integer = 0;
  double real = 0;
  std::string bytes;  // kString, kBlob
};

struct TableInfo {
  std::string name;
  bool view = false;
  struct Column {
    std::string name, type;  // of a view's column the type may be empty
  };
  std::vector<Column> columns;
};

class StoreReader {
 public:
  // FOLDER/study.sqlite, or the file itself. A study may be running on it. Error when there is
  // none, or it is another program's, of another version or damaged.
  static Result<std::unique_ptr<StoreReader>> Open(const std::string& folder);

  Result<std::vector<TableInfo>> Tables();  // views first, each by name

  // Calls `columns` once, then `row` for each row; an error of theirs ends it. Errors name what is
  // wrong with the SQL.
  using Columns = std::function<Status(const std::vector<std::string>& names)>;
  using Row = std::function<Status(const std::vector<SqlValue>& values)>;
  Status Query(const std::string& sql, const Columns& columns, const Row& row);

 private:
  StoreReader() = default;
  Status OpenFile(const std::string& path);
  Error Explain(const std::string& message);
  SqliteFile file_;
};

}  // namespace vernier

#endif  // VERNIER_STUDY_STORE_READER_H_
