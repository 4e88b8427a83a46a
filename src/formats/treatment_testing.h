// What tests of treatments share.
#ifndef VERNIER_FORMATS_TREATMENT_TESTING_H_
#define VERNIER_FORMATS_TREATMENT_TESTING_H_

#include <gtest/gtest.h>

#include <random>
#include <string_view>
#include <vector>

#include "formats/treatment.h"

namespace vernier {

inline Treatment ParseOrFail(std::string_view text, TreatedThing thing) {
  auto t = ParseTreatment(text, thing);
  EXPECT_TRUE(t) << text << (t ? "" : t.error().message);
  return t.value_or(Treatment{});
}

inline std::vector<float> NormalNumbers(size_t n, uint32_t seed, float mean = 0.3f,
                                        float deviation = 2) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(mean, deviation);
  std::vector<float> x(n);
  for (float& v : x) v = normal(random);
  return x;
}

}  // namespace vernier

#endif  // VERNIER_FORMATS_TREATMENT_TESTING_H_
