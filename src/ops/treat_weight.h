// A treatment applied to a weight: what TreatTensor does, and of=log.
#ifndef VERNIER_OPS_TREAT_WEIGHT_H_
#define VERNIER_OPS_TREAT_WEIGHT_H_

#include "base/parallel.h"
#include "formats/treatment.h"

namespace vernier {

// In place, rows of `columns` elements one after another. With of=log x becomes, with its sign,
// e^t, where t is ln|x|, rounded to float32 (a checkpoint that keeps logarithms has such numbers)
// and treated as a row of doubles; e^t is rounded to x's type. Zero stays, and has no part in the
// scale.
TreatmentCounts TreatWeight(const Treatment& treatment, float* data, size_t rows, size_t columns,
                            uint64_t key, Workers* workers);
TreatmentCounts TreatWeight(const Treatment& treatment, double* data, size_t rows, size_t columns,
                            uint64_t key, Workers* workers);

}  // namespace vernier

#endif  // VERNIER_OPS_TREAT_WEIGHT_H_
