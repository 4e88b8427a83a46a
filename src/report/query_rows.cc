#include "report/query_rows.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "report/table.h"

namespace vernier {
namespace {

using Json = nlohmann::ordered_json;
using Kind = SqlValue::Kind;

std::string Hex(const std::string& bytes) {
  std::string hex;
  for (const char c : bytes) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return hex;
}

Json JsonOf(const SqlValue& value) {
  switch (value.kind) {
    case Kind::kInteger:
      return value.integer;
    case Kind::kReal:
      return value.real;  // written as null where it is not finite
    case Kind::kString:
      return value.bytes;
    case Kind::kBlob:
      return Hex(value.bytes);
    case Kind::kNull:
      break;
  }
  return nullptr;
}

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// In one line: pieces of text may be line breaks.
std::string Shown(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n')
      out += "\\n";
    else if (byte < 0x20 || byte == 0x7f)
      out += fmt::format("\\x{:02x}", byte);
    else
      out += c;
  }
  return out;
}

class TableWriter : public RowWriter {
 public:
  explicit TableWriter(const Screen& screen) : screen_(screen) {}
  Result<std::string> Begin(const std::vector<std::string>& columns) override {
    for (const std::string& name : columns) table_.columns.push_back({Shown(name), Align::kRight});
    return std::string();
  }
  std::string Row(const std::vector<SqlValue>& values) override {
    std::vector<std::string>& row = table_.rows.emplace_back();
    for (size_t c = 0; c < values.size(); ++c) {
      row.push_back(Cell(values[c]));
      if (values[c].kind == Kind::kString) table_.columns[c].align = Align::kLeft;
    }
    return {};
  }
  std::string End() override {
    return FormatTable(table_, screen_) + (table_.rows.empty() ? "(no rows)\n" : "");
  }

 private:
  static std::string Cell(const SqlValue& value) {
    switch (value.kind) {
      case Kind::kInteger:
        return std::to_string(value.integer);
      case Kind::kReal:
        return NumberText(value.real);
      case Kind::kString:
        return Shown(value.bytes);
      case Kind::kBlob:
        return Hex(value.bytes);
      case Kind::kNull:
        break;
    }
    return "-";
  }
  Screen screen_;
  Table table_;
};

class CsvWriter : public RowWriter {
 public:
  Result<std::string> Begin(const std::vector<std::string>& columns) override {
    std::string line;
    for (const std::string& name : columns) line += (line.empty() ? "" : ",") + Field(name);
    return line + "\r\n";
  }
  std::string Row(const std::vector<SqlValue>& values) override {
    std::string line;
    for (size_t c = 0; c < values.size(); ++c) {
      if (c > 0) line += ',';
      const SqlValue& v = values[c];
      if (v.kind == Kind::kInteger) line += std::to_string(v.integer);
      if (v.kind == Kind::kReal) line += fmt::format("{}", v.real);
      if (v.kind == Kind::kString) line += Field(v.bytes);
      if (v.kind == Kind::kBlob) line += Hex(v.bytes);
    }
    return line + "\r\n";
  }
  std::string End() override { return {}; }

 private:
  // An empty text is "", so that it is not NULL.
  static std::string Field(const std::string& text) {
    if (!text.empty() && text.find_first_of(",\"\r\n") == std::string::npos) return text;
    std::string out = "\"";
    for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
    return out + "\"";
  }
};

class JsonWriter : public RowWriter {
 public:
  Result<std::string> Begin(const std::vector<std::string>& columns) override {
    return "{\"columns\":" + Dump(columns) + ",\"rows\":[";
  }
  std::string Row(const std::vector<SqlValue>& values) override {
    Json row = Json::array();
    for (const SqlValue& value : values) row.push_back(JsonOf(value));
    return (std::exchange(first_, false) ? "\n" : ",\n") + Dump(row);
  }
  std::string End() override { return "]}\n"; }

 private:
  bool first_ = true;
};

class JsonLinesWriter : public RowWriter {
 public:
  Result<std::string> Begin(const std::vector<std::string>& columns) override {
    for (size_t c = 0; c < columns.size(); ++c)
      if (std::find(columns.begin(), columns.begin() + static_cast<std::ptrdiff_t>(c),
                    columns[c]) != columns.begin() + static_cast<std::ptrdiff_t>(c))
        return Fail("two columns are named '{}'; name one of them otherwise with AS", columns[c]);
    columns_ = columns;
    return std::string();
  }
  std::string Row(const std::vector<SqlValue>& values) override {
    Json row = Json::object();
    for (size_t c = 0; c < values.size(); ++c) row[columns_[c]] = JsonOf(values[c]);
    return Dump(row) + "\n";
  }
  std::string End() override { return {}; }

 private:
  std::vector<std::string> columns_;
};

}  // namespace

std::unique_ptr<RowWriter> MakeRowWriter(RowFormat format, const Screen& screen) {
  switch (format) {
    case RowFormat::kCsv:
      return std::make_unique<CsvWriter>();
    case RowFormat::kJson:
      return std::make_unique<JsonWriter>();
    case RowFormat::kJsonLines:
      return std::make_unique<JsonLinesWriter>();
    case RowFormat::kTable:
      break;
  }
  return std::make_unique<TableWriter>(screen);
}

}  // namespace vernier
