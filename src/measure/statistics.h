// Statistics of samples: what every mean over tokens carries.
#ifndef VERNIER_MEASURE_STATISTICS_H_
#define VERNIER_MEASURE_STATISTICS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace vernier {

// A mean and the standard error of it: sqrt((E[x^2] - E[x]^2) / (n - 1)), as llama-perplexity has
// it; 0 for fewer than 2 samples.
struct MeanError {
  double mean = 0, error = 0;
  size_t n = 0;
};
MeanError Mean(std::span<const double> x);

// Covariance of the means of paired samples: (E[xy] - E[x]E[y]) / (n - 1).
double MeanCovariance(std::span<const double> x, std::span<const double> y);

// Value at fraction f of the sorted samples, linear between neighbours: position f * (n - 1). NaN
// for no samples. NaN sorts above every number.
double Quantile(std::span<const double> sorted, double f);
std::vector<double> Sorted(std::span<const double> x);

struct Interval {
  double low = 0, high = 0;
};

// Two-sided quantile of the standard normal distribution: P(|Z| > z) = alpha. By bisection of the
// error function's complement.
double NormalQuantile(double alpha);

// Percentile bootstrap over groups of dependent samples (chunks of text), drawn within strata
// (texts): strata[i] groups belong to stratum i, one stratum after another. `statistic` is given
// how often each group is drawn; the draws come from `seed` alone. The interval has confidence 1 -
// alpha; with one group in every stratum it is a point, and NaN at both ends if any draw gives NaN.
Interval Bootstrap(std::span<const size_t> strata, size_t resamples, uint64_t seed, double alpha,
                   const std::function<double(std::span<const uint32_t>)>& statistic);

}  // namespace vernier

#endif  // VERNIER_MEASURE_STATISTICS_H_
