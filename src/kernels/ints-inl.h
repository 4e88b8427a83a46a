// Vectors of integers for intdot-inl.h: dwords whose bytes are codes, one lane a row of a panel.
// Exact, so that every instruction set gives the same. VERNIER_VNNI says that the build of this
// instruction set has VPDPBUSD.
#ifndef VERNIER_KERNELS_INTS_INL_H_
#define VERNIER_KERNELS_INTS_INL_H_

#include "kernels/half.h"
#include "kernels/vec-inl.h"

namespace vernier::VERNIER_TARGET {

typedef int32_t Ints __attribute__((vector_size(VERNIER_VECTOR_BYTES)));
typedef uint32_t Words __attribute__((vector_size(VERNIER_VECTOR_BYTES)));
using Floats = Native<float>::Type;
inline constexpr int kWidth = VERNIER_VECTOR_BYTES / 4;  // rows of a part
inline constexpr int kParts = 16 / kWidth;               // parts of a panel

VERNIER_INLINE Ints LoadInts(const void* p) {
  Ints v;
  memcpy(&v, p, sizeof v);
  return v;
}
VERNIER_INLINE void StoreInts(const Ints& v, void* p) { memcpy(p, &v, sizeof v); }
VERNIER_INLINE Ints SetInts(int32_t value) { return Ints{} + value; }
// Four bytes to every lane.
VERNIER_INLINE Ints Quad(const void* p) {
  int32_t value;
  memcpy(&value, p, sizeof value);
  return SetInts(value);
}
VERNIER_INLINE Ints ShiftRight(const Ints& v, int bits) {  // zeros come in
  return reinterpret_cast<Ints>(reinterpret_cast<Words>(v) >> bits);
}
VERNIER_INLINE Floats ToFloats(const Ints& v) { return __builtin_convertvector(v, Floats); }
VERNIER_INLINE Floats SetFloats(float x) { return SetPart(x); }
VERNIER_INLINE Floats LoadFloats(const float* p) { return LoadPart(p, 0.0f); }

// kWidth bytes, one a lane.
#if VERNIER_VECTOR_BYTES == 64
VERNIER_INLINE Ints Unsigned(const uint8_t* p) {
  __m128i v;
  memcpy(&v, p, sizeof v);
  return reinterpret_cast<Ints>(_mm512_maskz_cvtepu8_epi32(0xffff, v));
}
VERNIER_INLINE Ints Signed(const uint8_t* p) {
  __m128i v;
  memcpy(&v, p, sizeof v);
  return reinterpret_cast<Ints>(_mm512_maskz_cvtepi8_epi32(0xffff, v));
}
#elif VERNIER_VECTOR_BYTES == 32
VERNIER_INLINE Ints Unsigned(const uint8_t* p) {
  return reinterpret_cast<Ints>(_mm256_cvtepu8_epi32(_mm_loadu_si64(p)));
}
VERNIER_INLINE Ints Signed(const uint8_t* p) {
  return reinterpret_cast<Ints>(_mm256_cvtepi8_epi32(_mm_loadu_si64(p)));
}
#else
VERNIER_INLINE Ints Unsigned(const uint8_t* p) {
  Ints v;
  for (int i = 0; i < kWidth; ++i) v[i] = p[i];
  return v;
}
VERNIER_INLINE Ints Signed(const uint8_t* p) {
  Ints v;
  for (int i = 0; i < kWidth; ++i) v[i] = static_cast<int8_t>(p[i]);
  return v;
}
#endif
// low + 65536 high: 16-bit numbers side by side.
VERNIER_INLINE Ints Couple(const Ints& low, const Ints& high) {
  return (low & SetInts(0xffff)) | (high << 16);
}

// Below u has four unsigned bytes a lane and s four signed ones; a lane's sums wrap.
#if VERNIER_VECTOR_BYTES == 64
VERNIER_INLINE __m512i Bits(const Ints& v) { return reinterpret_cast<__m512i>(v); }
VERNIER_INLINE Ints OfBits(const __m512i& v) { return reinterpret_cast<Ints>(v); }
// acc + u . s
VERNIER_INLINE Ints Dot(const Ints& acc, const Ints& u, const Ints& s) {
  return OfBits(_mm512_dpbusd_epi32(Bits(acc), Bits(u), Bits(s)));
}
VERNIER_INLINE Ints DotWide(const Ints& acc, const Ints& u, const Ints& s) {
  return Dot(acc, u, s);
}
VERNIER_INLINE Ints Pairs(const Ints& u, const Ints& s) {
  return OfBits(_mm512_maddubs_epi16(Bits(u), Bits(s)));
}
VERNIER_INLINE Ints PairDot(const Ints& acc, const Ints& a, const Ints& b) {
  return OfBits(_mm512_dpwssd_epi32(Bits(acc), Bits(a), Bits(b)));
}
VERNIER_INLINE Ints Lookup(const int8_t* table, const Ints& codes) {
  __m128i t;
  memcpy(&t, table, sizeof t);
  return OfBits(_mm512_shuffle_epi8(_mm512_maskz_broadcast_i32x4(0xffff, t), Bits(codes)));
}
VERNIER_INLINE Floats Halves(const uint8_t* p) {
  __m256i bits;
  memcpy(&bits, p, sizeof bits);
  return _mm512_maskz_cvtph_ps(0xffff, bits);  // masked: GCC 12 warns of the unmasked one
}
#elif VERNIER_VECTOR_BYTES == 32
VERNIER_INLINE __m256i Bits(const Ints& v) { return reinterpret_cast<__m256i>(v); }
VERNIER_INLINE Ints OfBits(const __m256i& v) { return reinterpret_cast<Ints>(v); }
VERNIER_INLINE Ints Pairs(const Ints& u, const Ints& s) {
  return OfBits(_mm256_maddubs_epi16(Bits(u), Bits(s)));
}
#ifdef VERNIER_VNNI
VERNIER_INLINE Ints Dot(const Ints& acc, const Ints& u, const Ints& s) {
  return OfBits(_mm256_dpbusd_avx_epi32(Bits(acc), Bits(u), Bits(s)));
}
VERNIER_INLINE Ints DotWide(const Ints& acc, const Ints& u, const Ints& s) {
  return Dot(acc, u, s);
}
VERNIER_INLINE Ints PairDot(const Ints& acc, const Ints& a, const Ints& b) {
  return OfBits(_mm256_dpwssd_avx_epi32(Bits(acc), Bits(a), Bits(b)));
}
#else
VERNIER_INLINE Ints PairDot(const Ints& acc, const Ints& a, const Ints& b) {
  return acc + OfBits(_mm256_madd_epi16(Bits(a), Bits(b)));
}
// u at most 127: two products fit 16 bits.
VERNIER_INLINE Ints Dot(const Ints& acc, const Ints& u, const Ints& s) {
  return PairDot(acc, Pairs(u, s), SetInts(0x10001));
}
// Any u: its low seven bits and its highest one by one.
VERNIER_INLINE Ints DotWide(const Ints& acc, const Ints& u, const Ints& s) {
  const Ints top = SetInts(static_cast<int32_t>(0x80808080u));
  const Ints half = ShiftRight(u & top, 1);
  return Dot(Dot(Dot(acc, u & ~top, s), half, s), half, s);
}
#endif
VERNIER_INLINE Ints Lookup(const int8_t* table, const Ints& codes) {
  __m128i t;
  memcpy(&t, table, sizeof t);
  return OfBits(_mm256_shuffle_epi8(_mm256_broadcastsi128_si256(t), Bits(codes)));
}
VERNIER_INLINE Floats Halves(const uint8_t* p) {
  __m128i bits;
  memcpy(&bits, p, sizeof bits);
  return _mm256_cvtph_ps(bits);
}
#else
template <int kByte>
VERNIER_INLINE Ints UnsignedByte(const Ints& v) {
  return ShiftRight(v, 8 * kByte) & SetInts(255);
}
template <int kByte>
VERNIER_INLINE Ints SignedByte(const Ints& v) {
  return (v << (24 - 8 * kByte)) >> 24;
}
VERNIER_INLINE Ints Dot(const Ints& acc, const Ints& u, const Ints& s) {
  return acc + UnsignedByte<0>(u) * SignedByte<0>(s) + UnsignedByte<1>(u) * SignedByte<1>(s) +
         UnsignedByte<2>(u) * SignedByte<2>(s) + UnsignedByte<3>(u) * SignedByte<3>(s);
}
VERNIER_INLINE Ints DotWide(const Ints& acc, const Ints& u, const Ints& s) {
  return Dot(acc, u, s);
}
// Bytes 0 and 1 in the low half of a lane, 2 and 3 in the high one; they must fit.
VERNIER_INLINE Ints Pairs(const Ints& u, const Ints& s) {
  return Couple(UnsignedByte<0>(u) * SignedByte<0>(s) + UnsignedByte<1>(u) * SignedByte<1>(s),
                UnsignedByte<2>(u) * SignedByte<2>(s) + UnsignedByte<3>(u) * SignedByte<3>(s));
}
VERNIER_INLINE Ints PairDot(const Ints& acc, const Ints& a, const Ints& b) {
  return acc + ((a << 16) >> 16) * ((b << 16) >> 16) + (a >> 16) * (b >> 16);
}
VERNIER_INLINE Ints Lookup(const int8_t* table, const Ints& codes) {
  int8_t bytes[sizeof codes];
  memcpy(bytes, &codes, sizeof codes);
  for (int8_t& byte : bytes) byte = table[byte];
  return LoadInts(bytes);
}
VERNIER_INLINE Floats Halves(const uint8_t* p) {
  Floats v;
  for (int i = 0; i < kWidth; ++i)
    v[i] = HalfBitsToFloat(static_cast<uint32_t>(p[2 * i] | p[2 * i + 1] << 8));
  return v;
}
#endif

// Signed codes as the left side of many dot products.
struct SignedCodes {
  Ints codes, aux;
};
#if VERNIER_VECTOR_BYTES == 64 || defined(VERNIER_VNNI)
// The activations come plus 128, unsigned; what that adds is taken off before.
inline constexpr bool kFlipped = true;
VERNIER_INLINE SignedCodes Prepare(const Ints& w) {
  return {w, Ints{} - Dot(Ints{}, SetInts(static_cast<int32_t>(0x80808080u)), w)};
}
VERNIER_INLINE Ints Dot4(const SignedCodes& w, const Ints& x) { return Dot(w.aux, x, w.codes); }
#elif VERNIER_VECTOR_BYTES == 32
inline constexpr bool kFlipped = false;
VERNIER_INLINE SignedCodes Prepare(const Ints& w) { return {w, OfBits(_mm256_abs_epi8(Bits(w)))}; }
// Two products of at most 128 * 127 fit 16 bits.
VERNIER_INLINE Ints Dot4(const SignedCodes& w, const Ints& x) {
  return Dot(Ints{}, w.aux, OfBits(_mm256_sign_epi8(Bits(x), Bits(w.codes))));
}
#else
inline constexpr bool kFlipped = false;
VERNIER_INLINE SignedCodes Prepare(const Ints& w) { return {w, w}; }
VERNIER_INLINE Ints Dot4(const SignedCodes& w, const Ints& x) {
  return SignedByte<0>(w.codes) * SignedByte<0>(x) + SignedByte<1>(w.codes) * SignedByte<1>(x) +
         SignedByte<2>(w.codes) * SignedByte<2>(x) + SignedByte<3>(w.codes) * SignedByte<3>(x);
}
#endif

template <int kCount>
struct Count {
  static constexpr int value = kCount;
};
// Calls f(Count<N>, j) on [j, end): tiles of kMost rows, then one of what is left.
template <int kMost, class F>
VERNIER_INLINE void ForTiles(size_t j, size_t end, const F& f) {
  for (; j + kMost <= end; j += kMost) f(Count<kMost>{}, j);
  if constexpr (kMost > 1) {
    if (j < end) ForTiles<kMost - 1>(j, end, f);
  }
}

inline constexpr size_t kRowsTogether = 96;  // rows of X over a panel: they stay in the L2 cache

// One row of X reads the weights once, from memory: lines are asked for this far ahead of their
// use, panels being one after another.
inline constexpr size_t kAhead = 16384;
VERNIER_INLINE void Prefetch(const uint8_t* p) { __builtin_prefetch(p + kAhead); }

// The part q of sixteen outputs from `first` on; those past the last are dropped.
VERNIER_INLINE void StoreOutputs(const Floats& v, size_t first, int q, size_t outputs, float* y) {
  const size_t begin = first + static_cast<size_t>(q * kWidth);
  if (begin + kWidth <= outputs) {
    memcpy(y + begin, &v, sizeof v);
  } else if (begin < outputs) {
    memcpy(y + begin, &v, (outputs - begin) * sizeof(float));
  }
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_INTS_INL_H_
