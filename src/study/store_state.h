// What the parts of Store share: the open file, its statements, the numbers that stand for keys.
#ifndef VERNIER_STUDY_STORE_STATE_H_
#define VERNIER_STUDY_STORE_STATE_H_

#include <string>
#include <unordered_map>

#include "study/sqlite_file.h"
#include "study/store.h"

namespace vernier {

struct Store::State {
  SqliteFile file;
  std::unordered_map<std::string, Statement> statements;  // by their SQL
  std::unordered_map<std::string, int64_t> ids;           // by table and key
  int64_t run = 0;                                        // 0: none begun

  // The compiled statement, made on first use.
  Result<Statement*> Prepared(const std::string& sql);
  // Runs `sql` with these values.
  template <class... T>
  Status Run(const std::string& sql, const T&... values) {
    ASSIGN_OR_RETURN(Statement * statement, Prepared(sql));
    (static_cast<void>(*statement << values), ...);
    return file.Run(*statement);
  }
  // The row `sql` gives for these values, read by `row`; false: none.
  template <class F, class... T>
  Result<bool> Row(const std::string& sql, F row, const T&... values) {
    ASSIGN_OR_RETURN(Statement * statement, Prepared(sql));
    (static_cast<void>(*statement << values), ...);
    return file.Step(*statement, row);
  }
  template <class F, class... T>
  Status Each(const std::string& sql, F row, const T&... values) {
    ASSIGN_OR_RETURN(Statement * statement, Prepared(sql));
    (static_cast<void>(*statement << values), ...);
    return file.Each(*statement, row);
  }
  // The id of a key in `table` (lane, chunk, prompt); 0 where it has none.
  Result<int64_t> Find(const char* table, const std::string& key);
  // The same; makes one. Call it in a transaction.
  Result<int64_t> Id(const char* table, const std::string& key);
  // An error in `body` takes back what it did; ids made meanwhile are forgotten.
  Status InTransaction(const std::function<Status()>& body);
};

}  // namespace vernier

#endif  // VERNIER_STUDY_STORE_STATE_H_
