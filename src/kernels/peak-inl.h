// The loops of kernels/peak.h for one instruction set. An empty asm that may change the
// accumulators keeps the compiler from seeing through a loop.
#ifndef VERNIER_KERNELS_PEAK_INL_H_
#define VERNIER_KERNELS_PEAK_INL_H_

#include "kernels/peak.h"
#include "kernels/vec-inl.h"

namespace vernier::VERNIER_TARGET {

#if VERNIER_VECTOR_BYTES == 64
#define VERNIER_OPAQUE(x) asm volatile("" : "+v"(x))
inline constexpr int kPeakChains = 16;
#elif VERNIER_VECTOR_BYTES == 32
#define VERNIER_OPAQUE(x) asm volatile("" : "+x"(x))
inline constexpr int kPeakChains = 12;
#elif defined(__SSE2__)
#define VERNIER_OPAQUE(x) asm volatile("" : "+x"(x))
inline constexpr int kPeakChains = 8;
#else
#define VERNIER_OPAQUE(x) asm volatile("" : : "r"(&(x)) : "memory")
inline constexpr int kPeakChains = 8;
#endif

template <class T>
double PeakFma(size_t rounds) {
  using Part = typename Vec<T>::Part;
  Part sum[kPeakChains];
#pragma GCC unroll 16
  for (int c = 0; c < kPeakChains; ++c) sum[c] = SetPart(static_cast<T>(c));  // no two alike
  Part a = SetPart(T{0.5}), b = SetPart(T{0.25});  // the chains stay near b / (1 - a)
  VERNIER_OPAQUE(a);
  VERNIER_OPAQUE(b);
  for (size_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 16
    for (int c = 0; c < kPeakChains; ++c) {
      sum[c] = FmaPart(sum[c], a, b);
    }
  }
  Part all = sum[0];
#pragma GCC unroll 16
  for (int c = 1; c < kPeakChains; ++c) all += sum[c];
  VERNIER_OPAQUE(all);
  return 2.0 * kPeakChains * Vec<T>::kWidth * static_cast<double>(rounds);
}

inline uint64_t PeakRead(const void* data, size_t bytes) {
  using Bits = Native<double>::Bits;
  constexpr size_t kAtOnce = 512 / VERNIER_VECTOR_BYTES;
  const unsigned char* p = static_cast<const unsigned char*>(data);
  Bits sum[4] = {};
  for (size_t at = 0; at < bytes; at += 512) {
    // Some lines ahead of what the hardware fetches by itself (measured: 10 % more from memory).
    __builtin_prefetch(p + at + 4096);
    __builtin_prefetch(p + at + 4096 + 128);
    __builtin_prefetch(p + at + 4096 + 256);
    __builtin_prefetch(p + at + 4096 + 384);
#pragma GCC unroll 32
    for (size_t i = 0; i < kAtOnce; ++i) {
      Bits v;
      memcpy(&v, p + at + i * VERNIER_VECTOR_BYTES, sizeof v);
      sum[i % 4] ^= v;
    }
  }
  const Bits all = sum[0] ^ sum[1] ^ sum[2] ^ sum[3];
  uint64_t result = 0;
  for (size_t i = 0; i < VERNIER_VECTOR_BYTES / 8; ++i) result ^= static_cast<uint64_t>(all[i]);
  return result;
}

#if VERNIER_VECTOR_BYTES >= 32
// Written as the instruction itself: of the intrinsic GCC 12 makes a copy of every second sum. Only
// to be called where the machine has it.
inline double PeakDotVnni(size_t rounds) {
  using Part = Native<double>::Bits;
  Part sum[kPeakChains];
#pragma GCC unroll 16
  for (int c = 0; c < kPeakChains; ++c) sum[c] = Part{c};
  Part a = Part{} + 0x0303030303030303, b = Part{} + 0x0505050505050505;
  VERNIER_OPAQUE(a);
  VERNIER_OPAQUE(b);
  for (size_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 16
    for (int c = 0; c < kPeakChains; ++c) {
      Part t = sum[c];
#if VERNIER_VECTOR_BYTES == 64
      asm("vpdpbusd %2, %1, %0" : "+v"(t) : "v"(a), "v"(b));
#else
      asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(t) : "x"(a), "x"(b));
#endif
      sum[c] = t;
    }
  }
  Part all = sum[0];
#pragma GCC unroll 16
  for (int c = 1; c < kPeakChains; ++c) all += sum[c];
  VERNIER_OPAQUE(all);
  return 2.0 * VERNIER_VECTOR_BYTES * kPeakChains * static_cast<double>(rounds);
}
#endif

// Without such an instruction: pairs of bytes into 16 bits, pairs of those into 32, and the sum.
// `a` is opaque each time, so that no product is computed once for all.
inline double PeakDotSteps(size_t rounds) {
#if VERNIER_VECTOR_BYTES >= 32
  constexpr int kChains = 6;
  __m256i sum[kChains];
#pragma GCC unroll 16
  for (int c = 0; c < kChains; ++c) sum[c] = _mm256_set1_epi32(c);
  __m256i a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(5);
  const __m256i ones = _mm256_set1_epi16(1);
  for (size_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 16
    for (int c = 0; c < kChains; ++c) {
      VERNIER_OPAQUE(a);
      sum[c] = _mm256_add_epi32(sum[c], _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), ones));
    }
  }
  __m256i all = sum[0];
#pragma GCC unroll 16
  for (int c = 1; c < kChains; ++c) all = _mm256_add_epi32(all, sum[c]);
  VERNIER_OPAQUE(all);
  return 2.0 * 32 * kChains * static_cast<double>(rounds);
#else
  int32_t sum[4] = {};
  int8_t a = 3, b = 5;
  for (size_t i = 0; i < rounds; ++i) {
    for (int c = 0; c < 4; ++c) {
      asm volatile("" : "+r"(a), "+r"(b));
      sum[c] += a * b;
      asm volatile("" : "+r"(sum[c]));
    }
  }
  return 2.0 * 4 * static_cast<double>(rounds);
#endif
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_PEAK_INL_H_
