// Weights of a matrix product in a number format, panel by panel: decoded, rounded, and dropped
// when the next is asked for, so that a model is held once.
#ifndef VERNIER_OPS_FORMAT_WEIGHTS_H_
#define VERNIER_OPS_FORMAT_WEIGHTS_H_

#include <cstddef>
#include <cstdint>

#include "formats/round.h"
#include "kernels/kernels.h"
#include "kernels/panels.h"
#include "ops/format_math.h"
#include "ops/format_plan.h"

namespace vernier {

template <class T>
class FormatWeights {
 public:
  // One of the two matrices; they are rounded to `values`, to nearest even. All must outlive this.
  FormatWeights(const PackedMatrix* matrix, const Panels<double>* wide,
                const FormatRounding& values, const Kernels& kernels);
  // The columns [k0, k0 + count) of a panel, 16 numbers a column, k0 a multiple of 256.
  void Load(size_t panel, size_t k0, size_t count, T* out);

 private:
  const PackedMatrix* matrix_;
  const Panels<double>* wide_;
  RoundSpec spec_;
  ChainConversion<T> conversion_;
  const Kernels& kernels_;
  void RoundFloats(size_t n, T* out);

  AlignedArray<float> floats_;
  AlignedArray<double> doubles_;
  AlignedArray<uint8_t> packed_;  // a panel of a matrix that lies in a file
  size_t packed_panel_ = SIZE_MAX;
};

}  // namespace vernier

#endif  // VERNIER_OPS_FORMAT_WEIGHTS_H_
