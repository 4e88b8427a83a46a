#include "ops/rope.h"

#include <algorithm>

#include "base/result.h"
#include "ops/elementary.h"

namespace vernier {
namespace {

constexpr double kTwoPi = 0x1.921fb54442d18p+2;

double Frequency(double theta, size_t i, size_t rotated) {
  return Power(theta, -2.0 * static_cast<double>(i) / static_cast<double>(rotated));
}

}  // namespace

std::vector<double> Llama3RopeFactors(size_t rotated, double theta, double factor, double low,
                                      double high, double context) {
  std::vector<double> factors(rotated / 2, 1.0);
  for (size_t i = 0; i < factors.size(); ++i) {
    const double wavelength = kTwoPi / Frequency(theta, i, rotated);
    if (wavelength < context / high) continue;
    if (wavelength > context / low) {
      factors[i] = factor;
    } else {
      const double smooth = (context / wavelength - low) / (high - low);
      factors[i] = 1 / ((1 - smooth) / factor + smooth);
    }
  }
  return factors;
}

RopeTable::RopeTable(RopeSpec spec) : spec_(std::move(spec)) {
  CHECK(spec_.rotated % 2 == 0 && (spec_.factors.empty() || spec_.factors.size() == pairs()));
  for (size_t i = 0; i < pairs(); ++i)
    frequencies_.push_back(Frequency(spec_.theta, i, spec_.rotated) /
                           (spec_.factors.empty() ? 1.0 : spec_.factors[i]));
}

void RopeTable::Extend(size_t count, Workers& workers) {
  const size_t have = pairs() == 0 ? count : cos_.size() / pairs();
  if (count <= have) return;
  for (auto* table : {&cos_, &sin_}) table->resize(count * pairs());
  for (auto* table : {&cos_f32_, &sin_f32_}) table->resize(count * pairs());
  workers.For(count - have, 8, [&](size_t first, size_t last) {
    for (size_t p = have + first; p < have + last; ++p) {
      for (size_t i = 0; i < pairs(); ++i) {
        const SinCos angle = SineCosine(static_cast<double>(p) / spec_.scale * frequencies_[i]);
        const size_t at = p * pairs() + i;
        cos_[at] = angle.cos;
        sin_[at] = angle.sin;
        cos_f32_[at] = static_cast<float>(angle.cos);
        sin_f32_[at] = static_cast<float>(angle.sin);
      }
    }
  });
}

template <>
const float* RopeTable::Cos<float>(size_t position) const {
  return cos_f32_.data() + position * pairs();
}
template <>
const float* RopeTable::Sin<float>(size_t position) const {
  return sin_f32_.data() + position * pairs();
}
template <>
const double* RopeTable::Cos<double>(size_t position) const {
  return cos_.data() + position * pairs();
}
template <>
const double* RopeTable::Sin<double>(size_t position) const {
  return sin_.data() + position * pairs();
}

}  // namespace vernier
