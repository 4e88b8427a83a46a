// What the tests of llama.cpp's dumps share: one evaluation's sites in double, and sums to compare.
#ifndef VERNIER_TESTS_GOLDEN_TESTING_H_
#define VERNIER_TESTS_GOLDEN_TESTING_H_

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "e2e_testing.h"

namespace vernier {

// A site's rows, one a token, in double.
struct Captured {
  Site site;
  std::vector<std::vector<double>> rows;
};

// All sites of one evaluation of the model as it is, by label.
inline std::map<std::string, Captured> CaptureSites(Model& model, const std::vector<int32_t>& ids) {
  std::map<std::string, Captured> sites;
  const Plan plan = PlanOf(model, {});
  std::vector<uint32_t> all(ids.size());
  for (uint32_t i = 0; i < all.size(); ++i) all[i] = i;
  const Tap tap{[](const Site&) { return true; },
                [&](const SiteTensor& tensor) {
                  Captured& kept = sites[tensor.site->Label()];
                  kept.site = *tensor.site;
                  for (size_t r = 0; r < tensor.rows.size(); ++r) {
                    const float* row = static_cast<const float*>(tensor.rows[r]);
                    kept.rows.emplace_back(row, row + tensor.widths[r]);
                  }
                }};
  const Stream stream{&plan, ids, nullptr, all};
  Evaluate(model, {&stream, 1}, nullptr, &tap);
  return sites;
}

// A number to compare with llama.cpp's sum, and what it may be off by: 1e-4 of the l2 norm for the
// elements, and four standard deviations of llama.cpp's sum itself, which is accumulated in float32
// one element after another: each partial sum is rounded by up to 2^-24 of itself.
struct Sum {
  double sum = 0, squares = 0, partial_squares = 0;
  void Add(double x) {
    sum += x;
    squares += x * x;
    partial_squares += sum * sum;
  }
  double Tolerance() const {
    return 1e-4 * std::sqrt(squares) + 4 * 0x1p-24 / std::sqrt(3.0) * std::sqrt(partial_squares);
  }
};

inline std::string Label(const std::string& name, int layer) {
  return Site{name, layer, 0}.Label();
}

}  // namespace vernier

#endif  // VERNIER_TESTS_GOLDEN_TESTING_H_
