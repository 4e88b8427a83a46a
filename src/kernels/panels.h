// Weight matrices as kernels read them: panels of 16 rows, as elements (see WideMatMulArgs) or
// packed (kernels/packed.h).
#ifndef VERNIER_KERNELS_PANELS_H_
#define VERNIER_KERNELS_PANELS_H_

#include <cstddef>
#include <memory>
#include <new>

#include "base/pages.h"
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

// A matrix in packed panels (kernels/packed.h), or where its rows lie in a file, to be packed when
// they are used.
struct PackedMatrix {
  TensorType type = TensorType::kF32;
  size_t outputs = 0, k = 0;        // rows and columns
  size_t stride = 0;                // bytes from panel to panel
  Pages data;                       // Count() * stride; empty where `mapped` is set
  const uint8_t* mapped = nullptr;  // row-major blocks of the file, at any address
  size_t row_bytes = 0;             // from row to row of `mapped`
  size_t Count() const { return (outputs + kLanes - 1) / kLanes; }
  const uint8_t* Panel(size_t p) const { return data.data() + p * stride; }
};

// An empty matrix of a type that has a layout, in the arena where there is one.
PackedMatrix MakePacked(TensorType type, size_t outputs, size_t k, PageArena* arena = nullptr);
// Packs panel p from the rows of a row-major matrix at `rows`, `row_bytes` apart, into `out`.
void PackPanelOf(const PackedMatrix& matrix, size_t p, const uint8_t* rows, size_t row_bytes,
                 uint8_t* out);

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
