// The Hadamard rotation of a row, which spreads outliers over their neighbours before a format
// sees them (QuIP#, QuaRot, Quamba). Orthogonal, symmetric, so its own inverse.
#ifndef VERNIER_FORMATS_ROTATE_H_
#define VERNIER_FORMATS_ROTATE_H_

#include <cstddef>

namespace vernier {

// The elements that are rotated together in a row of n > 0: the largest power of two that divides
// n (256 of 768, 1 of 3).
size_t HadamardBlock(size_t n);

// Rotates each block of `block` elements (a power of two that divides n; CHECK) in place:
//   y[i] = (sum over j of (-1)^popcount(i & j) * x[j]) / sqrt(block)     (Sylvester's order)
// In double: for h = 1, 2, 4, ... the pairs (i, i + h) become (a + b, a - b), then each element is
// multiplied by 1 / sqrt(block), rounded. Each operation is rounded to nearest even, so this order
// fixes every bit.
void Hadamard(double* x, size_t n, size_t block);

}  // namespace vernier

#endif  // VERNIER_FORMATS_ROTATE_H_
