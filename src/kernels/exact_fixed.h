// Rows and panels as fixed point (kernels/exact.h). Most rows of a model are one *limb*: with 51
// bits below the largest element, every element is an integer. What is left of the others is
// another row, of its own unit, and so on up to four limbs. Rows that need more, that hold
// infinities or NaN, or whose largest element is outside 2^-400 .. 2^400, are left to the caller.
#ifndef VERNIER_KERNELS_EXACT_FIXED_H_
#define VERNIER_KERNELS_EXACT_FIXED_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/buffer_pool.h"
#include "base/parallel.h"
#include "kernels/exact.h"
#include "kernels/panels.h"

namespace vernier {

inline constexpr size_t kMostLimbs = 4;

struct FixedLimb {
  AlignedArray<uint64_t> data;  // [k][16]
  AlignedArray<int64_t> sums;   // [blocks][16]
  int units[kLanes] = {};
};

// 16 rows of weights. Used again for the next panel, it takes no new memory.
template <class T>
struct FixedPanel {
  size_t k = 0;
  std::vector<FixedLimb> limbs;
  size_t count = 0;      // of limbs in use
  uint32_t general = 0;  // bit l: lane l is left to the caller; it is zeros here
  int bits = 0;          // of the longest operand of the first limb, less the zeros that all end in
  int zeros[kLanes] = {};
  AlignedArray<T> rest[2];
};

// `w`: [k][16]
template <class T>
void FixPanel(const ExactKernels& kernels, const T* w, size_t k, FixedPanel<T>* panel);
// The only limb of a panel again, for `narrow`: without the zeros that a lane's operands end in.
template <class T>
void NarrowPanel(const ExactKernels& kernels, const T* w, FixedPanel<T>* panel);

// Rows of X. Entries 0 .. n-1 are their first limbs, those after it the others.
struct FixedRows {
  size_t n = 0, k = 0;
  std::vector<const uint64_t*> x;
  std::vector<const int64_t*> sums;
  std::vector<int> units;
  std::vector<size_t> owners;    // of each entry: its row
  std::vector<uint8_t> general;  // n: whether the row is left to the caller; it is zeros here
  // Where they exist, the same n rows for `narrow`; all rows are of one limb then.
  std::vector<const uint64_t*> narrow;
  std::vector<const int64_t*> narrow_sums;
  std::vector<int> narrow_units;
  int bits = 0;                                  // as FixedPanel's, of the longest row
  std::vector<std::shared_ptr<std::byte>> data;  // what all of these point into
};

// `terms` (may be empty): elements of each row, at most k; zeros follow. `narrow`: whether to make
// those, too, where it can be worth it. `workers` null: on this thread; `buffers` null: memory that
// is made afresh.
template <class T>
FixedRows FixRows(const ExactKernels& kernels, std::span<const T* const> x, size_t k,
                  std::span<const size_t> terms, bool narrow, Workers* workers,
                  BufferPool* buffers);

}  // namespace vernier

#endif  // VERNIER_KERNELS_EXACT_FIXED_H_
