#include "engine/integer_weights.h"

#include <algorithm>
#include <vector>

#include "base/hash.h"
#include "formats/decode.h"

namespace vernier {

IntegerCodes IntegerWeights::Make(int slot, const Treatment& treatment, uint64_t seed) const {
  const WeightSlot& weight = graph_.weights[static_cast<size_t>(slot)];
  const TensorView& tensor = weight.tensor;
  const size_t rows = static_cast<size_t>(tensor.Rows()),
               columns = static_cast<size_t>(tensor.Columns());
  const uint64_t key = Combine(HashText(weight.name), seed).low;  // as WeightStore's
  if (tensor.type == TensorType::kF64) {
    std::vector<double> wide(rows * columns);
    DecodeToDouble(tensor.type, tensor.data, wide);
    const bool needed = std::any_of(wide.begin(), wide.end(), [](double v) {
      return static_cast<double>(static_cast<float>(v)) != v && v == v;
    });
    if (needed) return CodesOfTensor(treatment, wide.data(), rows, columns, key, &workers_);
  }
  std::vector<float> values(rows * columns);
  workers_.For(rows, std::max<size_t>(1, 65536 / columns), [&](size_t first, size_t last) {
    for (size_t r = first; r < last; ++r)
      DecodeToFloat(tensor.type, tensor.Row(static_cast<int64_t>(r)),
                    std::span(values).subspan(r * columns, columns));
  });
  return CodesOfTensor(treatment, values.data(), rows, columns, key, &workers_);
}

std::shared_ptr<const IntegerCodes> IntegerWeights::Get(int slot, const Treatment& treatment,
                                                        uint64_t seed) {
  const bool random = treatment.rounding == Rounding::kStochastic;
  Cached& cached =
      cached_[{slot, fmt::format("{} {}", TreatmentText(treatment), random ? seed : 0)}];
  cached.used = ++clock_;
  if (cached.codes == nullptr)
    cached.codes = std::make_shared<const IntegerCodes>(Make(slot, treatment, seed));
  const std::shared_ptr<const IntegerCodes> codes = cached.codes;
  size_t total = 0;
  for (const auto& [key, c] : cached_) total += c.codes->codes.size() * sizeof(int16_t);
  while (total > cache_budget && cached_.size() > 1) {  // the longest unused goes first
    const auto oldest = std::min_element(
        cached_.begin(), cached_.end(),
        [](const auto& a, const auto& b) { return a.second.used < b.second.used; });
    total -= oldest->second.codes->codes.size() * sizeof(int16_t);
    cached_.erase(oldest);
  }
  return codes;
}

}  // namespace vernier
