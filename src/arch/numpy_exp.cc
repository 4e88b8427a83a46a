#include "arch/numpy_exp.h"

#include <cmath>
#include <limits>

namespace vernier {

float NumpyExp(float x) {
  if (x != x) return x;
  if (x > 88.72283935546875f) return std::numeric_limits<float>::infinity();
  if (x < -103.97208404541015625f) return 0;
  // x = n ln 2 + r, ln 2 in two parts; then a rational approximation of exp(r).
  constexpr float kRound = 0x1.8p23f;
  const float n = (x * 1.442695040888963407f + kRound) - kRound;
  const float r = std::fma(n, -1.42860677e-6f, std::fma(n, -6.93145752e-1f, x));
  constexpr float kP[] = {5.082762527590693718096e-04f, 6.757896990527504603057e-03f,
                          5.114512081637298353406e-02f, 2.473615434895520810817e-01f,
                          7.257664613233124478488e-01f, 9.999999999980870924916e-01f};
  constexpr float kQ[] = {2.159509375685829852307e-02f, -2.742335390411667452936e-01f, 1.0f};
  float p = kP[0], q = kQ[0];
  for (int i = 1; i < 6; ++i) p = std::fma(p, r, kP[i]);
  for (int i = 1; i < 3; ++i) q = std::fma(q, r, kQ[i]);
  return std::ldexp(p / q, static_cast<int>(n));
}

}  // namespace vernier
