// Everything a store holds, as text, so that two can be compared row for row.
#ifndef VERNIER_STUDY_STORE_DUMP_TESTING_H_
#define VERNIER_STUDY_STORE_DUMP_TESTING_H_

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "study/store_reader.h"
#include "study/store_schema.h"

namespace vernier {

// Rows by table, in the order of all columns; without the tables that are of a run.
inline std::map<std::string, std::vector<std::string>> DumpStore(const std::string& folder) {
  std::map<std::string, std::vector<std::string>> dump;
  const auto store = StoreReader::Open(folder);
  if (!store) {
    ADD_FAILURE() << store.error().message;
    return dump;
  }
  const auto tables = (*store)->Tables();
  EXPECT_TRUE(tables);
  for (const TableInfo& table : *tables) {
    const auto of_a_run = RunTables();
    if (table.view || std::find(of_a_run.begin(), of_a_run.end(), table.name) != of_a_run.end())
      continue;
    std::vector<std::string>& rows = dump[table.name];
    const Status done = (*store)->Query(
        "SELECT * FROM " + table.name, [](const auto&) { return Status{}; },
        [&](const std::vector<SqlValue>& values) -> Status {
          std::string& row = rows.emplace_back();
          for (const SqlValue& v : values)
            row +=
                fmt::format("{} {} {:a} {}|", static_cast<int>(v.kind), v.integer, v.real, v.bytes);
          return {};
        });
    EXPECT_TRUE(done) << (done ? "" : done.error().message);
    std::sort(rows.begin(), rows.end());
  }
  return dump;
}

inline void ExpectSameStores(const std::string& expected, const std::string& found) {
  const auto a = DumpStore(expected), b = DumpStore(found);
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [table, rows] : a) {
    ASSERT_TRUE(b.contains(table)) << table;
    const auto& others = b.at(table);
    EXPECT_EQ(rows.size(), others.size()) << table;
    const auto [x, y] = std::mismatch(rows.begin(), rows.end(), others.begin(), others.end());
    if (x != rows.end() && y != others.end()) ADD_FAILURE() << table << ":\n" << *x << "\n" << *y;
  }
}

}  // namespace vernier

#endif  // VERNIER_STUDY_STORE_DUMP_TESTING_H_
