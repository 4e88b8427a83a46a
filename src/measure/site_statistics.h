// What the values at a site look like: moments, extremes, and where their exponents lie.
#ifndef VERNIER_MEASURE_SITE_STATISTICS_H_
#define VERNIER_MEASURE_SITE_STATISTICS_H_

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "measure/rows_view.h"

namespace vernier {

// NaN and infinities are counted and left out of everything else. Of a site without a finite
// element the numbers are NaN.
struct SiteStatistics {
  uint64_t count = 0;  // all elements
  uint64_t nans = 0, infinities = 0, zeros = 0;
  double mean = 0;
  double std = 0;  // of the population: sqrt(mean((x - mean)^2))
  double rms = 0;  // sqrt(mean(x^2))
  double min = 0, max = 0, absmax = 0;
  double sum = 0, squares = 0;        // of x and x^2, which those of other rows can be added to
  std::map<int, uint64_t> exponents;  // floor(log2 |x|) of the elements that are not zero
};

// Sums are made in double, in one order: within a row in the sixteen lanes of docs/numerics.md,
// then row after row. `std` is made of each row's deviations from its own mean and of the means. So
// the result depends on the values alone. (Squares overflow from about 1e154 on, which only doubles
// reach.) Rows are spread over `workers` where there are any.
SiteStatistics MeasureSite(const RowsView& view, Workers* workers = nullptr);

// A site with its statistics, as `probe` shows it.
struct SiteSummary {
  std::string label;  // "ffn_norm[3]"
  std::string name;   // "ffn_norm"
  int layer = -1;
  size_t rows = 0, width = 0;  // width of the longest row
  bool ragged = false;         // rows of different widths
  SiteStatistics statistics;
  double growth = 0;  // rms over the rms of the same name one layer before; NaN where there is none
};

// Fills in `growth`.
void MeasureGrowth(std::span<SiteSummary> sites);

}  // namespace vernier

#endif  // VERNIER_MEASURE_SITE_STATISTICS_H_
