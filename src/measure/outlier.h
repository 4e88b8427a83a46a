// Whether one value of a series over depth is unlike the others.
#ifndef VERNIER_MEASURE_OUTLIER_H_
#define VERNIER_MEASURE_OUTLIER_H_

#include <cstddef>
#include <span>

namespace vernier {

// P(|T| > t) of Student's distribution with df > 0 degrees of freedom, and the t of which it is
// alpha. By the continued fraction of the incomplete beta function (DLMF 8.17.22).
double StudentTail(double t, double df);
double StudentQuantile(double alpha, double df);

// The externally studentised residual of y[i] (Cook and Weisberg, Residuals and Influence in
// Regression, 1982, section 2.2.1): how far it lies from the straight line through the others,
// which stand at 0, 1, 2, ..., over the standard error of that prediction. It has Student's
// distribution with y.size() - 3 degrees of freedom if the values scatter normally about a line.
// Needs 4 values or more (CHECK); infinite where the others lie on a line exactly and y[i] does
// not, 0 where it does too.
double StudentisedResidual(std::span<const double> y, size_t i);

}  // namespace vernier

#endif  // VERNIER_MEASURE_OUTLIER_H_
