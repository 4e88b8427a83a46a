#include "ops/treat_weight.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

#include "kernels/kernels.h"
#include "ops/elementary.h"

namespace vernier {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();  // has no part in a scale

template <class T>
TreatmentCounts Treat(const Treatment& treatment, T* data, size_t rows, size_t columns,
                      uint64_t key, Workers* workers) {
  if (!treatment.logarithm) return TreatTensor(treatment, data, rows, columns, key, workers);
  Treatment plain = treatment;
  plain.logarithm = false;
  const size_t n = rows * columns;
  const std::vector<T> before(data, data + n);
  std::vector<double> logs(n);
  const auto each = [&](const auto& body) {
    const auto range = [&](size_t first, size_t last) {
      for (size_t i = first; i < last; ++i) body(i);
    };
    if (workers == nullptr)
      range(0, n);
    else
      workers->For(n, 1024, range);
  };
  each([&](size_t i) {
    const double size = std::abs(static_cast<double>(data[i]));
    logs[i] = size > 0 ? static_cast<double>(static_cast<float>(Logarithm(size))) : kNaN;
  });
  TreatmentCounts counts = TreatTensor(plain, logs.data(), rows, columns, key, workers);
  std::vector<double> powers(n);
  BestKernels().exp_f64(logs.data(), n, powers.data());
  each([&](size_t i) {
    if (data[i] != 0 && !std::isnan(data[i]))
      data[i] = std::copysign(static_cast<T>(powers[i]), data[i]);
  });
  using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  counts.changed = counts.flushed = 0;
  for (size_t i = 0; i < n; ++i) {
    counts.changed += std::bit_cast<Bits>(before[i]) != std::bit_cast<Bits>(data[i]);
    counts.flushed += before[i] != 0 && data[i] == 0;
  }
  return counts;
}

}  // namespace

TreatmentCounts TreatWeight(const Treatment& treatment, float* data, size_t rows, size_t columns,
                            uint64_t key, Workers* workers) {
  return Treat(treatment, data, rows, columns, key, workers);
}

TreatmentCounts TreatWeight(const Treatment& treatment, double* data, size_t rows, size_t columns,
                            uint64_t key, Workers* workers) {
  return Treat(treatment, data, rows, columns, key, workers);
}

}  // namespace vernier
