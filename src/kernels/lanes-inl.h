// One register of float32 lanes, and what the encoders' loops (search-inl.h, descent-inl.h,
// quantise-inl.h) do with it. In the searches lane g holds a group, and every operation of
// quantise_reference.h is one operation on all lanes, its branches selections.
#ifndef VERNIER_KERNELS_LANES_INL_H_
#define VERNIER_KERNELS_LANES_INL_H_

#include "kernels/quantise.h"
#include "kernels/vec-inl.h"

namespace vernier::VERNIER_TARGET {

using Lanes = Native<float>::Type;
using Mask = Native<float>::Bits;  // all ones or zero in each lane
typedef float Quad __attribute__((vector_size(16)));
constexpr size_t kWidth = VERNIER_VECTOR_BYTES / sizeof(float);

VERNIER_INLINE Lanes LoadLanes(const float* p) { return LoadPart(p, 0.0f); }
VERNIER_INLINE void StoreLanes(const Lanes& v, float* p) { memcpy(p, &v, sizeof v); }
VERNIER_INLINE Lanes Abs(const Lanes& a) {
  return reinterpret_cast<Lanes>(reinterpret_cast<Mask>(a) & 0x7fffffff);
}
VERNIER_INLINE Lanes Lesser(const Lanes& a, const Lanes& b) { return a < b ? a : b; }
VERNIER_INLINE Lanes Larger(const Lanes& a, const Lanes& b) { return a > b ? a : b; }
VERNIER_INLINE bool Any(const Mask& m) {
  int64_t words[sizeof(m) / 8], any = 0;
  memcpy(words, &m, sizeof m);
  for (const int64_t word : words) any |= word;
  return any != 0;
}

// The integer that the low 23 bits of v + 1.5 * 2^23 are, less 2^22: the nearest to v, ties to
// even, where |v| <= 2^22. Limited to low .. high, and a float: the bits under the exponent of 2^23
// are the number 2^23 + bits.
template <bool kLow = true>
VERNIER_INLINE Lanes NearestWithin(const Lanes& v, int low, int high) {
  const Lanes magic = SetPart(0x1.8p23f);
  const Mask bits = (reinterpret_cast<Mask>(v + magic) & 0x7fffff) | 0x4b000000;
  Lanes y = reinterpret_cast<Lanes>(bits);
  if constexpr (kLow) y = Larger(y, SetPart(0x1.8p23f + static_cast<float>(low)));
  return Lesser(y, SetPart(0x1.8p23f + static_cast<float>(high))) - magic;
}

// The level nearest to v, or its index: what it is past, of the 15 halves between neighbours.
template <bool kIndex>
VERNIER_INLINE Lanes NearestLevel(const Lanes& v) {
  Lanes y = SetPart(kIndex ? 0.0f : static_cast<float>(kIQ4Levels[0]));
#pragma GCC unroll 15
  for (int i = 1; i < 16; ++i) {
    const Lanes half = SetPart(0.5f * static_cast<float>(kIQ4Levels[i - 1] + kIQ4Levels[i]));
    y = v < half ? y : SetPart(static_cast<float>(kIndex ? i : kIQ4Levels[i]));
  }
  return y;
}

// n elements of each of kWidth groups: row i has element i of every group.
template <size_t n>
struct Rows {
  alignas(64) float data[n * kWidth];
  VERNIER_INLINE Lanes operator[](size_t i) const { return LoadLanes(data + i * kWidth); }
  VERNIER_INLINE void Put(size_t i, const Lanes& v) { StoreLanes(v, data + i * kWidth); }
};

// Four elements of four groups, transposed.
VERNIER_INLINE void SpreadQuads(const float* x, size_t n, float* rows) {
  Quad a, b, c, d;
  memcpy(&a, x, sizeof a);
  memcpy(&b, x + n, sizeof b);
  memcpy(&c, x + 2 * n, sizeof c);
  memcpy(&d, x + 3 * n, sizeof d);
  const Quad ab = __builtin_shufflevector(a, b, 0, 4, 1, 5),
             cd = __builtin_shufflevector(c, d, 0, 4, 1, 5),
             ab2 = __builtin_shufflevector(a, b, 2, 6, 3, 7),
             cd2 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  const Quad out[4] = {
      __builtin_shufflevector(ab, cd, 0, 1, 4, 5), __builtin_shufflevector(ab, cd, 2, 3, 6, 7),
      __builtin_shufflevector(ab2, cd2, 0, 1, 4, 5), __builtin_shufflevector(ab2, cd2, 2, 3, 6, 7)};
#pragma GCC unroll 4
  for (size_t i = 0; i < 4; ++i) memcpy(rows + i * kWidth, &out[i], sizeof(Quad));
}
template <size_t n>
VERNIER_INLINE Rows<n> Spread(const float* x) {
  Rows<n> rows;
  for (size_t g = 0; g < kWidth; g += 4)
    for (size_t i = 0; i < n; i += 4) SpreadQuads(x + g * n + i, n, rows.data + i * kWidth + g);
  return rows;
}
template <size_t n>
VERNIER_INLINE void Collect(const Rows<n>& rows, int32_t offset, uint8_t* codes) {
  for (size_t i = 0; i < n; ++i) {
    const Mask integers = __builtin_convertvector(rows[i], Mask) + offset;
    int32_t row[kWidth];
    memcpy(row, &integers, sizeof integers);
    for (size_t g = 0; g < kWidth; ++g) codes[g * n + i] = static_cast<uint8_t>(row[g]);
  }
}

template <size_t n>
VERNIER_INLINE Rows<n> Squares(const Rows<n>& x) {
  Rows<n> y;
  for (size_t i = 0; i < n; ++i) y.Put(i, x[i] * x[i]);
  return y;
}

// Sums of w x q and w q q.
struct Fit {
  Lanes xq = {}, qq = {};
  VERNIER_INLINE void Add(const Lanes& wx, const Lanes& w, const Lanes& q) {
    xq += wx * q;
    qq += w * q * q;
  }
};

// The first element of largest magnitude; `some`: where that is not below kZeroGroup.
template <size_t n>
VERNIER_INLINE Lanes SignedMost(const Rows<n>& x, Mask* some) {
  Lanes most = {}, signed_most = {};
  for (size_t i = 0; i < n; ++i) {
    const Mask more = Abs(x[i]) > most;
    most = more ? Abs(x[i]) : most;
    signed_most = more ? x[i] : signed_most;
  }
  *some = ~(most < SetPart(kZeroGroup));
  return signed_most;
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_LANES_INL_H_
