// How far a tensor b is from a tensor a.
#ifndef VERNIER_MEASURE_TENSOR_ERROR_H_
#define VERNIER_MEASURE_TENSOR_ERROR_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "measure/capture.h"
#include "measure/rows_view.h"

namespace vernier {

// Pairs in which either element is NaN or infinite are left out of the sums, the maximum and the
// quantiles; they are counted, and those that are not alike (both NaN, or the same infinity) make
// the tensors differ whatever the other numbers say. Sums are made in double, in index order.
struct TensorError {
  uint64_t count = 0;      // pairs
  uint64_t nonfinite = 0;  // of those, with a NaN or an infinity
  uint64_t unlike = 0;     // of those, not alike
  uint64_t equal = 0;      // pairs of equal bits, as doubles where the types differ; NaN may match
  double max_abs = 0;      // max |a - b|
  double rmse = 0;         // sqrt(mean((a - b)^2))
  double l2_rel = 0;       // |a - b|2 / |a|2; infinite where only a is all zero
  double sqnr_db = 0;      // -20 log10(l2_rel); infinite where b equals a
  double cosine = 1;       // exactly 1 where b equals a; NaN where only one of the two is all zero
  double ulp_median = 0;   // quantiles of the distance in float32 numbers, both rounded to nearest
  double ulp_p99 = 0;      // float32; linear interpolation at f * (n - 1)
  double ulp_max = 0;
  int64_t first_difference = -1;  // index of the first pair of unequal bits, rows one after another
  size_t first_row = 0, first_column = 0;  // the same as row and column

  double equal_bits() const {  // share of pairs of equal bits
    return count == 0 ? 1 : static_cast<double>(equal) / static_cast<double>(count);
  }
  bool identical() const { return equal == count; }
};

// CHECK: as many rows, of the same widths.
TensorError MeasureError(const RowsView& a, const RowsView& b);

struct SiteDifference {
  std::string label, name;
  int layer = -1;
  size_t rows = 0, width = 0;  // width of the longest row
  TensorError error;
};

// The error at one site. Error when the shapes differ, naming both: "site 'l_out[3]': a is 14 rows
// of 224 elements, b 15 rows of 224".
Result<SiteDifference> CompareSite(const Site& site, const RowsView& a, const RowsView& b);

struct CaptureComparison {
  std::vector<SiteDifference> sites;        // those in both, in a's order
  std::vector<std::string> only_a, only_b;  // labels
};

// Site by site, by label. Errors: shapes that differ; token ids, where both have them, that differ;
// no site in common.
Result<CaptureComparison> CompareCaptures(const Capture& a, const Capture& b);

}  // namespace vernier

#endif  // VERNIER_MEASURE_TENSOR_ERROR_H_
