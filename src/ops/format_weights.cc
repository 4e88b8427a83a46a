#include "ops/format_weights.h"

#include <algorithm>
#include <bit>

#include "base/result.h"
#include "kernels/decode_panel.h"

namespace vernier {

template <class T>
FormatWeights<T>::FormatWeights(const PackedMatrix* matrix, const Panels<double>* wide,
                                const FormatRounding& values, const Kernels& kernels)
    : matrix_(matrix),
      wide_(wide),
      spec_(MakeRoundSpec(values.format, Rounding::kNearestEven, values.overflow, values.flush)),
      kernels_(kernels) {
  FormatRounding to_nearest = values;
  to_nearest.rounding = Rounding::kNearestEven;
  conversion_ = PlanConversion<T>(to_nearest, ChainTablesOf(kernels.isa));
  CHECK((matrix == nullptr) != (wide == nullptr));
  if (matrix != nullptr) floats_ = AlignedArray<float>(kBlock * kLanes);
  if (matrix != nullptr && matrix->mapped != nullptr)
    packed_ = AlignedArray<uint8_t>(matrix->stride);
  if (wide != nullptr && sizeof(T) == sizeof(float))
    doubles_ = AlignedArray<double>(kBlock * kLanes);
}

template <class T>
void FormatWeights<T>::RoundFloats(size_t n, T* out) {
  if (conversion_.run != nullptr) {
    const ChainExtent<float> extent = ChainTablesOf(kernels_.isa).f32.extent(floats_.data(), n);
    if (extent.lowest >= std::bit_cast<uint32_t>(conversion_.lowest) &&
        extent.highest <= std::bit_cast<uint32_t>(conversion_.highest))
      return conversion_.run(conversion_.format, floats_.data(), n, out);
  }
  if constexpr (sizeof(T) == sizeof(float)) {
    RoundRow(spec_, floats_.data(), n, out, 0, 0, &kernels_);
  } else {
    std::copy_n(floats_.data(), n, out);
    RoundRow(spec_, out, n, out, 0, 0, &kernels_);
  }
}

template <class T>
void FormatWeights<T>::Load(size_t panel, size_t k0, size_t count, T* out) {
  const uint8_t* packed = nullptr;
  if (matrix_ != nullptr && matrix_->mapped == nullptr) {
    packed = matrix_->Panel(panel);
  } else if (matrix_ != nullptr) {
    if (packed_panel_ != panel)
      PackPanelOf(*matrix_, panel, matrix_->mapped, matrix_->row_bytes, packed_.data());
    packed_panel_ = panel;
    packed = packed_.data();
  }
  for (size_t i = 0; i < count; i += kBlock) {
    const size_t columns = std::min(kBlock, count - i), n = columns * kLanes;
    T* const to = out + i * kLanes;
    if (packed != nullptr) {
      DecodePanel(kernels_.isa, matrix_->type, packed, matrix_->k, k0 + i, columns, floats_.data());
      RoundFloats(n, to);
      continue;
    }
    const double* from = wide_->data.data() + (panel * wide_->k + k0 + i) * kLanes;
    if constexpr (sizeof(T) == sizeof(float)) {
      // The format's numbers are floats.
      RoundRow(spec_, from, n, doubles_.data(), 0, 0, &kernels_);
      std::copy_n(doubles_.data(), n, to);
    } else {
      RoundRow(spec_, from, n, to, 0, 0, &kernels_);
    }
  }
}

template class FormatWeights<float>;
template class FormatWeights<double>;

}  // namespace vernier
