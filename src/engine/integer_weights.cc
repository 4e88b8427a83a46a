#include "engine/integer_weights.h"

#include <algorithm>

#include "base/hash.h"

namespace vernier {

IntegerCodes IntegerWeights::Make(int slot, const WeightForm& form) const {
  const WeightSlot& weight = graph_.weights[static_cast<size_t>(slot)];
  const size_t rows = static_cast<size_t>(weight.tensor.Rows()),
               columns = static_cast<size_t>(weight.tensor.Columns());
  const uint64_t key = Combine(HashText(weight.name), form.seed).low;  // as WeightStore's
  const WeightValues values = weights_.Untreated(slot, form);
  if (!values.f64.empty())
    return CodesOfTensor(*form.treatment, values.f64.data(), rows, columns, key, &workers_);
  return CodesOfTensor(*form.treatment, values.f32.data(), rows, columns, key, &workers_);
}

std::shared_ptr<const IntegerCodes> IntegerWeights::Get(int slot, const WeightForm& form) {
  const bool random = form.treatment->rounding == Rounding::kStochastic;
  Cached& cached = cached_[{slot, fmt::format("{} {} {}", TreatmentText(*form.treatment),
                                              form.folded, random ? form.seed : 0)}];
  cached.used = ++clock_;
  if (cached.codes == nullptr)
    cached.codes = std::make_shared<const IntegerCodes>(Make(slot, form));
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
