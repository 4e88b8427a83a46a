// Storage types of GGUF files applied to numbers: encoded and decoded.
#include "formats/treat-inl.h"

namespace vernier::internal {

template <class T>
TreatmentCounts TreatStored(const Treatment& t, T* row, size_t n) {
  CHECK(CheckWidth(t, n) && row == nullptr);  // no type can be encoded yet
  return {};
}

template TreatmentCounts TreatStored(const Treatment& t, float* row, size_t n);
template TreatmentCounts TreatStored(const Treatment& t, double* row, size_t n);

}  // namespace vernier::internal
