// Whether one of two runs is right more often than the other, from the same questions.
#ifndef VERNIER_MEASURE_MCNEMAR_H_
#define VERNIER_MEASURE_MCNEMAR_H_

#include <cstddef>

namespace vernier {

// McNemar's test (Psychometrika 12, 1947, 153-157) in its exact form. Questions that both or none
// answered say nothing of the difference; of the b + c others, half would go either way if the runs
// were equally good. `p_value` is two-sided: the probability, under the binomial distribution with
// n = b + c and 1/2, of a split at least as uneven, 2 P(X <= min(b, c)), at most 1; 1 for n = 0.
struct PairedTest {
  size_t b = 0;  // right in the first run alone
  size_t c = 0;  // right in the second alone
  double p_value = 1;
};
// Sums of ratios of neighbouring terms: no power of two that could underflow. Takes n steps. A
// p-value below the smallest double is 0.
PairedTest McNemar(size_t b, size_t c);

}  // namespace vernier

#endif  // VERNIER_MEASURE_MCNEMAR_H_
