// The bit strings of posits (Standard for Posit Arithmetic 2022, section 3, with any es): what
// rounding and codes share. Magnitudes only; a negative posit's code is the two's complement of its
// magnitude's.
//
// A number 2^E * (1 + f), 0 <= f < 1, with E = k * 2^es + x, 0 <= x < 2^es, has the string
//   regime     k >= 0: k+1 ones and a zero; k < 0: -k zeros and a one
//   exponent   x in es bits
//   fraction   the bits of f, without end.
// The code of a posit is its string cut to n-1 bits; strings ascend with the numbers.
#ifndef VERNIER_FORMATS_POSIT_H_
#define VERNIER_FORMATS_POSIT_H_

#include <cstdint>

namespace vernier::internal {

// How a number lies among the posits.
struct PositPlace {
  uint64_t below;  // code of the largest posit that is not above it
  int middle;      // against the (n+1)-bit posit below·1: -1 less, 0 equal, 1 greater
  bool exact;      // it is the posit `below`
};

// Of m * 2^e, 0 < m < 2^53, strictly between the smallest and the largest posit or equal to one of
// them.
PositPlace LocatePosit(int bits, int es, uint64_t m, int e);

// The posit with a code from 1 to 2^(bits-1) - 1 is m * 2^e, m odd.
struct PositNumber {
  uint64_t m;
  int e;
};
PositNumber DecodePosit(int bits, int es, uint64_t code);

// The code of m * 2^e, 0 < m < 2^64, which is a posit (CHECK).
uint64_t EncodePosit(int bits, int es, uint64_t m, int e);

}  // namespace vernier::internal

#endif  // VERNIER_FORMATS_POSIT_H_
