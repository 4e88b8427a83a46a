// Rows of a query as text: a table for people, CSV (RFC 4180), JSON, JSON lines.
#ifndef VERNIER_REPORT_QUERY_ROWS_H_
#define VERNIER_REPORT_QUERY_ROWS_H_

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "report/text_width.h"
#include "study/store_reader.h"

namespace vernier {

enum class RowFormat { kTable, kCsv, kJson, kJsonLines };

// Takes the columns, then the rows, and gives pieces of text that make up the whole. Numbers have
// all their digits, but four in a table. NULL, which is also NaN, is null, in CSV nothing, in a
// table "-"; infinities are `inf`, in JSON null; blobs are hexadecimal.
class RowWriter {
 public:
  virtual ~RowWriter() = default;
  // Error: of two columns with one name, where names are keys.
  virtual Result<std::string> Begin(const std::vector<std::string>& columns) = 0;
  virtual std::string Row(const std::vector<SqlValue>& values) = 0;
  virtual std::string End() = 0;
};
// `screen`: where a table is shown.
std::unique_ptr<RowWriter> MakeRowWriter(RowFormat format, const Screen& screen = Screen(180));

}  // namespace vernier

#endif  // VERNIER_REPORT_QUERY_ROWS_H_
