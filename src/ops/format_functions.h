// Functions rounded into a format: as if computed exactly and rounded once, in every mode.
//
// Quotients and 1/sqrt are exact until they are rounded. exp, sigmoid and softplus are evaluated
// with a bound on the error, first in double, then, where rounding both ends of the interval does
// not give one number, in double-double (2^-88). That settles every case of formats of up to about
// 35 significand bits that has been found by search; in wider ones (f64, posit64) a result whose
// exact value is within 2^-88 of where rounding turns would be rounded as if on the side of its
// approximation, which for n such results happens with a probability below n * 2^-34. What is known
// exactly (exp(0), sigmoid(0)) and what is nearly so (arguments near zero) is taken by its series.
//
// NaN gives NaN. Infinities give limits: exp(-inf) = 0, sigmoid(inf) = 1, softplus(-inf) = 0,
// 1/sqrt(inf) = 0. 1/sqrt(0) and x/0 are infinities, which the format makes of what it makes of
// them; 0/0, 1/sqrt of a negative number and inf/inf are NaN.
#ifndef VERNIER_OPS_FORMAT_FUNCTIONS_H_
#define VERNIER_OPS_FORMAT_FUNCTIONS_H_

#include <cstddef>

#include "formats/round.h"
#include "kernels/kernels.h"

namespace vernier {

double RoundedQuotient(const RoundSpec& spec, double x, double y);
double RoundedReciprocalRoot(const RoundSpec& spec, double x);  // 1 / sqrt(x)
double RoundedExp(const RoundSpec& spec, double x);
double RoundedSigmoid(const RoundSpec& spec, double x);   // 1 / (1 + exp(-x))
double RoundedSoftplus(const RoundSpec& spec, double x);  // ln(1 + exp(x)), x itself above 20

// Rows: y[i] is the function of x[i], the same numbers as above. y is x or does not overlap it.
enum class FormatFunction { kExp, kSigmoid, kSoftplus };
void RoundedRow(FormatFunction function, const RoundSpec& spec, const Kernels& kernels,
                const double* x, size_t n, double* y);

}  // namespace vernier

#endif  // VERNIER_OPS_FORMAT_FUNCTIONS_H_
