// The searches behind the block formats (docs/encoding.md): for a group of elements the scale, and
// where there is one the minimum, that loses least. Each is a fixed sequence of float32 operations
// on one group; sixteen groups are worked on side by side, one a lane, so that every instruction
// set gives the same bits (quantise_reference.h is the same for one group in plain loops). Values
// may be anything, NaN and infinities included; of what they give only that it is no undefined
// behaviour is promised.
#ifndef VERNIER_KERNELS_QUANTISE_H_
#define VERNIER_KERNELS_QUANTISE_H_

#include <cstddef>
#include <cstdint>

namespace vernier {

inline constexpr size_t kGroups = 16;      // groups of one call
inline constexpr size_t kGroupLimit = 32;  // elements of a group, at most

// Codes 0 .. top; the steps tried are (max - min) / (top + first + step * i), 0 <= i <= tries.
struct AffineSearch {
  size_t n;  // elements of a group
  int top;
  float first, step;
  int tries;
  bool absolute;  // minimises the sum of |error|; else of its square
};

// x and weights: kGroups groups of n elements, one after another; so are the codes. n <= 32.
struct QuantiseKernels {
  // x ~ scale * code - minimum (minimum >= 0).
  void (*affine)(const AffineSearch& search, const float* x, const float* weights, float* scales,
                 float* minima, uint8_t* codes);
  // x ~ scale * (code - top), codes 0 .. 2 * top - 1; weights null: x^2.
  void (*symmetric)(size_t n, int top, const float* x, const float* weights, float* scales,
                    uint8_t* codes);
  // The same for top = 4 and n = 16, weights x^2, by descent instead of by trial.
  void (*descent)(const float* x, float* scales, uint8_t* codes);
  // x ~ scale * code for x >= 0, codes 0 .. top (of a negative x: below zero, modulo 256).
  void (*positive)(size_t n, int top, const float* x, const float* weights, float* scales,
                   uint8_t* codes);
  // x ~ scale * level, groups of 32, the levels of IQ4_NL; weights null: x^2.
  void (*levels)(const float* x, const float* weights, float* scales);

  // Of one run of elements, n a multiple of 16:
  // codes[i] = nearest integer to (x[i] + m) / d within low .. high, less low.
  void (*requantise)(const float* x, size_t n, float d, float m, int low, int high, uint8_t* codes);
  // codes[i] = index of the level of IQ4_NL nearest to x[i] * factor, ties upwards.
  void (*nearest_levels)(const float* x, size_t n, float factor, uint8_t* codes);
  // weights[i] = importance[i] * sqrt(variance + x[i]^2).
  void (*weigh)(const float* x, const float* importance, size_t n, float variance, float* weights);
};

// The levels of IQ4_NL and IQ4_XS (kvalues_iq4nl of ggml-common.h, ggml-org/ggml).
inline constexpr int8_t kIQ4Levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                          1,    13,   25,  38,  53,  69,  89,  113};

// A group whose largest magnitude is below this counts as zero.
inline constexpr float kZeroGroup = 1e-15f;

}  // namespace vernier

#endif  // VERNIER_KERNELS_QUANTISE_H_
