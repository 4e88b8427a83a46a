#include "report/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace vernier {
namespace {

constexpr size_t kGap = 2;
constexpr size_t kNarrowest = 12;  // a cut column keeps at least this

bool StartsCharacter(char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }

size_t Characters(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), StartsCharacter));
}

std::string Cut(const std::string& text, size_t width) {
  if (Characters(text) <= width) return text;
  std::string out;
  size_t count = 0;
  for (const char c : text) {
    if (StartsCharacter(c) && ++count > width - 3) break;
    out += c;
  }
  return out + "...";
}

// Takes from the widest left-aligned column until the line fits or nothing can be taken.
void Narrow(const Table& table, size_t width, std::vector<size_t>* widths) {
  size_t total = kGap * (widths->size() - 1);
  for (const size_t w : *widths) total += w;
  while (total > width) {
    size_t* widest = nullptr;
    for (size_t c = 0; c < widths->size(); ++c)
      if (table.columns[c].align == Align::kLeft && (*widths)[c] > kNarrowest &&
          (widest == nullptr || (*widths)[c] > *widest))
        widest = &(*widths)[c];
    if (widest == nullptr) return;
    --*widest;
    --total;
  }
}

}  // namespace

std::string FormatTable(const Table& table, size_t width) {
  const size_t columns = table.columns.size();
  if (columns == 0) return "";
  std::vector<size_t> widths(columns);
  for (size_t c = 0; c < columns; ++c) widths[c] = Characters(table.columns[c].title);
  for (const auto& row : table.rows)
    for (size_t c = 0; c < std::min(columns, row.size()); ++c)
      widths[c] = std::max(widths[c], Characters(row[c]));
  Narrow(table, width, &widths);
  std::string out;
  const auto line = [&](const auto& cell) {
    std::string text;
    for (size_t c = 0; c < columns; ++c) {
      const bool left = table.columns[c].align == Align::kLeft;
      const std::string shown = left ? Cut(cell(c), widths[c]) : cell(c);
      const std::string space(widths[c] - std::min(widths[c], Characters(shown)), ' ');
      if (c > 0) text.append(kGap, ' ');
      if (!left) text += space;
      text += shown;
      if (left) text += space;
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out += text + "\n";
  };
  if (std::any_of(table.columns.begin(), table.columns.end(),
                  [](const Column& column) { return !column.title.empty(); }))
    line([&](size_t c) { return table.columns[c].title; });
  for (const auto& row : table.rows)
    line([&](size_t c) { return c < row.size() ? row[c] : std::string(); });
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
