// Storage types of GGUF files applied to numbers: a row is encoded as files have it, and decoded.
#include <algorithm>
#include <cmath>
#include <vector>

#include "formats/decode.h"
#include "formats/encode.h"
#include "formats/treat-inl.h"

namespace vernier::internal {

template <class T>
TreatmentCounts TreatStored(const Treatment& t, T* row, size_t n) {
  CHECK(CheckWidth(t, n));
  if (n == 0) return {};
  const TensorTypeInfo& info = Info(t.block->stored);
  const auto block = static_cast<size_t>(info.block_elements);
  std::vector<float> values(n);
  for (size_t i = 0; i < n; ++i)
    values[i] = static_cast<float>(LimitToHost<float>(static_cast<double>(row[i])));
  // A block with a NaN or infinity has no scale: it is encoded as zeros and lost.
  std::vector<size_t> lost;
  for (size_t at = 0; at < n; at += block) {
    if (FindLargest(row + at, block).all_finite) continue;
    lost.push_back(at);
    std::fill_n(values.data() + at, block, 0.0f);
  }
  std::vector<std::byte> bytes(n / block * static_cast<size_t>(info.block_bytes));
  EncodeRows(info.type, values.data(), 1, n, {}, bytes);
  DecodeToFloat(info.type, bytes, values);
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  for (const size_t at : lost) std::fill_n(values.data() + at, block, kNan);
  TreatmentCounts counts{n, 0, 0, 0};
  T after[kPiece];
  for (size_t from = 0; from < n; from += kPiece) {
    const size_t size = std::min(kPiece, n - from);
    for (size_t i = 0; i < size; ++i) {
      const float v = values[from + i];
      counts.saturated += !std::isfinite(v) && !std::isnan(row[from + i]);
      after[i] = std::isnan(v) ? std::copysign(static_cast<T>(kNan), row[from + i]) : v;
    }
    counts += Store(after, row + from, size);
  }
  return counts;
}

template TreatmentCounts TreatStored(const Treatment& t, float* row, size_t n);
template TreatmentCounts TreatStored(const Treatment& t, double* row, size_t n);

}  // namespace vernier::internal
