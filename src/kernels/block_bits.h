// Integers inside stored blocks that are not whole bytes (docs/decoding.md has the layouts).
#ifndef VERNIER_KERNELS_BLOCK_BITS_H_
#define VERNIER_KERNELS_BLOCK_BITS_H_

#include <cstdint>

namespace vernier {

struct ScaleAndMin {
  int scale, min;
};

// Entry j of the eight pairs of 6-bit numbers that Q4_K and Q5_K keep in 12 bytes: the first four
// pairs lie in the low 6 bits of bytes 0-3 and 4-7; of the last four the low 4 bits are the halves
// of bytes 8-11, the high 2 bits the top of bytes 0-3 and 4-7.
inline ScaleAndMin UnpackPair(const uint8_t* packed, int j) {
  if (j < 4) return {packed[j] & 63, packed[j + 4] & 63};
  return {(packed[j + 4] & 15) | packed[j - 4] >> 6 << 4, packed[j + 4] >> 4 | packed[j] >> 6 << 4};
}

// Entry j of the sixteen 6-bit numbers that Q3_K keeps in 12 bytes: low 4 bits in the halves of
// bytes 0-7, high 2 bits in bytes 8-11.
inline int UnpackSixBits(const uint8_t* packed, int j) {
  const int low = j < 8 ? packed[j] & 15 : packed[j - 8] >> 4;
  return low | (packed[8 + j % 4] >> 2 * (j / 4) & 3) << 4;
}

}  // namespace vernier

#endif  // VERNIER_KERNELS_BLOCK_BITS_H_
