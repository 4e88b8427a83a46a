// Treatments applied to rows, each distinct (row, treatment, random key) once.
#ifndef VERNIER_ENGINE_TREAT_ROWS_H_
#define VERNIER_ENGINE_TREAT_ROWS_H_

#include <span>
#include <vector>

#include "engine/node_evaluation.h"

namespace vernier {

// A value to be treated at a place; `context` gives each token's random key.
struct TreatRequest {
  ValuePtr value;
  size_t width = 0;
  const PlacedTreatment* place = nullptr;  // null: the value comes back as it is
  const StreamContext* context = nullptr;
};

struct TreatedValue {
  ValuePtr value;
  TreatmentCounts counts;
};

// The random key of a token at a place: a function of the place, the run's seed and the tokens up
// to this one.
uint64_t RandomKey(const PlacedTreatment& place, const StreamContext& context, uint32_t token);

// Treats the heads of a row that the place means: all of it, or the elements of some heads, as a
// row of their own.
template <class T>
TreatmentCounts TreatPlaced(const PlacedTreatment& place, T* row, size_t n, uint64_t key) {
  return TreatRow(place.treatment, row + place.heads.Offset(n), place.heads.Count(n), key);
}

// A row whose bits the treatment does not change keeps its identity and storage; a changed one is
// known by its content. A value no row of which changed is the same object afterwards, and equal
// requests give the same object.
std::vector<TreatedValue> TreatValues(std::span<const TreatRequest> requests, Model& model);

}  // namespace vernier

#endif  // VERNIER_ENGINE_TREAT_ROWS_H_
