// One side of a comparison: a model, and what is done to it.
#ifndef VERNIER_MEASURE_RUN_SIDE_H_
#define VERNIER_MEASURE_RUN_SIDE_H_

#include "engine/model.h"
#include "engine/plan.h"

namespace vernier {

struct RunSide {
  Model* model = nullptr;
  const Plan* plan = nullptr;
};

}  // namespace vernier

#endif  // VERNIER_MEASURE_RUN_SIDE_H_
