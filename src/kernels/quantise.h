// The inner loops of the encoders (docs/encoding.md): searches for the scale, and where there is
// one the minimum, of a group of elements that lose least; and codes for a scale that is given.
// Each is a fixed sequence of float32 operations on one group. The searches work on sixteen groups
// side by side, one a lane, so every instruction set gives the same bits (quantise_reference.h is
// the same in plain loops). Values may be anything; where NaN or an infinity is among a group's,
// what comes out for it is unspecified but for the range of the codes.
#ifndef VERNIER_KERNELS_QUANTISE_H_
#define VERNIER_KERNELS_QUANTISE_H_

#include <cstddef>
#include <cstdint>

namespace vernier {

inline constexpr size_t kGroups = 16;      // groups of one search
inline constexpr size_t kGroupLimit = 32;  // elements of a group, at most

// Codes 0 .. top; the inverse scales tried are (top + first + step * i) / (max - min) for 0 <= i <=
// tries.
struct AffineSearch {
  size_t n;  // elements of a group: 16 or 32
  int top;
  float first, step;
  int tries;
  bool absolute;  // minimises the sum of |error|; else of its square
};

// In the searches x and weights are kGroups groups of n elements, one after another, and so are
// codes. A group whose largest magnitude is below kZeroGroup (affine: whose elements are equal and
// none is positive) has scale 0. Where codes are not returned they are those of `codes` below with
// the group's inverse and offset, and zero where the inverse is infinite.
struct QuantiseKernels {
  // x ~ scale * code - minimum (minimum >= 0), low 0, high top.
  void (*affine)(const AffineSearch& search, const float* x, const float* weights, float* scales,
                 float* minima, float* inverses, float* offsets);
  // x ~ scale * q for -top <= q < top, offset 0, low -top, high top - 1; n is 16 or 32; weights
  // null: x^2.
  void (*symmetric)(size_t n, int top, const float* x, const float* weights, float* scales,
                    float* inverses);
  // The same for top = 4 and n = 16, weights x^2, by descent instead of by trial, for a multiple of
  // kGroups groups; codes q + 4, all zero for a group that is; null: not asked for.
  void (*descent)(const float* x, size_t groups, float* scales, uint8_t* codes);
  // x ~ scale * code for x >= 0, codes 0 .. top (of a negative x below zero, modulo 256); n is 8 or
  // 16.
  void (*positive)(size_t n, int top, const float* x, const float* weights, float* scales,
                   uint8_t* codes);
  // x ~ scale * level, groups of 32, the levels of IQ4_NL; weights null: x^2.
  void (*levels)(const float* x, const float* weights, float* scales);

  // Below x is one run of n elements, n a multiple of 16. "Nearest" has ties to even where the
  // number is at most 2^22, and is what the same bits give beyond.
  // codes[i] = nearest integer to factor * (x[i] - offset) within low .. high, less low.
  void (*codes)(const float* x, size_t n, float factor, float offset, int low, int high,
                uint8_t* codes);
  // codes[i] = nearest integer to (x[i] + m) / d within low .. high, less low.
  void (*requantise)(const float* x, size_t n, float d, float m, int low, int high, uint8_t* codes);
  // codes[i] = index of the level of IQ4_NL nearest to x[i] * factor, ties upwards.
  void (*nearest_levels)(const float* x, size_t n, float factor, uint8_t* codes);
  // codes[i] = code of the E2M1 number nearest to x[i] / (2 d), ties to the lower code; d >= 0.
  void (*nearest_e2m1)(const float* x, size_t n, float d, uint8_t* codes);
  // weights[i] = importance[i] * sqrt(variance + x[i]^2).
  void (*weigh)(const float* x, const float* importance, size_t n, float variance, float* weights);
  // The largest magnitude.
  float (*most)(const float* x, size_t n);
  // codes[i] = x[i] * factor to the nearest integer, ties away from zero. Here and in `cut` what no
  // int32 holds becomes -2^31, as x86 converts it; of the integer the low 8 bits are kept.
  void (*round_away)(const float* x, size_t n, float factor, int8_t* codes);
  // codes[i] = (x[i] - offset) * factor + bias with its fraction dropped, at most top.
  void (*cut)(const float* x, size_t n, float offset, float factor, float bias, int top,
              uint8_t* codes);
  // Least and largest element; of zeros either.
  void (*extremes)(const float* x, size_t n, float* least, float* most);
};

// The levels of IQ4_NL and IQ4_XS (kvalues_iq4nl of ggml-common.h, ggml-org/ggml).
inline constexpr int8_t kIQ4Levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                          1,    13,   25,  38,  53,  69,  89,  113};

// Twice the E2M1 values 0 0.5 1 1.5 2 3 4 6 and their negatives, so that they are integers (MXFP4,
// NVFP4).
inline constexpr int8_t kTwiceE2M1[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

inline constexpr float kZeroGroup = 1e-15f;

}  // namespace vernier

#endif  // VERNIER_KERNELS_QUANTISE_H_
