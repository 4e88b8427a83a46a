#include "formats/rotate.h"

#include <bit>
#include <cmath>

#include "base/result.h"

namespace vernier {

size_t HadamardBlock(size_t n) {
  CHECK(n > 0);
  return size_t{1} << std::countr_zero(n);
}

void Hadamard(double* x, size_t n, size_t block) {
  CHECK(std::has_single_bit(block) && n % block == 0);
  const double norm = 1 / std::sqrt(static_cast<double>(block));
  for (size_t from = 0; from < n; from += block) {
    double* const b = x + from;
    for (size_t h = 1; h < block; h *= 2) {
      for (size_t i = 0; i < block; i += 2 * h) {
        for (size_t j = i; j < i + h; ++j) {
          const double sum = b[j] + b[j + h], difference = b[j] - b[j + h];
          b[j] = sum;
          b[j + h] = difference;
        }
      }
    }
    for (size_t i = 0; i < block; ++i) b[i] *= norm;
  }
}

}  // namespace vernier
