// Weight matrices as kernels read them: panels of 16 rows, as elements (see WideMatMulArgs) or packed
// (kernels/packed.h).
#ifndef VERNIER_KERNELS_PANELS_H_
#define VERNIER_KERNELS_PANELS_H_

#include <cstddef>
#include <memory>
#include <new>

#include "kernels/kernels.h"

namespace vernier {

// An array whose first element lies on a cache line, for vector loads; elements start
// uninitialised.
template <class T>
class AlignedArray {
 public:
  AlignedArray() = default;
  explicit AlignedArray(size_t size)
      : data_(static_cast<T*>(::operator new (size * sizeof(T), std::align_val_t{64}))),
        size_(size) {}
  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  size_t size() const { return size_; }
  T& operator[](size_t i) { return data_.get()[i]; }
  const T& operator[](size_t i) const { return data_.get()[i]; }

 private:
  struct Free {
    void operator()(T* p) const { ::operator delete (p, std::align_val_t{64}); }
  };
  std::unique_ptr<T, Free> data_;
  size_t size_ = 0;
};

template <class W>
struct Panels {
  size_t outputs = 0, k = 0;  // rows and columns of the matrix
  AlignedArray<W> data;       // Count() * k * 16
  size_t Count() const { return (outputs + kLanes - 1) / kLanes; }
};

template <class W>
Panels<W> MakePanels(size_t outputs, size_t k) {
  Panels<W> panels{outputs, k, {}};
  panels.data = AlignedArray<W>(panels.Count() * k * kLanes);
  return panels;
}

// Interleaves `rows` (1 to 16) rows of k elements into panel p; the rows that lack are zero.
template <class W>
void FillPanel(Panels<W>* panels, size_t p, const W* rows, size_t count) {
  W* out = panels->data.data() + p * panels->k * kLanes;
  for (size_t i = 0; i < panels->k; ++i)
    for (size_t r = 0; r < kLanes; ++r)
      out[i * kLanes + r] = r < count ? rows[r * panels->k + i] : W{0};
}

}  // namespace vernier

#endif  // VERNIER_KERNELS_PANELS_H_
