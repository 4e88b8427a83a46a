// One IEEE binary16 number at a time; rows of them are a kernel (kernels.h, floats_of_halves),
// whose portable form is made of this: only freestanding headers here.
#ifndef VERNIER_KERNELS_HALF_H_
#define VERNIER_KERNELS_HALF_H_

#include <stdint.h>

namespace vernier {

// The float32 of IEEE binary16 bits: exact; a NaN becomes quiet and keeps sign and payload, as
// VCVTPH2PS does. Selections instead of branches, so that loops over it vectorise.
inline float HalfBitsToFloat(uint32_t half) {
  const uint32_t sign = (half & 0x8000u) << 16;
  const uint32_t fraction = half & 0x3ffu, shifted = (half & 0x7fffu) << 13;
  const bool small = (half & 0x7c00u) == 0;          // zero or subnormal
  const bool special = (half & 0x7c00u) == 0x7c00u;  // infinity or NaN
  const uint32_t normal = shifted + (112u << 23);
  const uint32_t subnormal =  // fraction * 2^-24, exact in float32
      __builtin_bit_cast(uint32_t, static_cast<float>(static_cast<int>(fraction)) * 0x1p-24f);
  const uint32_t quiet = fraction != 0 ? 0x400000u : 0u;
  const uint32_t infinite = shifted | 0x7f800000u | quiet;
  const uint32_t magnitude = small ? subnormal : (special ? infinite : normal);
  return __builtin_bit_cast(float, sign | magnitude);
}

}  // namespace vernier

#endif  // VERNIER_KERNELS_HALF_H_
