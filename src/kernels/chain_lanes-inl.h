// One register of sums rounded to the grid of a format: the arithmetic under chain-inl.h.
#ifndef VERNIER_KERNELS_CHAIN_LANES_INL_H_
#define VERNIER_KERNELS_CHAIN_LANES_INL_H_

#include "kernels/chain.h"
#include "kernels/round_lanes-inl.h"
#include "kernels/vec-inl.h"

namespace vernier::VERNIER_TARGET {

// Sums and products rounded to odd: an exact result stays, any other becomes the one of its two
// neighbours whose last bit is 1. What rounds that to at least two bits fewer rounds the exact
// result (Boldo and Melquiond, Emulation of FMA and correctly rounded sums, IEEE TC 57(4), 2008).
#if VERNIER_VECTOR_BYTES == 64
inline constexpr int kDown = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;
inline constexpr int kUp = _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC;
// The neighbour below, or if that one is even, the one above.
VERNIER_INLINE __m512d AddOdd(__m512d a, __m512d b) {
  const __m512d low = _mm512_maskz_add_round_pd(0xff, a, b, kDown);
  const __mmask8 even = _mm512_testn_epi64_mask(_mm512_castpd_si512(low), _mm512_set1_epi64(1));
  return _mm512_mask_add_round_pd(low, even, a, b, kUp);
}
VERNIER_INLINE __m512 AddOdd(__m512 a, __m512 b) {
  const __m512 low = _mm512_maskz_add_round_ps(0xffff, a, b, kDown);
  const __mmask16 even = _mm512_testn_epi32_mask(_mm512_castps_si512(low), _mm512_set1_epi32(1));
  return _mm512_mask_add_round_ps(low, even, a, b, kUp);
}
VERNIER_INLINE __m512 MultiplyOdd(__m512 a, __m512 b) {
  const __m512 low = _mm512_maskz_mul_round_ps(0xffff, a, b, kDown);
  const __mmask16 even = _mm512_testn_epi32_mask(_mm512_castps_si512(low), _mm512_set1_epi32(1));
  return _mm512_mask_mul_round_ps(low, even, a, b, kUp);
}
VERNIER_INLINE __m512d MultiplyOdd(__m512d a, __m512d b) {
  const __m512d low = _mm512_maskz_mul_round_pd(0xff, a, b, kDown);
  const __mmask8 even = _mm512_testn_epi64_mask(_mm512_castpd_si512(low), _mm512_set1_epi64(1));
  return _mm512_mask_mul_round_pd(low, even, a, b, kUp);
}
VERNIER_INLINE __m512d FmaOdd(__m512d a, __m512d b, __m512d c) {
  const __m512d low = _mm512_fmadd_round_pd(a, b, c, kDown);
  const __mmask8 even = _mm512_testn_epi64_mask(_mm512_castpd_si512(low), _mm512_set1_epi64(1));
  return _mm512_mask_mov_pd(low, even, _mm512_fmadd_round_pd(a, b, c, kUp));
}
VERNIER_INLINE __m512 FmaOdd(__m512 a, __m512 b, __m512 c) {
  const __m512 low = _mm512_fmadd_round_ps(a, b, c, kDown);
  const __mmask16 even = _mm512_testn_epi32_mask(_mm512_castps_si512(low), _mm512_set1_epi32(1));
  return _mm512_mask_mov_ps(low, even, _mm512_fmadd_round_ps(a, b, c, kUp));
}
#else
template <class F>
struct HostOfPart;
template <>
struct HostOfPart<Native<float>::Type> {
  using Type = float;
};
template <>
struct HostOfPart<Native<double>::Type> {
  using Type = double;
};
// A result rounded to nearest, and its error: where that is not zero and the result even, the
// neighbour towards it is the odd one.
template <class F>
VERNIER_INLINE F TowardsOdd(F h, F error) {
  using R = RoundTypes<typename HostOfPart<F>::Type>;
  using I = typename R::I;
  const I bits = reinterpret_cast<I>(h), even = (bits & 1) - 1;
  const I step = ((bits ^ reinterpret_cast<I>(error)) < 0) | 1;
  return reinterpret_cast<F>(bits + (step & even & (error != 0)));
}
// Where nothing overflows: the error is exact (Knuth's two-sum). Of NaN another NaN.
template <class F>
VERNIER_INLINE F AddOdd(F a, F b) {
  const F h = a + b, v = h - a;
  return TowardsOdd(h, (a - (h - v)) + (b - v));
}
// Where neither overflow nor a product near the smallest numbers occurs (its error is then not
// exact).
template <class F>
VERNIER_INLINE F MultiplyOdd(F a, F b) {
  const F h = a * b;
  return TowardsOdd(h, FmaPart(a, b, -h));
}
// As MultiplyOdd. Both errors together are rounded to odd at a last place far below that of the
// result.
template <class F>
VERNIER_INLINE F FmaOdd(F a, F b, F c) {
  const F product = a * b, product_error = FmaPart(a, b, -product);
  const F h = c + product, v = h - c, sum_error = (c - (h - v)) + (product - v);
  const F error = AddOdd(sum_error, product_error);
  return error != 0 ? AddOdd(h, error) : h;
}
#endif

// The larger magnitude.
#if VERNIER_VECTOR_BYTES == 64
VERNIER_INLINE __m512 MaxMagnitude(__m512 a, __m512 b) {
  return _mm512_maskz_range_ps(0xffff, a, b, 0x0b);
}
VERNIER_INLINE __m512d MaxMagnitude(__m512d a, __m512d b) {
  return _mm512_maskz_range_pd(0xff, a, b, 0x0b);
}
#else
template <class F>
VERNIER_INLINE F MaxMagnitude(F a, F b) {
  using R = RoundTypes<typename HostOfPart<F>::Type>;
  return MaxPart(a, R::AsF(R::AsU(b) & R::All(R::kMagnitude)));
}
#endif

// How to round to a grid. Sums are held times kScale.
template <class T, ChainGrid kGrid>
struct ChainRounder {
  using F = typename RoundTypes<T>::F;
  static constexpr bool kScaled = false;
  VERNIER_INLINE explicit ChainRounder(const ChainFormat<T>&) {}
  VERNIER_INLINE F Round(F t) const { return t; }
  VERNIER_INLINE F RoundSigned(F t) const { return t; }
  VERNIER_INLINE F Product(F x, F w) const { return x * w; }
  VERNIER_INLINE F ProductSigned(F x, F w) const { return x * w; }
};

// What follows from C.
#define VERNIER_ROUND_BY_MAGIC                     \
  VERNIER_INLINE F Round(F t) const {              \
    const F c = Magic(t);                          \
    return (t + c) - c;                            \
  }                                                \
  /* One rounding, however long the product is. */ \
  VERNIER_INLINE F Product(F x, F w) const {       \
    const F c = Magic(x * w);                      \
    return FmaPart(x, w, c) - c;                   \
  }

template <class T>
struct ChainRounder<T, ChainGrid::kFloat> {
  using R = RoundTypes<T>;
  using F = typename R::F;
  using U = typename R::U;
  static constexpr bool kScaled = false;
  U field, normal, offset, sign;
  VERNIER_INLINE explicit ChainRounder(const ChainFormat<T>& f)
      : field(R::All(R::kInfinity)),
        normal(R::All(f.normal)),
        offset(R::All(f.offset)),
        sign(R::All(f.sign)) {}
  // What becomes zero keeps its sign.
  VERNIER_INLINE F RoundSigned(F t) const { return R::AsF(R::AsU(Round(t)) | (R::AsU(t) & sign)); }
  VERNIER_INLINE F ProductSigned(F x, F w) const {
    return R::AsF(R::AsU(Product(x, w)) | (R::AsU(x * w) & sign));
  }
  VERNIER_INLINE F Magic(F t) const {
    return R::AsF(R::AsU(MaxPart(R::AsF(R::AsU(t) & field), R::AsF(normal))) + offset);
  }
  VERNIER_ROUND_BY_MAGIC
};

// |t| = 2^E (1 + f) is held as 2t, so that the exponent field is 0 modulo 2^es (and modulo the size
// of the table) where E is. k = floor(E / 2^es), and there are fraction - (k or -k-1) fraction
// bits.
template <class T>
struct ChainRounder<T, ChainGrid::kTapered> {
  using R = RoundTypes<T>;
  using F = typename R::F;
  using U = typename R::U;
  using Bits = typename R::Bits;
  static constexpr bool kScaled = true;
  U field, offset;
  static constexpr Bits OffsetOf(const ChainFormat<T>& f, int regime) {
    const auto power = static_cast<Bits>(R::kFraction - f.fraction + regime);
    return power << R::kFraction | Bits{1} << (R::kFraction - 1);
  }
#if VERNIER_VECTOR_BYTES == 64
  // The upper 16 bits of what is added to the exponent to give C, by k modulo 64 (32 for floats).
  __m512i low, high, shift;
  VERNIER_INLINE explicit ChainRounder(const ChainFormat<T>& f) : field(R::All(R::kInfinity)) {
    constexpr int kSize = sizeof(T) == 4 ? 32 : 64, kLow = R::kFraction % 16;
    alignas(64) uint16_t table[64] = {};
    for (int i = 0; i < kSize; ++i) {
      const int k = i < kSize / 2 ? i : i - kSize, regime = k < 0 ? -k - 1 : k;
      table[i] = static_cast<uint16_t>(OffsetOf(f, regime) >> (sizeof(T) * 8 - 16));
    }
    low = _mm512_load_si512(table);
    high = _mm512_load_si512(table + 32);
    shift = _mm512_set1_epi16(static_cast<int16_t>(kLow + f.es));
  }
  VERNIER_INLINE F Magic(F t) const {
    const __m512i bits = reinterpret_cast<__m512i>(t), index = _mm512_srlv_epi16(bits, shift);
    const __m512i add = sizeof(T) == 4
                            ? _mm512_maskz_permutexvar_epi16(0xaaaaaaaa, index, low)
                            : _mm512_maskz_permutex2var_epi16(0x88888888, low, index, high);
    return R::AsF((R::AsU(t) & field) + reinterpret_cast<U>(add));
  }
#else
  U one;
  int es;
  VERNIER_INLINE explicit ChainRounder(const ChainFormat<T>& f)
      : field(R::All(R::kInfinity)),
        offset(R::All(OffsetOf(f, 0))),
        one(R::All(Bits{R::kBias + 1} << R::kFraction)),
        es(f.es) {}
  VERNIER_INLINE F Magic(F t) const {
    const U exponent = R::AsU(t) & field, d = exponent - one;
    // -d - 1 has the regime -k - 1, whatever is in the bits below the exponent.
    const U regime = ((d ^ R::SignMask(d)) >> es) & field;
    return R::AsF(exponent + offset + regime);
  }
#endif
  VERNIER_INLINE F RoundSigned(F t) const { return Round(t); }
  VERNIER_INLINE F ProductSigned(F x, F w) const { return Product(x, w); }
  VERNIER_ROUND_BY_MAGIC
};
#undef VERNIER_ROUND_BY_MAGIC

// As round_posit-inl.h rounds what is not plain: s bits are cut from the distance d to 1, as bits.
template <class T>
struct ChainRounder<T, ChainGrid::kPosit> {
  using R = RoundTypes<T>;
  using F = typename R::F;
  using U = typename R::U;
  using Bits = typename R::Bits;
  static constexpr bool kScaled = false;
  U one, smallest, largest, first_shift, last_shift, odd_ends;
  int regime;
  VERNIER_INLINE explicit ChainRounder(const ChainFormat<T>& f)
      : one(R::All(Bits{R::kBias} << R::kFraction)),
        smallest(R::All(f.smallest)),
        largest(R::All(f.largest)),
        first_shift(R::All(static_cast<Bits>(R::kFraction - f.fraction))),
        last_shift(R::All(static_cast<Bits>(R::kFraction + f.es))),
        // At the last shift the code ends in a bit of the regime: its parity is not k's for even n.
        odd_ends(R::All((f.fraction + 3 + f.es) % 2 == 0 ? 1 : 0)),
        regime(R::kFraction + f.es) {}
  VERNIER_INLINE F Round(F t) const {
    const U bits = R::AsU(t), u = bits & R::All(R::kMagnitude);
    U v = R::LargerInteger(u, smallest);
    v = R::Select(R::Less(largest, v), largest, v);
    const U d = v - one;
    U s = ((d ^ R::SignMask(d)) >> regime) + first_shift;
    s = R::Select(R::Less(last_shift, s), last_shift, s);
    const U mask = ~U{} << s, unit = R::All(1);
    const U even = (((d >> s) ^ (R::AsU(s == last_shift) & odd_ends)) & ~mask & unit) ^ unit;
    U r = ((d - even - R::HalfNegative(mask)) & mask) + one;
    r = (r | (bits ^ u)) & R::AsU(u != U{});
    return R::AsF(R::Select(R::Less(R::All(R::kInfinity), u), bits, r));  // NaN stays
  }
  VERNIER_INLINE F RoundSigned(F t) const { return Round(t); }
  VERNIER_INLINE F ProductSigned(F x, F w) const { return Round(MultiplyOdd(x, w)); }
};

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_CHAIN_LANES_INL_H_
