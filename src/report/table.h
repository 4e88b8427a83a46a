// Plain text tables for people.
#ifndef VERNIER_REPORT_TABLE_H_
#define VERNIER_REPORT_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "report/text_width.h"

namespace vernier {

enum class Align { kLeft, kRight };

struct Column {
  std::string title;
  Align align = Align::kRight;
  // Where a screen is too narrow for all columns, those with the highest number are left out first;
  // those with 0 stay.
  int drop = 0;
  bool wrap = false;  // a left-aligned cell may go on below: reasons, descriptions
};

struct Table {
  std::vector<Column> columns;
  std::vector<std::vector<std::string>> rows;  // a cell a column; missing ones are empty
};

// Two spaces between columns, none at the ends of lines; widths are those of a terminal. Without
// any title there is no title line.
//
// For a file: lines of at most `screen.width` where that can be: left-aligned cells are cut ("...")
// from the widest column on; numbers never.
//
// On a terminal (`screen.fit`) no line is longer than the screen: left-aligned cells are shortened
// ("…" in the middle) or wrapped; then columns are left out by their `drop`, and a line below names
// them; then the table is cut into blocks that all have its first column. Titles are bold and
// verdicts coloured where the screen has colours.
std::string FormatTable(const Table& table, const Screen& screen = Screen());

// Four significant digits, as short as it can be: "1.234", "12340", "1.2e-07", "0", "inf", "nan".
std::string NumberText(double value);
std::string CountText(uint64_t count);  // "1 234 567"
std::string ByteText(uint64_t bytes);   // "7.89 MB", decimal prefixes
std::string PercentText(double share);  // "12.3 %"; "100 %" and "0 %" only where it is exactly so

}  // namespace vernier

#endif  // VERNIER_REPORT_TABLE_H_
