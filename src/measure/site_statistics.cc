#include "measure/site_statistics.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

namespace vernier {
namespace {

constexpr size_t kLanes = 8;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

using Lanes = std::array<double, kLanes>;

double Sum(const Lanes& l) {
  return ((l[0] + l[4]) + (l[2] + l[6])) + ((l[1] + l[5]) + (l[3] + l[7]));
}

template <class T>
bool Finite(T x) {
  return std::abs(x) <= std::numeric_limits<T>::max();  // one comparison, which vectorises
}

struct Extremes {
  std::array<double, kLanes> low, high;
};

// First pass over a row: sums, sums of squares and extremes of the finite elements.
template <class T>
void AddRow(const T* row, size_t n, Lanes* sums, Lanes* squares, Extremes* extremes) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const auto add = [&](size_t lane, T value) {
    const bool finite = Finite(value);
    const double x = finite ? static_cast<double>(value) : 0.0;
    (*sums)[lane] += x;
    (*squares)[lane] += x * x;
    extremes->low[lane] = std::min(extremes->low[lane], finite ? x : kInfinity);
    extremes->high[lane] = std::max(extremes->high[lane], finite ? x : -kInfinity);
  };
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (size_t lane = 0; lane < kLanes; ++lane) add(lane, row[i + lane]);
  for (size_t lane = 0; i < n; ++i, ++lane) add(lane, row[i]);
}

// Second pass: squared distances from the mean.
template <class T>
void AddDeviations(const T* row, size_t n, double mean, Lanes* squares) {
  const auto add = [&](size_t lane, T value) {
    const double d = Finite(value) ? static_cast<double>(value) - mean : 0.0;
    (*squares)[lane] += d * d;
  };
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (size_t lane = 0; lane < kLanes; ++lane) add(lane, row[i + lane]);
  for (size_t lane = 0; i < n; ++i, ++lane) add(lane, row[i]);
}

// Counts by the exponent field of the double: 0 holds zeros and double's subnormals, 2047
// infinities and NaN; the three are told apart one by one, for they are rare.
class Exponents {
 public:
  template <class T>
  void AddRow(const T* row, size_t n) {
    for (size_t i = 0; i < n; ++i) {
      const double x = static_cast<double>(row[i]);
      uint64_t bits = 0;
      std::memcpy(&bits, &x, sizeof bits);
      const size_t field = bits >> 52 & 0x7ff;
      ++fields_[field];
      if (field == 0 && x != 0) ++subnormals_[std::ilogb(x)];
      if (field == 0x7ff && x != x) ++nans_;
    }
  }
  void Finish(SiteStatistics* s) const {
    uint64_t subnormals = 0;
    for (const auto& [exponent, count] : subnormals_) {
      s->exponents[exponent] = count;
      subnormals += count;
    }
    s->zeros = fields_[0] - subnormals;
    s->nans = nans_;
    s->infinities = fields_[0x7ff] - nans_;
    for (size_t field = 1; field < 0x7ff; ++field)
      if (fields_[field] > 0) s->exponents[static_cast<int>(field) - 1023] = fields_[field];
  }

 private:
  std::array<uint64_t, 2048> fields_{};
  std::map<int, uint64_t> subnormals_;
  uint64_t nans_ = 0;
};

}  // namespace

SiteStatistics MeasureSite(const RowsView& view) {
  Lanes sums{}, squares{}, deviations{};
  Extremes extremes;
  extremes.low.fill(std::numeric_limits<double>::infinity());
  extremes.high.fill(-std::numeric_limits<double>::infinity());
  Exponents exponents;
  SiteStatistics s;
  for (size_t r = 0; r < view.rows.size(); ++r) {
    VisitRow(view, r, [&](const auto* row, size_t n) {
      AddRow(row, n, &sums, &squares, &extremes);
      exponents.AddRow(row, n);
      s.count += n;
    });
  }
  exponents.Finish(&s);
  const uint64_t finite = s.count - s.nans - s.infinities;
  if (finite == 0) {
    s.mean = s.std = s.rms = s.min = s.max = s.absmax = kNan;
    return s;
  }
  const double n = static_cast<double>(finite);
  s.mean = Sum(sums) / n;
  s.rms = std::sqrt(Sum(squares) / n);
  s.min = *std::min_element(extremes.low.begin(), extremes.low.end());
  s.max = *std::max_element(extremes.high.begin(), extremes.high.end());
  s.absmax = std::max(std::abs(s.min), std::abs(s.max));
  for (size_t r = 0; r < view.rows.size(); ++r)
    VisitRow(view, r, [&](const auto* row, size_t width) {
      AddDeviations(row, width, s.mean, &deviations);
    });
  s.std = std::sqrt(Sum(deviations) / n);
  return s;
}

void MeasureGrowth(std::span<SiteSummary> sites) {
  std::map<std::pair<std::string, int>, double> rms;
  for (const SiteSummary& site : sites)
    if (site.layer >= 0) rms[{site.name, site.layer}] = site.statistics.rms;
  for (SiteSummary& site : sites) {
    const auto before = rms.find({site.name, site.layer - 1});
    site.growth = site.layer > 0 && before != rms.end() && before->second > 0
                      ? site.statistics.rms / before->second
                      : kNan;
  }
}

}  // namespace vernier
