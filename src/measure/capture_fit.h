// Foreign tensors brought into Vernier's rows: a row a token. The other side of the comparison,
// which has the sites' shapes and values, says what is sought.
//
// Shapes that are understood, for T tokens and rows of W elements (dimensions of 1 are dropped):
//   [T][W], also with W split ([T][heads][dim])          as it is
//   [n][W], n < T, of llama.cpp (only rows it needs)      the last n tokens
//   [n][W], n > T, of llama.cpp (a whole cache)           the first T rows
//   [heads][T][dim], heads * dim = W                      heads first
//   [W][T]                                                tokens run fastest
//   [heads][T][keys] at kq and kq_soft_max                keys after the token are left out
// Where more than one fits, that which is nearest to the other side's values is taken, and said.
// The same decides the order of the elements of q and k (measure/rope_order.h) for a whole capture.
#ifndef VERNIER_MEASURE_CAPTURE_FIT_H_
#define VERNIER_MEASURE_CAPTURE_FIT_H_

#include <string>
#include <vector>

#include "measure/capture.h"
#include "measure/capture_foreign.h"
#include "measure/capture_names.h"

namespace vernier {

// Elements of a site that a program printed, against the other side's.
struct PartialSite {
  std::string label, name;  // of the site
  int layer = -1;
  std::string foreign, op;
  size_t printed = 0, elements = 0;        // compared; of how many of the site's
  double max_abs = 0, rmse = 0;            // of the printed ones
  size_t first_row = 0, first_column = 0;  // of the first that does not agree
  std::optional<double> sum, other_sum;    // of all elements: printed, and the other side's
  double sum_tolerance = 0;
  // Whether all printed elements are within half a unit of the last printed digit and 1e-4 of the
  // site's rms, and the sum within 1e-4 of the l2 norm and what accumulating it in float32 may
  // lose.
  bool agrees = true;
};

struct FittedCapture {
  Capture capture;                   // whole tensors, under our labels, in the other side's order
  std::vector<PartialSite> partial;  // abbreviated ones
  std::vector<std::string> unknown;  // names without a site
  std::vector<std::string> notes;    // layouts that were not plain
};

// The labels that the tensors may be, so that the other side can be asked for these sites.
std::vector<std::string> WantedLabels(const ForeignCapture& foreign, const NameMap& map);

// `like` has the values of the other side, a row for each of its tokens; `graph` (null: none) its
// order of q and k. Tensors whose sites `like` lacks are passed over: they are in no comparison.
// Errors: a shape that does not fit, named with both shapes; two tensors of one site; none with a
// site; token ids that differ.
Result<FittedCapture> FitCapture(const ForeignCapture& foreign, const NameMap& map,
                                 const Capture& like, const Graph* graph);

}  // namespace vernier

#endif  // VERNIER_MEASURE_CAPTURE_FIT_H_
