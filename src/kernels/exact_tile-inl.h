// Sums of products of fixed-point operands (kernels/exact.h), a panel of 16 outputs against rows.
#ifndef VERNIER_KERNELS_EXACT_TILE_INL_H_
#define VERNIER_KERNELS_EXACT_TILE_INL_H_

#include "kernels/exact.h"
#include "kernels/exact_odd-inl.h"
#include "kernels/vec-inl.h"

namespace vernier::VERNIER_TARGET {

// The sum of r's and l's products in [k0, k0 + count), added to what the blocks before gave.
VERNIER_INLINE void AddSum(const ExactProductOfPanel& a, size_t r, size_t l, bool first, Wide sum) {
  const size_t at = r * kLanes + l;
  if (!first) sum += static_cast<Wide>(a.high[at]) * (Wide{1} << 52) + static_cast<Wide>(a.low[at]);
  a.high[at] = static_cast<int64_t>(sum >> 52);
  a.low[at] = static_cast<uint64_t>(sum) & kLowMask;
}

// tile<kRows>(row) over the rows from `row` on, kRows at a time, and the rest in one of fewer.
template <int kRows, class F>
VERNIER_INLINE void ForRowTiles(size_t row, size_t n, F tile) {
  for (; row + kRows <= n; row += kRows) tile.template operator()<kRows>(row);
  if constexpr (kRows > 1) ForRowTiles<kRows - 1>(row, n, tile);
}

#if defined(VERNIER_IFMA)

inline constexpr int64_t kWideBias = int64_t{1} << kExactBits;
inline constexpr bool kNarrowBiased = true;
inline constexpr int kNarrowMost = 49, kNarrowSum = 50;

VERNIER_INLINE Words AddLow(Words sum, Words a, Words b) {
  return reinterpret_cast<Words>(_mm512_madd52lo_epu64(
      reinterpret_cast<__m512i>(sum), reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
}
VERNIER_INLINE Words AddHigh(Words sum, Words a, Words b) {
  return reinterpret_cast<Words>(_mm512_madd52hi_epu64(
      reinterpret_cast<__m512i>(sum), reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
}
VERNIER_INLINE Words All(const uint64_t* p) { return Words{} + *p; }
VERNIER_INLINE void StoreSum(const ExactProductOfPanel& a, size_t at, Words high, Words low) {
  high += reinterpret_cast<Words>(reinterpret_cast<SignedWords>(low) >> 52);
  low &= kLowMask;
  memcpy(a.high + at, &high, sizeof high);
  memcpy(a.low + at, &low, sizeof low);
}

// 2 vectors of each of `low` and `high` a row, two of W and one of X: 27 of 32 registers.
template <int kRows>
__attribute__((noinline)) void WideTile(const ExactProductOfPanel& a, size_t row, size_t k0,
                                        size_t count) {
  Words low[kRows][2], high[kRows][2];
  const uint64_t* x[kRows];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    x[r] = a.x[row + static_cast<size_t>(r)] + k0;
    low[r][0] = low[r][1] = high[r][0] = high[r][1] = Words{};
  }
  const uint64_t* w = a.w + k0 * kLanes;
  for (size_t i = 0; i < count; ++i) {
    const Words w0 = LoadWords(w + i * kLanes), w1 = LoadWords(w + i * kLanes + 8);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const Words v = All(x[r] + i);
      low[r][0] = AddLow(low[r][0], v, w0);
      high[r][0] = AddHigh(high[r][0], v, w0);
      low[r][1] = AddLow(low[r][1], v, w1);
      high[r][1] = AddHigh(high[r][1], v, w1);
    }
  }
  const size_t block = k0 / kExactBlock;
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    const size_t this_row = row + static_cast<size_t>(r), at = this_row * kLanes;
#pragma GCC unroll 2
    for (size_t q = 0; q < 2; ++q) {
      // B times it is (both >> 1) * 2^52 + (both & 1) * 2^51.
      const Words both = LoadWords(a.w_sums + block * kLanes + 8 * q) +
                         static_cast<uint64_t>(a.x_sums[this_row][block]);
      Words h = high[r][q] - Halved(both) - (uint64_t{count} << 50);
      h += low[r][q] >> 52;
      Words l = (low[r][q] & kLowMask) - ((both & 1) << 51);
      if (k0 != 0) {
        l += LoadWords(a.low + at + 8 * q);
        h += LoadWords(a.high + at + 8 * q);
      }
      StoreSum(a, at + 8 * q, h, l);
    }
  }
}

template <int kRows>
__attribute__((noinline)) void NarrowTile(const ExactProductOfPanel& a, size_t row) {
  Words sum[kRows][2];
  const uint64_t* x[kRows];
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
    x[r] = a.x[row + static_cast<size_t>(r)];
    sum[r][0] = sum[r][1] = Words{};
  }
  for (size_t i = 0; i < a.k; ++i) {
    const Words w0 = LoadWords(a.w + i * kLanes), w1 = LoadWords(a.w + i * kLanes + 8);
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
      const Words v = All(x[r] + i);
      sum[r][0] = AddLow(sum[r][0], v, w0);
      sum[r][1] = AddLow(sum[r][1], v, w1);
    }
  }
  // Modulo 2^64: 2^x_bits sum W + 2^w_bits sum X + k 2^(x_bits + w_bits) too much.
  Words w_sum[2] = {};
  for (size_t b = 0; b < ExactBlocks(a.k); ++b)
    for (size_t q = 0; q < 2; ++q) w_sum[q] += LoadWords(a.w_sums + b * kLanes + 8 * q);
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
    const size_t this_row = row + static_cast<size_t>(r);
    uint64_t x_sum = 0;
    for (size_t b = 0; b < ExactBlocks(a.k); ++b)
      x_sum += static_cast<uint64_t>(a.x_sums[this_row][b]);
    const uint64_t fixed = (x_sum << a.w_bits) + (uint64_t{a.k} << (a.x_bits + a.w_bits));
#pragma GCC unroll 2
    for (size_t q = 0; q < 2; ++q)
      StoreSum(a, this_row * kLanes + 8 * q, Words{}, sum[r][q] - (w_sum[q] << a.x_bits) - fixed);
  }
}

inline void WideProduct(const ExactProductOfPanel& a) {
  for (size_t k0 = 0; k0 < a.k; k0 += kExactBlock) {
    const size_t count = a.k - k0 < kExactBlock ? a.k - k0 : kExactBlock;
    ForRowTiles<6>(0, a.n, [&]<int kRows>(size_t row) { WideTile<kRows>(a, row, k0, count); });
  }
}

inline void NarrowProduct(const ExactProductOfPanel& a) {
  ForRowTiles<10>(0, a.n, [&]<int kRows>(size_t row) { NarrowTile<kRows>(a, row); });
}

#elif VERNIER_VECTOR_BYTES == 32

inline constexpr int64_t kWideBias = int64_t{1} << kExactBits;
inline constexpr bool kNarrowBiased = false;
inline constexpr int kNarrowMost = 31, kNarrowSum = 62;

VERNIER_INLINE __m256i LoadFour(const uint64_t* p) {
  __m256i v;
  memcpy(&v, p, sizeof v);
  return v;
}
VERNIER_INLINE __m256i AllDigits(const uint64_t* p, size_t byte) {
  int32_t digit;
  memcpy(&digit, static_cast<const char*>(static_cast<const void*>(p)) + byte, sizeof digit);
  return _mm256_set1_epi32(digit);
}

// Four outputs. With digits of up to 2^25 a sum of 2^11 products, or of 2^12 crossed ones, is at
// most 2^62.
template <int kRows>
__attribute__((noinline)) void WideTile(const ExactProductOfPanel& a, size_t row, size_t k0,
                                        size_t count, size_t lane) {
  __m256i low[kRows], middle[kRows], high[kRows];
  const uint64_t* x[kRows];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    x[r] = a.x[row + static_cast<size_t>(r)] + k0;
    low[r] = middle[r] = high[r] = _mm256_setzero_si256();
  }
  const uint64_t* w = a.w + k0 * kLanes + lane;
  for (size_t i = 0; i < count; ++i) {
    const __m256i w_low = LoadFour(w + i * kLanes), w_high = _mm256_srli_epi64(w_low, 32);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const __m256i x_low = AllDigits(x[r] + i, 0), x_high = AllDigits(x[r] + i, 4);
      low[r] = _mm256_add_epi64(low[r], _mm256_mul_epi32(x_low, w_low));
      middle[r] = _mm256_add_epi64(middle[r], _mm256_mul_epi32(x_low, w_high));
      middle[r] = _mm256_add_epi64(middle[r], _mm256_mul_epi32(x_high, w_low));
      high[r] = _mm256_add_epi64(high[r], _mm256_mul_epi32(x_high, w_high));
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    int64_t l[4], m[4], h[4];
    memcpy(l, &low[r], sizeof l);
    memcpy(m, &middle[r], sizeof m);
    memcpy(h, &high[r], sizeof h);
    for (size_t j = 0; j < 4; ++j)
      AddSum(
          a, row + static_cast<size_t>(r), lane + j, k0 == 0,
          static_cast<Wide>(h[j]) * (Wide{1} << 52) + static_cast<Wide>(m[j]) * (1 << 26) + l[j]);
  }
}

template <int kRows>
__attribute__((noinline)) void NarrowTile(const ExactProductOfPanel& a, size_t row, size_t lane) {
  __m256i sum[kRows][2];
  const uint64_t* x[kRows];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    x[r] = a.x[row + static_cast<size_t>(r)];
    sum[r][0] = sum[r][1] = _mm256_setzero_si256();
  }
  for (size_t i = 0; i < a.k; ++i) {
    const uint64_t* w = a.w + i * kLanes + lane;
    const __m256i w0 = LoadFour(w), w1 = LoadFour(w + 4);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const __m256i v = _mm256_set1_epi64x(static_cast<int64_t>(x[r][i]));
      sum[r][0] = _mm256_add_epi64(sum[r][0], _mm256_mul_epi32(v, w0));
      sum[r][1] = _mm256_add_epi64(sum[r][1], _mm256_mul_epi32(v, w1));
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    int64_t t[8];
    memcpy(t, &sum[r][0], sizeof sum[r][0]);
    memcpy(t + 4, &sum[r][1], sizeof sum[r][1]);
    for (size_t j = 0; j < 8; ++j) AddSum(a, row + static_cast<size_t>(r), lane + j, true, t[j]);
  }
}

inline void WideProduct(const ExactProductOfPanel& a) {
  for (size_t k0 = 0; k0 < a.k; k0 += kExactBlock) {
    const size_t count = a.k - k0 < kExactBlock ? a.k - k0 : kExactBlock;
    ForRowTiles<3>(0, a.n, [&]<int kRows>(size_t row) {
      for (size_t lane = 0; lane < kLanes; lane += 4) WideTile<kRows>(a, row, k0, count, lane);
    });
  }
}

inline void NarrowProduct(const ExactProductOfPanel& a) {
  ForRowTiles<4>(0, a.n, [&]<int kRows>(size_t row) {
    for (size_t lane = 0; lane < kLanes; lane += 8) NarrowTile<kRows>(a, row, lane);
  });
}

#else

inline constexpr int64_t kWideBias = 0;
inline constexpr bool kNarrowBiased = false;
inline constexpr int kNarrowMost = 62, kNarrowSum = 62;

// `Sum` is as wide as the sums: 128 or 64 bits.
template <class Sum>
void PlainProduct(const ExactProductOfPanel& a) {
  constexpr size_t kAtOnce = 4;
  for (size_t r = 0; r < a.n; ++r) {
    for (size_t lane = 0; lane < kLanes; lane += kAtOnce) {
      Sum sums[kAtOnce] = {};
      for (size_t i = 0; i < a.k; ++i) {
        const Sum x = static_cast<int64_t>(a.x[r][i]);
        for (size_t j = 0; j < kAtOnce; ++j)
          sums[j] += x * static_cast<int64_t>(a.w[i * kLanes + lane + j]);
      }
      for (size_t j = 0; j < kAtOnce; ++j) AddSum(a, r, lane + j, true, sums[j]);
    }
  }
}

inline void WideProduct(const ExactProductOfPanel& a) { PlainProduct<Wide>(a); }
inline void NarrowProduct(const ExactProductOfPanel& a) { PlainProduct<int64_t>(a); }

#endif

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_EXACT_TILE_INL_H_
