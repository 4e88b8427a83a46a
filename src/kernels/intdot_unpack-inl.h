// Super-blocks of a panel, some at a time, as the kernels of intdot_super-inl.h read them: codes as
// bytes, scales as vectors. Unpacked once for all rows of X.
#ifndef VERNIER_KERNELS_INTDOT_UNPACK_INL_H_
#define VERNIER_KERNELS_INTDOT_UNPACK_INL_H_

#include "kernels/intdot_lanes-inl.h"

namespace vernier::VERNIER_TARGET {

inline constexpr size_t kChunk =
    4;  // super-blocks of a chunk: its codes are a third of the L1 cache
struct alignas(64) SuperChunk {
  uint8_t codes[kChunk * 64 * 64];   // [super-block][group of 32][quad][row]
  uint8_t scales[kChunk * 16 * 64];  // [super-block][16 columns][row], in the form of the type
  uint8_t couples[kChunk * 8 * 64];  // [super-block][8][row]: what a row's sums multiply
  float d[kChunk * 16], m[kChunk * 16];
};

// How the minima of a type enter: not at all; Q4_K: four chains, one for each 64 columns of a
// super-block; Q5_K: one chain; Q2_K: into the eight chains, before the products.
enum class Minima { kNone, kFourChains, kOneChain, kInLanes };

// Each type: Quad(group, quad): unsigned codes, at most 63, or where kSigned signed ones. Scales of
// kSigned types are numbers; of the others twice 16 bits, for products of pairs. kCorrection: the
// couples of scales times the sums of 16 codes are taken off, shifted by so many bits.
struct SuperQ6_K {
  static constexpr TensorType kType = TensorType::kQ6_K;
  static constexpr int kCorrection = 5;
  static constexpr bool kSigned = false;
  static constexpr Minima kMinima = Minima::kNone;
  VERNIER_INLINE static Ints Quad(const uint8_t* group, int quad) {
    return NibbleQuad(group + 128, quad) | (PairQuad(group, quad) << 4);
  }
  VERNIER_INLINE static Ints Scale(const uint8_t* unit, int i, int q) {
    return Signed(unit + 32 + 16 * i + q * kWidth);
  }
  VERNIER_INLINE static Ints Coupled(const uint8_t* unit, int i, int q) {
    return Couple(Scale(unit, 2 * i, q), Scale(unit, 2 * i + 1, q));
  }
};
struct SuperQ4_K {
  static constexpr TensorType kType = TensorType::kQ4_K;
  static constexpr int kCorrection = 0;
  static constexpr bool kSigned = false;
  static constexpr Minima kMinima = Minima::kFourChains;
  VERNIER_INLINE static Ints Quad(const uint8_t* group, int quad) {
    return NibbleQuad(group, quad);
  }
  VERNIER_INLINE static Ints Scale(const uint8_t* unit, int i, int q) {
    return Unsigned(unit + 64 + 16 * (i / 2) + q * kWidth);
  }
  VERNIER_INLINE static Ints Coupled(const uint8_t* unit, int i, int q) {
    const uint8_t* minima = unit + 192 + 32 * (i % 4) + q * kWidth;
    return Couple(Unsigned(minima), Unsigned(minima + 16));
  }
};
struct SuperQ5_K : SuperQ4_K {
  static constexpr TensorType kType = TensorType::kQ5_K;
  static constexpr Minima kMinima = Minima::kOneChain;
  VERNIER_INLINE static Ints Quad(const uint8_t* group, int quad) {
    return NibbleQuad(group + 64, quad) | BitQuad<4>(group, quad);
  }
};
struct SuperQ2_K {
  static constexpr TensorType kType = TensorType::kQ2_K;
  static constexpr int kCorrection = 0;
  static constexpr bool kSigned = false;
  static constexpr Minima kMinima = Minima::kInLanes;
  VERNIER_INLINE static Ints Quad(const uint8_t* group, int quad) { return PairQuad(group, quad); }
  VERNIER_INLINE static Ints Scale(const uint8_t* unit, int i, int q) {
    return Unsigned(unit + 64 + 16 * i + q * kWidth) & SetInts(15);
  }
  VERNIER_INLINE static Ints Coupled(const uint8_t* unit, int i, int q) {
    const uint8_t* bytes = unit + 64 + 32 * i + q * kWidth;
    return Couple(ShiftRight(Unsigned(bytes), 4), ShiftRight(Unsigned(bytes + 16), 4));
  }
};
struct SuperQ3_K {
  static constexpr TensorType kType = TensorType::kQ3_K;
  static constexpr int kCorrection = 0;
  static constexpr bool kSigned = true;
  static constexpr Minima kMinima = Minima::kNone;
  VERNIER_INLINE static Ints Quad(const uint8_t* group, int quad) {
    return Less<4>(PairQuad(group + 64, quad) | BitQuad<2>(group, quad));
  }
  VERNIER_INLINE static Ints Scale(const uint8_t* unit, int i, int q) {
    return Signed(unit + 32 + 16 * i + q * kWidth);
  }
};
struct SuperIQ4_XS : SuperQ3_K {
  static constexpr TensorType kType = TensorType::kIQ4_XS;
  VERNIER_INLINE static Ints Quad(const uint8_t* group, int quad) {
    return Lookup(kIQ4Levels, NibbleQuad(group, quad));
  }
  VERNIER_INLINE static Ints Scale(const uint8_t* unit, int i, int q) {
    return Signed(unit + 32 + 16 * (i / 2) + q * kWidth);
  }
};

VERNIER_INLINE void UnpackHalves(const uint8_t* halves, float* out) {
  for (int q = 0; q < kParts; ++q) {
    const Floats v = Halves(halves + 2 * q * kWidth);
    memcpy(out + q * kWidth, &v, sizeof v);
  }
}

// `count` super-blocks, whose codes and scales begin at `codes` and `unit`. kNumbers: scales are
// numbers whatever the type.
template <class S, bool kNumbers = S::kSigned>
VERNIER_INLINE void UnpackSuper(const uint8_t* codes, const uint8_t* unit, size_t count,
                                SuperChunk* out) {
  constexpr PackedLayout kLayout = LayoutOf(S::kType);
  for (int q = 0; q < kParts; ++q) {
    const size_t at = q * sizeof(Ints);
    for (size_t g = 0; g < count * 8; ++g) {
      const uint8_t* group = codes + kLayout.group_bytes * g + at;
#pragma GCC unroll 8
      for (int i = 0; i < kLayout.group_bytes / 64; ++i) Prefetch(group + 64 * i);
#pragma GCC unroll 8
      for (int quad = 0; quad < 8; ++quad)
        StoreInts(S::Quad(group, quad), out->codes + 512 * g + 64 * quad + at);
    }
    for (size_t s = 0; s < count; ++s) {
      const uint8_t* from = unit + kLayout.scale_bytes * s;
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i) {
        const Ints scale = S::Scale(from, i, q);
        StoreInts(kNumbers ? scale : Couple(scale, scale), out->scales + 1024 * s + 64 * i + at);
      }
      if constexpr (S::kCorrection > 0 || S::kMinima != Minima::kNone) {
#pragma GCC unroll 8
        for (int i = 0; i < 8; ++i)
          StoreInts(S::Coupled(from, i, q), out->couples + 512 * s + 64 * i + at);
      }
    }
  }
  for (size_t s = 0; s < count; ++s) {
    UnpackHalves(unit + kLayout.scale_bytes * s, out->d + 16 * s);
    if constexpr (S::kMinima != Minima::kNone)
      UnpackHalves(unit + kLayout.scale_bytes * s + 32, out->m + 16 * s);
  }
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_INTDOT_UNPACK_INL_H_
