#include "report/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace vernier {
namespace {

constexpr size_t kGap = 2;
constexpr size_t kNarrowest = 12;      // a cut column keeps at least this
constexpr size_t kNarrowestWrap = 24;  // and one that wraps this

using Indices = std::vector<size_t>;  // of columns

bool IsLeft(const Table& table, size_t c) { return table.columns[c].align == Align::kLeft; }

const std::string& CellOf(const std::vector<std::string>& row, size_t c) {
  static const std::string kEmpty;
  return c < row.size() ? row[c] : kEmpty;
}

// What each column takes as it is.
std::vector<size_t> NaturalWidths(const Table& table) {
  std::vector<size_t> widths;
  for (size_t c = 0; c < table.columns.size(); ++c) {
    size_t width = TextWidth(table.columns[c].title);
    for (const auto& row : table.rows) width = std::max(width, TextWidth(CellOf(row, c)));
    widths.push_back(width);
  }
  return widths;
}

// A table's columns that are shown together, and their widths.
struct Layout {
  Indices columns;
  std::vector<size_t> widths;
  size_t Total() const {
    return std::accumulate(widths.begin(), widths.end(), kGap * (widths.size() - 1));
  }
};

Layout Natural(const std::vector<size_t>& natural, const Indices& columns) {
  Layout layout{columns, {}};
  for (const size_t c : columns) layout.widths.push_back(natural[c]);
  return layout;
}

// Takes from the widest column that may become narrower, until the line fits or none may. `hard`:
// all may, down to one character.
bool Narrow(const Table& table, const Screen& screen, const std::vector<size_t>& natural, bool hard,
            Layout* layout) {
  size_t total = layout->Total();
  while (total > screen.width) {
    size_t* widest = nullptr;
    for (size_t i = 0; i < layout->columns.size(); ++i) {
      const size_t c = layout->columns[i];
      if (!hard && !IsLeft(table, c)) continue;
      const bool wraps = table.columns[c].wrap && screen.fit;
      size_t least = hard ? 1 : kNarrowest;
      // On a screen columns can be left out before names lose too much of themselves.
      if (screen.fit && !hard)
        least = wraps ? kNarrowestWrap : std::max(kNarrowest, (natural[c] + 1) / 2);
      if (layout->widths[i] > least && (widest == nullptr || layout->widths[i] > *widest))
        widest = &layout->widths[i];
    }
    if (widest == nullptr) return false;
    --*widest;
    --total;
  }
  return true;
}

// One line of the output: a cell for each column of the layout.
std::string Line(const Table& table, const Screen& screen, const Layout& layout, bool title,
                 const std::vector<std::string>& cells) {
  std::string line, space;  // spaces are written before what follows them
  for (size_t i = 0; i < cells.size(); ++i) {
    const bool left = IsLeft(table, layout.columns[i]);
    const size_t width = TextWidth(cells[i]);
    const std::string pad(layout.widths[i] - std::min(layout.widths[i], width), ' ');
    if (i > 0) space.append(kGap, ' ');
    if (!left) space += pad;
    if (!cells[i].empty()) {
      line += space;
      space.clear();
      line += title || !left ? cells[i] : StyledVerdict(screen, cells[i]);
    }
    if (left) space += pad;
  }
  const size_t end = line.find_last_not_of(' ') + 1;
  line.erase(end);
  if (!title) return line + "\n";
  const size_t start = std::min(end, line.find_first_not_of(' '));
  return line.substr(0, start) + Styled(screen, Style::kHeading, line.substr(start)) + "\n";
}

// The lines of a row, or of the titles: more than one where a cell wraps.
std::string RowText(const Table& table, const Screen& screen, const Layout& layout, bool titles,
                    const std::vector<std::string>& row) {
  std::vector<std::vector<std::string>> cells;  // by column
  size_t lines = 1;
  for (size_t i = 0; i < layout.columns.size(); ++i) {
    const size_t c = layout.columns[i], width = layout.widths[i];
    const std::string& text = CellOf(row, c);
    if (screen.fit && table.columns[c].wrap)
      cells.push_back(WrapText(text, width));
    else if (IsLeft(table, c) || screen.fit)
      cells.push_back({CutText(text, width, screen.fit)});
    else
      cells.push_back({text});
    lines = std::max(lines, cells.back().size());
  }
  std::string out;
  for (size_t line = 0; line < lines; ++line) {
    std::vector<std::string> of_line;
    for (const auto& cell : cells) of_line.push_back(line < cell.size() ? cell[line] : "");
    out += Line(table, screen, layout, titles, of_line);
  }
  return out;
}

std::string LayoutText(const Table& table, const Screen& screen, const Layout& layout) {
  std::vector<std::string> titles;
  for (const Column& column : table.columns) titles.push_back(column.title);
  const bool titled = std::any_of(layout.columns.begin(), layout.columns.end(),
                                  [&](size_t c) { return !titles[c].empty(); });
  std::string out = titled ? RowText(table, screen, layout, true, titles) : "";
  for (const auto& row : table.rows) out += RowText(table, screen, layout, false, row);
  return out;
}

// Leaves columns out until the rest fits, or none may go.
void DropColumns(const Table& table, const Screen& screen, const std::vector<size_t>& natural,
                 Indices* columns) {
  for (;;) {
    Layout layout = Natural(natural, *columns);
    if (Narrow(table, screen, natural, false, &layout)) return;
    auto most = columns->end();
    for (auto c = columns->begin(); c != columns->end(); ++c)
      if (table.columns[*c].drop > 0 &&
          (most == columns->end() || table.columns[*c].drop >= table.columns[*most].drop))
        most = c;
    if (most == columns->end()) return;
    columns->erase(most);
  }
}

// As many columns at a time as fit, each time after the first one.
std::string Blocks(const Table& table, const Screen& screen, const std::vector<size_t>& natural,
                   const Indices& columns) {
  std::string out;
  for (size_t next = 1; next < columns.size();) {
    Layout block = Natural(natural, {columns[0], columns[next++]});
    Narrow(table, screen, natural, false, &block);
    for (; next < columns.size(); ++next) {
      Indices more = block.columns;
      more.push_back(columns[next]);
      Layout wider = Natural(natural, more);
      if (!Narrow(table, screen, natural, false, &wider)) break;
      block = std::move(wider);
    }
    Narrow(table, screen, natural, true, &block);
    out += (out.empty() ? "" : "\n") + LayoutText(table, screen, block);
  }
  return out;
}

}  // namespace

std::string FormatTable(const Table& given, const Screen& screen) {
  if (given.columns.empty()) return "";
  Table table = given;
  for (Column& column : table.columns) column.title = Printable(column.title);
  for (auto& row : table.rows)
    for (std::string& cell : row) cell = Printable(cell);
  Indices columns(table.columns.size());
  std::iota(columns.begin(), columns.end(), size_t{0});
  const std::vector<size_t> natural = NaturalWidths(table);
  if (screen.fit) std::erase_if(columns, [&](size_t c) { return natural[c] == 0; });
  if (columns.empty()) return "";
  const Indices all = columns;
  if (screen.fit) DropColumns(table, screen, natural, &columns);
  Layout layout = Natural(natural, columns);
  const bool fits = Narrow(table, screen, natural, false, &layout);
  if (screen.fit && !fits && columns.size() > 1) return Blocks(table, screen, natural, all);
  if (screen.fit && !fits) Narrow(table, screen, natural, true, &layout);
  std::string out = LayoutText(table, screen, layout);
  std::vector<std::string> dropped;
  for (const size_t c : all)
    if (std::find(columns.begin(), columns.end(), c) == columns.end())
      dropped.push_back(table.columns[c].title);
  if (dropped.empty()) return out;
  for (const std::string& line :
       WrapText(fmt::format("not shown in {} columns: {}", screen.width, fmt::join(dropped, ", ")),
                screen.width))
    out += line + "\n";
  return out;
}

std::string NumberText(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  const double magnitude = std::abs(value);
  if (magnitude >= 1e3 && magnitude < 1e6) return fmt::format("{:.0f}", value);
  return fmt::format("{:.4g}", value);
}

std::string CountText(uint64_t count) {
  std::string digits = std::to_string(count);
  for (size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, 1, ' ');
  return digits;
}

std::string ByteText(uint64_t bytes) {
  const char* units[] = {"B", "kB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1000 && unit + 1 < std::size(units)) {
    value /= 1000;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.3g} {}", value, units[unit]);
}

std::string PercentText(double share) {
  if (std::isnan(share)) return "-";
  const double percent = 100 * share;
  if (share == 0 || share == 1) return fmt::format("{:.0f} %", percent);
  if (percent < 0.01) return "<0.01 %";
  if (percent > 99.99) return ">99.99 %";
  return fmt::format("{:.{}f} %", percent, percent > 99 || percent < 1 ? 2 : 1);
}

}  // namespace vernier
