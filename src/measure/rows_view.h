// Rows of a tensor where they lie: float or double, each of its own width.
#ifndef VERNIER_MEASURE_ROWS_VIEW_H_
#define VERNIER_MEASURE_ROWS_VIEW_H_

#include <cstddef>
#include <span>

#include "ops/op.h"

namespace vernier {

struct RowsView {
  Arithmetic type = Arithmetic::kF32;
  std::span<const void* const> rows;
  std::span<const size_t> widths;  // one a row
};

// Calls body(row, width) with row r as the float or double pointer it is.
template <class Body>
void VisitRow(const RowsView& view, size_t r, const Body& body) {
  if (view.type == Arithmetic::kF32) {
    body(static_cast<const float*>(view.rows[r]), view.widths[r]);
  } else {
    body(static_cast<const double*>(view.rows[r]), view.widths[r]);
  }
}

inline size_t CountElements(const RowsView& view) {
  size_t count = 0;
  for (const size_t width : view.widths) count += width;
  return count;
}

}  // namespace vernier

#endif  // VERNIER_MEASURE_ROWS_VIEW_H_
