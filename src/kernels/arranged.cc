#include "kernels/arranged.h"

#include <algorithm>
#include <cstring>

namespace vernier {

template <class T>
void ArrangeBlock(const T* const* x, size_t n, size_t k, size_t k0, T* out) {
  const size_t count = std::min<size_t>(256, k - k0), chunks = ArrangedChunks(n);
  for (size_t c = 0; c < chunks; ++c) {
    const size_t first = n * c / chunks, last = n * (c + 1) / chunks;
    T* to = out + ArrangedOffset(first, last - first, k, k0);
    for (size_t j = first; j < last; ++j, to += kArrangedStride)
      std::memcpy(to, x[j] + k0, count * sizeof(T));
  }
}

template void ArrangeBlock(const float* const*, size_t, size_t, size_t, float*);
template void ArrangeBlock(const double* const*, size_t, size_t, size_t, double*);

}  // namespace vernier
