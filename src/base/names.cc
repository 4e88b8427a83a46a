#include "base/names.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace vernier {
namespace {

char Lower(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }

// Damerau-Levenshtein distance (optimal string alignment), in halves: a change of case costs 1, all
// else 2.
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = 2 * i;
  for (size_t j = 0; j <= b.size(); ++j) d[0][j] = 2 * j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replace = a[i - 1] == b[j - 1] ? 0 : Lower(a[i - 1]) == Lower(b[j - 1]) ? 1 : 2;
      d[i][j] = std::min({d[i - 1][j] + 2, d[i][j - 1] + 2, d[i - 1][j - 1] + replace});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 2);
    }
  }
  return d[a.size()][b.size()];
}

// One glob element at `at`: whether it matches `c`, and where the next element starts. A '[' that
// no ']' closes is itself.
bool ElementMatches(std::string_view glob, size_t at, char c, size_t* next) {
  *next = at + 1;
  if (glob[at] == '?') return true;
  const size_t close = glob[at] == '[' ? glob.find(']', at + 2) : std::string_view::npos;
  if (close == std::string_view::npos) return glob[at] == c;
  *next = close + 1;
  for (size_t i = at + 1; i < close; ++i) {
    if (i + 2 < close && glob[i + 1] == '-') {
      if (glob[i] <= c && c <= glob[i + 2]) return true;
      i += 2;
    } else if (glob[i] == c) {
      return true;
    }
  }
  return false;
}

}  // namespace

std::string NearestName(std::string_view name, const std::vector<std::string>& candidates) {
  const std::string* best = nullptr;
  size_t least = std::max<size_t>(name.size(), 2) + 1;  // half the length, in halves
  for (const std::string& candidate : candidates) {
    const size_t d = Distance(name, candidate);
    if (d < least) {
      least = d;
      best = &candidate;
    }
  }
  return best == nullptr ? std::string() : *best;
}

std::string DidYouMean(std::string_view name, const std::vector<std::string>& candidates) {
  const std::string nearest = NearestName(name, candidates);
  return nearest.empty() ? std::string() : fmt::format("; did you mean '{}'?", nearest);
}

bool GlobMatches(std::string_view glob, std::string_view text) {
  size_t g = 0, t = 0, star = std::string_view::npos, resume = 0;
  while (t < text.size()) {
    size_t next = 0;
    if (g < glob.size() && glob[g] == '*') {
      star = g++;
      resume = t;
    } else if (g < glob.size() && ElementMatches(glob, g, text[t], &next)) {
      g = next;
      ++t;
    } else if (star != std::string_view::npos) {
      g = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (g < glob.size() && glob[g] == '*') ++g;
  return g == glob.size();
}

std::vector<std::string> Split(std::string_view text, char separator) {
  std::vector<std::string> pieces;
  size_t from = 0;
  for (size_t at; (at = text.find(separator, from)) != std::string_view::npos; from = at + 1)
    pieces.emplace_back(text.substr(from, at - from));
  pieces.emplace_back(text.substr(from));
  return pieces;
}

std::string_view Trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

}  // namespace vernier
