#include "measure/mcnemar.h"

#include <algorithm>

namespace vernier {

PairedTest McNemar(size_t b, size_t c) {
  PairedTest test{b, c, 1};
  const size_t n = b + c, least = std::min(b, c);
  if (n == 0) return test;
  // Terms C(n, i) from the middle down, the middle one as 1; C(n, n - i) is the same.
  const size_t middle = n / 2;
  double term = 1, all = 0, tail = 0;
  for (size_t i = middle;; --i) {
    if (i <= least) tail += term;
    all += n % 2 == 0 && i == middle ? term : 2 * term;
    if (i == 0) break;
    term *= static_cast<double>(i) / static_cast<double>(n - i + 1);
  }
  test.p_value = std::min(1.0, 2 * tail / all);
  return test;
}

}  // namespace vernier
