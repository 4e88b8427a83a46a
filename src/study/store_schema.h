// The tables of a study's store (docs/store.md says what each column means).
#ifndef VERNIER_STUDY_STORE_SCHEMA_H_
#define VERNIER_STUDY_STORE_SCHEMA_H_

#include <span>
#include <string>

#include "base/result.h"
#include "study/sqlite_file.h"

namespace vernier {

inline constexpr int kStoreApplication = 0x5645524e;  // "VERN": application_id of the file
// user_version of the file. Another one whenever a table or column changes: scores cost minutes, so
// a store of another version is refused rather than half understood.
inline constexpr int kStoreVersion = 2;

// Errors: not a study's store, or one of another version.
Status CheckStore(SqliteFile& file);

std::string StoreSchema();  // SQL that makes the tables and views

// Tables that are of a run: times, machines, what was made of the results. All others have the same
// rows however often the study was interrupted.
std::span<const char* const> RunTables();

}  // namespace vernier

#endif  // VERNIER_STUDY_STORE_SCHEMA_H_
