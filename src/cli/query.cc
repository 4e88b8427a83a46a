// vernier query: a study's store, asked in SQL.
#include "cli/options.h"
#include "report/query_rows.h"
#include "study/store_reader.h"

namespace vernier {
namespace {

// Rows as they come, to standard output in pieces, to a file whole.
class Output {
 public:
  Output(const OutputOptions& options, RowFormat format)
      : options_(options), people_(format == RowFormat::kTable) {}
  Status Add(const std::string& text) {
    text_ += text;
    if (people_ || !options_.path.empty() || text_.size() < size_t{1} << 16) return {};
    const Status printed = PrintText(text_);
    text_.clear();
    return printed;
  }
  Status Finish() { return people_ ? EmitText(options_, text_) : Emit(options_, text_); }

 private:
  const OutputOptions& options_;
  bool people_;
  std::string text_;
};

Status Ask(StoreReader& store, const std::string& sql, RowWriter& writer, Output& output) {
  RETURN_IF_ERROR(store.Query(
      sql,
      [&](const std::vector<std::string>& columns) -> Status {
        ASSIGN_OR_RETURN(const std::string text, writer.Begin(columns));
        return output.Add(text);
      },
      [&](const std::vector<SqlValue>& values) { return output.Add(writer.Row(values)); }));
  return output.Add(writer.End());
}

// Names after one another, in lines that fit.
std::string Wrapped(const TableInfo& table) {
  constexpr size_t kWidth = 100;
  std::string text, line = " ";
  for (size_t c = 0; c < table.columns.size(); ++c) {
    const std::string name =
        " " + table.columns[c].name + (c + 1 < table.columns.size() ? "," : "");
    if (line.size() + name.size() > kWidth) text += std::exchange(line, " ") + "\n";
    line += name;
  }
  return text + line + "\n";
}

// What can be asked: for people tables with their columns, for programs a row a column.
Status List(StoreReader& store, RowFormat format, const Screen& screen, RowWriter& writer,
            Output& output) {
  ASSIGN_OR_RETURN(const std::vector<TableInfo> tables, store.Tables());
  if (format == RowFormat::kTable) {
    for (const TableInfo& table : tables)
      RETURN_IF_ERROR(output.Add(
          FitLines(fmt::format("{}{}\n{}", table.name, table.view ? " (view)" : "", Wrapped(table)),
                   screen)));
    return {};
  }
  ASSIGN_OR_RETURN(const std::string head, writer.Begin({"kind", "table", "column", "type"}));
  RETURN_IF_ERROR(output.Add(head));
  const auto text = [](const std::string& of) {
    return SqlValue{SqlValue::Kind::kString, 0, 0, of};
  };
  for (const TableInfo& table : tables)
    for (const TableInfo::Column& column : table.columns)
      RETURN_IF_ERROR(output.Add(writer.Row({text(table.view ? "view" : "table"), text(table.name),
                                             text(column.name), text(column.type)})));
  return output.Add(writer.End());
}

}  // namespace

Result<int> RunQuery(const Arguments& arguments) {
  ArgumentParser parser("A study's store, asked in SQL; nothing is written to it", "vernier query");
  std::string folder, sql;
  bool csv = false, lines = false;
  OutputOptions options;
  parser.Positional("DIR", &folder, "The folder of a study's results");
  parser.Positional("SQL", &sql, "One SELECT; without it tables and their columns are listed",
                    false);
  parser.Flag("--csv", &csv, "Rows as CSV");
  parser.Flag("--jsonl", &lines, "Rows as JSON, an object a line");
  parser.Takes("DIR", FilesNamed({"sqlite"}));
  AddOutputOptions(&parser, &options);
  ASSIGN_OR_RETURN(const bool go, parser.Parse(arguments));
  if (!go) return kDone;
  if (csv + lines + options.json > 1) return Fail("expected one of --csv, --json and --jsonl");
  const RowFormat format = csv            ? RowFormat::kCsv
                           : lines        ? RowFormat::kJsonLines
                           : options.json ? RowFormat::kJson
                                          : RowFormat::kTable;
  ASSIGN_OR_RETURN(const std::unique_ptr<StoreReader> store, StoreReader::Open(folder));
  const std::unique_ptr<RowWriter> writer = MakeRowWriter(format, ScreenOf(options));
  Output output(options, format);
  RETURN_IF_ERROR(sql.empty() ? List(*store, format, ScreenOf(options), *writer, output)
                              : Ask(*store, sql, *writer, output));
  RETURN_IF_ERROR(output.Finish());
  return kDone;
}

}  // namespace vernier
