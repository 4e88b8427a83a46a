#include "measure/outlier.h"

#include <cmath>
#include <limits>

#include "base/result.h"

namespace vernier {
namespace {

// The continued fraction of I_x(a, b), by the modified method of Lentz; x < (a + 1) / (a + b + 2).
double BetaFraction(double a, double b, double x) {
  constexpr double kTiny = 1e-300;
  double c = 1, d = 1 - (a + b) * x / (a + 1);
  d = 1 / (std::abs(d) < kTiny ? kTiny : d);
  double h = d;
  const auto step = [&](double term) {
    d = 1 + term * d;
    d = 1 / (std::abs(d) < kTiny ? kTiny : d);
    c = 1 + term / c;
    if (std::abs(c) < kTiny) c = kTiny;
    h *= d * c;
    return d * c;
  };
  for (int m = 1; m < 500; ++m) {
    step(m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)));
    const double change = step(-(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)));
    if (std::abs(change - 1) < 1e-15) break;
  }
  return h;
}

// The regularised incomplete beta function.
double IncompleteBeta(double a, double b, double x) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const double front = std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) +
                                a * std::log(x) + b * std::log1p(-x));
  return x < (a + 1) / (a + b + 2) ? front * BetaFraction(a, b, x) / a
                                   : 1 - front * BetaFraction(b, a, 1 - x) / b;
}

}  // namespace

double StudentTail(double t, double df) { return IncompleteBeta(df / 2, 0.5, df / (df + t * t)); }

double StudentQuantile(double alpha, double df) {
  double low = 0, high = 1;
  while (StudentTail(high, df) > alpha && high < 1e300) high *= 2;
  for (int i = 0; i < 200; ++i) {
    const double middle = (low + high) / 2;
    (StudentTail(middle, df) > alpha ? low : high) = middle;
  }
  return (low + high) / 2;
}

double StudentisedResidual(std::span<const double> y, size_t i) {
  CHECK(y.size() >= 4 && i < y.size());
  const auto m = static_cast<double>(y.size() - 1);
  double mean_x = 0, mean_y = 0;
  for (size_t k = 0; k < y.size(); ++k) {
    if (k == i) continue;
    mean_x += static_cast<double>(k) / m;
    mean_y += y[k] / m;
  }
  double xx = 0, xy = 0, yy = 0;
  for (size_t k = 0; k < y.size(); ++k) {
    if (k == i) continue;
    const double x = static_cast<double>(k) - mean_x, d = y[k] - mean_y;
    xx += x * x;
    xy += x * d;
    yy += d * d;
  }
  const double slope = xy / xx, at = static_cast<double>(i) - mean_x;
  const double residual = y[i] - (mean_y + slope * at);
  const double variance = std::max(0.0, yy - slope * xy) / (m - 2);
  if (variance <= 1e-28 * (mean_y * mean_y + yy / m))  // a line, up to rounding
    return std::abs(residual) <= 1e-13 * (std::abs(mean_y) + std::sqrt(yy / m))
               ? 0
               : std::copysign(std::numeric_limits<double>::infinity(), residual);
  return residual / std::sqrt(variance * (1 + 1 / m + at * at / xx));
}

}  // namespace vernier
