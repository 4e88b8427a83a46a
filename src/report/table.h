// Plain text tables for people.
#ifndef VERNIER_REPORT_TABLE_H_
#define VERNIER_REPORT_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace vernier {

enum class Align { kLeft, kRight };

struct Column {
  std::string title;
  Align align = Align::kRight;
};

struct Table {
  std::vector<Column> columns;
  std::vector<std::vector<std::string>> rows;  // a cell a column; missing ones are empty
};

// Lines of at most `width` characters where that can be: left-aligned cells are cut ("...") from
// the widest column on, right-aligned ones (numbers) never. Two spaces between columns, none at the
// ends of lines; widths count UTF-8 characters. Without any title there is no title line.
std::string FormatTable(const Table& table, size_t width = 100);

// Four significant digits, as short as it can be: "1.234", "12340", "1.2e-07", "0", "inf", "nan".
std::string NumberText(double value);
std::string CountText(uint64_t count);  // "1 234 567"
std::string ByteText(uint64_t bytes);   // "7.89 MB", decimal prefixes
std::string PercentText(double share);  // "12.3 %"; "100 %" and "0 %" only where it is exactly so

}  // namespace vernier

#endif  // VERNIER_REPORT_TABLE_H_
