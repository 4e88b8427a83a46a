#include "measure/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/hash.h"

namespace vernier {
namespace {

__extension__ typedef unsigned __int128 Uint128;

}  // namespace

MeanError Mean(std::span<const double> x) {
  MeanError m;
  m.n = x.size();
  if (x.empty()) return m;
  double sum = 0, squares = 0;
  for (const double v : x) sum += v;
  m.mean = sum / static_cast<double>(m.n);
  // Around the mean: the same number as E[x^2] - E[x]^2 without its cancellation.
  for (const double v : x) squares += (v - m.mean) * (v - m.mean);
  if (m.n > 1)
    m.error = std::sqrt(squares / static_cast<double>(m.n) / static_cast<double>(m.n - 1));
  return m;
}

double MeanCovariance(std::span<const double> x, std::span<const double> y) {
  const size_t n = x.size();
  if (n < 2) return 0;
  const double mx = Mean(x).mean, my = Mean(y).mean;
  double sum = 0;
  for (size_t i = 0; i < n; ++i) sum += (x[i] - mx) * (y[i] - my);
  return sum / static_cast<double>(n) / static_cast<double>(n - 1);
}

std::vector<double> Sorted(std::span<const double> x) {
  std::vector<double> sorted(x.begin(), x.end());
  std::sort(sorted.begin(), sorted.end(),
            [](double a, double b) { return a < b || (std::isnan(b) && !std::isnan(a)); });
  return sorted;
}

double Quantile(std::span<const double> sorted, double f) {
  if (sorted.empty()) return std::numeric_limits<double>::quiet_NaN();
  const double position = f * static_cast<double>(sorted.size() - 1);
  const size_t below = std::min(static_cast<size_t>(position), sorted.size() - 1);
  if (below + 1 >= sorted.size()) return sorted.back();
  const double rest = position - static_cast<double>(below);
  if (rest == 0) return sorted[below];  // an infinite neighbour has no say
  return (1 - rest) * sorted[below] + rest * sorted[below + 1];
}

double NormalQuantile(double alpha) {
  double low = 0, high = 40;
  for (int i = 0; i < 200; ++i) {
    const double middle = (low + high) / 2;
    (std::erfc(middle / std::sqrt(2.0)) > alpha ? low : high) = middle;
  }
  return (low + high) / 2;
}

Interval Bootstrap(std::span<const size_t> strata, size_t resamples, uint64_t seed, double alpha,
                   const std::function<double(std::span<const uint32_t>)>& statistic) {
  size_t groups = 0, largest = 0;
  for (const size_t count : strata) {
    groups += count;
    largest = std::max(largest, count);
  }
  std::vector<uint32_t> times(groups, 1);
  if (largest < 2) {
    const double value = statistic(times);
    return {value, value};
  }
  std::vector<double> values;
  for (size_t r = 0; r < resamples; ++r) {
    std::fill(times.begin(), times.end(), 0u);
    size_t first = 0;
    for (const size_t count : strata) {
      for (size_t i = 0; i < count; ++i) {
        const uint64_t random = Combine(Combine(Hash128{seed, 0x626f6f74}, r), first + i).low;
        ++times[first + static_cast<size_t>((static_cast<Uint128>(random) * count) >> 64)];
      }
      first += count;
    }
    values.push_back(statistic(times));
  }
  values = Sorted(values);
  if (std::isnan(values.back())) return {values.back(), values.back()};
  return {Quantile(values, alpha / 2), Quantile(values, 1 - alpha / 2)};
}

}  // namespace vernier
