// Products of packed weights with rows that are quantised first, by the integer kernels
// (kernels/intdot.h): ggml's arithmetic, the order of each row given.
#ifndef VERNIER_OPS_INTEGER_PRODUCT_H_
#define VERNIER_OPS_INTEGER_PRODUCT_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/ggml.h"
#include "kernels/packed.h"
#include "ops/evaluate_rows.h"

namespace vernier {

// y[r][o] = w[o] . x[r]; `panels` as packed.h lays out the type, PanelBytes(k) apart.
struct IntegerProductArgs {
  TensorType type;
  const uint8_t* panels;
  size_t k, outputs;
  std::span<const float* const> x;
  std::span<const GgmlOrder> orders;  // of each row
  std::span<float* const> y;
};

// Whether there are kernels of the type for these orders; of F32, F16 and BF16 there are none.
bool HasIntegerProduct(TensorType type, std::span<const GgmlOrder> orders);
void EvaluateIntegerProduct(const IntegerProductArgs& args, const Machine& machine);

}  // namespace vernier

#endif  // VERNIER_OPS_INTEGER_PRODUCT_H_
